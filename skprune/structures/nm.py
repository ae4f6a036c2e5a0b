"""N:M: so many of every few consecutive weights."""

from collections.abc import Mapping
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from skprune._sklearn import Interval, InvalidParameterError
from skprune.network.matrices import as_matrices
from skprune.network.network import Network
from skprune.structures.base import Elements, Structure
from skprune.structures.weight import SingleWeights, prunable_weights

__all__ = ["NM"]


class NM(Structure):
    """Of every `m` consecutive weights, `n` are kept, as sparse tensor cores want it.

    Weights are consecutive along the inputs of an output: the columns of a linear layer, the input
    channels of a convolution at each position of its kernel, the last dimension elsewhere. Where
    `m` does not divide the inputs, the last group is shorter and keeps `n` as well, or all that it
    has; a layer with no more than `n` inputs stays dense.

    The structure fixes the sparsity, of each layer and so of the network: ``1 - n / m`` where `m`
    divides all inputs. Set ``sparsity=None`` on the estimator. Along a schedule of several steps,
    every group keeps its best `n`, and the importance decides which of the others go first. Units
    that are left without a weight are not removed, since the groups would no longer be whole.

    Parameters
    ----------
    n : int, default=2
        Number of weights that are kept.
    m : int, default=4
        Number of weights of a group.

    References
    ----------
    Mishra, A., Latorre, J. A., Pool, J., Stosic, D., Stosic, D., Venkatesh, G., Yu, C., &
    Micikevicius, P. (2021). Accelerating sparse deep neural networks. arXiv:2104.08378.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skprune import PrunedClassifier
    >>> from skprune.structures import NM
    >>> X, y = load_iris(return_X_y=True)
    >>> pruned = PrunedClassifier(structure=NM(1, 2), sparsity=None, random_state=0).fit(X, y)
    >>> pruned.masks_["hidden0.weight"].reshape(-1, 2).sum(axis=1).tolist() == [1] * 200
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "n": [Interval(Integral, 1, None, closed="left")],
        "m": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, n: int = 2, m: int = 4) -> None:
        self.n = n
        self.m = m

    def elements(self, network: Network, protected: tuple[str, ...]) -> Elements:
        """Find what can be removed from a network; see :class:`Structure`."""
        if self.n > self.m:
            raise InvalidParameterError(
                f"{self!r} keeps {self.n} of every {self.m} weights: n must not be larger than m."
            )
        elements = _Groups(network, prunable_weights(network, protected), self.n, self.m)
        if self.n < self.m and elements.fixed_sparsity == 0.0:
            raise InvalidParameterError(
                f"{self!r} would remove nothing: no layer that can be pruned has more than "
                f"{self.n} inputs. Use a smaller n, or another structure."
            )
        return elements


class _Groups(SingleWeights):
    keeps_layout = True

    def __init__(self, network: Network, parameters: Mapping[str, str], n: int, m: int) -> None:
        super().__init__(network, parameters)
        self._n, self._m = n, m

    @property
    def fixed_sparsity(self) -> float:
        return 1 - sum(self.min_kept.values()) / max(self.n_elements, 1)

    @property
    def min_kept(self) -> dict[str, int]:
        min_kept = {}
        for layer, size in self.sizes.items():
            n_inputs = self._matrices(layer, torch.empty(size, device="meta")).shape[-1]
            full, rest = divmod(n_inputs, self._m)
            min_kept[layer] = size // n_inputs * (full * self._n + min(rest, self._n))
        return min_kept

    def must_keep(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {layer: self._best(layer, score) for layer, score in scores.items()}

    def groups(self, layer: str) -> tuple[Tensor, int]:
        places = self._matrices(layer, torch.arange(self.sizes[layer]))
        starts = torch.arange(places.shape[-1]) // self._m * self._m
        first = torch.empty(self.sizes[layer], dtype=torch.long)
        first[places] = places[..., starts]
        return first, self._n

    def _best(self, layer: str, scores: Tensor) -> Tensor:
        """Mark the best of each group; of equal ones, the first."""
        rows = self._matrices(layer, scores)
        short = -rows.shape[-1] % self._m
        groups = pad(rows, (0, short), value=-torch.inf).unflatten(-1, (-1, self._m))
        first = groups.argsort(dim=-1, descending=True, stable=True)[..., : self._n]
        best = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, first, True)
        places = self._matrices(layer, torch.arange(len(scores), device=scores.device))
        result = torch.zeros_like(scores, dtype=torch.bool)
        result[places] = best.flatten(-2)[..., : rows.shape[-1]]
        return result & (scores > -torch.inf)

    def _matrices(self, layer: str, values: Tensor) -> Tensor:
        shape = self.shapes[layer]
        return as_matrices(self.network.module, self._parameters[layer], values.view(shape))
