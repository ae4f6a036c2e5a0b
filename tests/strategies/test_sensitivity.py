"""The allocation that measures what the loss misses of each layer."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from skprune import Strategy, Target, prune
from skprune._sklearn import InvalidParameterError
from skprune.network.network import Network
from skprune.strategies import Explicit, Sensitivity
from skprune.strategies.allocation import KeepBudget
from skprune.strategies.allocation.sensitivity import Piece, convex_pieces
from skprune.structures import Unit
from tests.helpers import FakeSamples, forward
from tests.networks import N_OUTPUTS

torch.manual_seed(0)
X = torch.randn(40, 6)
SIZES = {"0": 8, "2": 6}


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)
    ).eval()


MODULE = network()
with torch.no_grad():
    Y = MODULE(X) + 0.1 * torch.randn(40, 3)


def pruned(allocation: object, sparsity: object = 0.5, **options: object):
    return prune(
        MODULE,
        X[:4],
        strategy=Strategy(allocation=allocation),
        sparsity=sparsity,
        structure="unit",
        data=(X, Y),
        loss=nn.MSELoss(),
        fine_tune_epochs=0,
        random_state=0,
        **options,
    )


def loss_without(gone: dict[str, int]) -> float:
    """The loss without so many units of the smallest norm, written out layer by layer."""
    layers = [(layer.weight.detach(), layer.bias.detach()) for layer in MODULE[::2]]
    x = X
    for number, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if number < 2:
            following = layers[number + 1][0]
            norms = weight.square().sum(1) + following.square().sum(0)
            x = x.relu()
            x[:, norms.argsort()[: gone.get(str(2 * number), 0)]] = 0
    return float(functional.mse_loss(x, Y))


def rises_by_hand(layer: str) -> list[float]:
    return [loss_without({layer: n}) - loss_without({}) for n in range(SIZES[layer])]


def lower_hull(rises: list[float]) -> list[float]:
    """The largest convex function below the highest values so far, by all pairs of points."""
    high = np.maximum.accumulate(rises)
    n = len(high)
    hull = high.copy()
    for a, c in product(range(n), range(n)):
        for b in range(a + 1, c):
            hull[b] = min(hull[b], high[a] + (high[c] - high[a]) * (b - a) / (c - a))
    return hull.tolist()


@given(st.lists(st.floats(-1, 5), min_size=1, max_size=7))
def test_pieces_are_the_lower_convex_hull(steps: list[float]) -> None:
    rises = [0.0, *np.cumsum(steps).tolist()]
    pieces = list(convex_pieces("a", range(len(rises)), rises))
    found = [0.0, *np.cumsum([p.rise for p in pieces for _ in range(p.n_elements)])]
    np.testing.assert_allclose(found, lower_hull(rises), atol=1e-9)
    slopes = [piece.rise for piece in pieces]
    assert all(a <= b + 1e-12 for a, b in pairwise(slopes))


@given(
    st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=4), min_size=2, max_size=3), st.data()
)
def test_no_division_has_a_smaller_sum(curves: list[list[float]], data: st.DataObject) -> None:
    names = [f"layer{i}" for i in range(len(curves))]
    rises = {n: [0.0, *np.cumsum(sorted(c)).tolist()] for n, c in zip(names, curves, strict=True)}
    alive = {name: len(curve) for name, curve in rises.items()}
    allocation = Sensitivity()
    pieces = [p for n, c in rises.items() for p in convex_pieces(n, range(len(c)), c)]
    allocation._pieces, allocation._alive = sorted(pieces, key=lambda p: p.rise), alive
    n_keep = data.draw(st.integers(len(names), sum(alive.values())))
    least = dict.fromkeys(names, 1)
    counts = allocation.counts(KeepBudget(n_keep, n_keep, alive, {}, {}, alive, least))
    assert sum(counts.values()) == n_keep

    def total(kept: dict[str, int]) -> float:
        return sum(rises[name][alive[name] - count] for name, count in kept.items())

    possible = (
        dict(zip(names, kept, strict=True))
        for kept in product(*(range(1, alive[name] + 1) for name in names))
        if sum(kept) == n_keep
    )
    assert total(counts) == pytest.approx(min(map(total, possible)), abs=1e-9)


@pytest.mark.parametrize("n_gone", [1, 5, 7, 11])
def test_the_loss_is_measured_layer_by_layer(n_gone: int) -> None:
    left = pruned(Sensitivity(n_points=20), sparsity=n_gone / 14)
    found = {name: int((~mask).sum()) for name, mask in left.kept.items()}
    hulls = {name: lower_hull(rises_by_hand(name)) for name in SIZES}

    def total(gone: dict[str, int]) -> float:
        return sum(hulls[name][count] for name, count in gone.items())

    possible = [{"0": a, "2": n_gone - a} for a in range(8) if 0 <= n_gone - a < 6]
    assert total(found) == pytest.approx(min(map(total, possible)), rel=1e-4)


def test_with_few_points_the_rise_between_them_is_even() -> None:
    measured = []

    class Watching(Sensitivity):
        def measured(self, *args: object) -> Sensitivity:
            measured.append(super().measured(*args))
            return measured[-1]

    pruned(Watching(n_points=1))
    (allocation,) = measured
    ends = {name: (size - 1, rises_by_hand(name)[-1]) for name, size in SIZES.items()}
    expected = {Piece(name, n, max(rise, 0) / n) for name, (n, rise) in ends.items()}
    for piece in allocation._pieces:
        (same,) = [e for e in expected if e.layer == piece.layer]
        assert piece.n_elements == same.n_elements
        assert piece.rise == pytest.approx(same.rise, rel=1e-4)


class TwoBranches(nn.Module):
    """What one branch finds is multiplied by next to nothing; the other is as large."""

    def __init__(self, weigh: float) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 10), nn.Linear(6, 10)
        self.out, self.other_out = nn.Linear(10, 3), nn.Linear(10, 3)
        with torch.no_grad():
            self.other.load_state_dict(self.one.state_dict())
            self.other_out.load_state_dict(self.out.state_dict())
        self.weigh = weigh

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.one(x).relu()) + self.weigh * self.other_out(self.other(x).relu())


@pytest.mark.parametrize("structure", ["unit", "weight"])
def test_what_does_not_matter_goes_first(structure: str) -> None:
    module = TwoBranches(1e-4)
    with torch.no_grad():
        targets = module(X)
    left = prune(
        module,
        X[:4],
        strategy=Strategy(allocation="sensitivity"),
        sparsity=0.45,
        structure=structure,
        data=(X, targets),
        loss=nn.MSELoss(),
        fine_tune_epochs=0,
    )
    assert left.kept["one"].all()
    assert left.kept["other"].sum() <= 0.2 * left.kept["other"].size


class DearAndCheap(nn.Module):
    """Two branches that compute the same, one of them for twenty times as much."""

    def __init__(self) -> None:
        super().__init__()
        self.cheap, self.cheap_out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.dear, self.dear_out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.dear.load_state_dict(self.cheap.state_dict())
        self.dear_out.load_state_dict(self.cheap_out.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        dear = self.dear(x[:, None].repeat(1, 20, 1)).relu().mean(1)
        return self.cheap_out(self.cheap(x).relu()) + self.dear_out(dear)


def test_a_rise_counts_by_what_it_saves_of_the_budget() -> None:
    torch.manual_seed(3)
    module = DearAndCheap()
    with torch.no_grad():
        targets = module(X)

    def left_by(budget: str) -> dict[str, int]:
        left = prune(
            module,
            X[:4],
            strategy=Strategy(allocation=Sensitivity(n_points=20)),
            sparsity=Target(0.5, budget=budget),
            structure="unit",
            data=(X, targets),
            loss=nn.MSELoss(),
            fine_tune_epochs=0,
        )
        if budget != "elements":
            sizes = left.report.before.values(), left.report.after.values()
            before, after = (sum(getattr(size, budget) for size in of) for of in sizes)
            assert after <= before / 2
        return {name: int(kept.sum()) for name, kept in left.kept.items()}

    by_elements, by_parameters, by_macs = map(left_by, ("elements", "parameters", "macs"))
    assert sum(by_elements.values()) == 8
    assert max(by_elements.values()) < 8
    # 10 a unit and 6 biases of the outputs, of which a half stay.
    assert sorted(by_parameters.values()) == [3, 4]
    # 8 * (120 + 3) and 8 * (6 + 3) multiply-accumulates, of which a half stay.
    assert by_macs == {"cheap": 8, "dear": (8 * (123 + 9) // 2 - 8 * 9) // 123}


def test_bounds_of_layers_hold() -> None:
    free = pruned("sensitivity")
    most = max(SIZES, key=lambda name: (~free.kept[name]).mean())
    bounded = pruned(Explicit({most: (0, 0.25)}, rest="sensitivity"))
    assert (~bounded.kept[most]).mean() <= 0.25
    assert bounded.sparsity == free.sparsity == 0.5


def test_several_steps_measure_anew() -> None:
    strategy = Strategy(allocation="sensitivity", schedule="iterative")
    left = prune(
        MODULE,
        X[:4],
        strategy=strategy,
        sparsity=0.5,
        structure="unit",
        data=(X, Y),
        loss=nn.MSELoss(),
        fine_tune_epochs=5,
        random_state=0,
    )
    assert left.sparsity == 0.5


def test_a_network_in_training_is_measured_as_it_predicts() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.9), nn.Linear(8, N_OUTPUTS)
    ).eval()
    elements = Unit().elements(Network(module, X, forward), ())
    scores = {"0": torch.arange(8.0)}

    def pieces() -> list[Piece]:
        generator = torch.Generator().manual_seed(0)
        samples = FakeSamples(X)
        return Sensitivity().measured(elements, scores, samples, generator, "elements")._pieces

    expected = pieces()
    module.train()
    assert pieces() == expected
    assert all(part.training for part in module.modules())
    assert module[1].num_batches_tracked == 0


def test_the_network_stays_as_it_is_while_it_is_measured() -> None:
    left = pruned("sensitivity", sparsity=0.0)
    for name, weight in MODULE.named_parameters():
        assert torch.equal(left.module.get_parameter(name), weight)


def test_without_rows_there_is_nothing_to_measure() -> None:
    with pytest.raises(InvalidParameterError, match="looks at rows of data, and there are none"):
        prune(MODULE, X[:4], strategy=Strategy(allocation="sensitivity"), fine_tune_epochs=0)
