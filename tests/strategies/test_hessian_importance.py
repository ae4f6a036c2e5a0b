"""Importances by curvature and by inputs, against brute force, loops and finite differences."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from skprune.components import resolve
from skprune.network.network import Network
from skprune.pruning.checks import check_combination
from skprune.strategies import OBD, OBS, APoZ, Importance, LayerOBS, Strategy, Wanda
from skprune.strategies.importance import Scores, ScoringContext
from skprune.strategies.importance.row_gradients import RowGradients
from skprune.strategies.samples import Batch
from skprune.strategies.selection import keep_best
from skprune.structures import NM, STRUCTURES, Block, Elements, Structure
from tests.helpers import STRUCTURES_OF_ANY, forward
from tests.networks import NETWORKS


class Rows:
    """Rows of data with a loss of each, in batches of five."""

    def __init__(self, X: Tensor, y: Tensor, loss: Any, weights: Tensor | None = None) -> None:
        self.X, self.y, self.criterion, self.weights = X, y, loss, weights

    def __len__(self) -> int:
        return len(self.X)

    def batches(self, n_rows: int | None = None, generator: Any = None) -> Iterator[Batch]:
        for index in torch.arange(len(self.X))[:n_rows].split(5):
            weights = None if self.weights is None else self.weights[index]
            yield Batch(self.X[index], self.y[index], weights)

    def outputs(self, module: nn.Module, inputs: Tensor) -> Tensor:
        return module(inputs)

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        losses = self.criterion(module(batch.inputs), batch.targets, reduction="none")
        return losses.flatten(1).sum(1) if losses.dim() > 1 else losses

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        losses = self.losses(module, batch)
        weights = torch.ones_like(losses) if batch.weights is None else batch.weights
        return (losses * weights).sum() / weights.sum()


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def correlated(n_rows: int, n_columns: int, seed: int = 0) -> Tensor:
    return gaussian(n_rows, n_columns, seed=seed) @ gaussian(n_columns, n_columns, seed=seed + 1)


def set_weights(module: nn.Module, seed: int = 0) -> nn.Module:
    module = module.double().eval()
    for i, parameter in enumerate(module.parameters()):
        parameter.data = gaussian(*parameter.shape, seed=seed + i)
    return module


def elements_of(module: nn.Module, X: Tensor, structure: str | Structure = "weight") -> Elements:
    network = Network(module, X[:4], forward)
    return resolve(structure, STRUCTURES, "structure").elements(network, ())


def score(importance: Importance, elements: Elements, rows: Rows) -> Scores:
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    generator = torch.Generator().manual_seed(0)
    return importance.validated().score(ScoringContext(weights, elements, generator, rows))


def scores_of(importance: Importance, elements: Elements, rows: Rows) -> dict[str, np.ndarray]:
    scores = score(importance, elements, rows).scores
    return {name: score.numpy() for name, score in scores.items()}


def everything_but(elements: Elements, gone: dict[str, list[int]]) -> dict[str, Tensor]:
    kept = {name: mask.clone() for name, mask in elements.kept.items()}
    for name, index in gone.items():
        kept[name][index] = False
    return kept


def least_squares(X: Tensor, Y: Tensor, columns: list[int]) -> Tensor:
    """The best weights, of shape (n_outputs, n_columns), with zeros elsewhere."""
    result = torch.zeros(Y.shape[1], X.shape[1], dtype=X.dtype)
    result[:, columns] = torch.linalg.lstsq(X[:, columns], Y).solution.T
    return result


def rise(X: Tensor, Y: Tensor, columns: list[int]) -> float:
    """By how much the mean squared error of the best weights is larger with some columns only."""
    whole = least_squares(X, Y, list(range(X.shape[1])))
    some = least_squares(X, Y, columns)
    errors = [float((X @ w.T - Y).square().sum()) / len(X) for w in (some, whole)]
    return errors[0] - errors[1]


class OneLayer(nn.Module):
    """A layer between a fixed input and a fixed function of what it puts out."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).flatten(1)


# Optimal brain surgeon.


def fitted_line(n_columns: int = 6, seed: int = 0) -> tuple[nn.Module, Rows]:
    """A linear model at the minimum of its squared error."""
    X, Y = correlated(40, n_columns, seed), gaussian(40, 1, seed=seed + 7)
    model = OneLayer(nn.Linear(n_columns, 1, bias=False)).double()
    model.layer.weight.data = least_squares(X, Y, list(range(n_columns)))
    return model, Rows(X, Y, mse_loss)


def test_obs_of_a_linear_model_is_what_refitting_without_the_weight_costs() -> None:
    model, rows = fitted_line()
    everything = list(range(6))
    score = scores_of(
        OBS(None, damping=0, curvature="gauss_newton"), elements_of(model, rows.X), rows
    )["layer"]
    for q in everything:
        expected = rise(rows.X, rows.y, [j for j in everything if j != q])
        assert score[q] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_obs_makes_up_for_any_subset_exactly(size: int) -> None:
    for gone in combinations(range(6), size):
        model, rows = fitted_line()
        elements = elements_of(model, rows.X)
        found = score(OBS(None, damping=0, curvature="gauss_newton"), elements, rows)
        kept = everything_but(elements, {"layer": list(gone)})
        found.compensate(kept)
        elements.keep(kept)
        expected = least_squares(rows.X, rows.y, [j for j in range(6) if j not in gone])
        torch.testing.assert_close(model.layer.weight.data, expected, rtol=1e-6, atol=1e-9)


def perceptron() -> tuple[nn.Module, Rows]:
    module = set_weights(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)))
    y = torch.tensor([i % 2 for i in range(17)])
    return module, Rows(gaussian(17, 4), y, cross_entropy)


def gradients(module: nn.Module, rows: Rows) -> Tensor:
    """Gradients of the rows' losses in all weights, row by row."""
    result = []
    for i in range(len(rows)):
        loss = cross_entropy(module(rows.X[i : i + 1]), rows.y[i : i + 1])
        parts = torch.autograd.grad(loss, [module[0].weight, module[2].weight])
        result.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(result)


def fisher_by_loops(vectors: Tensor, damping: float, size: int) -> Tensor:
    n = vectors.shape[1]
    fisher = torch.zeros(n, n, dtype=torch.float64)
    for vector in vectors:
        for i in range(n):
            for j in range(n):
                if i // size == j // size:
                    fisher[i, j] += vector[i] * vector[j] / len(vectors)
    return fisher + damping * fisher.diagonal().mean() * torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 4, 7, 18, None])
@pytest.mark.parametrize("n_rows", [3, 17])
def test_obs_by_blocks_is_written_out_with_loops(size: int | None, n_rows: int) -> None:
    module, rows = perceptron()
    rows = Rows(rows.X[:n_rows], rows.y[:n_rows], cross_entropy)
    fisher = fisher_by_loops(gradients(module, rows), 0.1, size or 18)
    inverse = torch.linalg.inv(fisher)
    weights = torch.cat([module[0].weight.data.flatten(), module[2].weight.data.flatten()])
    elements = elements_of(module, rows.X)
    found = score(OBS(size, damping=0.1), elements, rows)
    torch.testing.assert_close(
        torch.cat(list(found.scores.values())), weights**2 / inverse.diagonal() / 2
    )
    gone = [0, 1, 5, 9, 13, 17]
    stay = [i for i in range(18) if i not in gone]
    # Of the weights that stay, the change that makes the derivative of the quadratic form zero.
    change = torch.zeros(18, dtype=torch.float64)
    change[stay] = torch.linalg.solve(fisher[stay][:, stay], fisher[stay][:, gone] @ weights[gone])
    biases = [module[i].bias.data.clone() for i in (0, 2)]
    found.compensate(everything_but(elements, {"0": [0, 1, 5, 9], "2": [1, 5]}))
    after = torch.cat([module[0].weight.data.flatten(), module[2].weight.data.flatten()])
    torch.testing.assert_close(after[stay], (weights + change)[stay])
    assert all(torch.equal(b, module[i].bias.data) for b, i in zip(biases, (0, 2), strict=True))


def convolution() -> tuple[nn.Module, Rows]:
    """Gradients of rows in a convolution are no products, those of the layer after it are."""
    layers = nn.Conv1d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(6, 2)
    _, rows = perceptron()
    return set_weights(nn.Sequential(*layers)), Rows(rows.X[:, None], rows.y, cross_entropy)


@pytest.mark.parametrize("block_size", [1, 4, None])
@pytest.mark.parametrize("n_rows", [3, 17])
@pytest.mark.parametrize("curvature", ["fisher", "gauss_newton"])
@pytest.mark.parametrize(("build", "n_held"), [(perceptron, 0), (convolution, 4)])
def test_chunks_bound_what_is_held_and_change_nothing(
    build: Any,
    n_held: int,
    block_size: int | None,
    n_rows: int,
    curvature: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[int] = []
    compute = RowGradients.__call__

    def watch(self: RowGradients, weights: Any, batch: Batch) -> Any:
        held.append(len(batch.targets) * sum(weight.numel() for weight in weights.values()))
        return compute(self, weights, batch)

    monkeypatch.setattr(RowGradients, "__call__", watch)
    found = {}
    for size in (1, 2, 100):
        module, rows = build()
        rows = Rows(rows.X[:n_rows], rows.y[:n_rows], cross_entropy)
        elements = elements_of(module, rows.X)
        held.clear()
        scored = score(OBS(block_size, 1000, 0.1, curvature, size), elements, rows)
        assert max(held, default=0) == n_held * min(size, 5, n_rows)
        first, last = elements.sizes
        scored.compensate(everything_but(elements, {first: [0, 3], last: [1, 5]}))
        found[size] = [*scored.scores.values(), *(p.data for p in module.parameters())]
    for size in (1, 2):
        for some, whole in zip(found[size], found[100], strict=True):
            torch.testing.assert_close(some, whole, rtol=1e-9, atol=1e-12)


def obs_of_the_inverse(vectors: Tensor, weights: Tensor, damping: float, size: int) -> np.ndarray:
    """Scores by the inverse of the whole matrix, as numpy finds it."""
    fisher = fisher_by_loops(vectors, damping, size).numpy()
    return weights.numpy() ** 2 / np.diag(np.linalg.inv(fisher)) / 2


def many_rows(n_rows: int, scale: float = 1.0) -> tuple[nn.Module, Rows]:
    module, _ = perceptron()

    def loss(outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        return scale * cross_entropy(outputs, y, reduction=reduction)

    return module, Rows(gaussian(n_rows, 4), torch.arange(n_rows) % 2, loss)


def concatenated(scores: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(scores.values()))


@pytest.mark.parametrize("size", [3, 7, None])
@pytest.mark.parametrize("n_rows", [2, 30])
def test_obs_in_double_precision_is_right_to_rounding(size: int | None, n_rows: int) -> None:
    module, rows = many_rows(n_rows)
    weights = torch.cat([module[0].weight.data.flatten(), module[2].weight.data.flatten()])
    expected = obs_of_the_inverse(gradients(module, rows), weights, 0.03, size or 18)
    found = concatenated(scores_of(OBS(size), elements_of(module, rows.X), rows))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("size", [3, None])
@pytest.mark.parametrize("n_rows", [2, 30])
@pytest.mark.parametrize("curvature", ["fisher", "gauss_newton"])
@pytest.mark.parametrize(
    ("dtype", "scales"),
    [
        (torch.float64, [1e-100, 1e-30, 1e-22, 1e-8, 1e8, 1e30, 1e100]),
        (torch.float32, [1e-32, 1e-22, 1e22, 1e34]),
    ],
)
def test_obs_does_not_depend_on_the_unit_of_the_loss(
    size: int | None, n_rows: int, curvature: str, dtype: torch.dtype, scales: list[float]
) -> None:
    found = {}
    for scale in (1.0, *scales):
        module, rows = many_rows(n_rows, scale)
        module, rows = module.to(dtype), Rows(rows.X.to(dtype), rows.y, rows.criterion)
        elements = elements_of(module, rows.X)
        scored = score(OBS(size, curvature=curvature), elements, rows)
        # The empirical Fisher matrix is of the square of the loss's unit, the Hessian of its own.
        unit = scale if curvature == "gauss_newton" else scale**2
        scores = [score.numpy() / unit for score in scored.scores.values()]
        scored.compensate(everything_but(elements, {"0": [0, 3], "2": [1, 5]}))
        found[scale] = np.concatenate([*scores, *(p.data.flatten() for p in module.parameters())])
    rounding = 1e-11 if dtype == torch.float64 else 2e-4
    for scale in scales:
        np.testing.assert_allclose(found[scale], found[1.0], rtol=rounding)


@pytest.mark.parametrize("first", [1e-30, 1e25])
@pytest.mark.parametrize("size", [3, None])
def test_rows_of_very_unequal_gradients_add_up_in_any_order(first: float, size: int | None) -> None:
    """Batches are of five rows, so that those of the second are what the unit comes to lie at."""
    module, rows = many_rows(10)
    rows = Rows(rows.X.float(), rows.y, cross_entropy)
    weights = torch.tensor([first**2] * 5 + [1.0] * 5, dtype=torch.float64)
    expected = None
    for order in (torch.arange(10), torch.arange(10).flip(0)):
        some = Rows(rows.X[order], rows.y[order], cross_entropy, weights[order])
        module = perceptron()[0].float()
        found = concatenated(scores_of(OBS(size), elements_of(module, some.X), some))
        assert np.isfinite(found).all()
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-3)
        expected = found


def test_obs_leaves_out_weights_that_are_gone() -> None:
    module, rows = perceptron()
    elements = elements_of(module, rows.X)
    elements.keep(everything_but(elements, {"0": [0, 3, 4, 11], "2": [2]}))
    alive = torch.cat(list(elements.kept.values())).nonzero().flatten()
    fisher = fisher_by_loops(gradients(module, rows)[:, alive], 0.1, 5)
    weights = torch.cat([module[0].weight.data.flatten(), module[2].weight.data.flatten()])
    expected = weights[alive] ** 2 / torch.linalg.inv(fisher).diagonal() / 2
    found = score(OBS(5, damping=0.1), elements, rows)
    torch.testing.assert_close(torch.cat(list(found.scores.values()))[alive], expected)
    found.compensate(everything_but(elements, {"0": [0, 1, 3, 4, 5, 11], "2": [2]}))
    dead = torch.cat(list(elements.kept.values())).logical_not()
    after = torch.cat([module[0].weight.data.flatten(), module[2].weight.data.flatten()])
    assert not after[dead].any()


@pytest.mark.parametrize("size", [2, None])
def test_without_gradients_obs_ranks_by_size(size: int | None) -> None:
    module, rows = perceptron()
    module[2].weight.data.zero_()
    rows = Rows(rows.X, torch.zeros(17, 2), lambda outputs, y, reduction: 0 * outputs.sum(1))
    found = scores_of(OBS(size, damping=1.0), elements_of(module, rows.X), rows)
    np.testing.assert_allclose(found["0"], module[0].weight.data.flatten() ** 2 / 2)


def test_rows_that_have_lost_everything_score_nothing() -> None:
    module = set_weights(OneLayer(nn.Linear(4, 3, bias=False)))
    X = gaussian(20, 4)
    elements = elements_of(module, X)
    elements.keep(everything_but(elements, {"layer": [0, 1, 2, 3]}))
    rows = Rows(X, module(X).detach(), mse_loss)
    found = score(LayerOBS(chunk_size=1), elements, rows)
    assert not found.scores["layer"][:4].any()
    assert found.scores["layer"][4:].all()
    before = module.layer.weight.detach().clone()
    found.compensate(everything_but(elements, {"layer": [0, 1, 2, 3, 4]}))
    assert not module.layer.weight[0].any()
    torch.testing.assert_close(module.layer.weight[2], before[2])


def test_frozen_weights_do_not_move() -> None:
    for importance in (OBS(), LayerOBS()):
        module, rows = perceptron()
        module[0].weight.requires_grad_(False)
        before = module[0].weight.clone()
        elements = elements_of(module, rows.X)
        found = score(importance, elements, rows)
        assert found.scores["0"].all()
        last = module[2].weight.detach().clone()
        found.compensate(everything_but(elements, {"0": [1], "2": [0, 4]}))
        assert torch.equal(module[0].weight, before)
        assert not torch.equal(module[2].weight, last)
        assert not module[0].weight.requires_grad


@pytest.mark.parametrize("importance", [OBS(damping=0), OBS(3, damping=0)])
def test_a_singular_fisher_matrix_asks_for_damping(importance: OBS) -> None:
    module, rows = perceptron()
    rows = Rows(rows.X[:2], rows.y[:2], cross_entropy)
    with pytest.raises(ValueError, match=r"not finite in layer '0'.*Raise damping"):
        score(importance, elements_of(module, rows.X), rows)


# Layer by layer.


def columns_by_loops(layer: nn.Module, X: Tensor, output: int) -> Tensor:
    """What the weights of an output are multiplied with, by differentiating what comes out."""
    weight = layer.weight
    rows = []
    for x in X:
        out = layer(x[None])[0, output].flatten()
        for value in out:
            (gradient,) = torch.autograd.grad(value, weight, retain_graph=True)
            rows.append(gradient[output].flatten())
    return torch.stack(rows)


def greedy_by_refitting(
    X: Tensor, w: Tensor, bias: bool, scale: float, groups: Sequence[Any] | None = None, n: int = 0
) -> tuple[list[int], list[float]]:
    """Take out the weight whose loss is least, refit, and again, while `n` of its group stay.

    Returns what went, in order, and what the loss rose by each time.
    """
    target = X @ w[:, None]
    if bias:
        X = torch.cat([X, torch.ones(len(X), 1, dtype=X.dtype)], 1)

    def loss(columns: list[int]) -> float:
        columns = [*columns, len(w)] if bias else columns
        if not columns:
            return float(target.square().sum()) * scale
        fit = X @ least_squares(X, target, columns)[0]
        return float((fit - target[:, 0]).square().sum()) * scale

    left, spent = list(range(len(w))), 0.0
    groups = left[:] if groups is None else groups
    order, rises = [], []
    while may_go := [q for q in left if sum(groups[j] == groups[q] for j in left) > n]:
        losses = {q: loss([j for j in left if j != q]) for q in may_go}
        q = min(losses, key=losses.__getitem__)
        order.append(q)
        rises.append(losses[q] - spent)
        spent = losses[q]
        left.remove(q)
    return order, rises


def assert_goes_by(score: np.ndarray, order: list[int], rises: list[float], **close: float) -> None:
    """At every count the worst are those that went first, and no score falls behind its rise."""
    assert np.argsort(score, kind="stable").tolist()[: len(order)] == order
    assert (np.diff(np.sort(score)[: len(order) + 1]) > 0).all()
    np.testing.assert_allclose(score[order], np.maximum.accumulate(rises), **close)


LAYERS = {
    "linear": (nn.Linear(7, 3, bias=False), (7,)),
    "linear with bias": (nn.Linear(6, 2), (6,)),
    "sequence": (nn.Linear(4, 2), (3, 4)),
    "conv1d": (nn.Conv1d(2, 2, 3, stride=2, padding=1), (2, 7)),
    "conv2d": (nn.Conv2d(2, 3, 2, padding=1, dilation=2, bias=False), (2, 4, 5)),
    "grouped": (nn.Conv2d(4, 4, 2, groups=2, padding_mode="circular", padding=1), (4, 3, 3)),
    "depthwise": (nn.Conv2d(2, 2, 2, groups=2), (2, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_obs_goes_the_greedy_way_of_refitting(name: str) -> None:
    layer, shape = LAYERS[name]
    module = set_weights(OneLayer(layer))
    X = gaussian(12, *shape, seed=3)
    rows = Rows(X, module(X).detach(), mse_loss)
    importance = LayerOBS(damping=1e-12, chunk_size=2)
    score = scores_of(importance, elements_of(module, X), rows)["layer"]
    score = score.reshape(len(layer.weight), -1)
    for output in range(len(layer.weight)):
        given = X.flatten(0, 1) if name == "sequence" else columns_by_loops(layer, X, output)
        w = layer.weight[output].detach().flatten()
        went = greedy_by_refitting(given, w, layer.bias is not None, 1 / len(X))
        assert_goes_by(score[output], *went, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_cheap_weights_that_a_costly_one_held_back_go_after_it(seed: int) -> None:
    """Each is worth less than the costly one, and its place is not among equals but behind."""
    module = set_weights(OneLayer(nn.Linear(6, 1, bias=False)), seed)
    X = correlated(60, 6, seed + 100)
    rows = Rows(X, module(X).detach(), mse_loss)
    worth = score(LayerOBS(damping=1e-12), elements_of(module, X), rows).scores["layer"]
    order, _ = greedy_by_refitting(X, module.layer.weight[0].detach(), False, 1 / len(X))
    for n_gone in range(1, 6):
        assert set((~keep_best(worth, 6 - n_gone)).nonzero().flatten().tolist()) == set(
            order[:n_gone]
        )


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 2), (3, 4), (2, 5)])
@pytest.mark.parametrize("n_columns", [8, 11])
def test_groups_that_are_down_to_what_they_keep_are_passed_over(
    n: int, m: int, n_columns: int
) -> None:
    module = set_weights(OneLayer(nn.Linear(n_columns, 3)))
    X = correlated(40, n_columns) / 4
    rows = Rows(X, module(X).detach(), mse_loss)
    elements = elements_of(module, X, NM(n, m))
    found = score(LayerOBS(damping=1e-12, chunk_size=2), elements, rows)
    stays = elements.must_keep(found.scores)["layer"].view(3, -1)
    worth = found.scores["layer"].numpy().reshape(3, -1)
    groups = [j // m for j in range(n_columns)]
    for output in range(3):
        w = module.layer.weight[output].detach()
        order, rises = greedy_by_refitting(X, w, True, 1 / len(X), groups, n)
        assert_goes_by(worth[output], order, rises, rtol=1e-6)
        assert set((~stays[output]).nonzero().flatten().tolist()) == set(order)


def test_groups_of_channels_go_on_from_what_is_gone() -> None:
    """The weights of a group lie apart, at one place of the kernel."""
    layer = nn.Conv2d(5, 2, 2, bias=False)
    module = set_weights(OneLayer(layer))
    X = gaussian(12, 5, 4, 4, seed=3)
    rows = Rows(X, module(X).detach(), mse_loss)
    elements = elements_of(module, X, NM(1, 2))
    elements.keep(everything_but(elements, {"layer": [0, 13, 27]}))
    score = scores_of(LayerOBS(damping=1e-12), elements, rows)["layer"].reshape(2, 20)
    for output, gone in enumerate([[0, 13], [7]]):
        given, w = columns_by_loops(layer, X, output), layer.weight[output].detach().flatten()
        left = [j for j in range(20) if j not in gone]
        groups = [(j % 4, j // 4 // 2) for j in left]
        went = greedy_by_refitting(given[:, left], w[left], False, 1 / len(X), groups, 1)
        assert_goes_by(score[output, left], *went, rtol=1e-6)


def test_layer_obs_by_panels_goes_on_as_it_began() -> None:
    module = set_weights(OneLayer(nn.Linear(70, 1, bias=False)))
    X = correlated(200, 70) / 8
    rows = Rows(X, module(X).detach(), mse_loss)
    score = scores_of(LayerOBS(damping=1e-12), elements_of(module, X), rows)["layer"]
    inverse, w = torch.linalg.inv(2 * X.T @ X / len(X)), module.layer.weight[0].detach()
    left = torch.ones(70, dtype=torch.bool)
    order, rises = [], []
    for _ in range(69):  # one downdate after the other
        cost = torch.where(left, w**2 / inverse.diagonal() / 2, torch.inf)
        q = int(cost.argmin())
        order.append(q)
        rises.append(float(cost[q]))
        w = w - inverse[q] * w[q] / inverse[q, q]
        inverse = inverse - torch.outer(inverse[q], inverse[q]) / inverse[q, q]
        left[q] = False
    assert_goes_by(score, order, rises, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_obs_keeps_the_outputs_as_least_squares_does(name: str) -> None:
    layer, shape = LAYERS[name]
    module = set_weights(OneLayer(layer))
    X = gaussian(12, *shape, seed=3)
    rows = Rows(X, module(X).detach(), mse_loss)
    elements = elements_of(module, X)
    size = layer.weight[0].numel()
    gone = {0: [0, 2], 1: [1, size - 1]}
    problems = {}
    for output, columns in gone.items():
        given = X.flatten(0, 1) if name == "sequence" else columns_by_loops(layer, X, output)
        if layer.bias is not None:
            given = torch.cat([given, torch.ones(len(given), 1, dtype=given.dtype)], 1)
        w = layer.weight[output].detach().flatten()
        if layer.bias is not None:
            w = torch.cat([w, layer.bias[output : output + 1].detach()])
        left = [j for j in range(given.shape[1]) if j not in columns]
        problems[output] = least_squares(given, (given @ w)[:, None], left)[0]
    index = [output * size + j for output, columns in gone.items() for j in columns]
    score(LayerOBS(damping=1e-12), elements, rows).compensate(
        everything_but(elements, {"layer": index})
    )
    for output, expected in problems.items():
        found = layer.weight[output].detach().flatten()
        if layer.bias is not None:
            found = torch.cat([found, layer.bias[output : output + 1].detach()])
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_layer_obs_leaves_out_weights_that_are_gone() -> None:
    module = set_weights(OneLayer(nn.Linear(6, 2, bias=False)))
    X = correlated(30, 6)
    elements = elements_of(module, X)
    elements.keep(everything_but(elements, {"layer": [0, 7, 8]}))
    rows = Rows(X, module(X).detach(), mse_loss)
    score = scores_of(LayerOBS(damping=1e-12), elements, rows)["layer"].reshape(2, 6)
    for output, left in enumerate([[1, 2, 3, 4, 5], [0, 3, 4, 5]]):
        w = module.layer.weight[output].detach()[left]
        went = greedy_by_refitting(X[:, left], w, False, 1 / len(X))
        assert_goes_by(score[output, left], *went, rtol=1e-6)


def test_the_greedy_way_finds_the_best_subset_of_independent_inputs() -> None:
    module = set_weights(OneLayer(nn.Linear(6, 1, bias=False)))
    X = torch.linalg.qr(gaussian(20, 6)).Q * torch.tensor([1.0, 3, 2, 5, 0.5, 4])
    rows = Rows(X, module(X).detach(), mse_loss)
    score = scores_of(LayerOBS(damping=0), elements_of(module, X), rows)["layer"]
    w = module.layer.weight[0].detach()
    for size in range(1, 6):
        cost = {
            gone: float((X[:, gone] @ w[list(gone)]).square().sum())
            for gone in combinations(range(6), size)
        }
        assert set(np.argsort(score)[:size]) == set(min(cost, key=cost.__getitem__))


def two_layers() -> tuple[nn.Module, Rows]:
    module = set_weights(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)))
    X = gaussian(40, 4)
    return module, Rows(X, module(X).detach(), mse_loss)


def with_ones(X: Tensor) -> Tensor:
    return torch.cat([X, torch.ones(len(X), 1, dtype=X.dtype)], 1)


def test_layer_obs_of_a_unit_is_what_its_readers_lose() -> None:
    module, rows = two_layers()
    hidden = with_ones(module[:2](rows.X).detach())
    target = module(rows.X).detach()
    score = scores_of(LayerOBS(damping=1e-12), elements_of(module, rows.X, "unit"), rows)["0"]
    for unit in range(5):
        expected = rise(hidden, target, [j for j in range(6) if j != unit])
        assert score[unit] == pytest.approx(expected, rel=1e-6)


def test_readers_make_up_for_units_that_go() -> None:
    module, rows = two_layers()
    elements = elements_of(module, rows.X, "unit")
    hidden, target = with_ones(module[:2](rows.X).detach()), module(rows.X).detach()
    kept = everything_but(elements, {"0": [1, 4]})
    score(LayerOBS(damping=1e-12), elements, rows).compensate(kept)
    elements.keep(kept)
    expected = least_squares(hidden, target, [0, 2, 3, 5])
    torch.testing.assert_close(module[2].weight.data, expected[:, [0, 2, 3]], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(module[2].bias.data, expected[:, 5], rtol=1e-6, atol=1e-9)


def test_later_layers_make_up_for_earlier_ones() -> None:
    module, rows = two_layers()
    elements, target = elements_of(module, rows.X), module(rows.X).detach()
    kept = everything_but(elements, {"0": [0, 1, 5, 6, 11, 15], "2": [0, 1, 2, 3]})
    score(LayerOBS(damping=1e-12), elements, rows).compensate(kept)
    hidden = with_ones(module[:2](rows.X).detach())
    first = least_squares(hidden, target[:, :1], [4, 5])[0]
    torch.testing.assert_close(module[2].weight.data[0], first[:5], rtol=1e-6, atol=1e-9)
    second = least_squares(hidden, target[:, 1:2], list(range(6)))[0]
    torch.testing.assert_close(module[2].weight.data[1], second[:5], rtol=1e-6, atol=1e-9)


def test_a_block_scores_the_error_of_its_going() -> None:
    module = set_weights(OneLayer(nn.Linear(6, 4, bias=False)))
    X = correlated(30, 6)
    rows = Rows(X, module(X).detach(), mse_loss)
    elements = elements_of(module, X, Block((2, 3)))
    score = scores_of(LayerOBS(damping=1e-12), elements, rows)["layer"]
    target = rows.y
    expected = [
        rise(X, target[:, outputs], left)
        for outputs in ([0, 1], [2, 3])
        for left in ([3, 4, 5], [0, 1, 2])
    ]
    np.testing.assert_allclose(score, expected, rtol=1e-6)


@pytest.mark.parametrize("importance", [LayerOBS(), Wanda(), APoZ()])
@pytest.mark.parametrize(
    ("network", "layer"), [("embedding", "table"), ("gru", "rnn.weight_ih_l0")]
)
def test_layers_without_inputs_to_look_at_are_named(
    importance: Importance, network: str, layer: str
) -> None:
    module = NETWORKS[network].build()
    X = torch.from_numpy(NETWORKS[network].inputs(8))
    rows = Rows(X, module(X).detach(), mse_loss)
    with pytest.raises(ValueError, match=rf"'{layer}' is not the weight of a linear layer.*\['"):
        score(importance, elements_of(module, X), rows)


def test_layers_that_are_not_called_are_named() -> None:
    module = NETWORKS["transformer"].build()
    X = torch.from_numpy(NETWORKS["transformer"].inputs(8))
    elements = elements_of(module, X)
    elements.leave_alone(["encoder.self_attn.in_proj_weight"])
    with pytest.raises(
        ValueError, match=r"'encoder\.self_attn\.out_proj' is not called as a layer"
    ):
        score(LayerOBS(), elements, Rows(X, module(X).detach(), mse_loss))


def test_inputs_that_repeat_each_other_ask_for_damping() -> None:
    module = set_weights(OneLayer(nn.Linear(4, 2, bias=False)))
    X = gaussian(30, 4)
    X[:, 1] = 0.0
    with pytest.raises(ValueError, match=r"Hessian of layer 'layer' is not finite.*Raise damping"):
        score(LayerOBS(damping=0), elements_of(module, X), Rows(X, module(X).detach(), mse_loss))


# Optimal brain damage.


def test_obd_is_half_the_second_difference_of_the_loss() -> None:
    """A network of rectifiers is linear in any one weight, so that Gauss-Newton is exact there."""
    module = set_weights(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)))
    X, y = gaussian(12, 3), torch.tensor([i % 3 for i in range(12)])
    rows = Rows(X, y, cross_entropy)
    scores = scores_of(OBD(), elements_of(module, X), rows)
    with torch.no_grad():
        for i in (0, 2):
            flat = module[i].weight.data.view(-1)
            for q in range(len(flat)):
                value, losses = float(flat[q]), []
                for step in (-1e-4, 0.0, 1e-4):
                    flat[q] = value + step
                    losses.append(float(cross_entropy(module(X), y)))
                flat[q] = value
                second = (losses[0] - 2 * losses[1] + losses[2]) / 1e-8
                assert scores[str(i)][q] == pytest.approx(second * value**2 / 2, abs=1e-5)


def diagonal_by_autograd(module: nn.Module, rows: Rows) -> dict[str, Tensor]:
    result = {}
    for name in ("0", "2"):
        weight = module[int(name)].weight.detach()

        def loss(given: Tensor, name: str = name) -> Tensor:
            outputs = torch.func.functional_call(module, {f"{name}.weight": given}, (rows.X,))
            return cross_entropy(outputs, rows.y)

        hessian = torch.autograd.functional.hessian(loss, weight)
        result[name] = hessian.view(weight.numel(), -1).diagonal() * weight.flatten() ** 2 / 2
    return result


def wide_perceptron() -> tuple[nn.Module, Rows]:
    module = set_weights(nn.Sequential(nn.Linear(4, 30), nn.Tanh(), nn.Linear(30, 2)))
    for i in (0, 2):
        module[i].weight.data /= 4
    return module, perceptron()[1]


def test_the_error_of_hutchinson_falls_with_the_root_of_the_number_of_probes() -> None:
    module, rows = wide_perceptron()  # 180 weights, more than ten times the probes
    expected = concatenated(
        {name: part.numpy() for name, part in diagonal_by_autograd(module, rows).items()}
    )
    elements = elements_of(module, rows.X)
    errors = []
    for n_probes in (1, 16):
        scores = OBD("hutchinson", n_probes=n_probes).validated()
        weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
        found = [
            torch.cat(
                list(
                    scores.scores(
                        ScoringContext(weights, elements, torch.Generator().manual_seed(seed), rows)
                    ).values()
                )
            ).numpy()
            for seed in range(12)
        ]
        errors.append(np.sqrt(np.mean((np.array(found) - expected) ** 2)))
    assert 3 < errors[0] / errors[1] < 5.5  # the root of 16 is 4


@pytest.mark.parametrize("build", [perceptron, wide_perceptron])
def test_hutchinson_of_a_small_network_is_the_exact_diagonal_by_default(build: Any) -> None:
    module, rows = build()
    expected = diagonal_by_autograd(module, rows)
    found = scores_of(OBD("hutchinson"), elements_of(module, rows.X), rows)
    for name, diagonal in expected.items():
        np.testing.assert_allclose(found[name], diagonal.numpy(), rtol=1e-9, atol=1e-14)
    ranks = [
        concatenated(scores).argsort().argsort()
        for scores in (found, {name: part.numpy() for name, part in expected.items()})
    ]
    assert np.corrcoef(*ranks)[0, 1] > 0.999


def test_only_weights_that_are_left_take_a_product_each() -> None:
    module, rows = perceptron()
    expected = diagonal_by_autograd(module, rows)
    module[0].weight.data.view(-1)[[0, 5, 7]] = 0.0
    elements = elements_of(module, rows.X)
    found = scores_of(OBD("hutchinson", n_probes=2), elements, rows)  # 15 <= 20
    after = diagonal_by_autograd(module, rows)
    assert not torch.equal(after["2"], expected["2"])
    for name, diagonal in after.items():
        np.testing.assert_allclose(found[name], diagonal.numpy(), rtol=1e-9, atol=1e-14)


def test_hutchinson_takes_attention_that_can_be_differentiated_twice() -> None:
    module = NETWORKS["transformer"].build()
    X = torch.from_numpy(NETWORKS["transformer"].inputs(8))
    rows = Rows(X, torch.arange(8) % 3, cross_entropy)
    scores = scores_of(OBD("hutchinson", n_probes=2), elements_of(module, X), rows)
    assert all(np.isfinite(score).all() and score.any() for score in scores.values())


def test_a_layer_without_a_second_derivative_is_told() -> None:
    module = NETWORKS["embedding_bag"].build()
    X = torch.from_numpy(NETWORKS["embedding_bag"].inputs(8))
    rows = Rows(X, torch.arange(8) % 3, cross_entropy)
    with pytest.raises(
        ValueError, match=r"EmbeddedBag has no second derivative.*needs\. Use curvature='gauss_newt"
    ):
        scores_of(OBD("hutchinson"), elements_of(module, X), rows)


# By what comes in.


def test_wanda_by_loops() -> None:
    layer = nn.Conv2d(4, 6, 2, groups=2, stride=2)
    module = set_weights(OneLayer(layer))
    X = gaussian(7, 4, 4, 4)
    score = scores_of(Wanda(), elements_of(module, X), Rows(X, module(X).detach(), mse_loss))
    score = score["layer"].reshape(layer.weight.shape)
    for o, c, i, j in np.ndindex(*layer.weight.shape):
        total, n = 0.0, 0
        for x in X:
            for top in (0, 2):
                for left in (0, 2):
                    total += float(x[2 * (o // 3) + c, top + i, left + j]) ** 2
                    n += 1
        expected = abs(layer.weight[o, c, i, j].item()) * (total / n) ** 0.5
        assert score[o, c, i, j] == pytest.approx(expected)


def test_wanda_of_a_unit_adds_up_over_its_readers() -> None:
    module, rows = two_layers()
    hidden = module[:2](rows.X).detach()
    score = scores_of(Wanda(), elements_of(module, rows.X, "unit"), rows)["0"]
    for unit in range(5):
        norm = float(hidden[:, unit].square().mean().sqrt())
        expected = sum(abs(w.item()) * norm for w in module[2].weight[:, unit])
        assert score[unit] == pytest.approx(expected)


def test_apoz_by_loops() -> None:
    module, rows = two_layers()
    hidden = module[:2](rows.X).detach()
    score = scores_of(APoZ(), elements_of(module, rows.X, "unit"), rows)["0"]
    for unit in range(5):
        zeros = sum(1 for x in hidden if float(x[unit]) == 0.0)
        assert score[unit] == pytest.approx(1 - zeros / len(hidden))
    assert len(set(score)) > 2


def test_apoz_of_a_channel_counts_all_places() -> None:
    module = NETWORKS["conv_batch_norm"].build()
    X = torch.from_numpy(NETWORKS["conv_batch_norm"].inputs(16))
    maps = module.norm1(module.conv1(X)).relu()
    maps = maps.detach()
    score = scores_of(
        APoZ(), elements_of(module, X, "unit"), Rows(X, module(X).detach(), mse_loss)
    )["conv1"]
    for channel in range(4):
        zeros = sum(1 for value in maps[:, channel].flatten().tolist() if value == 0)
        assert score[channel] == pytest.approx(1 - zeros / maps[:, channel].numel(), rel=1e-6)


def test_apoz_of_single_weights_is_that_of_the_channel_that_they_read() -> None:
    layer = nn.Conv2d(4, 6, 2, groups=2, padding=1, stride=2)
    module = set_weights(OneLayer(layer))
    X = gaussian(7, 4, 4, 4).relu()
    score = scores_of(APoZ(), elements_of(module, X), Rows(X, module(X).detach(), mse_loss))
    score = score["layer"].reshape(layer.weight.shape)
    for o, c, i, j in np.ndindex(*layer.weight.shape):
        values = X[:, 2 * (o // 3) + c].flatten().tolist()
        assert score[o, c, i, j] == pytest.approx(sum(value != 0 for value in values) / len(values))


# All of them.

ALL = [
    OBS(),
    OBS(4, curvature="gauss_newton"),
    OBD(),
    OBD("hutchinson", n_probes=1),
    LayerOBS(),
    Wanda(),
    APoZ(),
]


@pytest.mark.parametrize("importance", ALL, ids=repr)
def test_nothing_is_left_behind(importance: Importance) -> None:
    module = NETWORKS["conv_batch_norm"].build()
    X = torch.from_numpy(NETWORKS["conv_batch_norm"].inputs(8))
    module.norm1.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    rows = Rows(X, torch.zeros(8, 3), mse_loss)
    scores_of(importance, elements_of(module, X), rows)
    assert [part.training for part in module.modules()] == modes
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(part._forward_pre_hooks for part in module.modules())


@pytest.mark.parametrize("importance", [i for i in ALL if "hutch" not in repr(i)], ids=repr)
def test_a_row_of_weight_two_counts_twice(importance: Importance) -> None:
    module, rows = perceptron()
    times = torch.tensor([i % 3 for i in range(17)])
    again = torch.arange(17).repeat_interleave(times)
    weighted = Rows(rows.X, rows.y, cross_entropy, times.double())
    repeated = Rows(rows.X[again], rows.y[again], cross_entropy)
    one, other = (
        scores_of(importance, elements_of(module, rows.X), r) for r in (weighted, repeated)
    )
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-8)


@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
@pytest.mark.parametrize("importance", ALL, ids=repr)
def test_every_structure_is_scored_and_made_up_for(importance: Importance, structure: str) -> None:
    module = NETWORKS["residual"].build()
    X = torch.from_numpy(NETWORKS["residual"].inputs(8))
    elements = elements_of(module, X, structure)
    found = score(importance, elements, Rows(X, torch.zeros(8, 3), mse_loss))
    assert {name: len(score) for name, score in found.scores.items()} == elements.sizes
    assert all(torch.isfinite(score).all() for score in found.scores.values())
    kept = everything_but(elements, {name: [0] for name in elements.sizes})
    if found.compensate is not None:
        found.compensate(kept)
    elements.keep(kept)
    assert torch.isfinite(module(X)).all()


def test_single_weights_take_the_least_of_all_rows_first() -> None:
    """The scores of all outputs together are in the order of a heap over their next losses."""
    module = set_weights(OneLayer(nn.Linear(5, 3, bias=False)))
    X = correlated(30, 5)
    rows = Rows(X, module(X).detach(), mse_loss)
    score = scores_of(LayerOBS(damping=1e-12), elements_of(module, X), rows)["layer"]
    inverse = [torch.linalg.inv(2 * X.T @ X / len(X))] * 3
    w, order = module.layer.weight.detach().clone(), []
    left = torch.ones(3, 5, dtype=torch.bool)
    for _ in range(14):
        cost = torch.stack([w[r] ** 2 / inverse[r].diagonal() / 2 for r in range(3)])
        cost[~left] = torch.inf
        r, q = divmod(int(cost.argmin()), 5)
        order.append(5 * r + q)
        w[r] = w[r] - inverse[r][q] * w[r, q] / inverse[r][q, q]
        inverse[r] = inverse[r] - torch.outer(inverse[r][q], inverse[r][q]) / inverse[r][q, q]
        left[r, q] = False
    for size in range(1, 15):
        assert set(np.argsort(score)[:size]) == set(order[:size])


@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
@pytest.mark.parametrize(
    ("importance", "why"),
    [
        (Wanda(), "Wanda's are of the scale of what each layer is given"),
        (LayerOBS(), "those of LayerOBS are errors of what each layer puts out"),
        (APoZ(), "APoZ's are those of units, equal for all the weights that read one"),
    ],
)
def test_layers_that_cannot_be_compared_are_told_before_any_training(
    importance: Importance, why: str, structure: str
) -> None:
    module = NETWORKS["conv_batch_norm"].build()
    elements = elements_of(
        module, torch.from_numpy(NETWORKS["conv_batch_norm"].inputs(4)), structure
    )
    for allocation in ("uniform", "erk"):
        check_combination(elements, Strategy(importance, allocation).resolved(), only_named=False)
    strategy = Strategy(importance, "global").resolved()
    if structure == "unit" and isinstance(importance, APoZ):
        check_combination(elements, strategy, only_named=False)
        return
    with pytest.raises(ValueError, match=rf"^allocation=Global\(\) compares .*, and {why}\. Use"):
        check_combination(elements, strategy, only_named=False)


@pytest.mark.parametrize("importance", [Wanda(), LayerOBS()])
def test_the_weights_that_make_a_unit_do_not_count(importance: Importance) -> None:
    module = NETWORKS["mlp"].build()
    X = torch.from_numpy(NETWORKS["mlp"].inputs(30))
    rows = Rows(X, module(X).detach(), mse_loss)
    whole = scores_of(importance, elements_of(module, X, "unit"), rows)
    last = nn.Sequential(nn.ReLU(), module.output)
    hidden = module.hidden1(module.hidden0(X).relu()).detach()
    identity = nn.Linear(8, 8, bias=False)
    identity.weight.data = torch.eye(8)
    alone = nn.Sequential(identity, *last)
    rows = Rows(hidden, module(X).detach(), mse_loss)
    expected = scores_of(importance, elements_of(alone, hidden, "unit"), rows)["0"]
    np.testing.assert_allclose(whole["hidden1"], expected, rtol=1e-5)
