"""Sizes and costs against counts by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from skprune.metrics import count_macs, count_parameters, count_units, size_in_bytes
from tests.networks import NETWORKS, Recurrent


def macs_of(module: nn.Module, *shape: int) -> dict[str, int]:
    return count_macs(module, torch.randn(shape))


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Linear(7, 3), (7,), 7 * 3),
        (nn.Linear(7, 3, bias=False), (7,), 7 * 3),
        (nn.Linear(7, 3), (4, 7), 4 * 7 * 3),
        (nn.Conv2d(2, 5, 3), (2, 6, 8), 5 * 2 * 9 * 4 * 6),
        (nn.Conv2d(2, 5, 3, padding=1), (2, 6, 8), 5 * 2 * 9 * 6 * 8),
        (nn.Conv2d(2, 5, 3, stride=2), (2, 7, 9), 5 * 2 * 9 * 3 * 4),
        (nn.Conv2d(2, 5, (1, 3), dilation=2), (2, 6, 8), 5 * 2 * 3 * 6 * 4),
        (nn.Conv2d(6, 4, 3, groups=2), (6, 5, 5), 4 * 3 * 9 * 9),
        (nn.Conv2d(6, 6, 3, groups=6), (6, 5, 5), 6 * 9 * 9),
        (nn.Conv1d(2, 4, 3), (2, 9), 4 * 2 * 3 * 7),
        (nn.Conv3d(1, 2, 2), (1, 3, 4, 5), 2 * 8 * 2 * 3 * 4),
        # Each input is multiplied into every place of the kernel.
        (nn.ConvTranspose2d(3, 4, 2, stride=2), (3, 5, 5), 3 * 4 * 4 * 25),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (4, 5, 5), 4 * 3 * 9 * 25),
        (nn.GRU(4, 6, batch_first=True), (5, 4), 5 * 3 * (6 * 4 + 6 * 6)),
        (nn.LSTM(4, 6, batch_first=True), (5, 4), 5 * 4 * (6 * 4 + 6 * 6)),
        (nn.RNN(4, 6, batch_first=True), (5, 4), 5 * (6 * 4 + 6 * 6)),
        (
            nn.LSTM(4, 6, num_layers=2, bidirectional=True, batch_first=True),
            (5, 4),
            5 * 2 * 4 * (6 * 4 + 6 * 6) + 5 * 2 * 4 * (6 * 12 + 6 * 6),
        ),
        (nn.BatchNorm2d(3), (3, 4, 4), 0),
        (nn.LayerNorm(4), (3, 4), 0),
        (nn.PReLU(3), (3, 4), 0),
    ],
    ids=str,
)
def test_macs_of_layers(layer: nn.Module, shape: tuple[int, ...], macs: int, rows: int) -> None:
    assert macs_of(layer, rows, *shape) == {"": macs}


def test_macs_of_attention_are_those_of_its_projections() -> None:
    class SelfAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x)[0]

    assert macs_of(SelfAttention(), 3, 5, 8) == {"attention": 5 * 4 * 8 * 8}


def test_a_computed_weight_is_multiplied_like_any_other() -> None:
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.Linear(8, 3))
    macs = macs_of(module, 4, 6)
    assert macs == {"0": 48, "0.parametrizations.weight": 0, "1": 24}


def test_macs_of_a_network() -> None:
    module = NETWORKS["conv_batch_norm"].build()
    assert macs_of(module, 4, 2, 6, 6) == {
        "conv1": 4 * 2 * 9 * 36,
        "norm1": 0,
        "conv2": 6 * 4 * 9 * 36,
        "norm2": 0,
        "linear1": 8 * 54,
        "norm3": 0,
        "linear2": 3 * 8,
    }


def test_embeddings_are_looked_up_without_multiplying() -> None:
    example = NETWORKS["embedding"]
    macs = count_macs(example.build(), torch.from_numpy(example.inputs(3)))
    assert macs == {"table": 0, "hidden": 4 * 6 * 5, "output": 5 * 3}


def test_a_layer_that_is_reached_twice_costs_twice() -> None:
    macs = macs_of(NETWORKS["reached_twice"].build(), 3, 6)
    assert macs == {"enter": 48, "again": 2 * 64, "output": 24}


def test_masked_weights_cost_nothing() -> None:
    module = NETWORKS["conv_batch_norm"].build()
    masks = {
        "conv1.weight": torch.zeros(4, 2, 3, 3, dtype=torch.bool),
        "linear1.weight": torch.arange(8 * 54).reshape(8, 54) % 4 == 0,
    }
    masks["conv1.weight"][1, 0, :2] = True
    macs = count_macs(module, torch.randn(4, 2, 6, 6), masks=masks)
    assert macs["conv1"] == 6 * 36
    assert macs["linear1"] == 8 * 54 // 4
    assert macs["conv2"] == 6 * 4 * 9 * 36


def test_inputs_may_be_given_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return self.layer(input=x) * scale

    inputs = {"x": torch.randn(5, 4), "scale": torch.ones(5, 1)}
    macs = count_macs(Named(), inputs, lambda module, given: module(**given))
    assert macs == {"layer": 12}


def test_packed_sequences_cost_what_is_in_them() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 6, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            lengths = torch.tensor([5, 3, 1, 3])
            packed = nn.utils.rnn.pack_padded_sequence(
                x, lengths, batch_first=True, enforce_sorted=False
            )
            return self.rnn(packed)[1]

    assert macs_of(Packed(), 4, 5, 4) == {"rnn": 12 * 3 * (6 * 4 + 6 * 6) // 4}


def test_counting_leaves_the_module_as_it_is() -> None:
    module = NETWORKS["conv_batch_norm"].build().train()
    mean = module.norm1.running_mean.clone()
    macs_of(module, 4, 2, 6, 6)
    assert module.training
    assert torch.equal(module.norm1.running_mean, mean)
    assert not any(layer._forward_hooks for layer in module.modules())


def test_counting_leaves_no_hook_where_the_network_fails() -> None:
    module = NETWORKS["mlp"].build()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        macs_of(module, 4, 7)
    assert not any(layer._forward_hooks for layer in module.modules())


def test_parameters_are_counted_where_they_stand() -> None:
    assert count_parameters(NETWORKS["conv_batch_norm"].build()) == {
        "conv1": 72,
        "norm1": 8,
        "conv2": 216 + 6,
        "norm2": 12,
        "linear1": 432 + 8,
        "norm3": 16,
        "linear2": 24 + 3,
    }
    assert count_parameters(NETWORKS["bare_parameter"].build()) == {
        "": 8,
        "hidden": 56,
        "output": 27,
    }
    assert count_parameters(NETWORKS["gru"].build())["rnn"] == 3 * (6 * 5 + 6 * 6 + 6 + 6)


@pytest.mark.parametrize("network", NETWORKS)
def test_all_parameters_and_all_bytes_are_counted(network: str) -> None:
    module = NETWORKS[network].build()
    tensors = [*module.parameters(), *module.buffers()]
    assert sum(count_parameters(module).values()) == sum(p.numel() for p in module.parameters())
    assert sum(size_in_bytes(module).values()) == sum(
        tensor.numel() * tensor.element_size() for tensor in tensors
    )


def test_masked_weights_are_not_parameters_but_bytes() -> None:
    module = nn.Linear(4, 3)
    masks = {"weight": torch.tensor([[True, False, False, True]] * 3)}
    assert count_parameters(module, masks) == {"": 6 + 3}
    assert size_in_bytes(module) == {"": 15 * 4}


def test_a_tied_parameter_counts_where_it_first_stands() -> None:
    module = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 9))
    module[1].weight = module[0].weight
    assert count_parameters(module) == {"0": 54, "1": 9}
    assert size_in_bytes(module) == {"0": 54 * 4, "1": 36}


@pytest.mark.parametrize(
    ("change", "size"), [(lambda m: m.double(), 8), (lambda m: m.half(), 2), (lambda m: m, 4)]
)
def test_bytes_follow_the_type(change: Callable[[nn.Module], nn.Module], size: int) -> None:
    module = change(nn.BatchNorm1d(5))
    assert size_in_bytes(module) == {"": 20 * size + 8}  # num_batches_tracked is an int64


def test_units_are_what_a_layer_puts_out() -> None:
    units = count_units(NETWORKS["conv_batch_norm"].build())
    assert units == {
        "conv1": 4,
        "norm1": 0,
        "conv2": 6,
        "norm2": 0,
        "linear1": 8,
        "norm3": 0,
        "linear2": 3,
    }
    assert count_units(NETWORKS["embedding"].build())["table"] == 6
    assert count_units(Recurrent(nn.LSTM))["rnn"] == 6
    assert count_units(NETWORKS["transformer"].build())["encoder.self_attn"] == 8


def test_a_scripted_part_takes_no_hooks_and_counts_as_nothing() -> None:
    with pytest.warns(DeprecationWarning, match=r"jit\.script"):
        scripted = torch.jit.script(nn.Linear(4, 3))
    module = nn.Sequential(scripted, nn.Linear(3, 2))
    assert count_macs(module, torch.zeros(5, 4)) == {"0": 0, "1": 6}
