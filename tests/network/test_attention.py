"""Attention that loses heads, and dimensions of heads, computes what it did without them."""

import pickle
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skprune import UntraceableError, prune
from skprune.metrics import UnitGroups
from skprune.network.layers import layer_for
from skprune.network.layers.attention import PrunedAttention
from skprune.network.network import Network
from skprune.network.verification import removable_units
from skprune.structures import Head, Unit
from tests.helpers import forward

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch first": {"batch_first": True},
    "no bias": {"bias": False},
    "own widths": {"kdim": 5, "vdim": 7},
    "bias of keys": {"add_bias_kv": True},
    "zero attention": {"add_zero_attn": True},
}
CALLS: dict[str, dict[str, Any]] = {
    "no weights": {"need_weights": False},
    "weights": {},
    "weights of heads": {"average_attn_weights": False},
    "mask": {"attn_mask": torch.ones(4, 6, dtype=torch.bool).triu(2)},
    "added mask": {"attn_mask": torch.linspace(-1, 1, 24).view(4, 6).double()},
    "mask of heads": {"attn_mask": torch.rand(3 * 3, 4, 6).double()},
    "padding": {"key_padding_mask": torch.arange(6).expand(3, 6) > torch.tensor([[5], [3], [2]])},
    "both": {
        "attn_mask": torch.ones(4, 6, dtype=torch.bool).triu(3),
        "key_padding_mask": torch.arange(6).expand(3, 6) > torch.tensor([[5], [3], [2]]),
        "need_weights": False,
    },
}


def attention(**options: Any) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(12, 3, **options).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter) / 3)
    return layer


def rows(**options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of three rows."""
    kdim, vdim = options.get("kdim", 12), options.get("vdim", 12)
    parts = (torch.randn(3, 4, 12), torch.randn(3, 6, kdim), torch.randn(3, 6, vdim))
    first = options.get("batch_first", False)
    return tuple((p if first else p.transpose(0, 1)).double() for p in parts)  # type: ignore[return-value]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("training", [False, True])
def test_whole_it_is_what_torch_computes(options: str, call: str, training: bool) -> None:
    theirs = attention(**OPTIONS[options]).train(training)
    ours = deepcopy(theirs)
    layer_for(ours).make_flexible()
    assert type(ours) is PrunedAttention
    given, asked = rows(**OPTIONS[options]), CALLS[call]
    for one, other in zip(ours(*given, **asked), theirs(*given, **asked), strict=True):
        torch.testing.assert_close(one, other)


def test_a_lone_sequence_is_taken_too() -> None:
    theirs = attention()
    ours = deepcopy(theirs)
    layer_for(ours).make_flexible()
    x = torch.randn(5, 12).double()
    for one, other in zip(ours(x, x, x), theirs(x, x, x), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("options", OPTIONS)
def test_without_a_head_it_is_the_mean_of_the_others(options: str) -> None:
    """Against a loop over heads that shares no code: softmax of products, head by head."""
    layer = attention(**OPTIONS[options])
    if options in ("bias of keys", "zero attention"):
        return  # keys that are no rows' own: compared with torch above, and in the zoo
    query, key, value = rows(**OPTIONS[options])
    network = Network(layer, (query, key, value), lambda m, x: m(*x, need_weights=False)[0])
    coupling = removable_units(network)
    heads, dims = coupling.groups[":heads"], coupling.groups[":head_dims"]
    n_dims = 4
    cut = network.copy()
    gone = torch.cat([heads[1:2], dims[[0, 2]]])
    cut.remove_units(coupling, gone)
    assert (cut.module.num_heads, cut.module.head_dim) == (2, 2)
    matrices = (
        layer.in_proj_weight.chunk(3)
        if layer.in_proj_weight is not None
        else (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    )
    biases = (
        torch.zeros(3, 12).double()
        if layer.in_proj_bias is None
        else layer.in_proj_bias.view(3, 12)
    )
    first = OPTIONS[options].get("batch_first", False)
    parts = [p if first else p.transpose(0, 1) for p in (query, key, value)]
    q, k, v = (p @ m.T + b for p, m, b in zip(parts, matrices, biases, strict=True))
    expected = torch.zeros(3, 4, 12).double()
    for head in (0, 2):
        # Rows of the last projection are those of one head after the other.
        places = [head * n_dims + d for d in (1, 3)]
        scores = q[..., places] @ k[..., places].transpose(1, 2) / n_dims**0.5
        expected += scores.softmax(-1) @ v[..., places] @ layer.out_proj.weight[:, places].T
    if layer.out_proj.bias is not None:
        expected += layer.out_proj.bias
    found = cut.module(query, key, value, need_weights=False)[0]
    torch.testing.assert_close(found if first else found.transpose(0, 1), expected)


def encoder() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 4, 16, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)).eval()


def test_heads_alone_go_and_the_rest_is_said() -> None:
    module, x = encoder(), torch.randn(7, 5, 6)
    pruned = prune(module, x, structure="head", sparsity=0.5, random_state=0)
    layers = [pruned.module[1].layers[i].self_attn for i in range(2)]
    assert sum(layer.num_heads for layer in layers) == 4
    assert all(layer.head_dim == 2 for layer in layers)
    groups = pruned.report.groups
    assert isinstance(groups, UnitGroups)
    assert {group.kind for group in groups} == {"head"}
    assert sum(group.after for group in groups) == 4
    assert groups.kept_whole["2"] == "they are outputs of the network"
    assert "'head' may go" in groups.kept_whole["0"]
    again = pickle.loads(pickle.dumps(pruned.module))
    torch.testing.assert_close(again(x), pruned.module(x))
    fresh = pruned.removals.replay(encoder())
    fresh.load_state_dict(pruned.module.state_dict())
    torch.testing.assert_close(fresh.eval()(x), pruned.module(x))


def test_padding_and_nested_tensors_do_not_matter() -> None:
    module, x = encoder(), torch.randn(7, 5, 6)
    pruned = prune(module, x, structure=Unit(kinds=["head"]), sparsity=0.5, random_state=0).module
    padding = torch.arange(5).expand(7, 5) > torch.arange(7)[:, None] % 4 + 1
    hidden = pruned[0](x)
    with torch.no_grad():
        found = pruned[1].eval()(hidden, src_key_padding_mask=padding)
    expected = pruned[1].train()(hidden, src_key_padding_mask=padding)
    torch.testing.assert_close(found[~padding], expected[~padding])


def test_a_network_without_heads_is_an_error_that_says_so() -> None:
    network = Network(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3)), torch.randn(4, 6), forward)
    with pytest.raises(UntraceableError, match=r"kind 'neuron', and 'head' may go"):
        Head().elements(network, ())


@pytest.mark.parametrize("kinds", [["neurons"], []])
def test_kinds_are_those_that_there_are(kinds: list[str]) -> None:
    network = Network(nn.Linear(6, 8), torch.randn(4, 6), forward)
    with pytest.raises(ValueError, match="'kinds' parameter of Unit must"):
        Unit(kinds=kinds).elements(network, ())
