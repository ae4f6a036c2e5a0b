"""Regularizers: what they do to weights in one step and in many, and what is left."""

from collections.abc import Callable, Mapping
from itertools import combinations
from math import log

import numpy as np
import pytest
import torch
from skorch.callbacks import LRScheduler
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy, Target
from skprune.network.network import Network
from skprune.pruning.loop import _projection
from skprune.pruning.target import resolve_target
from skprune.strategies import (
    ADMM,
    L0,
    L1,
    REGULARIZERS,
    GroupLasso,
    InformationBottleneck,
    VariationalDropout,
)
from skprune.strategies.hooks import TrainingHook, TrainingRun
from skprune.strategies.regularization import Projection, Regularizer
from skprune.strategies.regularization.l0 import _gates, _open_probability
from skprune.strategies.regularization.pace import Pace
from skprune.structures import STRUCTURES, Elements
from tests.helpers import (
    ESTIMATORS,
    STRUCTURES_OF_ANY,
    forward,
    make_data,
    make_net,
    run_loop,
    snapshot,
)
from tests.networks import NETWORKS, Perceptron
from tests.strategies.words import assert_same_weights, fit_words

Loss = Callable[[], Tensor]
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.05),
    "lbfgs": lambda parameters: torch.optim.LBFGS(parameters, lr=0.1, max_iter=3),
}
every_regularizer = pytest.mark.parametrize("name", REGULARIZERS)


def elements_of(module: nn.Module, structure: str = "weight", n_inputs: int = 3) -> Elements:
    inputs = torch.zeros(2, n_inputs, dtype=next(module.parameters()).dtype)
    network = Network(module, inputs, forward)
    return STRUCTURES[structure]().elements(network, ())


def two_layers(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def squared_error(module: nn.Module) -> Loss:
    torch.manual_seed(9)
    dtype = next(module.parameters()).dtype
    inputs, targets = torch.randn(16, 3).to(dtype), torch.randn(16, 2).to(dtype)
    return lambda: (module(inputs) - targets).square().mean()


def half_gone(structure: str) -> tuple[nn.Sequential, Elements]:
    """Two layers that have lost every other element; the units of the first are twelve."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 2))
    elements = elements_of(module, structure)
    elements.keep({layer: torch.arange(len(k)) % 2 == 0 for layer, k in elements.kept.items()})
    return module, elements


def train(
    hook: TrainingHook,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    n_steps: int,
    stop: int = -1,
    masked: Network | None = None,
) -> None:
    """Take steps as a stage does; `stop` of `n_steps` of them."""
    run = TrainingRun(n_steps, optimizer)
    hook.begin(run)

    def look() -> Tensor:
        hook.before_forward()
        optimizer.zero_grad()
        value = loss()
        value.backward()
        hook.after_backward()
        return value

    for _ in range(n_steps if stop < 0 else stop):
        optimizer.step(look)
        run.after_step()
        hook.after_step()
        if masked is not None:
            masked.set_masks(masked.masks)
    hook.end()


def nearest(value: float, threshold: float) -> float:
    """The least of ``(w - value)^2 / 2 + threshold * |w|``, by looking everywhere."""
    w = np.append(np.linspace(-2, 2, 400_001), 0.0)
    return float(w[((w - value) ** 2 / 2 + threshold * np.abs(w)).argmin()])


# L1 and the group lasso.


def test_l1_is_the_proximal_point_of_a_gradient_step() -> None:
    module = nn.Linear(3, 2, bias=False)
    weights = np.array([[0.5, -0.3, 0.1], [0.05, -0.8, 0.0]])
    slopes = np.array([[1.0, -1.0, 0.5], [0.2, -0.4, 0.3]])
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weights))
    loss = lambda: (module.weight * torch.from_numpy(slopes).float()).sum()  # noqa: E731
    hook = L1(strength=2.0).hook(elements_of(module), None)
    train(hook, loss, torch.optim.SGD(module.parameters(), lr=0.1), n_steps=8, stop=1)
    moved = weights - 0.1 * slopes
    threshold = 2.0 / 8 * np.abs(moved).mean()
    expected = [[nearest(value, threshold) for value in row] for row in moved]
    assert np.count_nonzero(expected) == 3
    np.testing.assert_allclose(module.weight.detach(), expected, atol=2e-5)
    assert ((module.weight == 0).numpy() == (np.array(expected) == 0)).all()


def test_l1_follows_the_learning_rate_of_each_parameter() -> None:
    module = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(1.0)
    groups = [{"params": module[0].parameters(), "lr": 0.1}, {"params": module[1].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.5)
    run, hook = TrainingRun(10, optimizer), L1(strength=2.0).hook(elements_of(module), None)
    hook.begin(run)
    hook.after_step()
    torch.testing.assert_close(module[0].weight.data, torch.full((2, 3), 1 - 2 / 10))
    torch.testing.assert_close(module[1].weight.data, torch.full((2, 2), 1 - 2 / 10))
    optimizer.param_groups[1]["lr"] = 0.25  # half of what it began with
    hook.after_step()
    torch.testing.assert_close(module[0].weight.data, torch.full((2, 3), 0.8 * (1 - 2 / 10)))
    torch.testing.assert_close(module[1].weight.data, torch.full((2, 2), 0.8 * (1 - 1 / 10)))


def test_a_pace_is_measured_by_the_highest_rate_so_far() -> None:
    weight = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=7.0)  # before a schedule has its say
    pace, parts = Pace(TrainingRun(4, optimizer), {"weight": weight}), []
    for lr in (0.0, 0.1, 0.2, 0.05):
        optimizer.param_groups[0]["lr"] = lr
        parts.append(pace().get("weight", 0.0))
    assert parts == [0.0, 1 / 4, 1 / 4, 0.05 / (0.2 * 4)]


@pytest.mark.parametrize("name", ["l1", "group_lasso", "admm"])
def test_a_schedule_of_one_rate_is_as_that_rate(name: str) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    results = []
    for factor in (1, 10):
        scheduler = LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda _, f=factor: f)
        pruned = PrunedClassifier(
            make_net("PrunedClassifier", Perceptron, lr=0.05 / factor, callbacks=[scheduler]),
            strategy=Strategy(regularizer=name),
            sparsity=0.5,
            fine_tune_epochs=10,
            random_state=0,
        ).fit(X, y)
        results.append(snapshot(pruned.module_))
    torch.testing.assert_close(*results)


def test_group_lasso_is_the_proximal_point_for_every_unit() -> None:
    module = two_layers()
    enter, leave = (module[i].weight.detach().double().numpy().copy() for i in (0, 2))
    with torch.no_grad():
        module[0].weight[1] *= 0.1
        module[2].weight[:, 1] *= 0.1
    enter[1] *= 0.1
    leave[:, 1] *= 0.1
    hook = GroupLasso(strength=2.0).hook(elements_of(module, "unit"), None)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    hook.begin(TrainingRun(6, optimizer))
    hook.after_step()
    norms = [np.sqrt((enter[u] ** 2).sum() + (leave[:, u] ** 2).sum()) for u in range(4)]
    root = np.sqrt(3 + 2)
    threshold = 2.0 / 6 * np.mean([norm / root for norm in norms]) * root
    for u, norm in enumerate(norms):
        # On the ray of the group, the norm is shrunk as a single weight is.
        factor = nearest(norm, threshold) / norm
        assert (factor == 0) == (u == 1)
        np.testing.assert_allclose(module[0].weight.detach()[u], enter[u] * factor, atol=2e-5)
        np.testing.assert_allclose(module[2].weight.detach()[:, u], leave[:, u] * factor, atol=2e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_group_lasso_of_single_weights_is_l1(optimizer: str) -> None:
    results = []
    for regularizer in (L1(strength=3.0), GroupLasso(strength=3.0)):
        module = two_layers().double()
        hook = regularizer.hook(elements_of(module), None)
        loss = squared_error(module)
        train(hook, loss, OPTIMIZERS[optimizer](module.parameters()), n_steps=20)
        results.append(snapshot(module))
    assert (results[0]["0.weight"] == 0).any()
    torch.testing.assert_close(results[0], results[1], atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("structure", ["weight", "unit", "block", "feature"])
@pytest.mark.parametrize(
    "regularizer", [L1, GroupLasso, L0, VariationalDropout, InformationBottleneck]
)
@pytest.mark.parametrize("n_steps", [1, 2, 30])
def test_no_layer_comes_to_zero(
    structure: str, regularizer: type[Regularizer], n_steps: int
) -> None:
    module = two_layers()
    elements = elements_of(module, structure)
    hook = regularizer(strength=1e4).hook(elements, None)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-5)
    train(hook, squared_error(module), optimizer, n_steps)
    for total in elements.sum_by_element(elements.network.weights).values():
        assert total.any()


# What is gone already.


@pytest.mark.parametrize("regularizer", [L1, GroupLasso])
def test_what_is_gone_does_not_count_in_the_mean(regularizer: type[Regularizer]) -> None:
    """One step on the half that is left, written out."""
    module, elements = half_gone("weight")
    weight = module[0].weight.detach().double().numpy().copy()
    left = np.abs(weight[weight != 0])
    assert len(left) == 18
    hook = regularizer(strength=2.0).hook(elements, None)
    hook.begin(TrainingRun(5, torch.optim.SGD(module.parameters(), lr=0.1)))
    hook.after_step()
    expected = np.sign(weight) * np.maximum(np.abs(weight) - 2.0 / 5 * left.mean(), 0)
    np.testing.assert_allclose(module[0].weight.detach(), expected, atol=1e-6)


def test_group_lasso_goes_by_the_units_that_are_left() -> None:
    module, elements = half_gone("unit")
    enter, leave = (module[i].weight.detach().double().numpy().copy() for i in (0, 2))
    assert enter.shape == (6, 3)
    hook = GroupLasso(strength=0.5).hook(elements, None)
    hook.begin(TrainingRun(1, torch.optim.SGD(module.parameters(), lr=0.1)))
    hook.after_step()
    norms = np.sqrt((enter**2).sum(1) + (leave**2).sum(0))
    factors = np.maximum(1 - 0.5 * norms.mean() / norms, 0)
    np.testing.assert_allclose(module[0].weight.detach(), enter * factors[:, None], atol=1e-6)
    np.testing.assert_allclose(module[2].weight.detach(), leave * factors, atol=1e-6)


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize(
    "regularizer",
    [
        L1(strength=30.0),
        GroupLasso(strength=30.0),
        L0(strength=1e4),
        VariationalDropout(strength=1e4),
        InformationBottleneck(strength=1e4),
    ],
)
def test_as_many_stay_of_what_is_left_as_the_target_leaves(
    structure: str, regularizer: Regularizer
) -> None:
    module, elements = half_gone(structure)
    strategy = Strategy(allocation="uniform", regularizer=regularizer).resolved()
    goal = resolve_target(elements, strategy, Target(2 / 3))
    hook = regularizer.hook(elements, _projection(elements, strategy, goal))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    train(hook, squared_error(module), optimizer, n_steps=200, masked=elements.network)
    squares = {name: w.detach().square() for name, w in elements.network.weights.items()}
    one_by_one = isinstance(regularizer, L1 | VariationalDropout) and structure == "unit"
    for total in elements.sum_by_element(squares).values():
        assert int((total > 0).sum()) == len(total) // (2 if one_by_one else 3)


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_what_is_gone_is_not_chosen_again(structure: str) -> None:
    """Even where nothing that is left has any weight."""
    elements = half_gone(structure)[1]
    strategy = Strategy(allocation="uniform").resolved()
    project = _projection(elements, strategy, resolve_target(elements, strategy, Target(2 / 3)))
    masks = project({n: torch.zeros_like(w) for n, w in elements.network.weights.items()})
    if structure == "weight":
        for layer, kept in elements.kept.items():
            chosen = masks[f"{layer}.weight"].flatten()
            assert chosen.sum() == len(kept) // 3
            assert not (chosen & ~kept).any()
    else:
        assert masks["0.weight"].any(1).sum() == 4


# L0.


def hard_concrete(log_alpha: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Equations 10 to 12 of the paper."""
    beta, gamma, zeta = 2 / 3, -0.1, 1.1
    s = 1 / (1 + np.exp(-(np.log(u) - np.log(1 - u) + log_alpha) / beta))
    return np.minimum(1, np.maximum(0, s * (zeta - gamma) + gamma))


def test_gates_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    log_alpha, u = rng.normal(scale=3, size=500), rng.uniform(size=500)
    gates = _gates(torch.from_numpy(log_alpha), torch.from_numpy(u))
    np.testing.assert_allclose(gates, hard_concrete(log_alpha, u), atol=1e-12)
    assert (gates == 0).any()
    assert (gates == 1).any()
    assert ((gates > 0) & (gates < 1)).any()
    # Equation 13: the gates in use once the training is over.
    settled = np.clip(1.2 / (1 + np.exp(-log_alpha)) - 0.1, 0, 1)
    np.testing.assert_allclose(_gates(torch.from_numpy(log_alpha)), settled, atol=1e-12)


@pytest.mark.parametrize("log_alpha", [-4.0, -1.6, 0.0, 2.0])
def test_the_expected_number_of_open_gates_is_in_closed_form(log_alpha: float) -> None:
    probability = float(_open_probability(torch.tensor(log_alpha, dtype=torch.float64)))
    assert probability == pytest.approx(1 / (1 + np.exp(2 / 3 * log(0.1 / 1.1) - log_alpha)))
    u = np.random.default_rng(0).uniform(size=200_000)
    drawn = (hard_concrete(np.full_like(u, log_alpha), u) > 0).mean()
    assert probability == pytest.approx(drawn, abs=4 * 0.5 / np.sqrt(len(u)))


def gated_outputs(
    inputs: Tensor, state: Mapping[str, Tensor], gates: list[Tensor], structure: str
) -> Tensor:
    """Two layers with their gates written out: of single weights, or of hidden units."""
    if structure == "weight":
        enter, leave = (
            state[name] * gate.view(state[name].shape)
            for name, gate in zip(("0.weight", "2.weight"), gates, strict=True)
        )
    else:
        enter, leave = state["0.weight"] * gates[0][:, None], state["2.weight"] * gates[0]
    return (inputs @ enter.T + state["0.bias"]).relu() @ leave.T + state["2.bias"]


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_gradients_of_gates_and_weights_are_those_of_a_gated_network(structure: str) -> None:
    module = two_layers().double()
    torch.manual_seed(1)
    inputs, targets = torch.randn(16, 3).double(), torch.randn(16, 2).double()
    network = Network(module, inputs, forward)
    elements = STRUCTURES[structure]().elements(network, ())
    hook = L0(strength=7.0).hook(elements, None)
    hook.begin(TrainingRun(10, torch.optim.SGD(module.parameters(), lr=0.1)))
    with torch.no_grad():  # some gates are shut by the noise
        for a in hook._log_alphas.values():
            a.copy_(torch.linspace(-1.5, 1.0, a.numel()))
    before = snapshot(module)
    hook.before_forward()
    (module(inputs) - targets).square().mean().backward()
    hook.after_backward()

    state = {name: value.clone().requires_grad_() for name, value in before.items()}
    log_alphas = [a.detach().clone().requires_grad_() for a in hook._log_alphas.values()]
    gates = [
        (((u.log() - (1 - u).log() + a) * 1.5).sigmoid() * 1.2 - 0.1).clamp(0, 1)
        for a, u in zip(log_alphas, hook._noise.values(), strict=True)
    ]
    loss = (gated_outputs(inputs, state, gates, structure) - targets).square().mean()
    loss.backward()
    assert any((gate == 0).any() for gate in gates)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, state[name].grad)
        assert torch.equal(parameter.data, before[name])  # the weights are back
    of_loss = [a.grad.clone() for a in log_alphas]
    unit = torch.cat(of_loss).abs().mean()
    penalty = sum((a - 2 / 3 * log(0.1 / 1.1)).sigmoid().sum() for a in log_alphas)
    (7.0 * unit * penalty).backward()
    for a, mine in zip(log_alphas, hook._log_alphas.values(), strict=True):
        torch.testing.assert_close(mine.grad, a.grad)


def test_large_groups_cost_more() -> None:
    """Three weights go with each unit of the first layer, and five with each of the second."""
    module = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3))
    elements = elements_of(module, "unit", n_inputs=1)
    hook = L0().hook(elements, None)
    hook.begin(TrainingRun(1, torch.optim.SGD(module.parameters())))
    costs = torch.cat(list(hook._costs.values()))
    sizes = torch.tensor([3.0, 3.0, 5.0, 5.0], dtype=costs.dtype)
    torch.testing.assert_close(costs, sizes / sizes.mean())


def test_the_penalty_rests_where_no_more_gates_are_open_than_stay() -> None:
    gradients = []
    for strength in (0.0, 50.0):
        module = two_layers()
        hook = L0(strength).hook(elements_of(module), keep_largest(8))  # all of the second layer
        torch.manual_seed(0)
        hook.begin(TrainingRun(10, torch.optim.SGD(module.parameters())))
        hook.before_forward()
        squared_error(module)().backward()
        hook.after_backward()
        gradients.append([a.grad for a in hook._log_alphas.values()])
    assert torch.equal(gradients[0][1], gradients[1][1])
    assert not torch.equal(gradients[0][0], gradients[1][0])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gates_stay_as_they_are_within_a_step_and_close_at_the_end(optimizer: str) -> None:
    module = two_layers()
    hook = L0(strength=40.0).hook(elements_of(module), None)
    of_error, seen = squared_error(module), []

    def loss() -> Tensor:
        seen.append(hook._noise)
        return of_error()

    train(hook, loss, OPTIMIZERS[optimizer](module.parameters()), n_steps=60)
    steps = [id(noise) for noise in seen]
    assert len(set(steps)) == 60
    assert (len(steps) > 60) == (optimizer == "lbfgs")
    closed = torch.cat([_gates(a.detach()) for a in hook._log_alphas.values()]) == 0
    zero = torch.cat([module[i].weight.detach().flatten() for i in (0, 2)]) == 0
    assert torch.equal(closed, zero)
    assert 0 < zero.sum() < len(zero)


def test_an_interrupted_step_leaves_the_weights_without_their_noise() -> None:
    module = two_layers()
    before = snapshot(module)
    hook = L0().hook(elements_of(module), None)
    hook.begin(TrainingRun(10, torch.optim.SGD(module.parameters())))
    hook.before_forward()
    hook.end()
    settled = 1.2 / (1 + np.exp(-2.0)) - 0.1
    torch.testing.assert_close(module[0].weight.data, before["0.weight"] * settled)


# ADMM.


def keep_largest(n: int) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    def project(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: weight.abs() >= weight.abs().flatten().sort().values[-n]
            for name, weight in weights.items()
        }

    return project


def quadratic(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((6, 6)) * 0.6 + np.diag(rng.uniform(0.5, 2, 6))
    return root @ root.T / 2, rng.standard_normal(6)


def test_admm_takes_the_steps_of_the_paper() -> None:
    H, best = quadratic(0)
    module = nn.Linear(6, 1, bias=False).double()
    W = module.weight.detach().numpy().flatten().copy()
    H_, best_ = torch.from_numpy(H), torch.from_numpy(best)

    def loss() -> Tensor:
        gap = module.weight.flatten() - best_
        return gap @ H_ @ gap / 2

    hook = ADMM(strength=4.0, interval=5).hook(elements_of(module, n_inputs=6), keep_largest(3))
    train(hook, loss, torch.optim.SGD(module.parameters(), lr=0.05), n_steps=40)

    def projected(v: np.ndarray) -> np.ndarray:
        return np.where(np.argsort(np.argsort(-np.abs(v))) < 3, v, 0.0)

    rho, U = 4.0 / (0.05 * 40), np.zeros(6)
    Z = projected(W)
    for step in range(1, 41):
        V = W - 0.05 * H @ (W - best)
        # The least of |W - V|^2 / (2 * lr) + rho / 2 * |W - Z + U|^2.
        W = (V / 0.05 + rho * (Z - U)) / (1 / 0.05 + rho)
        if step % 5 == 0:
            Z = projected(W + U)
            U = U + W - Z
    np.testing.assert_allclose(module.weight.detach().numpy().flatten(), W, atol=1e-12)


def best_support(H: np.ndarray, best: np.ndarray, n: int) -> tuple[tuple[int, ...], np.ndarray]:
    """Try every choice of n weights, with the others at zero."""
    found = []
    for support in combinations(range(len(best)), n):
        kept = list(support)
        w = np.zeros(len(best))
        w[kept] = np.linalg.solve(H[np.ix_(kept, kept)], (H @ best)[kept])
        found.append(((w - best) @ H @ (w - best), support, w))
    return min(found, key=lambda row: row[0])[1:]


def test_admm_finds_the_support_that_magnitude_misses() -> None:
    """A large weight matters little: the loss is almost flat in it."""
    H = np.diag([0.05, 3.0, 3.0, 1.0])
    curvature = torch.from_numpy(np.diag(H).copy())
    best = np.array([1.19, 1.0, -1.2, 0.2])
    module = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(best))

    def loss() -> Tensor:
        return (module.weight.flatten() - torch.from_numpy(best)).square() @ curvature / 2

    hook = ADMM(strength=100.0, interval=10).hook(elements_of(module, n_inputs=4), keep_largest(2))
    train(hook, loss, torch.optim.SGD(module.parameters(), lr=0.1), n_steps=1000)
    support, w = best_support(H, best, 2)
    assert support == (1, 2)
    kept = keep_largest(2)({"w": module.weight.detach().flatten()})["w"]
    assert tuple(kept.nonzero().flatten().tolist()) == support
    assert set(np.argsort(-np.abs(best))[:2]) != set(support)
    np.testing.assert_allclose(module.weight.detach().numpy().flatten(), w, atol=1e-3)


class Ask(ADMM):
    """Asks once about weights of its own."""

    def hook(self, elements: Elements, project: Projection | None) -> TrainingHook:
        torch.manual_seed(3)
        self.weights = {n: torch.randn_like(w) for n, w in elements.network.weights.items()}
        self.kept = project(self.weights)
        return super().hook(elements, project)


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_admm_is_given_what_pruning_by_magnitude_would_leave(
    structure: str, allocation: str
) -> None:
    """A quarter of each layer, or of all: the largest of the weights that it asks about."""
    example, ask = NETWORKS["mlp"], Ask()
    strategy = Strategy(allocation=allocation, regularizer=ask)
    run_loop(example.build(), example, strategy, structure, 0.75, epochs=10)
    weights = {name: weight.detach().numpy() for name, weight in ask.weights.items()}
    first, second, third = weights.values()
    if structure == "weight":
        sizes = [np.abs(weight).flatten() for weight in (first, second, third)]
    else:  # the weights that enter a unit, and those that leave it
        sizes = [
            (enter**2).sum(1) + (leave**2).sum(0)
            for enter, leave in ((first, second), (second, third))
        ]
    if allocation == "global":
        least = np.sort(np.concatenate(sizes))[-sum(map(len, sizes)) // 4]
        kept = [size >= least for size in sizes]
    else:
        kept = [size >= np.sort(size)[-len(size) // 4] for size in sizes]
    if structure == "weight":
        expected = [
            mask.reshape(w.shape) for mask, w in zip(kept, (first, second, third), strict=True)
        ]
    else:
        expected = [
            np.repeat(kept[0][:, None], 6, 1),
            np.outer(kept[1], kept[0]),
            np.tile(kept[1], (3, 1)),
        ]
    for name, mask in zip(weights, expected, strict=True):
        assert np.array_equal(ask.kept[name], mask)


def test_admm_needs_a_target() -> None:
    example = NETWORKS["mlp"]
    net = make_net("PrunedClassifier", Perceptron, max_epochs=100_000)  # the error comes first
    pruned = PrunedClassifier(net, strategy=Strategy(regularizer="admm"), sparsity=None)
    with pytest.raises(ValueError, match=r"'admm' trains towards a target sparsity.*'l1'"):
        pruned.fit(*make_data("PrunedClassifier", example))
    with pytest.raises(ValueError, match="there is none"):
        ADMM().hook(elements_of(two_layers()), None)
    strategy = Strategy(regularizer="admm", allocation={"hidden0": 0.5})
    run = run_loop(example.build(), example, strategy, "weight", None)
    assert run.counts == {"hidden0": 24}


# All of them.


@pytest.mark.parametrize(
    "regularizer", [L1, GroupLasso, L0, VariationalDropout, InformationBottleneck]
)
def test_no_more_comes_to_zero_than_the_target_removes(regularizer: type[Regularizer]) -> None:
    module = two_layers()
    hook = regularizer(strength=1e3).hook(elements_of(module), keep_largest(5))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    train(hook, squared_error(module), optimizer, n_steps=60)
    assert [int(module[i].weight.count_nonzero()) for i in (0, 2)] == [5, 5]


def test_no_more_units_come_to_zero_than_the_target_removes() -> None:
    module = two_layers()

    def project(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        kept = torch.tensor([True, False, True, True])
        return {"0.weight": kept[:, None].expand(4, 3), "2.weight": kept.expand(2, 4)}

    hook = GroupLasso(strength=1e3).hook(elements_of(module, "unit"), project)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    train(hook, squared_error(module), optimizer, n_steps=60)
    assert int(module[0].weight.any(1).sum()) == 3


@pytest.mark.parametrize("name", ["l1", "group_lasso", "admm"])
def test_lbfgs_is_not_led_astray(name: str) -> None:
    """What it learned of the curvature no longer holds once the weights have been moved."""
    project = lambda weights: {n: w.abs() > 0.3 for n, w in weights.items()}  # noqa: E731
    for seed in range(3):
        module = two_layers(seed)
        loss = squared_error(module)
        hook = REGULARIZERS[name]().hook(elements_of(module), project)
        optimizer = torch.optim.LBFGS(module.parameters(), line_search_fn="strong_wolfe")
        train(hook, loss, optimizer, n_steps=20)
        assert loss() < 0.5


@every_regularizer
@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_weights_are_left_alone(name: str, structure: str, optimizer: str) -> None:
    module = two_layers()
    module[0].weight.requires_grad_(False)
    before = snapshot(module)
    elements = elements_of(module, structure)
    project = lambda weights: {n: w.abs() > 0.3 for n, w in weights.items()}  # noqa: E731
    hook = REGULARIZERS[name]().hook(elements, project)
    train(hook, squared_error(module), OPTIMIZERS[optimizer](module.parameters()), n_steps=20)
    after = snapshot(module)
    assert torch.equal(before["0.weight"], after["0.weight"])
    assert not torch.equal(before["2.weight"], after["2.weight"])


@every_regularizer
def test_sparse_gradients_are_those_of_a_dense_embedding(name: str) -> None:
    results = [fit_words(Strategy(regularizer=name), sparse) for sparse in (False, True)]
    assert_same_weights(*results)


@every_regularizer
@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
def test_a_target_is_met_exactly(name: str, structure: str) -> None:
    example = NETWORKS["mlp"]
    sparsity = None if structure == "2:4" else 0.5
    run = run_loop(
        example.build(), example, Strategy(regularizer=name), structure, sparsity, epochs=20
    )
    assert run.elements.sparsity == run.sparsity
    assert run.sparsity == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize(
    ("regularizer", "structure"),
    [
        (L1(strength=8.0), "weight"),
        (GroupLasso(strength=8.0), "weight"),
        (GroupLasso(strength=4.0), "unit"),
        (L0(strength=60.0), "weight"),
        (L0(strength=100.0), "unit"),
        (VariationalDropout(strength=20.0), "weight"),
        (InformationBottleneck(strength=20.0), "weight"),
        (InformationBottleneck(strength=10.0), "unit"),
    ],
)
def test_without_a_target_the_regularizer_decides(
    kind: str, regularizer: Regularizer, structure: str
) -> None:
    example = NETWORKS["mlp"]
    X, y = make_data(kind, example)
    pruned = ESTIMATORS[kind](
        make_net(kind, Perceptron, max_epochs=10),
        strategy=Strategy(regularizer=regularizer),
        structure=structure,
        sparsity=None,
        fine_tune_epochs=40,
        random_state=0,
    ).fit(X, y)
    masks = pruned.masks_
    if structure == "weight":
        n, kept = sum(m.size for m in masks.values()), sum(int(m.sum()) for m in masks.values())
    else:
        hidden = [masks[f"{layer}.weight"].any(1) for layer in ("hidden0", "hidden1")]
        n, kept = 16, sum(int(mask.sum()) for mask in hidden)
    assert 0 < kept < n
    assert pruned.sparsity_ == pytest.approx(1 - kept / n)
    assert all(mask.any() for mask in masks.values())
    again = ESTIMATORS[kind](**pruned.get_params(deep=False)).fit(X, y)
    assert all(np.array_equal(masks[name], again.masks_[name]) for name in masks)


@pytest.mark.parametrize(
    "regularizer",
    [L1(0.0), GroupLasso(0.0), L0(0.0), VariationalDropout(0.0), InformationBottleneck(0.0)],
)
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_a_regularizer_that_pushes_nothing_removes_nothing(
    regularizer: Regularizer, structure: str
) -> None:
    example = NETWORKS["mlp"]
    run = run_loop(example.build(), example, Strategy(regularizer=regularizer), structure, None)
    assert run.elements.sparsity == 0.0


@every_regularizer
@pytest.mark.parametrize(
    "params",
    [{"strength": -1.0}, {"lead_fraction": 0.0}, {"lead_fraction": 1.0}, {"strength": "strong"}],
)
def test_parameters_are_checked(name: str, params: dict) -> None:
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter of"):
        Strategy(regularizer=REGULARIZERS[name](**params)).resolved()


def test_the_interval_of_admm_is_checked() -> None:
    with pytest.raises(ValueError, match="The 'interval' parameter of ADMM"):
        Strategy(regularizer=ADMM(interval=0)).resolved()
