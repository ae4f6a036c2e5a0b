"""A sparsity for each layer, by name."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from skprune._sklearn import InvalidParameterError
from skprune.components import near_match, resolve
from skprune.exceptions import UnreachableSparsityError
from skprune.strategies.allocation.apportion import apportion_layers
from skprune.strategies.allocation.base import Allocation, KeepBudget
from skprune.strategies.allocation.named import ALLOCATIONS
from skprune.strategies.samples import Samples
from skprune.strategies.selection import keep_best, n_removed
from skprune.structures import Elements

__all__ = ["Explicit"]


class Explicit(Allocation):
    """The sparsity of each layer, or bounds of it, as a mapping.

    What the mapping leaves open of the estimator's `sparsity` is shared by another allocation:
    among layers that are not named, and within the bounds of those that have bounds. With
    ``sparsity=None`` on the estimator, layers that are not named are left alone, and the mapping
    decides.

    Parameters
    ----------
    layers : mapping of str to float, (float, float) or None
        By the layer's name:

        - a number in [0, 1): its sparsity.
        - two numbers: its sparsity lies between them. ``(0.2, 0.6)`` is a floor and a ceiling,
          ``(0.5, 1)`` a floor alone, ``(0, 0.5)`` a ceiling alone. An element stays in any case.
        - None: it is not pruned, and its elements do not count.
    rest : {"uniform", "global", "erk", "sensitivity"} or Allocation, default="uniform"
        How what is left open is shared: ``"uniform"`` evenly, ``"global"`` by the scores of all
        those elements, ``"erk"`` by the sizes of the layers, ``"sensitivity"`` by what the loss
        misses least.

    Examples
    --------
    >>> from skprune import PrunedClassifier, Strategy
    >>> PrunedClassifier(
    ...     strategy=Strategy(allocation={"hidden0": 0.9, "output": None}), sparsity=None
    ... )
    PrunedClassifier(sparsity=None,
                     strategy=Strategy(allocation={'hidden0': 0.9, 'output': None}))

    No layer loses more than nine in ten of its weights, wherever the smallest are:

    >>> from skprune.strategies import Explicit
    >>> Strategy(allocation=Explicit({"hidden0": (0, 0.9), "output": (0, 0.9)}, rest="global"))
    Strategy(allocation=Explicit(layers={'hidden0': (0, 0.9), 'output': (0, 0.9)},
                                 rest='global'))
    """

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {"rest": ALLOCATIONS}

    _parameter_constraints: ClassVar[dict] = {"layers": [Mapping], "rest": [str, Allocation]}

    def __init__(
        self,
        layers: Mapping[str, float | tuple[float, float] | None],
        rest: str | Allocation = "uniform",
    ) -> None:
        self.layers = layers
        self.rest = rest

    @property
    def compares_layers(self) -> bool:
        """Whether it compares the scores of different layers: if what shares the rest does."""
        return self._rule.compares_layers

    @property
    def _rule(self) -> Allocation:
        return resolve(self.rest, ALLOCATIONS, "rest", Allocation).validated()

    def left_alone(self, elements: Elements, *, only_named: bool) -> set[str]:
        """Say which layers are not pruned at all; see :class:`Allocation`."""
        known = elements.sizes
        if isinstance(self._rule, Explicit):
            raise InvalidParameterError(
                "rest of an allocation by names is one without names, such as 'uniform'; got "
                f"{self.rest!r}."
            )
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
            _check(name, sparsity)
        alone = {name for name, sparsity in self.layers.items() if sparsity is None}
        return alone | (set(known) - set(self.layers) if only_named else set())

    def own_target(self, sizes: Mapping[str, int]) -> float:
        """Say which sparsity the mapping means over all layers; see :class:`Allocation`."""
        limits = self.limits(sizes, dict.fromkeys(sizes, 1))
        for name in sizes:
            if _is_pair(self.layers.get(name)):
                raise InvalidParameterError(
                    f"With sparsity=None the allocation decides, and of layer {name!r} it has only "
                    f"bounds, {self.layers[name]!r}. Give it a number, or set sparsity."
                )
        removed = sum(size - limits[name][1] for name, size in sizes.items())
        return removed / sum(sizes.values())

    def limits(
        self, sizes: Mapping[str, int], min_kept: Mapping[str, int]
    ) -> dict[str, tuple[int, int]]:
        """Say how many elements each layer may keep in the end; see :class:`Allocation`."""
        return {name: self._limits(name, size, min_kept[name]) for name, size in sizes.items()}

    @property
    def restricts(self) -> str:
        """What it says of which layers, for messages."""
        named = {name: s for name, s in self.layers.items() if s is not None}
        fixed = [repr(name) for name, sparsity in named.items() if not _is_pair(sparsity)]
        bounded = [repr(name) for name, sparsity in named.items() if _is_pair(sparsity)]
        parts = [f"fixes layers {', '.join(fixed)}"] if fixed else []
        return " and ".join(parts + ([f"bounds layers {', '.join(bounded)}"] if bounded else []))

    def measured(
        self,
        elements: Elements,
        scores: Mapping[str, Tensor],
        samples: Samples,
        generator: torch.Generator,
        quantity: str,
    ) -> "Explicit":
        """Let the allocation of the rest look at the network; see :class:`Allocation`."""
        rule = self._rule.measured(elements, scores, samples, generator, quantity)
        return Explicit(self.layers, rule)

    def counts(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps; see :class:`Allocation`."""
        final = self._final(budget)
        total = sum(budget.sizes.values())
        done = (total - budget.n_keep) / max(total - budget.n_final, 1)
        on_the_way = {
            name: size - done * (size - final[name]) for name, size in budget.sizes.items()
        }
        return apportion_layers(budget.n_keep, on_the_way, final, budget.alive)

    def _final(self, budget: KeepBudget) -> dict[str, int]:
        """Say how many elements each layer keeps at the end."""
        lower, upper = {}, {}
        for name, (least, most) in self.limits(budget.sizes, budget.min_kept).items():
            lower[name] = min(least, budget.alive[name])
            upper[name] = min(most, budget.alive[name])
        fixed = {name: least for name, least in lower.items() if least == upper[name]}
        names = [name for name in budget.sizes if name not in fixed]
        if not names:
            return fixed
        n_keep = budget.n_final - sum(fixed.values())
        rest = replace(
            budget,
            n_keep=n_keep,
            n_final=n_keep,
            sizes={name: budget.sizes[name] for name in names},
            # What is beyond the most that a layer may keep is out of the running.
            scores={
                name: score.masked_fill(~keep_best(score, upper[name]), -torch.inf)
                for name, score in budget.scores.items()
                if name in names
            },
            alive=upper,
            min_kept=lower,
        )
        return fixed | self._rule.counts(rest)

    def _limits(self, name: str, size: int, min_kept: int) -> tuple[int, int]:
        sparsity = self.layers.get(name)
        if sparsity is None:
            return min_kept, size
        if isinstance(sparsity, (tuple, list)):
            least, most = sparsity
            kept = _kept(name, size, least, min_kept)
            return max(min_kept, size - n_removed(most, size)), kept
        kept = _kept(name, size, sparsity, min_kept)
        return kept, kept


def _is_pair(sparsity: Any) -> bool:
    return isinstance(sparsity, (tuple, list))


def _check(name: str, sparsity: Any) -> None:
    if _is_pair(sparsity):
        if (
            len(sparsity) != 2
            or not all(isinstance(value, Real) and 0 <= float(value) <= 1 for value in sparsity)
            or not sparsity[0] <= sparsity[1]
            or sparsity[0] == 1
        ):
            raise InvalidParameterError(
                f"The allocation's bounds of the sparsity of layer {name!r} must be two numbers in "
                f"[0, 1], the smaller first and below 1; got {sparsity!r}."
            )
    elif sparsity is not None and not (isinstance(sparsity, Real) and 0 <= float(sparsity) < 1):
        raise InvalidParameterError(
            f"The allocation's sparsity of layer {name!r} must be None or in [0, 1), or two such "
            f"numbers, between which it lies; got {sparsity!r}."
        )


def _kept(name: str, size: int, sparsity: float, min_kept: int) -> int:
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
