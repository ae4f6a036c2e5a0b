"""N:M against loops over the groups."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from skprune import PrunedClassifier, Strategy
from skprune.network.network import Network
from skprune.strategies import Cubic
from skprune.structures import NM, Elements
from tests.helpers import fit_untrained, forward, run_loop
from tests.networks import NETWORKS


def elements_of(module: nn.Module, structure: NM, protected: tuple[str, ...] = ()) -> Elements:
    return structure.elements(Network(module, torch.zeros(1), forward), protected)


def groups_of(layer: nn.Module, m: int) -> Iterator[list[tuple[int, ...]]]:
    """Places of the weights of each group in the layer's weight, written out."""
    shape = layer.weight.shape
    if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        for row in range(shape[0]):
            for first in range(0, shape[1], m):
                yield [(row, i) for i in range(first, min(first + m, shape[1]))]
        return
    transposed = isinstance(layer, nn.ConvTranspose2d)
    n_inputs = layer.in_channels // layer.groups
    for group in range(layer.groups if transposed else 1):
        for out in range(shape[1] if transposed else shape[0]):
            for y in range(shape[2]):
                for x in range(shape[3]):
                    for first in range(0, n_inputs, m):
                        inputs = range(first, min(first + m, n_inputs))
                        yield [
                            (group * n_inputs + i, out, y, x) if transposed else (out, i, y, x)
                            for i in inputs
                        ]


LAYERS = {
    "linear": lambda: nn.Linear(8, 5),
    "linear of 11": lambda: nn.Linear(11, 3),
    "linear of 5": lambda: nn.Linear(5, 4),
    "convolution": lambda: nn.Conv2d(8, 3, 2),
    "convolution of 6": lambda: nn.Conv2d(6, 4, 3),
    "convolution in groups": lambda: nn.Conv2d(12, 4, 2, groups=2),
    "transposed": lambda: nn.ConvTranspose2d(6, 3, 2),
    "transposed in groups": lambda: nn.ConvTranspose2d(12, 4, 2, groups=2),
    "embedding": lambda: nn.Embedding(5, 7),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 3), (3, 5), (1, 2)])
def test_each_group_keeps_its_largest(layer: str, n: int, m: int) -> None:
    torch.manual_seed(0)
    module = LAYERS[layer]()
    elements = elements_of(module, NM(n, m))
    size = module.weight.detach().abs()
    required = elements.must_keep({"weight": size.flatten()})["weight"].view(size.shape)
    n_groups = 0
    for places in groups_of(module, m):
        n_groups += len(places)
        kept = [place for place in places if required[place]]
        best = sorted(places, key=lambda place: -float(size[place]))[:n]
        assert sorted(kept) == sorted(best)
    assert n_groups == elements.n_elements
    assert elements.min_kept == {"weight": int(required.sum())}
    assert elements.fixed_sparsity == 1 - int(required.sum()) / elements.n_elements


@pytest.mark.parametrize("layer", LAYERS)
def test_a_group_is_known_by_its_first(layer: str) -> None:
    module = LAYERS[layer]()
    elements = elements_of(module, NM(2, 4))
    first, n_stay = elements.groups("weight")
    index = torch.arange(module.weight.numel()).view(module.weight.shape)
    expected = torch.empty_like(index)
    for places in groups_of(module, 4):
        for place in places:
            expected[place] = index[places[0]]
    assert torch.equal(first, expected.flatten())
    assert n_stay == 2


def test_two_of_four_by_hand() -> None:
    module = nn.Linear(8, 2)
    with torch.no_grad():
        module.weight.copy_(
            torch.tensor([[1, -4, 3, 2, 0.5, 0.1, -0.2, 0.3], [9, 8, 7, 6, 1, 1, 1, 1]])
        )
    network = Network(module, torch.zeros(1, 8), forward)
    elements = NM().elements(network, ())
    elements.keep(elements.must_keep({"weight": module.weight.detach().abs().flatten()}))
    assert module.weight.tolist() == [
        [0, -4, 3, 0, 0.5, 0, 0, pytest.approx(0.3)],
        [9, 8, 0, 0, 1, 1, 0, 0],  # of equals, the first
    ]
    assert elements.sparsity == elements.fixed_sparsity == 0.5


@given(
    n_inputs=st.integers(1, 13),
    n=st.integers(1, 5),
    more=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_required_are_the_first_of_the_best(n_inputs: int, n: int, more: int, seed: int) -> None:
    m = n + more
    scores = np.random.default_rng(seed).integers(-1, 3, size=(3, n_inputs)).astype(float)
    scores[scores < 0] = -np.inf  # gone
    module = nn.Linear(n_inputs, 3)
    if n < m and n_inputs <= n:
        with pytest.raises(ValueError, match="would remove nothing"):
            elements_of(module, NM(n, m))
        return
    elements = elements_of(module, NM(n, m))
    required = elements.must_keep({"weight": torch.from_numpy(scores.ravel())})["weight"]
    expected = np.zeros_like(scores, dtype=bool)
    for row in range(3):
        for first in range(0, n_inputs, m):
            group = scores[row, first : first + m]
            for i in np.argsort(-group, kind="stable")[:n]:
                expected[row, first + i] = group[i] > -np.inf
    np.testing.assert_array_equal(required.view(3, n_inputs).numpy(), expected)


@pytest.mark.parametrize("allocation", ["uniform", "erk", "global"])
@pytest.mark.parametrize("importance", ["magnitude", "random"])
def test_every_group_keeps_its_best_along_a_schedule(allocation: str, importance: str) -> None:
    example = NETWORKS["conv_batch_norm"]
    strategy = Strategy(importance, allocation, Cubic(n_steps=5))
    run = run_loop(example.build(), example, strategy, NM(1, 3), None)
    layers = {name: run.network.module.get_submodule(name) for name in run.elements.sizes}
    for step, kept in enumerate(run.kept):
        for name, layer in layers.items():
            mask = kept[name].view(layer.weight.shape)
            for places in groups_of(layer, 3):
                left = [place for place in places if mask[place]]
                assert len(left) >= 1
                if step == len(run.kept) - 1:
                    assert len(left) == 1
                if importance == "magnitude" and step == 0:
                    size = run.weights_seen[0][f"{name}.weight"].abs()
                    assert max(places, key=lambda place: float(size[place])) in left


def test_a_fitted_network_is_two_of_four_wherever_it_is_wide_enough() -> None:
    X, y = load_digits(return_X_y=True)
    pruned = PrunedClassifier(
        structure="2:4", sparsity=None, strategy="gradual_magnitude", random_state=0
    ).fit(X[:300] / 16, y[:300])
    weight = pruned.module_.hidden0.weight.detach().numpy()
    assert weight.shape == (100, 64)
    for name in ("hidden0", "output"):  # those of units that died are there, as hardware wants it
        weight = pruned.module_.get_submodule(name).weight.detach().numpy()
        assert (np.count_nonzero(weight.reshape(-1, 4), axis=1) <= 2).all()
    assert (pruned.masks_["hidden0.weight"].reshape(-1, 4).sum(1) == 2).all()
    assert pruned.sparsity_ == 0.5
    assert pruned.report_.total_after.weights == pruned.report_.total_before.weights / 2
    assert pruned.score(X[300:600] / 16, y[300:600]) > 0.8


@pytest.mark.parametrize("sparsity", [None, 0.5])
def test_a_sparsity_that_agrees_is_welcome(sparsity: float | None) -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3))
    estimator = fit_untrained(
        "PrunedClassifier",
        module,
        NETWORKS["mlp"],
        structure=NM(1, 2),
        sparsity=sparsity,
    )
    assert estimator.sparsity_ == 0.5


def test_layers_that_are_too_narrow_stay_dense() -> None:
    run = run_loop(NETWORKS["depthwise"].build(), NETWORKS["depthwise"], "magnitude", NM(), None)
    assert run.counts == {
        "expand": 12,  # 2 inputs
        "depthwise": 54,  # 1
        "pointwise": 5 * (2 + 2),  # 6
        "head": 3 * (2 + 1),  # 5
    }


def test_recurrent_weights_and_attention_go_along_their_last_dimension() -> None:
    for network in ("gru", "transformer"):
        module = NETWORKS[network].build()
        run = run_loop(module, NETWORKS[network], "magnitude", NM(1, 2), None)
        for name, kept in run.kept[-1].items():
            rows = kept.view(run.elements.shapes[name])
            pairs = rows[:, : rows.shape[1] // 2 * 2].unflatten(1, (-1, 2))
            assert (pairs.sum(-1) == 1).all(), name


# What makes no sense.


def test_a_sparsity_that_contradicts_is_an_error() -> None:
    X, y = load_digits(return_X_y=True)
    with pytest.raises(
        ValueError,
        match=r"The structure removes 0\.5 of the weights by itself, and sparsity=0\.8 contradicts "
        r"it\. Set sparsity=None\.",
    ):
        PrunedClassifier(structure="2:4", random_state=0).fit(X, y)


def test_an_allocation_by_name_is_an_error() -> None:
    strategy = Strategy(allocation={"hidden0": 0.5})
    with pytest.raises(ValueError, match="The structure fixes the sparsity of every layer"):
        fit_untrained(
            "PrunedClassifier",
            NETWORKS["mlp"].build(),
            NETWORKS["mlp"],
            structure="2:4",
            sparsity=None,
            strategy=strategy,
        )


@pytest.mark.parametrize(
    ("n", "m", "message"),
    [
        (5, 4, r"NM\(n=5\) keeps 5 of every 4 weights: n must not be larger than m"),
        (0, 4, "The 'n' parameter of NM must be an int in the range"),
        (2, 0, "The 'm' parameter of NM must be an int in the range"),
        (1.5, 4, "The 'n' parameter of NM must be an int"),
    ],
)
def test_n_and_m_are_checked(n: float, m: int, message: str) -> None:
    module = NETWORKS["mlp"].build()
    with pytest.raises(ValueError, match=message):
        fit_untrained(
            "PrunedClassifier", module, NETWORKS["mlp"], structure=NM(n, m), sparsity=None
        )


def test_a_network_that_is_too_narrow_everywhere_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no layer that can be pruned has more than 2 inputs"):
        elements_of(nn.Linear(2, 9), NM())
    assert elements_of(nn.Linear(9, 9), NM(4, 4)).fixed_sparsity == 0.0


def test_protecting_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="There is nothing to prune"):
        fit_untrained(
            "PrunedClassifier",
            NETWORKS["mlp"].build(),
            NETWORKS["mlp"],
            structure="2:4",
            sparsity=None,
            protect=["hidden0", "hidden1", "output"],
        )
