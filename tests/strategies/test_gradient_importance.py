"""Importances by gradients, against loops over rows, differences, and sums over paths."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor, Strategy
from skprune.components import resolve
from skprune.network import MLP
from skprune.network.network import Network
from skprune.strategies import (
    SNIP,
    Fisher,
    GraSP,
    Importance,
    Iterative,
    Movement,
    SynFlow,
    Taylor,
)
from skprune.strategies.hooks import TrainingRun
from skprune.strategies.importance import ScoringContext
from skprune.strategies.samples import Batch
from skprune.structures import STRUCTURES, Elements
from tests.helpers import forward, make_data, make_net, run_loop, same_state, snapshot
from tests.networks import N_OUTPUTS, NETWORKS, Perceptron

GRADIENT = [
    Taylor(),
    Taylor(per="row"),
    Taylor(signed=True),
    Taylor(1, per="row", signed=True, chunk_size=3),
    SNIP(),
    GraSP(),
    Fisher(),
    Movement(),
]
EVERY = [*GRADIENT, SynFlow()]
PER_ROW = [Taylor(per="row"), Taylor(per="row", signed=True), Fisher(chunk_size=3)]


@dataclass
class Rows:
    """Rows with classes as targets, in batches of a size."""

    inputs: Any
    weights: Tensor | None = None
    batch_size: int = 100
    per_row: bool = True

    @property
    def targets(self) -> Tensor:
        return torch.arange(len(self)) % N_OUTPUTS

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(
        self, n_rows: int | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        for rows in torch.arange(len(self))[:n_rows].split(self.batch_size):
            weights = None if self.weights is None else self.weights[rows]
            yield Batch(self.inputs[rows], self.targets[rows], weights)

    def outputs(self, module: nn.Module, inputs: Any) -> Tensor:
        return module(inputs)

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        if not self.per_row:
            raise ValueError("no loss per row")
        return nn.functional.cross_entropy(module(batch.inputs), batch.targets, reduction="none")

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        if batch.weights is None:
            return nn.functional.cross_entropy(module(batch.inputs), batch.targets)
        return (self.losses(module, batch) * batch.weights).sum() / batch.weights.sum()


def double(network: str) -> nn.Module:
    return NETWORKS[network].build().double()


def rows_of(network: str, n_rows: int = 7, **options: Any) -> Rows:
    inputs = torch.from_numpy(NETWORKS[network].inputs(n_rows))
    return Rows(inputs.double() if inputs.is_floating_point() else inputs, **options)


def elements_of(module: nn.Module, rows: Rows, structure: str = "weight") -> Elements:
    structures = resolve(structure, STRUCTURES, "structure")
    return structures.elements(Network(module, rows.inputs, forward), ())


def scores_of(
    importance: Importance, module: nn.Module, rows: Any, structure: str = "weight", **more: Any
) -> dict[str, Tensor]:
    elements = elements_of(module, rows, structure)
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    generator = torch.Generator().manual_seed(0)
    return importance.scores(ScoringContext(weights, elements, generator, rows, **more))


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in module.named_parameters() if p.dim() > 1}


def gradients_by_hand(
    module: nn.Module, rows: Rows, groups: Sequence[Sequence[int]]
) -> list[dict[str, Tensor]]:
    """The gradient of the mean loss of each group of rows, by plain backward, in a copy."""
    found = []
    for group in groups:
        copy = deepcopy(module).eval().requires_grad_(True)
        loss = torch.zeros((), dtype=torch.float64)
        for i in group:
            logits = copy(rows.inputs[i : i + 1])[0]
            loss = loss - logits.log_softmax(0)[rows.targets[i]] / len(group)
        loss.backward()
        found.append({name: weight.grad for name, weight in weights_of(copy).items()})
    return found


def in_units(network: str, values: dict[str, Tensor]) -> dict[str, list[Tensor]]:
    """Sums over the weights of each unit, written out for two networks."""
    v = {name.removesuffix(".weight"): value for name, value in values.items()}
    if network == "mlp":
        enters = {"hidden0": "hidden1", "hidden1": "output"}
        return {
            one: [v[one][i].sum() + v[other][:, i].sum() for i in range(8)]
            for one, other in enters.items()
        }
    return {
        "conv1": [v["conv1"][i].sum() + v["conv2"][:, i].sum() for i in range(4)],
        "conv2": [v["conv2"][i].sum() + v["linear1"][:, 9 * i : 9 * i + 9].sum() for i in range(6)],
        "linear1": [v["linear1"][i].sum() + v["linear2"][:, i].sum() for i in range(8)],
    }


def in_elements(network: str, structure: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
    if structure == "weight":
        return {name.removesuffix(".weight"): value.flatten() for name, value in values.items()}
    return {name: torch.stack(sums) for name, sums in in_units(network, values).items()}


def assert_same_scores(
    scores: dict[str, Tensor], expected: dict[str, Tensor], rtol: float = 1e-8
) -> None:
    assert scores.keys() == expected.keys()
    for name, score in scores.items():
        assert score.shape == expected[name].shape
        atol = rtol * float(expected[name].abs().max())
        np.testing.assert_allclose(score, expected[name], rtol=rtol, atol=atol, err_msg=name)


both_structures = pytest.mark.parametrize("structure", ["weight", "unit"])
two_networks = pytest.mark.parametrize("network", ["mlp", "conv_batch_norm"])
BATCHES = [range(3), range(3, 6), range(6, 7)]
SINGLE = [[i] for i in range(7)]


@two_networks
@both_structures
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("per", ["batch", "row"])
@pytest.mark.parametrize("signed", [False, True])
def test_taylor_is_the_mean_power_of_the_change(
    network: str, structure: str, p: int, per: str, signed: bool
) -> None:
    module, rows = double(network), rows_of(network, batch_size=3)
    importance = Taylor(p, per=per, signed=signed, chunk_size=2)
    scores = scores_of(importance, module, rows, structure)
    expected: dict[str, Any] = {}
    groups = BATCHES if per == "batch" else SINGLE
    for group, gradients in zip(groups, gradients_by_hand(module, rows, groups), strict=True):
        change = {name: gradients[name] * w.detach() for name, w in weights_of(module).items()}
        if signed:
            powers = in_elements(network, structure, change)
            powers = {name: sums.abs() ** p for name, sums in powers.items()}
        else:
            powers = {name: values.abs() ** p for name, values in change.items()}
            powers = in_elements(network, structure, powers)
        for name, power in powers.items():
            expected[name] = expected.get(name, 0) + power * len(group) / 7
    assert_same_scores(scores, expected)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("chunk_size", [2, 100])
def test_fisher_of_any_network_is_that_of_a_loop_over_rows(network: str, chunk_size: int) -> None:
    module, rows = double(network), rows_of(network, batch_size=4)
    scores = scores_of(Fisher(chunk_size=chunk_size), module, rows)
    each = gradients_by_hand(module, rows, SINGLE)
    expected = {
        name.removesuffix(".weight"): sum(g[name] ** 2 for g in each).flatten()
        / 7
        * weight.detach().flatten() ** 2
        / 2
        for name, weight in weights_of(module).items()
    }
    assert_same_scores(scores, expected)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("importance", PER_ROW[1:2])
def test_signed_rows_of_any_network_are_those_of_a_loop(
    importance: Importance, network: str
) -> None:
    module, rows = double(network), rows_of(network)
    scores = scores_of(importance, module, rows)
    each = gradients_by_hand(module, rows, SINGLE)
    expected = {
        name.removesuffix(".weight"): sum((g[name] * weight.detach()) ** 2 for g in each).flatten()
        / 7
        for name, weight in weights_of(module).items()
    }
    assert_same_scores(scores, expected)


@two_networks
@both_structures
def test_snip_is_the_derivative_of_a_gate(network: str, structure: str) -> None:
    """Gates in front of the weights, one after another, by differences."""
    module, rows = double(network), rows_of(network, batch_size=3)
    scores = scores_of(SNIP(), module, rows, structure)
    elements = elements_of(module, rows, structure)
    step = 1e-6
    for name, score in scores.items():
        for i in range(0, len(score), max(1, len(score) // 8)):
            losses = []
            for sign in (1, -1):
                gates = {key: torch.ones(n).double() for key, n in elements.sizes.items()}
                gates[name][i] += sign * step
                gated = deepcopy(module)
                factors = elements.expand_to_weights(gates)
                with torch.no_grad():
                    for parameter, weight in gated.named_parameters():
                        weight.mul_(factors.get(parameter, torch.ones(())))
                (batch,) = Rows(rows.inputs).batches()
                losses.append(rows.loss(gated, batch).item())
            slope = abs(losses[0] - losses[1]) / (2 * step)
            assert score[i].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)


@two_networks
@both_structures
def test_grasp_is_the_hessian_gradient_product_by_differences(network: str, structure: str) -> None:
    module, rows = double(network), rows_of(network, batch_size=3)
    scores = scores_of(GraSP(), module, rows, structure)
    (gradients,) = gradients_by_hand(module, rows, [range(7)])
    step, moved = 1e-5, []
    for sign in (1, -1):
        copy = deepcopy(module)
        with torch.no_grad():
            for name, weight in weights_of(copy).items():
                weight.add_(gradients[name], alpha=sign * step)
        moved += gradients_by_hand(copy, rows, [range(7)])
    expected = {
        name: weight.detach() * (moved[0][name] - moved[1][name]) / (2 * step)
        for name, weight in weights_of(module).items()
    }
    assert_same_scores(scores, in_elements(network, structure, expected), rtol=1e-5)


def test_grasp_keeps_the_weights_that_gradients_live_on() -> None:
    """Removing a little of the best weight makes the gradient smaller, of the worst larger."""
    module, rows = double("mlp"), rows_of("mlp")
    score = scores_of(GraSP(), module, rows)["hidden1"]

    def change_of_norm(i: int) -> float:
        norms = []
        for factor in (1.0, 1 - 1e-5):
            copy = deepcopy(module)
            with torch.no_grad():
                copy.hidden1.weight.view(-1)[i] *= factor
            (gradients,) = gradients_by_hand(copy, rows, [range(7)])
            norms.append(sum(float(g.square().sum()) for g in gradients.values()))
        return norms[1] - norms[0]

    best, worst = int(score.argmax()), int(score.argmin())
    assert change_of_norm(best) == pytest.approx(-2e-5 * score[best].item(), rel=1e-2)
    assert change_of_norm(best) < 0 < change_of_norm(worst)


def test_grasp_passes_over_the_gradients_of_masked_weights() -> None:
    module, rows = double("mlp"), rows_of("mlp")
    elements = elements_of(module, rows)
    kept = {name: torch.ones(size, dtype=torch.bool) for name, size in elements.sizes.items()}
    kept["hidden1"][::2] = False
    elements.keep(kept)
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    scores = GraSP().scores(ScoringContext(weights, elements, torch.Generator(), rows))
    (gradients,) = gradients_by_hand(module, rows, [range(7)])
    gradients["hidden1.weight"].view(-1)[::2] = 0.0
    step, moved = 1e-5, []
    for sign in (1, -1):
        copy = deepcopy(module)
        with torch.no_grad():
            for name, weight in weights_of(copy).items():
                weight.add_(gradients[name], alpha=sign * step)
        moved += gradients_by_hand(copy, rows, [range(7)])
    expected = {
        name.removesuffix(".weight"): (
            weight.detach() * (moved[0][name] - moved[1][name]) / (2 * step)
        ).flatten()
        for name, weight in weights_of(module).items()
    }
    assert_same_scores(scores, expected, rtol=1e-5)


def sums_over_paths(matrices: list[np.ndarray]) -> list[np.ndarray]:
    """For each weight, what the paths through it add up to: one path after another."""
    sums = [np.zeros_like(matrix) for matrix in matrices]
    widths = [matrices[0].shape[1], *(matrix.shape[0] for matrix in matrices)]
    for path in product(*map(range, widths)):
        steps = list(zip(path[1:], path, strict=False))
        value = np.prod([abs(m[step]) for m, step in zip(matrices, steps, strict=True)])
        for total, step in zip(sums, steps, strict=True):
            total[step] += value
    return sums


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
def test_synflow_is_a_sum_over_paths(activation: type[nn.Module]) -> None:
    module = NETWORKS["mlp"].build(activation=activation)
    rows = Rows(torch.zeros(2, 6))
    layers = ["hidden0", "hidden1", "output"]
    matrices = [module.get_submodule(name).weight.detach().double().numpy() for name in layers]
    scores = scores_of(SynFlow(), module, rows)
    for name, paths in zip(layers, sums_over_paths(matrices), strict=True):
        np.testing.assert_allclose(scores[name], paths.ravel(), rtol=1e-9)


@pytest.mark.parametrize("network", ["mlp", "conv_batch_norm", "conv1d", "conv3d", "embedding"])
def test_synflow_is_conserved_from_layer_to_layer(network: str) -> None:
    scores = scores_of(SynFlow(), NETWORKS[network].build(), rows_of(network))
    flows = [float(score.sum()) for score in scores.values()]
    assert flows[0] > 0
    np.testing.assert_allclose(flows, flows[0], rtol=1e-9)


def test_synflow_that_enters_a_hidden_unit_leaves_it() -> None:
    module = NETWORKS["conv_batch_norm"].build()
    scores = scores_of(SynFlow(), module, rows_of("conv_batch_norm"))
    flow = {name: scores[name].view_as(module.get_submodule(name).weight) for name in scores}
    entered = flow["conv2"].sum((1, 2, 3))
    np.testing.assert_allclose(entered, flow["linear1"].view(8, 6, 9).sum((0, 2)), rtol=1e-9)
    np.testing.assert_allclose(flow["linear1"].sum(1), flow["linear2"].sum(0), rtol=1e-9)


@pytest.mark.parametrize(
    "network",
    ["layer_norm", "group_norm", "depthwise", "residual", "embedding", "embedding_bag"],
)
def test_synflow_reaches_every_weight(network: str) -> None:
    scores = scores_of(SynFlow(), NETWORKS[network].build(), rows_of(network))
    assert all((score > 0).all() for score in scores.values())


def test_synflow_looks_at_no_data_and_behind_a_softmax() -> None:
    options = {"hidden_layer_sizes": (5, 4), "dtype": torch.float32}
    torch.manual_seed(0)
    plain, ends = MLP(6, 3, **options), MLP(6, 3, output_activation="softmax", **options)
    ends.load_state_dict(plain.state_dict())
    one = scores_of(SynFlow(), plain, Rows(torch.randn(4, 6)))
    other = scores_of(SynFlow(), ends, Rows(torch.randn(4, 6)))
    for name, score in one.items():
        assert torch.equal(score, other[name])


def test_synflow_bears_weights_whose_product_overflows_single_precision() -> None:
    module = NETWORKS["mlp"].build()
    with torch.no_grad():
        for weight in weights_of(module).values():
            weight.mul_(1e15)
    scores = scores_of(SynFlow(), module, rows_of("mlp"))
    assert all(torch.isfinite(score).all() for score in scores.values())
    assert max(float(score.max()) for score in scores.values()) > torch.finfo(torch.float32).max


def test_synflow_in_many_rounds_empties_no_layer_where_one_round_does() -> None:
    torch.manual_seed(0)
    module = MLP(40, 3, hidden_layer_sizes=(40, 40, 40))
    strategy = Strategy("synflow", "global", Iterative(n_steps=100, end=0.0), start="init")
    X = np.ones((30, 40), dtype=np.float32)
    net = make_net("PrunedClassifier", module, max_epochs=0)
    clf = PrunedClassifier(net, strategy=strategy, sparsity=0.98, random_state=0)
    clf.set_params(fine_tune_epochs=0).fit(X, np.arange(30) % 3)
    kept = {name: int(mask.sum()) for name, mask in clf.masks_.items()}
    assert min(kept.values()) >= 3  # every layer still carries some flow
    outputs = clf.module_(torch.randn(4, 40))
    assert outputs.std(0).max() > 0


def test_movement_is_summed_over_the_steps_of_training() -> None:
    """Against SGD written out, with a weight decay that is no part of the gradient."""
    module, rows = double("mlp"), rows_of("mlp")
    by_hand = deepcopy(module)
    lr, decay, expected = 0.05, 0.1, {}
    for _ in range(3):
        (gradients,) = gradients_by_hand(by_hand, rows, [range(7)])
        for name, weight in weights_of(by_hand).items():
            product = -gradients[name] * weight.detach()
            expected[name] = expected.get(name, 0) + product
            with torch.no_grad():
                weight.sub_(lr * (gradients[name] + decay * weight))
    importance = Movement()
    hook = importance.observer()
    weights = list(weights_of(module).values())
    optimizer = torch.optim.SGD(weights, lr=lr, weight_decay=decay)
    hook.begin(TrainingRun(3, optimizer))
    for _ in range(3):
        hook.before_forward()
        optimizer.zero_grad()
        (batch,) = rows.batches()
        rows.loss(module, batch).backward()
        hook.after_backward()
        optimizer.step()
        hook.after_step()
    hook.end()
    for structure in ("weight", "unit"):
        scores = scores_of(importance, module, rows, structure, observed=hook)
        assert_same_scores(scores, in_elements("mlp", structure, expected))


def test_movement_without_training_is_that_of_the_next_step() -> None:
    module, rows = double("mlp"), rows_of("mlp", batch_size=3)
    (gradients,) = gradients_by_hand(module, rows, [range(7)])
    expected = {
        name.removesuffix(".weight"): -(gradients[name] * weight.detach()).flatten()
        for name, weight in weights_of(module).items()
    }
    importance = Movement()
    assert_same_scores(scores_of(importance, module, rows), expected)
    hook = importance.observer()
    assert_same_scores(scores_of(importance, module, rows, observed=hook), expected)


def test_movement_watches_its_share_of_the_training() -> None:
    seen: list[int] = []

    class Watching(Movement):
        def score(self, scoring: ScoringContext) -> Any:
            seen.append(len(scoring.observed.movement))
            return super().score(scoring)

    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", Perceptron)
    strategy = Strategy(Watching(lead_fraction=0.5), schedule=Iterative(n_steps=2))
    clf = PrunedClassifier(net, strategy=strategy, fine_tune_epochs=4, random_state=0).fit(X, y)
    assert seen == [6, 6]  # every parameter has moved
    assert [row["stage"] for row in clf.history_].count("fine-tuning") == 4


def test_an_observer_is_a_fresh_one() -> None:
    importance = Movement()
    assert importance.observer() is not importance.observer()
    assert vars(importance) == {"lead_fraction": 0.3, "n_samples": 1000}


# What holds for all of them.


@pytest.mark.parametrize("importance", GRADIENT, ids=str)
@both_structures
def test_a_row_of_weight_two_counts_as_two_rows(importance: Importance, structure: str) -> None:
    module, rows = double("conv_batch_norm"), rows_of("conv_batch_norm")
    weights = torch.tensor([2.0, 0.0, 1.0, 3.0, 0.0, 1.0, 0.0]).double()
    weighted = Rows(rows.inputs, weights=weights)

    class Repeated(Rows):
        @property
        def targets(self) -> Tensor:
            return rows.targets.repeat_interleave(weights.long())

    repeated = Repeated(rows.inputs.repeat_interleave(weights.long(), 0))
    assert len(repeated) == 7
    assert_same_scores(
        scores_of(importance, module, weighted, structure),
        scores_of(importance, module, repeated, structure),
    )


@pytest.mark.parametrize("importance", [GRADIENT[i] for i in (1, 3, 4, 5, 6, 7)], ids=str)
def test_the_size_of_the_batches_makes_no_difference(importance: Importance) -> None:
    module, rows = double("mlp"), rows_of("mlp", weights=torch.arange(7.0).double())
    assert_same_scores(
        scores_of(importance, module, rows),
        scores_of(importance, module, Rows(rows.inputs, rows.weights, batch_size=3)),
    )


@pytest.mark.parametrize("importance", EVERY, ids=str)
@pytest.mark.parametrize("network", ["conv_batch_norm", "gru", "transformer"])
def test_the_network_is_put_back_bit_for_bit(importance: Importance, network: str) -> None:
    module, rows = NETWORKS[network].build(), rows_of(network)
    rows.inputs = rows.inputs.float()
    parameters = dict(module.named_parameters())
    for i, parameter in enumerate(parameters.values()):
        parameter.requires_grad_(i % 3 > 0)
        parameter.grad = torch.full_like(parameter, i) if i % 2 else None
    parts = list(module.modules())
    for i, part in enumerate(parts):
        part.training = i % 2 == 0
    before = snapshot(module)
    scores_of(importance, module, rows)
    assert same_state(before, snapshot(module))
    assert [part.training for part in parts] == [i % 2 == 0 for i in range(len(parts))]
    assert not any(part._forward_hooks for part in parts)
    for i, (name, parameter) in enumerate(module.named_parameters()):
        assert parameter is parameters[name]
        assert parameter.requires_grad == (i % 3 > 0)
        assert (parameter.grad is not None) == bool(i % 2)
        assert i % 2 == 0 or (parameter.grad == i).all()


@pytest.mark.parametrize("importance", EVERY, ids=str)
def test_it_scores_in_evaluation_mode(importance: Importance) -> None:
    """Dropout, and batch norm by the statistics of the batch, would give other scores."""

    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = double("conv_batch_norm")

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(nn.functional.dropout(x, training=self.training))

    module, rows = Dropping(), rows_of("conv_batch_norm")
    expected = scores_of(importance, module.eval(), rows)
    assert_same_scores(scores_of(importance, module.train(), rows), expected)


@pytest.mark.parametrize("importance", EVERY, ids=str)
def test_frozen_weights_score_as_others_do(importance: Importance) -> None:
    module, rows = double("conv_batch_norm"), rows_of("conv_batch_norm")
    expected = scores_of(importance, module, rows)
    module.requires_grad_(False)
    assert_same_scores(scores_of(importance, module, rows), expected)


@pytest.mark.parametrize("importance", [*GRADIENT, SynFlow()], ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_it_takes_any_network(importance: Importance, network: str) -> None:
    module, rows = NETWORKS[network].build(), rows_of(network)
    if rows.inputs.is_floating_point():
        rows.inputs = rows.inputs.float()
    if network == "embedding_bag" and isinstance(importance, GraSP):
        with pytest.raises(ValueError, match=r"EmbeddedBag has no second derivative.*'snip'"):
            scores_of(importance, module, rows)
        return
    for score in scores_of(importance, module, rows).values():
        assert torch.isfinite(score).all()


class Blocked(nn.Module):
    """A first layer whose gradient nothing can see."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.output = nn.Linear(8, N_OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.first(x).relu()
        return self.output(x)


@pytest.mark.parametrize("importance", EVERY, ids=str)
def test_a_layer_without_gradients_is_an_error(importance: Importance) -> None:
    with pytest.raises(ValueError, match=r"layer 'first' or their gradients.*protect="):
        scores_of(importance, Blocked(), Rows(torch.randn(7, 6)))


@pytest.mark.parametrize("importance", EVERY, ids=str)
def test_a_network_without_gradients_is_an_error(importance: Importance) -> None:
    class Outside(Perceptron):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return super().forward(x)

    with pytest.raises(ValueError, match=r"layer 'hidden0' or their gradients are all zero"):
        scores_of(importance, Outside(), Rows(torch.randn(7, 6)))


@pytest.mark.parametrize("importance", GRADIENT, ids=str)
def test_gradients_that_are_not_finite_are_an_error(importance: Importance) -> None:
    rows = rows_of("mlp")
    rows.inputs[3] = torch.inf
    with pytest.raises(ValueError, match=r"gradients of layer 'hidden0' are not finite"):
        scores_of(importance, double("mlp"), rows)


@pytest.mark.parametrize("importance", GRADIENT, ids=str)
def test_rows_of_no_weight_are_an_error(importance: Importance) -> None:
    rows = rows_of("mlp", weights=torch.zeros(7).double())
    rows.loss = lambda module, batch: rows.losses(module, batch).sum() * 0  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"weight zero\. Raise n_samples"):
        scores_of(importance, double("mlp"), rows)


class BatchLoss(nn.Module):
    """A criterion that knows of no single rows."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean()


@pytest.mark.parametrize("importance", PER_ROW, ids=str)
def test_a_loss_without_rows_is_an_error_where_rows_are_needed(importance: Importance) -> None:
    X, y = make_data("PrunedRegressor", NETWORKS["mlp"])
    net = make_net("PrunedRegressor", Perceptron, criterion=BatchLoss)
    with pytest.raises(ValueError, match=r"gives no loss per row.*'magnitude'"):
        PrunedRegressor(net, strategy=Strategy(importance), random_state=0).fit(X, y)


@pytest.mark.parametrize("importance", ["taylor", "snip", "grasp", "synflow", "movement"])
def test_a_loss_without_rows_will_do_elsewhere(importance: str) -> None:
    X, y = make_data("PrunedRegressor", NETWORKS["mlp"])
    net = make_net("PrunedRegressor", Perceptron, criterion=BatchLoss)
    PrunedRegressor(net, strategy=Strategy(importance), random_state=0).fit(X, y)


@pytest.mark.parametrize("importance", PER_ROW, ids=str)
def test_statistics_of_the_batch_leave_no_gradient_to_a_row(importance: Importance) -> None:
    module, rows = double("conv_batch_norm"), rows_of("conv_batch_norm")
    module.norm2 = nn.BatchNorm2d(6, track_running_stats=False).double()
    with pytest.raises(ValueError, match=r"'norm2' normalizes by the statistics of the batch"):
        scores_of(importance, module, rows)


def shared(module: nn.Module, x: Tensor) -> Tensor:
    return nn.functional.linear(module.layer(x).relu(), module.layer.weight)


def in_place(module: nn.Module, x: Tensor) -> Tensor:
    return module.layer(x).relu_()


def by_halves(module: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([module.layer(x[: len(x) // 2]), module.layer(x[len(x) // 2 :])])


def decided(module: nn.Module, x: Tensor) -> Tensor:
    return module.layer(x) * (2.0 if x.sum().item() > 0 else 1.0)


@pytest.mark.parametrize("use", [shared, in_place, by_halves, decided])
def test_a_linear_layer_that_is_used_otherwise_has_the_fisher_of_a_loop(
    use: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    class Used(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 6)
            self.output = nn.Linear(6, N_OUTPUTS)

        def forward(self, x: Tensor) -> Tensor:
            if use is decided and len(x) > 1:
                return torch.cat([self(row) for row in x.split(1)])
            return self.output(use(self, x))

    torch.manual_seed(0)
    module, rows = Used().double(), Rows(torch.randn(7, 6).double())
    each = gradients_by_hand(module, rows, SINGLE)
    expected = {
        name.removesuffix(".weight"): sum(g[name] ** 2 for g in each).flatten()
        / 14
        * weight.detach().flatten() ** 2
        for name, weight in weights_of(module).items()
    }
    assert_same_scores(scores_of(Fisher(), module, rows), expected)


@pytest.mark.parametrize("importance", EVERY, ids=str)
@both_structures
def test_a_fit_takes_row_weights_and_comes_out_the_same_twice(
    importance: Importance, structure: str
) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["conv_batch_norm"])
    module = NETWORKS["conv_batch_norm"].module

    def fitted() -> PrunedClassifier:
        net = make_net("PrunedClassifier", module, max_epochs=1)
        return PrunedClassifier(
            net,
            strategy=Strategy(importance, schedule=Iterative(n_steps=2)),
            structure=structure,
            sparsity=0.5,
            fine_tune_epochs=2,
            random_state=0,
        ).fit(X, y, sample_weight=np.linspace(0, 1, len(y)))

    assert same_state(snapshot(fitted().module_), snapshot(fitted().module_))


def test_the_fisher_of_a_skorch_net_is_that_of_its_own_losses() -> None:
    """With probabilities, weights of classes, and inputs by name."""

    class Named(Perceptron):
        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return super().forward(torch.cat([left, right], 1)).softmax(1)

    class Recorded(Fisher):
        def scores(self, scoring: ScoringContext) -> dict[str, Tensor]:
            modules.append(deepcopy(scoring.elements.network.module))
            found.append(super().scores(scoring))
            return found[-1]

    modules: list[nn.Module] = []
    found: list[dict[str, Tensor]] = []
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    of_classes = torch.tensor([1.0, 2.0, 0.5])
    net = NeuralNetClassifier(
        Named,
        criterion=nn.NLLLoss,
        criterion__weight=of_classes,
        max_epochs=1,
        batch_size=16,
        train_split=None,
        verbose=0,
    )
    inputs = {"left": X[:, :2], "right": X[:, 2:]}
    PrunedClassifier(net, strategy=Strategy(Recorded()), random_state=0).fit(inputs, y)
    (module,), (scores,) = modules, found
    squares = {name: torch.zeros_like(weight) for name, weight in weights_of(module).items()}
    for row, label in zip(X, y, strict=True):
        module.zero_grad()
        left, right = torch.from_numpy(row[None, :2]), torch.from_numpy(row[None, 2:])
        (-of_classes[label] * module(left, right)[0, label].log()).backward()
        for name, weight in weights_of(module).items():
            squares[name] += weight.grad.square() / len(y)
    expected = {
        name.removesuffix(".weight"): (squares[name] * w.detach().square() / 2).flatten()
        for name, w in weights_of(module).items()
    }
    assert_same_scores(scores, expected, rtol=1e-4)


@pytest.mark.parametrize("importance", EVERY, ids=str)
@both_structures
def test_it_goes_on_where_the_network_has_been_cut_apart(
    importance: Importance, structure: str
) -> None:
    """One element is left in each layer: most such networks pass nothing on."""
    example = NETWORKS["concatenation"]
    strategy = Strategy(importance, schedule=Iterative(n_steps=4))
    sizes = run_loop(example.build(), example, "magnitude", structure, 0.1).elements.sizes
    largest = 1 - len(sizes) / sum(sizes.values())
    run = run_loop(example.build(), example, strategy, structure, largest)
    assert run.counts == dict.fromkeys(sizes, 1)


@pytest.mark.parametrize(
    "importance",
    [
        Taylor(3),
        Taylor(per="element"),
        Taylor(n_samples=0),
        Taylor(chunk_size=0),
        Fisher(chunk_size=0),
        Fisher(n_samples=0),
        SNIP(n_samples=0),
        GraSP(n_samples=0),
        Movement(lead_fraction=0.0),
        Movement(lead_fraction=1.5),
    ],
    ids=str,
)
def test_wrong_parameters_are_refused(importance: Importance) -> None:
    with pytest.raises(ValueError, match=r"The '\w+' parameter of \w+ must be"):
        importance.validated()
