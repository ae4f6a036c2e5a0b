"""Removals can be done again on an equal network, which then takes the pruned one's weights."""

import pickle
from typing import Any

import pytest
import torch
from torch import nn

from skprune.network.removals import Removals
from tests.helpers import fit_untrained, run_loop
from tests.networks import NETWORKS, TRACEABLE, Perceptron


@pytest.mark.parametrize("network", TRACEABLE)
def test_the_removals_of_units_can_be_replayed(network: str) -> None:
    example = TRACEABLE[network]
    run = run_loop(example.build(), example, "gradual_magnitude", "unit", 0.5)
    fresh = example.build(seed=1)
    before = {name: tensor.shape for name, tensor in fresh.state_dict().items()}
    smaller = run.network.removals.replay(fresh)
    assert {name: tensor.shape for name, tensor in fresh.state_dict().items()} == before
    smaller.load_state_dict(run.network.module.state_dict())
    with torch.no_grad():
        ours, theirs = smaller(run.network.inputs), run.network.module(run.network.inputs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert repr(smaller) == repr(run.network.module)


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("network", ["conv_batch_norm", "residual", "own_layers"])
def test_a_fresh_network_takes_the_weights_of_a_fitted_one(network: str, structure: str) -> None:
    """Dead units that leave may add a bias where there was none."""
    example = NETWORKS[network]
    fitted = fit_untrained(
        "PrunedClassifier", example.build(), example, structure=structure, sparsity=0.6
    )
    smaller = fitted.removals_.replay(example.build(seed=1)).eval()
    smaller.load_state_dict(fitted.module_.state_dict())
    inputs = torch.from_numpy(example.inputs(4))
    with torch.no_grad():
        torch.testing.assert_close(smaller(inputs), fitted.module_(inputs), rtol=0, atol=0)


def test_a_bias_that_was_added_is_added_again() -> None:
    removals = Removals()
    removals.cut(nn.Sequential(nn.Linear(6, 8)), "0", "out", torch.arange(8) < 3)
    removals.add_bias("0", torch.float64)
    smaller = removals.replay(nn.Sequential(nn.Linear(6, 8, bias=False)))
    assert smaller[0].bias.shape == (3,)
    assert smaller[0].bias.dtype == torch.float64


def test_pickled_removals_are_the_same() -> None:
    example = NETWORKS["residual"]
    run = run_loop(example.build(), example, "magnitude", "unit", 0.5)
    removals = pickle.loads(pickle.dumps(run.network.removals))
    assert len(removals) == len(run.network.removals) > 0
    assert repr(removals.replay(example.build())) == repr(run.network.module)


def test_a_network_of_other_widths_is_refused() -> None:
    removals = Removals()
    removals.cut(Perceptron(), "hidden0", "out", torch.arange(8) < 3)
    other = Perceptron()
    other.hidden0 = nn.Linear(6, 9)
    with pytest.raises(ValueError, match="'hidden0' of the pruned network had 8 channels"):
        removals.replay(other)
    with pytest.raises(ValueError, match="Sequential has none"):
        removals.replay(nn.Sequential(nn.Linear(6, 8)))


@pytest.mark.parametrize("network", TRACEABLE)
def test_removals_as_plain_data_are_the_same(network: str) -> None:
    example = TRACEABLE[network]
    run = run_loop(example.build(), example, "magnitude", "unit", 0.5)
    removals = run.network.removals
    removals.add_bias(next(iter(dict(run.network.module.named_modules()))), torch.float32)
    plain = removals.to_plain()
    again = Removals.from_plain(plain)
    assert len(again) == len(removals)
    assert repr(again.to_plain()) == repr(plain)
    for cut in plain["cuts"]:
        assert type(cut["place"]) is str
        assert type(cut["side"]) in (int, str)
        cut["keep"][:] = False  # what is given is a copy
    assert repr(again.to_plain()) != repr(plain)


def whole(**parts: Any) -> dict[str, Any]:
    return {"cuts": [], "biases": {}, "widths": [], **parts}


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "a mapping with 'cuts', 'biases' and 'widths'"),
        ({"cuts": [], "biases": {}}, "a mapping with 'cuts', 'biases' and 'widths'"),
        (whole(cuts=[1]), "A cut has place, side, keep; got 1"),
        (whole(cuts=[{"place": "a", "side": "in"}]), "A cut has place, side, keep"),
        (
            whole(cuts=[{"place": "a", "side": "up", "keep": [True]}]),
            "a side or dimension, and a vector of bool; got 'a', 'up'",
        ),
        (whole(cuts=[{"place": "a", "side": True, "keep": [True]}]), "got 'a', True"),
        (whole(cuts=[{"place": "a", "side": 0, "keep": [1, 0]}]), "and int64 of shape"),
        (whole(biases={"a": "int32"}), "The bias of 'a' is of no type of torch's"),
        (whole(biases={"a": "load"}), "The bias of 'a' is of no type of torch's"),
        (whole(widths=[1]), "A width has place, attribute, width; got 1"),
        (
            whole(widths=[{"place": "a", "attribute": "n_heads", "width": True}]),
            "the name of a module, that of an attribute, and a number; got 'a', 'n_heads' and True",
        ),
    ],
)
def test_other_plain_data_are_refused(plain: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Removals.from_plain(plain)  # type: ignore[arg-type]


@pytest.mark.parametrize("attribute", ["forward", "__class__", "weight", "n_other"])
def test_a_width_is_set_only_where_there_is_one(attribute: str) -> None:
    row = {"place": "", "attribute": attribute, "width": 3}
    removals = Removals.from_plain(whole(widths=[row]))
    with pytest.raises(ValueError, match=f"has no number '{attribute}'"):
        removals.replay(nn.Linear(4, 2))


def test_widths_are_among_the_plain_data() -> None:
    module = nn.Linear(4, 2)
    removals = Removals()
    removals.set_width(module, "", "in_features", 3)
    again = Removals.from_plain(removals.to_plain())
    assert again.replay(nn.Linear(4, 2)).in_features == 3
