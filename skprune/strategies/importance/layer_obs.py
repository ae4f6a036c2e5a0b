"""Layer by layer: remove weights one at a time, and preserve the outputs of each layer."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from skprune._sklearn import Interval
from skprune.network.layers import layer_of
from skprune.strategies.importance.base import Importance, Scores, ScoringContext
from skprune.strategies.importance.gradients import differentiable, weight_of
from skprune.strategies.importance.layer_inputs import (
    InputRows,
    elements_of_columns,
    total_of_readers,
)
from skprune.strategies.samples import Batch, LooksAt
from skprune.structures.base import Elements

__all__ = ["LayerOBS"]

# Steps after which the inverses are brought up to date, by one product of matrices.
_PANEL = 32


class LayerOBS(Importance):
    """Scores by how much the outputs of a layer change once its other weights are adjusted.

    For each output of a linear layer or a convolution, the squared error on some rows is a
    quadratic form of its weights, with the Hessian ``H = 2 * X.T @ X / n`` of the layer's inputs
    `X`. Single weights are removed one at a time, the cheapest first, and the others are adjusted
    each time. A weight scores what its removal adds to the error, or slightly more than the weight
    that was removed before it, if that is larger: the weights of highest score are then those that
    this greedy removal keeps. With N:M, a group that is down to what it keeps is skipped from then
    on. What is removed as a whole (units, features, blocks) scores the error of its removal by
    itself. For a unit, the errors of the layers that read it count.

    The bias of an output is adjusted as well, like a weight whose input is always one, and is never
    removed. Published implementations hold the bias fixed, so that their scores and their order
    differ.

    Before the chosen weights are removed, the others and the bias are set to the exact solution of
    least squares, layer by layer: with the inputs that a layer now gets from those before it, it is
    to give the outputs that it gave before the step. Frozen parameters are scored and removed like
    others, and are not adjusted.

    Errors of different layers cannot be compared, so that the allocation ``"global"`` with this
    importance is an error. So are weights of layers other than linear layers and convolutions; the
    message names the layer.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows, drawn at random, at the most.
    damping : float, default=0.01
        What is added to the diagonal of `H`, as a fraction of its mean.
    chunk_size : int, default=16
        Number of outputs that are computed at once, each with a matrix as large as `H`.

    References
    ----------
    Dong, X., Chen, S., & Pan, S. (2017). Learning to prune deep neural networks via layer-wise
    optimal brain surgeon. Advances in Neural Information Processing Systems 30.

    Frantar, E., & Alistarh, D. (2022). Optimal brain compression: a framework for accurate
    post-training quantization and pruning. Advances in Neural Information Processing Systems 35.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> from skprune.strategies import LayerOBS
    >>> PrunedClassifier(strategy=Strategy(LayerOBS(damping=0.1)))
    PrunedClassifier(strategy=Strategy(importance=LayerOBS(damping=0.1)))
    """

    looks_at: ClassVar[LooksAt] = "inputs"
    _parameter_constraints: ClassVar[dict] = {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "damping": [Interval(Real, 0, None, closed="left")],
        "chunk_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, n_samples: int = 1000, damping: float = 0.01, chunk_size: int = 16) -> None:
        self.n_samples = n_samples
        self.damping = damping
        self.chunk_size = chunk_size

    def incomparable(self, elements: Elements) -> str | None:
        """Say why scores of different layers cannot be compared; see :class:`Importance`."""
        return "those of LayerOBS are errors of what each layer puts out"

    def scores(self, context: ScoringContext) -> dict[str, Tensor]:
        """Score the elements; see :class:`Importance`."""
        return self.score(context).scores

    def score(self, context: ScoringContext) -> Scores:
        """Score the elements, and say how the others make up; see :class:`Importance`."""
        elements, network, samples = context.elements, context.elements.network, context.samples
        columns = elements_of_columns(elements)
        left = {
            name: value > 0 for name, value in elements.expand_to_weights(elements.kept).items()
        }
        batches = list(samples.batches(self.n_samples, context.generator))
        inputs = InputRows(network.module, samples, columns, "layer_obs")
        losses = {}
        with differentiable(network.module, {}):
            hessians = _hessians(inputs, batches)
            for name, hessian in hessians.items():
                weight, layer = context.weights[name], layer_of(name)
                rows, damped = _Rows(inputs, name), self._damped(hessian)
                remaining = left[name].flatten(1)
                if elements.sizes.get(layer) == weight.numel():
                    loss = rows.one_by_one(
                        damped, remaining, *elements.groups(layer), self.chunk_size
                    )
                else:
                    loss = rows.together(damped, remaining, columns[name], self.chunk_size)
                losses[name] = loss.view(weight.shape)

        def compensate(kept: Mapping[str, Tensor]) -> None:
            stays = {name: value > 0 for name, value in elements.expand_to_weights(kept).items()}
            dense = InputRows(deepcopy(network.module), samples, columns, "layer_obs")
            touched = False
            with differentiable(network.module, {}), differentiable(dense.module, {}):
                for name in hessians:  # in the order in which they are reached
                    touched |= not torch.equal(stays[name], left[name])
                    if touched and network.weights[name].requires_grad:
                        hessian, cross = _cross_moments(name, inputs, dense, batches)
                        damped = self._damped(hessian)
                        cross += damped - hessian
                        _Rows(inputs, name).solve(damped, cross, stays[name].flatten(1))

        return Scores(total_of_readers(elements, losses), compensate)

    def _damped(self, hessian: Tensor) -> Tensor:
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        mean = diagonal.mean(1, keepdim=True)
        # A layer that is given nothing but zeros ranks its weights by their size.
        added = self.damping * torch.where(mean > 0, mean, 1.0)
        return hessian + torch.diag_embed(added.expand_as(diagonal))


def _hessians(inputs: InputRows, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Compute those of all layers, in the order in which they are reached."""
    sums: dict[str, Tensor] = {}
    for batch in batches:
        for name, given in inputs.given(inputs.layers, batch.inputs).items():
            for rows, weights in _with_ones(inputs, name, given, batch):
                part = rows.mT @ (2 * weights[:, None] * rows)
                sums[name] = sums[name] + part if name in sums else part
    total = sum(weight_of(batch) for batch in batches)
    return {name: part / total for name, part in sums.items()}


def _cross_moments(
    name: str, now: InputRows, before: InputRows, batches: Sequence[Batch]
) -> tuple[Tensor, Tensor]:
    """Compute the Hessian of what a layer is given now, and its product with what it was given."""
    hessian = cross = torch.zeros((), dtype=torch.float64)
    for batch in batches:
        new_rows, old_rows = (
            _with_ones(inputs, name, inputs.given([name], batch.inputs)[name], batch)
            for inputs in (now, before)
        )
        for (new, weights), (old, _) in zip(new_rows, old_rows, strict=True):
            weighted = 2 * weights[:, None] * new
            hessian = hessian.to(new.device) + new.mT @ weighted
            cross = cross.to(new.device) + old.mT @ weighted
    total = sum(weight_of(batch) for batch in batches)
    return hessian / total, cross / total


def _with_ones(
    inputs: InputRows, name: str, given: Sequence[Tensor], batch: Batch
) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through the rows that a weight is multiplied with, and the ones that its bias is."""
    biased = inputs.bias(name) is not None
    for rows, weights in inputs.rows(name, given, batch.weights):
        yield (pad(rows, (0, 1), value=1.0) if biased else rows), weights


class _Rows:
    """The rows of a weight, an output's each, with its bias at the end.

    Parameters
    ----------
    inputs : InputRows
        What knows the layer.
    name : str
        The parameter's name.
    """

    def __init__(self, inputs: InputRows, name: str) -> None:
        self._name, self._weight, self._bias = name, inputs.weight(name), inputs.bias(name)
        rows = self._weight.detach().flatten(1).double()
        if self._bias is not None:
            rows = torch.cat([rows, self._bias.detach().double()[:, None]], 1)
        self._rows = rows

    def one_by_one(
        self, hessians: Tensor, left: Tensor, first: Tensor, n_stay: int, chunk_size: int
    ) -> Tensor:
        """Compute what the going of each weight adds to the error, one after the other.

        Parameters
        ----------
        hessians : Tensor of shape (n_groups, n_columns, n_columns)
            Of each group of outputs.
        left : Tensor of bool of shape (n_outputs, n_weights)
            Which weights are left.
        first : Tensor of int of shape (n_outputs * n_weights,)
            The first weight of those that each is in a group with.
        n_stay : int
            How many weights of such a group stay at the least.
        chunk_size : int
            Number of outputs that are worked on at once.

        Returns
        -------
        losses : Tensor of shape (n_outputs, n_weights)
            Zero for weights that are gone.
        """
        losses = torch.zeros(left.shape, dtype=torch.float64, device=left.device)
        n_weights = left.shape[1]
        # Those of an output are among themselves.
        first = first.to(left.device).view(left.shape) % n_weights
        for hessian, some in self._chunks(hessians, chunk_size):
            present = _padded(left[some], len(hessian))
            if not (n_left := int(present.sum(1).max())):
                continue
            places = present.byte().argsort(dim=1, descending=True, stable=True)[:, :n_left]
            there = present.gather(1, places)
            removable = there & (places < n_weights)
            inverses = self._inverses(hessian, places, there)
            weights = self._rows[some].gather(1, places)
            of = first[some].gather(1, places.clamp(max=n_weights - 1))
            found = _greedy_losses(inverses, weights, removable, of, n_stay)
            whole = torch.zeros_like(self._rows[some]).scatter_(1, places, found)
            losses[some] = whole[:, :n_weights]
        return losses

    def together(self, hessians: Tensor, left: Tensor, columns: Tensor, chunk_size: int) -> Tensor:
        """Compute what the going of weights adds to the error, if no others go.

        Parameters
        ----------
        hessians : Tensor of shape (n_groups, n_columns, n_columns)
            Of each group of outputs.
        left : Tensor of bool of shape (n_outputs, n_weights)
            Which weights are left.
        columns : Tensor of int of shape (n_weights,)
            Weights of a row with equal numbers go together.
        chunk_size : int
            Number of outputs that are worked on at once.

        Returns
        -------
        losses : Tensor of shape (n_outputs, n_weights)
            Of those that go together, each has an equal part.
        """
        losses = torch.zeros_like(self._rows)
        sizes = columns.bincount()
        for hessian, some in self._chunks(hessians, chunk_size):
            there = _padded(left[some], len(hessian))
            places = torch.arange(len(hessian), device=left.device).expand(there.shape)
            inverses = self._inverses(hessian, places, there)
            weights = self._rows[some]
            for size in sizes.unique().tolist():
                members = (sizes == size).nonzero().flatten()
                tiles = torch.stack([(columns == member).nonzero().flatten() for member in members])
                inner = inverses[:, tiles[:, :, None], tiles[:, None, :]]
                factors = self._factors(inner)
                # Rows that have the same inverse are solved for together.
                target = weights[:, tiles].unflatten(0, (len(inverses), -1)).permute(0, 2, 3, 1)
                found = torch.linalg.solve_triangular(factors, target, upper=False)
                loss = found.square().sum(2).permute(0, 2, 1).reshape(len(weights), -1) / 2
                losses[some[:, None, None], tiles] = loss[..., None] / size
        return losses[:, : left.shape[1]]

    def _chunks(self, hessians: Tensor, chunk_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for hessian, group in zip(hessians, self._groups(len(hessians)), strict=True):
            for some in group.split(chunk_size):
                yield hessian, some

    def _groups(self, n_groups: int) -> tuple[Tensor, ...]:
        return torch.arange(len(self._rows), device=self._rows.device).chunk(n_groups)

    def _inverses(self, hessian: Tensor, places: Tensor, there: Tensor) -> Tensor:
        """Invert what is left of the Hessian, once if all rows have the same left."""
        if (there == there[:1]).all() and (places == places[:1]).all():
            places, there = places[:1], there[:1]
        inner = hessian[places[:, :, None], places[:, None, :]]
        inner = torch.where(there[:, :, None] & there[:, None, :], inner, 0.0)
        inner = inner + torch.diag_embed((~there).to(inner))
        return torch.cholesky_inverse(self._factors(inner))

    def solve(self, hessians: Tensor, cross: Tensor, stays: Tensor) -> None:
        """Set the rows to the least squares solution, with zeros for what does not stay.

        Parameters
        ----------
        hessians : Tensor of shape (n_groups, n_columns, n_columns)
            Of what the layer is given now, for each group of outputs.
        cross : Tensor of shape (n_groups, n_columns, n_columns)
            Product of what it was given with what it is given now.
        stays : Tensor of bool of shape (n_outputs, n_weights)
            Which weights stay.
        """
        stays = _padded(stays, hessians.shape[1])
        solution = torch.zeros_like(self._rows)
        for hessian, product, group in zip(
            hessians, cross, self._groups(len(hessians)), strict=True
        ):
            target = self._rows[group] @ product
            kinds, kind = stays[group].unique(dim=0, return_inverse=True)
            for i, mask in enumerate(kinds):
                places, rows = mask.nonzero().flatten(), (kind == i).nonzero().flatten()
                factor = self._factors(hessian[places[:, None], places])
                found = torch.cholesky_solve(target[rows[:, None], places].mT, factor)
                solution[group[rows][:, None], places] = found.mT
        n_weights = self._weight[0].numel()
        with torch.no_grad():
            self._weight.copy_(solution[:, :n_weights].view_as(self._weight))
            if self._bias is not None:
                self._bias.copy_(solution[:, n_weights])

    def _factors(self, matrices: Tensor) -> Tensor:
        factors, info = torch.linalg.cholesky_ex(matrices)
        if info.any() or not torch.isfinite(factors).all():
            raise ValueError(
                f"The inverse of the Hessian of layer {layer_of(self._name)!r} is not finite: its "
                "inputs are not, or too few rows leave it singular. Raise damping or n_samples."
            )
        return factors


def _padded(left: Tensor, n_columns: int) -> Tensor:
    """Add the bias, which is always there."""
    return pad(left, (0, n_columns - left.shape[1]), value=True)


def _greedy_losses(
    inverses: Tensor, weights: Tensor, removable: Tensor, first: Tensor, n_stay: int
) -> Tensor:
    """Take weights out of each row, the cheapest first, and say what each adds to the error.

    Taking one out downdates the inverse Hessian by an outer product, so that what is done is a
    Cholesky factorization that picks its pivots by what they cost.

    Parameters
    ----------
    inverses : Tensor of shape (n_rows, n_columns, n_columns) or (1, n_columns, n_columns)
        The inverse Hessian of each row.
    weights : Tensor of shape (n_rows, n_columns)
        The weights.
    removable : Tensor of bool of shape (n_rows, n_columns)
        Which of them may be taken out.
    first : Tensor of int of shape (n_rows, n_columns)
        Those of a row with equal numbers are in a group.
    n_stay : int
        How many of a group stay at the least.

    Returns
    -------
    losses : Tensor of shape (n_rows, n_columns)
        Rising in the order in which they are taken out. Those that their groups keep have what
        their going would add once all others are gone, and more than these; zero for the rest.
    """
    inverses = inverses.expand(len(weights), -1, -1).clone()
    weights, removable = weights.clone(), removable.clone()
    diagonals = inverses.diagonal(dim1=1, dim2=2).clone()
    factors = torch.zeros_like(inverses[:, :_PANEL])
    losses, bound = torch.zeros_like(weights), weights.new_zeros(len(weights))
    row = torch.arange(len(weights), device=weights.device)
    spare = torch.zeros(len(weights), int(first.max()) + 1, dtype=torch.long, device=first.device)
    spare = (spare.scatter_add_(1, first, removable.long()) - n_stay).clamp(min=0)
    for step in range(int(spare.sum(1).max())):
        n_new = step % _PANEL
        if step and n_new == 0:
            inverses.baddbmm_(factors.mT, factors, alpha=-1)
        free = removable & (spare.gather(1, first) > 0)
        costs = torch.where(free, weights.square() / diagonals, torch.inf)
        cost, pick = costs.min(1)
        going = torch.isfinite(cost)
        new = factors[:, :n_new]
        column = inverses[row, pick] - (new[row, :, pick][:, None] @ new)[:, 0]
        root = column[row, pick].sqrt()
        factor = torch.where(going[:, None], column / root[:, None], 0.0)
        ratio = torch.where(going, weights[row, pick] / root, 0.0)
        factors[:, n_new] = factor
        weights -= factor * ratio[:, None]
        diagonals -= factor.square()
        # A score just above the last: what a costly weight held back goes right after it.
        bound = torch.where(going, (cost / 2).maximum(_next(bound)), bound)
        losses[row, pick] = torch.where(going, bound, losses[row, pick])
        spare[row, first[row, pick]] -= going.long()
        removable[row, pick] &= ~going
    last = (weights.square() / diagonals / 2).maximum(_next(bound)[:, None])
    return torch.where(removable, last, losses)


def _next(values: Tensor) -> Tensor:
    """Give the next larger numbers."""
    return values.nextafter(torch.full_like(values, torch.inf))
