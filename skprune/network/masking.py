"""Masked weights are kept at zero while something trains them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from skprune.network.layers import weight_parameters

__all__ = ["Masked", "Masking"]


class UnderMasks(Protocol):
    """What has masked weights: a network under pruning, or :class:`Masked`."""

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """What is kept of each weight, by the parameter's name."""

    @property
    def weights(self) -> Mapping[str, nn.Parameter]:
        """The weights, by the parameter's name."""


@dataclass(frozen=True)
class Masked:
    """A module some of whose weights are masked for good."""

    module: nn.Module
    masks: Mapping[str, Tensor]

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The weights as they are now, by the parameter's name."""
        return weight_parameters(self.module)


class Masking:
    """Sets masked weights to zero, whenever something may have changed them.

    Parameters
    ----------
    network : UnderMasks
        What has the weights and the masks, both of which may become others meanwhile.
    """

    def __init__(self, network: UnderMasks) -> None:
        self._network = network
        self._masks: Mapping[str, Tensor] = {}
        self._factors: list[tuple[nn.Parameter, Tensor]] = []
        self._seen: list[tuple[int, int]] = []

    def mask(self) -> None:
        """Set what is not kept to zero."""
        if self._network.masks is not self._masks:
            self._masks = self._network.masks
            weights = self._network.weights
            # Multiplying by numbers of the weight's own kind is the quickest way to mask.
            self._factors = [
                (weights[name], m.to(weights[name])) for name, m in self._masks.items()
            ]
        for weight, factor in self._factors:
            # Looked up anew each time: a callback may have given the weight other memory.
            weight.data.mul_(factor)
        self._seen = self._versions()

    def mask_changed(self) -> None:
        """Set what is not kept to zero, unless no operation on a weight was seen since."""
        if self._network.masks is not self._masks or self._versions() != self._seen:
            self.mask()

    def mask_gradients(self) -> None:
        """Set the gradients of what is not kept to zero."""
        for weight, factor in self._factors:
            if weight.grad is not None:
                weight.grad.mul_(factor)

    @contextmanager
    def after_steps(self) -> Iterator[None]:
        """Mask after each step of any optimizer in this thread, wherever it is taken."""
        thread = get_ident()

        def mask(*_: Any) -> None:
            if get_ident() == thread:
                self.mask()

        handle = register_optimizer_step_post_hook(mask)
        try:
            yield
        finally:
            handle.remove()

    def _versions(self) -> list[tuple[int, int]]:
        return [(weight._version, weight.data_ptr()) for weight, _ in self._factors]
