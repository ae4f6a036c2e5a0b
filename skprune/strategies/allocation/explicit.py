"""A sparsity for each layer, by name."""

from collections.abc import Mapping
from numbers import Real
from typing import ClassVar

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match
from skprune.exceptions import UnreachableSparsityError
from skprune.strategies.allocation.apportion import apportion_layers
from skprune.strategies.allocation.base import Allocation, KeepBudget
from skprune.strategies.selection import n_removed
from skprune.structures import Elements

__all__ = ["Explicit"]


class Explicit(Allocation):
    """The sparsity of each layer, as a mapping.

    Layers that are not named share what is left of the estimator's `sparsity` evenly. With
    ``sparsity=None`` on the estimator they are left alone, and the mapping decides.

    Parameters
    ----------
    layers : mapping of str to float or None
        Sparsity in [0, 1) by the layer's name; None leaves the layer alone: it is not pruned and
        does not count.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(
    ...     strategy=Strategy(allocation={"hidden0": 0.9, "output": None}), sparsity=None
    ... )
    PrunedClassifier(sparsity=None,
                     strategy=Strategy(allocation={'hidden0': 0.9, 'output': None}))
    """

    _parameter_constraints: ClassVar[dict] = {"layers": [Mapping]}

    def __init__(self, layers: Mapping[str, float | None]) -> None:
        self.layers = layers

    def left_alone(self, elements: Elements, *, only_named: bool) -> set[str]:
        """Say which layers are not pruned at all; see :class:`Allocation`."""
        known = elements.sizes
        for name, sparsity in self.layers.items():
            if name not in known:
                other = elements.coupled_to.get(name)
                why = (
                    f" It loses its elements together with {other!r}: name that one."
                    if other in known
                    else near_match(name, known)
                )
                raise InvalidParameterError(
                    f"The allocation names an unknown layer {name!r}.{why} "
                    f"Layers that can be pruned: {', '.join(map(repr, known))}."
                )
            if sparsity is not None and not (isinstance(sparsity, Real) and 0 <= sparsity < 1):
                raise InvalidParameterError(
                    f"The allocation's sparsity of layer {name!r} must be None or in [0, 1); "
                    f"got {sparsity!r}."
                )
        alone = {name for name, sparsity in self.layers.items() if sparsity is None}
        return alone | (set(known) - set(self.layers) if only_named else set())

    def own_target(self, sizes: Mapping[str, int]) -> float:
        """Say which sparsity the mapping means over all layers; see :class:`Allocation`."""
        removed = sum(size - self._kept(name, size) for name, size in sizes.items())
        return removed / sum(sizes.values())

    def check(self, sizes: Mapping[str, int], n_keep: int, min_kept: Mapping[str, int]) -> None:
        """Raise an error if the mapping cannot keep so many; see :class:`Allocation`."""
        self._final(sizes, n_keep, min_kept)

    def counts(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        final = self._final(budget.sizes, budget.n_final, budget.min_kept)
        total = sum(budget.sizes.values())
        done = (total - budget.n_keep) / max(total - budget.n_final, 1)
        on_the_way = {
            name: size - done * (size - final[name]) for name, size in budget.sizes.items()
        }
        return apportion_layers(budget.n_keep, on_the_way, final, budget.alive)

    def _final(
        self, sizes: Mapping[str, int], n_keep: int, min_kept: Mapping[str, int]
    ) -> dict[str, int]:
        """Say how many elements each layer keeps at the end."""
        fixed = {
            name: self._kept(name, size, min_kept[name])
            for name, size in sizes.items()
            if name in self.layers
        }
        rest = {name: size for name, size in sizes.items() if name not in fixed}
        left, most = n_keep - sum(fixed.values()), sum(rest.values())
        bounds = {name: min_kept[name] for name in rest}
        if not sum(bounds.values()) <= left <= most:
            total = sum(sizes.values())
            smallest = 1 - (sum(fixed.values()) + most) / total
            largest = 1 - (sum(fixed.values()) + sum(bounds.values())) / total
            raise UnreachableSparsityError(
                f"The allocation fixes layers {', '.join(map(repr, fixed))}, so that the sparsity "
                f"over all can only be between {smallest:.12g} and {largest:.12g}, not "
                f"{1 - n_keep / total:.6g}. Set sparsity=None to let the mapping decide."
            )
        return fixed | (apportion_layers(left, rest, bounds, rest) if rest else {})

    def _kept(self, name: str, size: int, min_kept: int = 1) -> int:
        sparsity = self.layers.get(name)
        if sparsity is None:
            return size
        kept = size - n_removed(sparsity, size)
        if kept < min_kept:
            why = (
                "removes them all"
                if kept == 0
                else f"leaves {kept}, which are too few for it and the layers coupled to it"
            )
            raise UnreachableSparsityError(
                f"Layer {name!r} would be emptied: it has {size} elements, and sparsity {sparsity} "
                f"{why}. Its largest reachable sparsity is {1 - min_kept / size:.12g}."
            )
        return kept
