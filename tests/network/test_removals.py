"""Removals can be done again on an equal network, which then takes the pruned one's weights."""

import pickle

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


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "a mapping with 'cuts' and 'biases'"),
        ({"cuts": []}, "a mapping with 'cuts' and 'biases'"),
        ({"cuts": [1], "biases": {}}, "A cut has place, side, keep; got 1"),
        ({"cuts": [{"place": "a", "side": "in"}], "biases": {}}, "A cut has place, side, keep"),
        (
            {"cuts": [{"place": "a", "side": "up", "keep": [True]}], "biases": {}},
            "a side or dimension, and a vector of bool; got 'a', 'up'",
        ),
        (
            {"cuts": [{"place": "a", "side": True, "keep": [True]}], "biases": {}},
            "got 'a', True",
        ),
        (
            {"cuts": [{"place": "a", "side": 0, "keep": [1, 0]}], "biases": {}},
            "and int64 of shape",
        ),
        ({"cuts": [], "biases": {"a": "int32"}}, "The bias of 'a' is of no type of torch's"),
        ({"cuts": [], "biases": {"a": "load"}}, "The bias of 'a' is of no type of torch's"),
    ],
)
def test_other_plain_data_are_refused(plain: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Removals.from_plain(plain)  # type: ignore[arg-type]
