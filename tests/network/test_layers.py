"""Which tensors of a network are its weights, and where the channels of a layer lie in them."""

import pytest
import torch
from torch import nn

from skprune.network.layers import layer_for, layer_of, weight_parameters


def test_weights_have_two_or_more_dimensions_and_belong_to_no_norm() -> None:
    module = nn.ModuleDict(
        {
            "conv": nn.Conv2d(2, 3, 3),
            "norm": nn.LayerNorm((4, 4)),
            "batch": nn.BatchNorm2d(3),
            "rnn": nn.GRU(3, 4),
            "attention": nn.MultiheadAttention(4, 2),
            "slope": nn.PReLU(3),
            "linear": nn.Linear(4, 2, bias=False),
        }
    )
    assert list(weight_parameters(module)) == [
        "conv.weight",
        "rnn.weight_ih_l0",
        "rnn.weight_hh_l0",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "linear.weight",
    ]


def test_a_shared_weight_stands_once() -> None:
    module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))
    module[1].weight = module[0].weight
    assert list(weight_parameters(module)) == ["0.weight"]


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [("conv1.weight", "conv1"), ("rnn.weight_ih_l0", "rnn.weight_ih_l0"), ("shift", "shift")],
)
def test_a_layer_goes_by_its_own_name(parameter: str, layer: str) -> None:
    assert layer_of(parameter) == layer


@pytest.mark.parametrize(
    ("layer", "out", "into"),
    [
        (nn.Linear(3, 5), 5, 3),
        (nn.Conv2d(4, 6, 3, groups=2), 6, 4),
        (nn.ConvTranspose1d(4, 6, 3), 6, 4),
        (nn.Conv2d(4, 4, 3, groups=4), 4, 4),
        (nn.BatchNorm1d(5), 5, 5),
        (nn.LayerNorm(5), 5, 5),
        (nn.GroupNorm(2, 6), 6, 6),
        (nn.PReLU(5), 5, 5),
        (nn.Embedding(9, 5), 5, None),
        (nn.LayerNorm((3, 5)), None, None),
        (nn.PReLU(), None, None),
        (nn.ReLU(), None, None),
        (nn.GRU(3, 5), None, None),
    ],
    ids=str,
)
def test_channels_are_counted(layer: nn.Module, out: int | None, into: int | None) -> None:
    assert layer_for(layer).n_channels("out") == out
    assert layer_for(layer).n_channels("in") == into


def test_a_depthwise_convolution_passes_channels_on() -> None:
    assert layer_for(nn.Conv2d(4, 4, 3, groups=4)).passes_on
    assert not layer_for(nn.Conv2d(1, 1, 3)).passes_on
    assert not layer_for(nn.Conv2d(4, 8, 3, groups=4)).passes_on
    assert not layer_for(nn.Linear(4, 4)).passes_on


def test_channels_lie_where_torch_has_them() -> None:
    axes = {axis.tensor: (axis.dim, axis.period) for axis in layer_for(nn.Linear(3, 5)).axes("out")}
    assert axes == {"weight": (0, 5), "bias": (0, 5)}
    layer = nn.Conv2d(8, 6, 3, groups=2, bias=False)
    assert list(layer_for(layer).axes("in")) == [("weight", 1, 4)]
    assert list(layer_for(nn.BatchNorm1d(5, affine=False)).axes("out")) == [
        ("running_mean", 0, 5),
        ("running_var", 0, 5),
    ]


def test_kept_channels_are_told_for_every_tensor() -> None:
    layer = nn.BatchNorm1d(4)
    layer.running_mean = torch.arange(4.0)
    slices = layer_for(layer).keep("out", torch.tensor([True, False, True, True]))
    assert {name for name, _, _ in slices} == {"weight", "bias", "running_mean", "running_var"}
    assert all(index.tolist() == [0, 2, 3] for _, _, index in slices)
    assert layer.num_features == 3
    assert layer.running_mean.tolist() == [0.0, 2.0, 3.0]
    assert "running_mean" in dict(layer.named_buffers())
