"""Noise that is learned: penalties and gradients by their formulas, and what is left of it."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skprune import PrunedClassifier, Strategy
from skprune.network.network import Network
from skprune.strategies import InformationBottleneck, VariationalDropout
from skprune.strategies.hooks import TrainingRun
from skprune.strategies.regularization import Regularizer
from skprune.strategies.regularization.variational_dropout import _slope
from skprune.structures import STRUCTURES, Elements
from tests.helpers import forward, make_data, make_net, snapshot
from tests.networks import NETWORKS, Perceptron
from tests.strategies.test_regularization import (
    OPTIMIZERS,
    elements_of,
    keep_largest,
    squared_error,
    train,
    two_layers,
)

# The penalties.


def expectation(values: np.ndarray, density: np.ndarray, points: np.ndarray) -> float:
    return float(np.trapezoid(values * density, points))


def exact_divergence(log_alpha: float) -> float:
    """Integrate equation 13 of Molchanov et al. (2017): from the log-uniform prior, to infinity."""
    root = np.exp(log_alpha / 2)
    log_points = np.linspace(-40, 12, 400_001)
    points = np.exp(log_points)
    normal = lambda x: np.exp(-((x - 1) ** 2) / (2 * root**2)) / (root * np.sqrt(2 * np.pi))  # noqa: E731
    # By the logarithm of the magnitude, since log|x| has a pole.
    density = (normal(points) + normal(-points)) * points
    mean_log = expectation(log_points, density, log_points)
    at_infinity = (np.log(2) + np.euler_gamma) / 2
    return -(log_alpha / 2 - mean_log - at_infinity)


def papers_divergence(log_alpha: Tensor) -> Tensor:
    """Equation 14 with its sign turned."""
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    near = k1 * (k2 + k3 * log_alpha).sigmoid() - 0.5 * (1 + 1 / log_alpha.exp()).log() - k1
    return -near


@pytest.mark.parametrize("log_alpha", [-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0])
def test_the_slope_of_variational_dropout_is_that_of_the_divergence(log_alpha: float) -> None:
    exact = exact_divergence(log_alpha)
    a = torch.tensor(log_alpha, dtype=torch.float64, requires_grad=True)
    approximate = papers_divergence(a)
    assert float(approximate.detach()) == pytest.approx(exact, abs=0.012)
    approximate.backward()
    mine = float(_slope(a.detach()))
    assert mine == pytest.approx(float(a.grad), abs=1e-12)
    step = 1e-3
    numeric = (exact_divergence(log_alpha + step) - exact_divergence(log_alpha - step)) / (2 * step)
    assert mine == pytest.approx(numeric, abs=0.012)


@pytest.mark.parametrize(("mean", "variance"), [(1.0, 0.01), (-0.7, 0.5), (0.1, 2.0)])
def test_the_penalty_of_the_bottleneck_is_the_divergence_from_the_best_prior(
    mean: float, variance: float
) -> None:
    """Dai et al. (2018), equation 9: the normal prior around zero that is nearest."""
    x = np.linspace(-20, 20, 400_001)
    log_q = -((x - mean) ** 2) / (2 * variance) - np.log(2 * np.pi * variance) / 2
    divergences = [
        expectation(log_q + x**2 / (2 * prior) + np.log(2 * np.pi * prior) / 2, np.exp(log_q), x)
        for prior in np.linspace(0.5, 1.5, 21) * (mean**2 + variance)
    ]
    assert np.argmin(divergences) == 10
    assert min(divergences) == pytest.approx(np.log(1 + mean**2 / variance) / 2, abs=1e-9)


# Gradients.


def begun(
    regularizer: Regularizer, module: nn.Module, structure: str = "weight", n_steps: int = 10
) -> tuple[object, Tensor, Tensor]:
    torch.manual_seed(1)
    inputs, targets = torch.randn(16, 3).double(), torch.randn(16, 2).double()
    elements = STRUCTURES[structure]().elements(Network(module, inputs, forward), ())
    hook = regularizer.hook(elements, None)
    hook.begin(TrainingRun(n_steps, torch.optim.SGD(module.parameters(), lr=0.1)))
    return hook, inputs, targets


def outputs_of(inputs: Tensor, state: Mapping[str, Tensor], z: Tensor | float = 1.0) -> Tensor:
    hidden = (inputs @ state["0.weight"].T + state["0.bias"]).relu() * z
    return hidden @ state["2.weight"].T + state["2.bias"]


def test_gradients_of_noisy_weights_are_those_of_the_bound() -> None:
    module = two_layers().double()
    hook, inputs, targets = begun(VariationalDropout(strength=7.0), module)
    with torch.no_grad():
        for value in hook._log_variances.values():
            value.copy_(torch.linspace(-6, 1, value.numel()).view_as(value))
    before = snapshot(module)
    hook.before_forward()
    (module(inputs) - targets).square().mean().backward()
    noise = {n: v / (hook._log_variances[n].detach() / 2).exp() for n, v in hook._noise.items()}
    hook.after_backward()

    state = {name: value.clone().requires_grad_() for name, value in before.items()}
    variances = {n: v.detach().clone().requires_grad_() for n, v in hook._log_variances.items()}
    drawn = dict(state)
    for name, variance in variances.items():
        drawn[name] = state[name] + (variance / 2).exp() * noise[name]
    (outputs_of(inputs, drawn) - targets).square().mean().backward()
    pushes = torch.cat([variance.grad.flatten() for variance in variances.values()])
    assert pushes.count_nonzero() == 20
    penalty = sum(
        papers_divergence((v.exp() / state[n] ** 2).log()).sum() for n, v in variances.items()
    )
    of_loss = {name: value.grad.clone() for name, value in state.items()}
    (7.0 * pushes.abs().mean() * penalty).backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, of_loss[name])
        assert torch.equal(parameter.data, before[name])  # the noise is gone
    for name, variance in variances.items():
        torch.testing.assert_close(hook._log_variances[name].grad, variance.grad)

    # The rate is 0.1. A parabola around zero that has the slope s of the penalty before the step
    # leaves the w with w + 0.1 * s * w / before = before.
    hook.after_step()
    for name in variances:
        slope = state[name].grad - of_loss[name]
        w = module.get_parameter(name).data
        torch.testing.assert_close(w + 0.1 * slope * w / before[name], before[name])
        assert (w.abs() < before[name].abs()).all()
        assert (w * before[name] > 0).all()


def test_gradients_of_the_bottleneck_are_those_of_factors_of_the_units() -> None:
    module = two_layers().double()
    hook, inputs, targets = begun(InformationBottleneck(strength=7.0), module, "unit")
    (mean,), (log_variance,) = hook._means.values(), hook._log_variances.values()
    with torch.no_grad():
        mean.copy_(torch.tensor([1.0, 0.5, -0.4, 0.1]))  # it may turn the sign
        log_variance.copy_(torch.tensor([-4.0, -1.0, -2.0, 0.5]))
    before = snapshot(module)
    hook.before_forward()
    (module(inputs) - targets).square().mean().backward()
    (noise,) = hook._noise.values()
    hook.after_backward()

    state = {name: value.clone().requires_grad_() for name, value in before.items()}
    m, v = (x.detach().clone().requires_grad_() for x in (mean, log_variance))
    z = m + (v / 2).exp() * noise
    (outputs_of(inputs, state, z) - targets).square().mean().backward()
    unit = v.grad.abs().mean()
    assert unit > 0
    (7.0 * unit * 0.5 * (1 + m**2 / v.exp()).log().sum()).backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, state[name].grad)
        assert torch.equal(parameter.data, before[name])
    torch.testing.assert_close(mean.grad, m.grad)
    torch.testing.assert_close(log_variance.grad, v.grad)


class Normed(nn.Module):
    """A unit passes norms and saturates, and two layers read it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2, bias=False)

    def forward(self, x: Tensor, z: Tensor | float = 1.0) -> Tensor:
        hidden = self.norm(self.first(x)).tanh() * z
        return self.left(hidden) + self.right(hidden) ** 2


def test_readers_are_multiplied_as_what_they_read_would_be() -> None:
    torch.manual_seed(0)
    module, X = Normed().double().eval(), torch.randn(16, 3).double()
    elements = elements_of(module, "unit")
    z = torch.tensor([1.0, -0.5, 0.0, 2.0]).double()
    expected = module(X, z)
    (layer,) = elements.sizes
    for name, factor in elements.expand_to_readers({layer: z}).items():
        elements.network.weights[name].data.mul_(factor)
    torch.testing.assert_close(module(X), expected)


# What is left.


def test_noise_is_gone_at_the_end_with_the_weights_that_are_noise() -> None:
    module = two_layers().double()
    hook, *_ = begun(VariationalDropout(), module)
    before = snapshot(module)
    alphas = {}
    with torch.no_grad():
        for name, value in hook._log_variances.items():
            log_alpha = torch.linspace(0, 6, value.numel()).view_as(value)
            value.copy_(log_alpha + before[name].square().log())
            alphas[name] = log_alpha
    hook.before_forward()
    assert not torch.equal(module[0].weight, before["0.weight"])
    hook.end()
    for name, log_alpha in alphas.items():
        expected = torch.where(log_alpha > 3 + 1e-9, 0.0, before[name])
        assert torch.equal(module.get_parameter(name).data, expected)
        assert 0 < int((expected == 0).sum()) < expected.numel()


def test_closed_units_are_zero_at_the_end_and_the_others_have_their_means() -> None:
    module = two_layers().double()
    hook, *_ = begun(InformationBottleneck(), module, "unit")
    before = snapshot(module)
    (mean,), (log_variance,) = hook._means.values(), hook._log_variances.values()
    with torch.no_grad():
        mean.copy_(torch.tensor([1.0, 0.5, -0.4, 0.1]))
        log_variance.copy_(torch.tensor([-4.0, -1.0, -2.0, 0.5]))
    hook.before_forward()
    hook.end()
    # The squares of the means are 1, 0.25, 0.16 and 0.01; the variances 0.02, 0.37, 0.14 and 1.6.
    factors, open_ = torch.tensor([1.0, 0.0, -0.4, 0.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    torch.testing.assert_close(module[2].weight.data, before["2.weight"] * factors.double())
    assert torch.equal(module[0].weight.data, before["0.weight"] * open_.double()[:, None])


def elements_and_hook(regularizer: Regularizer) -> tuple[nn.Module, Elements, object]:
    module = two_layers()
    elements = elements_of(module)
    return module, elements, regularizer.hook(elements, keep_largest(8))  # all of the second layer


@pytest.mark.parametrize("regularizer", [VariationalDropout, InformationBottleneck])
def test_the_penalty_rests_where_no_more_stay_than_the_target_leaves(
    regularizer: type[Regularizer],
) -> None:
    gradients = []
    for strength in (0.0, 50.0):
        module, _, hook = elements_and_hook(regularizer(strength))
        torch.manual_seed(0)
        hook.begin(TrainingRun(10, torch.optim.SGD(module.parameters())))
        hook.before_forward()
        squared_error(module)().backward()
        hook.after_backward()
        gradients.append([value.grad for value in hook._log_variances.values()])
    assert torch.equal(gradients[0][1], gradients[1][1])
    assert not torch.equal(gradients[0][0], gradients[1][0])


@pytest.mark.parametrize("regularizer", [VariationalDropout, InformationBottleneck])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_noise_stays_as_it_is_within_a_step(regularizer: type[Regularizer], optimizer: str) -> None:
    module = two_layers()
    hook = regularizer().hook(elements_of(module), None)
    of_error, seen = squared_error(module), []

    def loss() -> Tensor:
        seen.append(hook._noise)
        return of_error()

    train(hook, loss, OPTIMIZERS[optimizer](module.parameters()), n_steps=60)
    steps = [id(noise) for noise in seen]
    assert len(set(steps)) == 60
    assert (len(steps) > 60) == (optimizer == "lbfgs")
    zero = torch.cat([module[i].weight.detach().flatten() for i in (0, 2)]) == 0
    assert 0 < zero.sum() < len(zero)
    assert of_error() < 1.5


@pytest.mark.parametrize("regularizer", ["variational_dropout", "information_bottleneck"])
def test_the_global_generators_stay_as_they_are(regularizer: str) -> None:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    pruned = PrunedClassifier(
        make_net("PrunedClassifier", Perceptron),
        strategy=Strategy(regularizer=regularizer),
        fine_tune_epochs=4,
        random_state=0,
    )
    before, results = torch.get_rng_state(), []
    for seed in range(2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        results.append(snapshot(pruned.fit(X, y).module_))
        assert torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(before)
    assert all(torch.equal(value, results[1][name]) for name, value in results[0].items())
