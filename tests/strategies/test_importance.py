"""Scores against sums that are written out weight by weight."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from skprune import Strategy
from skprune.components import resolve
from skprune.network.network import Network
from skprune.strategies import IMPORTANCES, LAMP, Importance, Magnitude, RandomImportance
from skprune.strategies.importance import ScoringContext
from skprune.structures import STRUCTURES, Elements
from tests.helpers import STRUCTURES_OF_ANY, FakeSamples, forward, run_loop
from tests.networks import NETWORKS, TRACEABLE


def elements_of(network: str, structure: str, module: nn.Module | None = None) -> Elements:
    example = NETWORKS[network]
    module = example.build() if module is None else module
    inputs = torch.from_numpy(example.inputs(8))
    return resolve(structure, STRUCTURES, "structure").elements(
        Network(module, inputs, forward), ()
    )


def scores_of(importance: Importance, elements: Elements, seed: int = 0) -> dict[str, np.ndarray]:
    weights = {name: weight.detach() for name, weight in elements.network.weights.items()}
    generator = torch.Generator().manual_seed(seed)
    samples = FakeSamples(elements.network.inputs)
    scores = importance.scores(ScoringContext(weights, elements, generator, samples))
    return {name: score.numpy() for name, score in scores.items()}


Weights = dict[str, np.ndarray]


def weights_of(module: nn.Module) -> Weights:
    return {
        name.removesuffix(".weight"): parameter.detach().double().numpy()
        for name, parameter in module.named_parameters()
        if parameter.dim() > 1
    }


# What goes with unit `i` of each group, in single weights.


def of_mlp(w: Weights, group: str, i: int) -> list[float]:
    enters, leaves = {"hidden0": ("hidden0", "hidden1"), "hidden1": ("hidden1", "output")}[group]
    return [*w[enters][i], *w[leaves][:, i]]


def of_conv_batch_norm(w: Weights, group: str, i: int) -> list[float]:
    if group == "linear1":
        return [*w["linear1"][i], *w["linear2"][:, i]]
    enters, leaves = w[group][i], {"conv1": w["conv2"][:, i : i + 1]}.get(group)
    if leaves is None:  # an image of 3 x 3 is flattened channel by channel
        leaves = w["linear1"][:, 9 * i : 9 * (i + 1)]
    return [*enters.flat, *leaves.flat]


def of_residual(w: Weights, group: str, i: int) -> list[float]:
    if group == "conv1":
        return [*w["conv1"][i].flat, *w["conv2"][:, i].flat]
    return [*w["stem"][i].flat, *w["conv2"][i].flat, *w["conv1"][:, i].flat, *w["head"][:, i]]


def of_concatenation(w: Weights, group: str, i: int) -> list[float]:
    place = {"left": i, "stem": 3 + i, "right": 7 + i}
    if group == "merge":
        return [*w["merge"][i].flat, *w["head"][:, i]]
    total = [*w[group][i].flat, *w["merge"][:, place[group]].flat]
    if group == "stem":
        total += [*w["left"][:, i].flat, *w["right"][:, i].flat]
    return total


def of_depthwise(w: Weights, group: str, i: int) -> list[float]:
    if group == "pointwise":
        return [*w["pointwise"][i].flat, *w["head"][:, i]]
    return [*w["expand"][i].flat, *w["depthwise"][i].flat, *w["pointwise"][:, i].flat]


def of_grouped(w: Weights, group: str, i: int) -> list[float]:
    if group == "conv":  # 8 channels in 2 groups: i and i + 4 enter as the i-th of their group
        return [*w["conv"][i].flat, *w["conv"][i + 4].flat, *w["grouped"][:, i].flat]
    ends = [i, i + 6]
    return [x for end in ends for x in (*w["grouped"][end].flat, *w["head"][:, end])]


def of_transposed(w: Weights, group: str, i: int) -> list[float]:
    if group == "down":
        return [*w["down"][i].flat, *w["up"][i].flat]
    return [*w["up"][:, i].flat, *w["last"][:, i].flat]


def of_embedding(w: Weights, group: str, i: int) -> list[float]:
    if group == "table":
        return [*w["table"][:, i], *w["hidden"][:, i]]
    return [*w["hidden"][i], *w["output"][:, i]]


def of_bare_parameter(w: Weights, group: str, i: int) -> list[float]:
    return [*w["hidden"][i], w["shift"][0, i], *w["output"][:, i]]


WEIGHTS_OF_UNITS: dict[str, Callable[[Weights, str, int], list[float]]] = {
    "mlp": of_mlp,
    "conv_batch_norm": of_conv_batch_norm,
    "residual": of_residual,
    "concatenation": of_concatenation,
    "depthwise": of_depthwise,
    "grouped": of_grouped,
    "transposed": of_transposed,
    "embedding": of_embedding,
    "embedding_bag": of_embedding,
    "bare_parameter": of_bare_parameter,
}


@pytest.mark.parametrize("network", WEIGHTS_OF_UNITS)
@pytest.mark.parametrize("p", [1, 2])
def test_magnitude_of_a_unit_is_the_norm_of_all_that_goes_with_it(network: str, p: int) -> None:
    module = TRACEABLE[network].build()
    weights = weights_of(module)
    scores = scores_of(Magnitude(p), elements_of(network, "unit", module))
    assert {name: len(score) for name, score in scores.items()} == TRACEABLE[network].groups
    for group, score in scores.items():
        for i, value in enumerate(score):
            total = sum(abs(x) ** p for x in WEIGHTS_OF_UNITS[network](weights, group, i))
            assert value == pytest.approx(total ** (1 / p), rel=1e-6), (group, i)


@pytest.mark.parametrize("p", [1, 2])
def test_magnitude_of_a_weight_is_its_absolute_value(p: int) -> None:
    module = NETWORKS["conv_batch_norm"].build()
    scores = scores_of(Magnitude(p), elements_of("conv_batch_norm", "weight", module))
    weights = weights_of(module)
    assert scores.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_allclose(scores[name], np.abs(weight).ravel(), rtol=1e-6)


# Scales of norms that go with unit `i` of each group.


SCALES_OF_UNITS: dict[str, Callable[[nn.Module, str, int], list[float]]] = {
    "conv_batch_norm": lambda module, group, i: [
        {"conv1": module.norm1, "conv2": module.norm2, "linear1": module.norm3}[group].weight[i]
    ],
    "depthwise": lambda module, group, i: [module.norm.weight[i]] if group == "expand" else [],
    "transposed": lambda module, group, i: [module.norm.weight[i]] if group == "up" else [],
    "layer_norm": lambda module, group, i: [module.norm.weight[i]] if group == "hidden0" else [],
    # 12 channels in 2 groups of the convolution and 3 of the norm: i, i + 2, i + 4, ...
    "group_norm": lambda module, group, i: (
        [module.norm.weight[end] for end in range(i, 12, 2)] if group == "grouped" else []
    ),
}


def with_scales(network: str) -> nn.Module:
    module = NETWORKS[network].build()
    generator = torch.Generator().manual_seed(3)
    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
    return module


@pytest.mark.parametrize("network", SCALES_OF_UNITS)
@pytest.mark.parametrize("p", [1, 2])
def test_scales_of_norms_count_as_one_more_weight(network: str, p: int) -> None:
    module = with_scales(network)
    without = scores_of(Magnitude(p), elements_of(network, "unit", module))
    found = scores_of(Magnitude(p, norms=True), elements_of(network, "unit", module))
    differs = False
    for group, score in found.items():
        for i, value in enumerate(score):
            scales = [abs(x.item()) ** p for x in SCALES_OF_UNITS[network](module, group, i)]
            differs |= bool(scales)
            expected = (without[group][i] ** p + sum(scales)) ** (1 / p)
            assert value == pytest.approx(expected, rel=1e-6), (group, i)
    assert differs


def test_scales_of_norms_can_reverse_a_ranking() -> None:
    module = NETWORKS["conv_batch_norm"].build()
    with torch.no_grad():
        module.conv1.weight *= torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1)
        module.norm1.weight.copy_(torch.tensor([40.0, 30.0, 20.0, 10.0]))
    elements = elements_of("conv_batch_norm", "unit", module)
    for importance in (Magnitude(1), Magnitude(2), LAMP()):
        without = scores_of(importance, elements)["conv1"]
        found = scores_of(importance.set_params(norms=True), elements)["conv1"]
        assert without.argsort().tolist() == [0, 1, 2, 3]
        assert found.argsort().tolist() == [3, 2, 1, 0]


def test_lamp_counts_scales_of_norms() -> None:
    module = with_scales("conv_batch_norm")
    elements = elements_of("conv_batch_norm", "unit", module)
    squares = scores_of(Magnitude(norms=True), elements)
    for group, score in scores_of(LAMP(norms=True), elements).items():
        expected = lamp_by_the_paper(squares[group].astype(np.float64) ** 2)
        np.testing.assert_allclose(score, expected, rtol=1e-5)


@pytest.mark.parametrize("importance", [Magnitude, LAMP])
@pytest.mark.parametrize("structure", [name for name in STRUCTURES_OF_ANY if name != "unit"])
def test_scales_of_norms_are_of_no_account_to_what_is_masked(
    importance: type[Magnitude | LAMP], structure: str
) -> None:
    elements = elements_of("conv_batch_norm", structure, with_scales("conv_batch_norm"))
    without, found = (scores_of(importance(norms=n), elements) for n in (False, True))
    for name in without:
        np.testing.assert_array_equal(found[name], without[name])


def test_norms_without_scales_are_passed_over() -> None:
    module = NETWORKS["conv_batch_norm"].build()
    module.norm2 = nn.BatchNorm2d(6, affine=False)
    elements = elements_of("conv_batch_norm", "unit", module)
    without, found = (scores_of(Magnitude(norms=n), elements) for n in (False, True))
    np.testing.assert_array_equal(found["conv2"], without["conv2"])
    assert (found["conv1"] > without["conv1"]).all()


@pytest.mark.parametrize("importance", [Magnitude(norms="yes"), LAMP(norms=1)])
def test_whether_norms_count_is_true_or_false(importance: Importance) -> None:
    with pytest.raises(ValueError, match="'norms' parameter of"):
        importance.validated()


def lamp_by_the_paper(squares: np.ndarray) -> np.ndarray:
    """Each squared weight over the sum of those that are no smaller, itself included."""
    order = sorted(range(len(squares)), key=lambda i: squares[i])
    scores = np.empty(len(squares))
    for place, i in enumerate(order):
        scores[i] = squares[i] / sum(squares[j] for j in order[place:])
    return scores


def test_lamp_of_weights_is_that_of_the_paper() -> None:
    module = NETWORKS["residual"].build()
    scores = scores_of(LAMP(), elements_of("residual", "weight", module))
    for name, weight in weights_of(module).items():
        np.testing.assert_allclose(scores[name], lamp_by_the_paper(weight.ravel() ** 2), rtol=1e-9)
        assert scores[name].max() == 1.0


@pytest.mark.parametrize("network", WEIGHTS_OF_UNITS)
def test_lamp_of_units_takes_all_that_goes_with_them(network: str) -> None:
    module = TRACEABLE[network].build()
    weights = weights_of(module)
    for group, score in scores_of(LAMP(), elements_of(network, "unit", module)).items():
        squares = [
            sum(x**2 for x in WEIGHTS_OF_UNITS[network](weights, group, i))
            for i in range(len(score))
        ]
        np.testing.assert_allclose(score, lamp_by_the_paper(np.array(squares)), rtol=1e-6)


def test_lamp_passes_over_weights_that_are_gone() -> None:
    module = NETWORKS["mlp"].build()
    with torch.no_grad():
        module.hidden1.weight[:, ::2] = 0.0
    score = scores_of(LAMP(), elements_of("mlp", "weight", module))["hidden1"].reshape(8, 8)
    alive = weights_of(module)["hidden1"][:, 1::2]
    expected = lamp_by_the_paper(alive.ravel() ** 2).reshape(alive.shape)
    np.testing.assert_allclose(score[:, 1::2], expected, rtol=1e-9)
    assert not score[:, ::2].any()


def test_lamp_survives_weights_whose_squares_vanish() -> None:
    module = NETWORKS["mlp"].build()
    with torch.no_grad():
        module.hidden1.weight.mul_(1e-30)
    small = scores_of(LAMP(), elements_of("mlp", "weight", module))["hidden1"]
    with torch.no_grad():
        module.hidden1.weight.mul_(1e30)
    np.testing.assert_allclose(
        small, scores_of(LAMP(), elements_of("mlp", "weight", module))["hidden1"], rtol=1e-4
    )


@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
def test_random_scores_are_drawn_from_the_generator_alone(structure: str) -> None:
    elements = elements_of("residual", structure)
    one, same, other = (scores_of(RandomImportance(), elements, seed) for seed in (0, 0, 1))
    with torch.no_grad():
        for weight in elements.network.weights.values():
            weight.zero_()
    after = scores_of(RandomImportance(), elements, 0)
    for name, size in elements.sizes.items():
        assert one[name].shape == (size,)
        assert len(set(one[name])) == size
        assert ((one[name] >= 0) & (one[name] < 1)).all()
        np.testing.assert_array_equal(one[name], same[name])
        np.testing.assert_array_equal(one[name], after[name])
        assert not np.array_equal(one[name], other[name])


def test_random_scores_are_uniform() -> None:
    elements = elements_of("conv_batch_norm", "weight")
    draws = np.concatenate(
        [scores_of(RandomImportance(), elements, seed)["linear1"] for seed in range(25)]
    )
    counts = np.histogram(draws, bins=10, range=(0, 1))[0] / len(draws)
    np.testing.assert_allclose(counts, 0.1, atol=0.01)


@pytest.mark.parametrize("importance", [Magnitude(1), Magnitude(2), LAMP()])
@pytest.mark.parametrize("structure", STRUCTURES_OF_ANY)
def test_a_layer_of_zeros_cannot_be_ranked(importance: Importance, structure: str) -> None:
    module = NETWORKS["mlp"].build()
    with torch.no_grad():
        for layer in (module.hidden0, module.hidden1):
            layer.weight.zero_()
    with pytest.raises(ValueError, match=r"All weights of layer 'hidden0' are zero.*protect="):
        scores_of(importance, elements_of("mlp", structure, module))


@pytest.mark.parametrize("importance", [name for name in IMPORTANCES if name != "random"])
@pytest.mark.parametrize("structure", [name for name in STRUCTURES_OF_ANY if name != "2:4"])
def test_what_is_kept_scores_no_less_than_what_is_removed(importance: str, structure: str) -> None:
    """Of each layer the best go on, whatever the allocation gives it."""
    module = NETWORKS["concatenation"].build()
    before = scores_of(IMPORTANCES[importance](), elements_of("concatenation", structure, module))
    run = run_loop(
        module, NETWORKS["concatenation"], Strategy(importance, "uniform"), structure, 0.5, epochs=0
    )
    for name, kept in run.kept[-1].items():
        mask = kept.numpy()
        assert before[name][mask].min() >= before[name][~mask].max(initial=-np.inf)


@pytest.mark.parametrize("p", [0, 3, "2", None])
def test_magnitude_has_two_exponents(p: object) -> None:
    with pytest.raises(ValueError, match="The 'p' parameter of Magnitude must be"):
        Magnitude(p).validated()
