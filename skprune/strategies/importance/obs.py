"""Optimal brain surgeon: the inverse of the Fisher matrix, block by block."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor

from skprune._sklearn import Interval, StrOptions
from skprune.network.layers import layer_of
from skprune.strategies.importance.base import Importance, Scores, ScoringContext
from skprune.strategies.importance.curvature_blocks import CurvatureSum
from skprune.strategies.importance.second_order import CURVATURES, curvature_vectors, gauss_newton
from skprune.strategies.samples import LooksAt

__all__ = ["OBS"]


class OBS(Importance):
    """Scores by how much the loss rises without a weight once all others have been adjusted.

    With `F` the curvature of the loss, weight `q` scores ``w[q]**2 / (2 * inv(F)[q, q])``; units
    and other groups of weights score the sum. Before the chosen weights are removed, the others are
    set to where the loss without them is smallest according to `F`: the exact solution for all
    chosen weights of a block together. Since `F` holds near the trained weights only, many small
    steps are better than one (``schedule=Iterative(n_steps=20)``): each sees a new `F`.

    The weights that are left, one layer after another, are divided into blocks of neighbours;
    interactions between weights of different blocks are ignored. Weights of frozen
    parameters are scored and removed like others, and do not move.

    Parameters
    ----------
    block_size : int or None, default=50
        Number of weights of a block; None for all in one. Time and memory grow in proportion to
        the number of weights: a weight takes `block_size` numbers, or as many as there are rows
        (with ``"gauss_newton"``, rows times outputs) where these are fewer.
    n_samples : int, default=1000
        Number of rows, drawn at random, at the most.
    damping : float, default=0.03
        What is added to the diagonal of `F`, as a fraction of its mean over all weights that are
        left. It limits changes of weights that the rows say little about. Where all gradients of
        the network are zero, this number itself is added.
    curvature : {"fisher", "gauss_newton"}, default="fisher"
        What is taken for `F`: the empirical Fisher matrix, the mean outer product of the rows'
        gradients; or the Gauss-Newton matrix, which is more accurate and takes as many backward
        passes as the network has outputs.
    chunk_size : int, default=64
        How many rows' gradients, each as large as the layers, are held at a time. It does not
        change the scores. Ordinary linear layers take no such memory.

    References
    ----------
    Hassibi, B., & Stork, D. G. (1993). Second order derivatives for network pruning: optimal brain
    surgeon. Advances in Neural Information Processing Systems 5.

    Singh, S. P., & Alistarh, D. (2020). WoodFisher: efficient second-order approximation for
    neural network compression. Advances in Neural Information Processing Systems 33.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import OBS
    >>> PrunedClassifier(strategy=Strategy(OBS(block_size=100), "global", "iterative"))
    PrunedClassifier(strategy=Strategy(allocation='global',
                                       importance=OBS(block_size=100),
                                       schedule='iterative'))
    """

    looks_at: ClassVar[LooksAt] = "loss"
    _parameter_constraints: ClassVar[dict] = {
        "block_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "damping": [Interval(Real, 0, None, closed="left")],
        "curvature": [StrOptions(set(CURVATURES))],
        "chunk_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        block_size: int | None = 50,
        n_samples: int = 1000,
        damping: float = 0.03,
        curvature: str = "fisher",
        chunk_size: int = 64,
    ) -> None:
        self.block_size = block_size
        self.n_samples = n_samples
        self.damping = damping
        self.curvature = curvature
        self.chunk_size = chunk_size

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        return self.score(context).scores

    def score(self, context: ScoringContext) -> Scores:
        """Score the elements, and say how the others make up; see :class:`Importance`."""
        elements, network = context.elements, context.elements.network
        left = _Left(
            {name: kept > 0 for name, kept in elements.expand_to_weights(elements.kept).items()}
        )
        size = min(self.block_size or len(left), len(left))
        curvature = CurvatureSum(left.index, size)
        seen = context if self.curvature == "fisher" else gauss_newton(context)
        vectors_of_rows = curvature_vectors(seen, left.names, self.n_samples, self.chunk_size)
        for weight, vectors in vectors_of_rows:
            curvature.add(vectors, weight)
        blocks = curvature.damped(self.damping, left.layer_at)
        weights = left.gather(context.weights).double()
        scores = left.scatter(weights.square() / blocks.inverse_diagonal() / 2)

        def compensate(kept: Mapping[str, Tensor]) -> None:
            stays = {name: value > 0 for name, value in elements.expand_to_weights(kept).items()}
            moves = {
                name: stay & network.weights[name].requires_grad for name, stay in stays.items()
            }
            gone = weights.masked_fill(left.gather(stays), 0.0)
            response = left.scatter(blocks.response(gone, left.gather(moves)))
            with torch.no_grad():
                for name, change in response.items():
                    network.weights[name].add_(change)

        return Scores(elements.sum_by_element(scores), compensate)


class _Left:
    """The weights that are left, one after another.

    Parameters
    ----------
    masks : mapping of str to Tensor of bool
        Which of the weights of each parameter are left.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self.names = list(masks)
        self._shapes = [mask.shape for mask in masks.values()]
        self._ends = torch.tensor([mask.numel() for mask in masks.values()]).cumsum(0)
        self.index = torch.cat([mask.flatten() for mask in masks.values()]).nonzero().flatten()

    def __len__(self) -> int:
        return len(self.index)

    def take(self, values: Tensor) -> Tensor:
        """Take what belongs to the weights that are left, along the last dimension."""
        if len(self) == values.shape[-1]:
            return values
        return values.index_select(-1, self.index.to(values.device))

    def gather(self, values: Mapping[str, Tensor]) -> Tensor:
        """Take a value of each weight that is left."""
        return self.take(torch.cat([values[name].flatten() for name in self.names]))

    def scatter(self, values: Tensor) -> dict[str, Tensor]:
        """Put values back where the weights are, in the shapes of the parameters."""
        whole = values.new_zeros(int(self._ends[-1]))
        whole[self.index.to(values.device)] = values
        parts = whole.split([shape.numel() for shape in self._shapes])
        return {
            name: part.view(shape)
            for name, part, shape in zip(self.names, parts, self._shapes, strict=True)
        }

    def layer_at(self, position: int) -> str:
        """Name the layer of one of the weights."""
        place = int(torch.bucketize(self.index[position].cpu(), self._ends, right=True))
        return layer_of(self.names[place])
