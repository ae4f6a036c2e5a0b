"""The multi-layer perceptron."""

import pytest
import torch
from torch import nn

from skprune.network import MLP
from skprune.network.mlp import ACTIVATIONS


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", torch.relu),
        ("gelu", nn.functional.gelu),
        ("silu", nn.functional.silu),
        ("tanh", torch.tanh),
        ("logistic", torch.sigmoid),
        ("identity", lambda x: x),
    ],
)
def test_it_computes_what_it_says(activation: str, function: object) -> None:
    mlp = MLP(5, 2, hidden_layer_sizes=(7, 4), activation=activation)
    x = torch.randn(6, 5)
    hidden = function(x @ mlp.hidden0.weight.T + mlp.hidden0.bias)
    hidden = function(hidden @ mlp.hidden1.weight.T + mlp.hidden1.bias)
    torch.testing.assert_close(mlp(x), hidden @ mlp.output.weight.T + mlp.output.bias)


def test_every_activation_is_tried_above() -> None:
    assert set(ACTIVATIONS) == {"relu", "gelu", "silu", "tanh", "logistic", "identity"}


def test_it_may_have_no_hidden_layer() -> None:
    mlp = MLP(5, 2, hidden_layer_sizes=())
    x = torch.randn(6, 5)
    torch.testing.assert_close(mlp(x), x @ mlp.output.weight.T + mlp.output.bias)


def test_softmax_gives_probabilities() -> None:
    plain, soft = MLP(5, 3), MLP(5, 3, output_activation="softmax")
    soft.load_state_dict(plain.state_dict())
    x = torch.randn(6, 5)
    torch.testing.assert_close(soft(x), plain(x).softmax(1))


def test_outputs_are_scaled_and_shifted() -> None:
    plain = MLP(5, 2)
    scaled = MLP(5, 2, output_shift=[1.0, -2.0], output_scale=3.0)
    scaled.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(6, 5)
    torch.testing.assert_close(scaled(x), plain(x) * 3.0 + torch.tensor([1.0, -2.0]))
    assert scaled.state_dict().keys() - plain.state_dict().keys() == {
        "rescale.shift",
        "rescale.scale",
    }


def test_batch_norm_comes_before_the_activation_and_dropout_after() -> None:
    mlp = MLP(5, 2, hidden_layer_sizes=(4,), batch_norm=True, dropout=0.5)
    names = [name for name, _ in mlp.named_children()]
    assert names == ["hidden0", "norm0", "activation0", "dropout0", "output"]
    assert mlp.dropout0.p == 0.5
    x = torch.randn(16, 5)
    mlp.train()(x)
    assert mlp.norm0.running_mean.abs().sum() > 0
    mlp.eval()
    hidden = mlp.norm0(mlp.hidden0(x)).relu()
    torch.testing.assert_close(mlp(x), mlp.output(hidden))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_of_it_has_the_type(dtype: torch.dtype) -> None:
    mlp = MLP(5, 2, batch_norm=True, dtype=dtype)
    tensors = [*mlp.parameters(), *(b for b in mlp.buffers() if b.is_floating_point())]
    assert {tensor.dtype for tensor in tensors} == {dtype}
    assert mlp(torch.randn(3, 5, dtype=dtype)).dtype == dtype


def test_unknown_activations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"activation must be one of \['gelu', .*; got 'rulu'"):
        MLP(5, 2, activation="rulu")
    with pytest.raises(ValueError, match="output_activation must be None or 'softmax'; got 'tanh'"):
        MLP(5, 2, output_activation="tanh")


def test_a_number_is_one_hidden_layer() -> None:
    assert repr(MLP(5, 2, hidden_layer_sizes=7)) == repr(MLP(5, 2, hidden_layer_sizes=(7,)))
