"""Networks with complex weights: scored by their absolute values, or refused by name."""

import pytest
import torch
from torch import Tensor, nn

from skprune import Strategy, prune
from skprune._sklearn import InvalidParameterError
from skprune.strategies import Magnitude


class Complex(nn.Module):
    """Two complex layers, of which the outputs' absolute values are classified."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8, dtype=torch.complex64)
        self.second = nn.Linear(8, 4, dtype=torch.complex64)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x.to(torch.complex64))).abs())


class ComplexOutputs(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Linear(6, 8, dtype=torch.complex64), nn.Linear(8, 3, dtype=torch.complex64)
        )


def rows() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(32, 6), torch.arange(32) % 3


@pytest.mark.parametrize("p", [1, 2])
def test_weights_go_by_their_absolute_values(p: int) -> None:
    (x, _), module = rows(), Complex()
    strategy = Strategy(importance=Magnitude(p), allocation="uniform")
    pruned = prune(module, x, strategy=strategy, sparsity=0.5)
    for name in ("first.weight", "second.weight"):
        size = module.get_parameter(name).abs()
        mask = torch.from_numpy(pruned.masks[name])
        assert mask.float().mean() == 0.5
        assert size[mask].min() > size[~mask].max()


@pytest.mark.parametrize("structure", ["unit", "2:4", "block", "weight"])
def test_every_structure_takes_them(structure: str) -> None:
    x, y = rows()
    pruned = prune(
        Complex(),
        x,
        structure=structure,
        data=(x, y),
        loss=nn.CrossEntropyLoss(),
        fine_tune_epochs=1,
        random_state=0,
        sparsity=None if structure == "2:4" else 0.5,
    )
    assert pruned.module.first.weight.is_complex()
    assert pruned.module(x).isfinite().all()


def test_units_of_a_network_with_complex_outputs_go() -> None:
    (x, _), module = rows(), ComplexOutputs()
    pruned = prune(module, x.to(torch.complex64), structure="unit", sparsity=0.5)
    assert pruned.module[0].out_features == 4


@pytest.mark.parametrize(
    "strategy", ["gradient", "hessian", "snip", "synflow", "lamp", "sparse_optimization"]
)
def test_what_cannot_score_them_says_so(strategy: str) -> None:
    x, y = rows()
    with pytest.raises(InvalidParameterError, match=r"'first\.weight'.*complex.*'magnitude'"):
        prune(
            Complex(),
            x,
            strategy=strategy,
            sparsity=0.5,
            data=(x, y),
            loss=nn.CrossEntropyLoss(),
            fine_tune_epochs=1,
        )
