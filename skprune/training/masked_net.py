"""A net whose masked weights stay zero, however it is trained."""

from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from sklearn.base import clone
from skorch import NeuralNet
from torch import Tensor

from skprune.network.masking import Masked, Masking

__all__ = ["MasksHold", "masks_of", "own_class", "with_masks", "without_masks"]


class MasksHold:
    """Goes before a net's own class, and masks before anything sees the weights."""

    masking_: Masking | None = None

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any) -> Any:
        """Train; what steps is followed by the masks."""
        masking = self.masking_
        with nullcontext() if masking is None else masking.after_steps():
            return super().fit_loop(X, y, epochs=epochs, **fit_params)  # type: ignore[misc]

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        """Compute the loss of a batch with masked weights at zero."""
        masking = self.masking_
        if masking is None:
            return super().train_step_single(batch, **fit_params)  # type: ignore[misc]
        masking.mask_changed()
        step = super().train_step_single(batch, **fit_params)  # type: ignore[misc]
        if isinstance(self.optimizer_, torch.optim.LBFGS):  # type: ignore[attr-defined]
            # Its line search judges by the gradients how far the loss should fall.
            masking.mask_gradients()
        return step

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        """Take a training step, and mask what it did without an optimizer of torch."""
        step = super().train_step(batch, **fit_params)  # type: ignore[misc]
        if self.masking_ is not None:
            if _steps_as_torch(self):
                self.masking_.mask_changed()
            else:
                self.masking_.mask()
        return step

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        """Compute the loss of a batch with masked weights at zero."""
        if self.masking_ is not None:
            self.masking_.mask_changed()
        return super().validation_step(batch, **fit_params)  # type: ignore[misc]

    def load_params(self, *args: Any, **kwargs: Any) -> None:
        """Load, and mask what was loaded."""
        super().load_params(*args, **kwargs)  # type: ignore[misc]
        if self.masking_ is not None:
            self.masking_.mask()


class _MaskedNet(MasksHold):
    """What a user is given: the masks are the net's own, and leave it with its module."""

    masks_: dict[str, Tensor]

    @property
    def masking_(self) -> Masking | None:  # type: ignore[override]
        if "masking__" not in vars(self):
            masks = vars(self).get("masks_")
            module = vars(self).get("module_")
            if not masks or module is None:
                return None
            vars(self)["masking__"] = Masking(Masked(module, masks))
        masking: Masking = vars(self)["masking__"]
        return masking

    def notify(self, method_name: str, **kwargs: Any) -> None:
        super().notify(method_name, **kwargs)  # type: ignore[misc]
        if "batch" not in kwargs and self.masking_ is not None:
            self.masking_.mask()

    def initialize_module(self, *args: Any, **kwargs: Any) -> Any:
        module = vars(self).get("module_")
        result = super().initialize_module(*args, **kwargs)  # type: ignore[misc]
        if vars(self).get("module_") is not module:  # new weights, and none of them is pruned
            vars(self).pop("masks_", None)
        vars(self).pop("masking__", None)
        return result

    def __sklearn_clone__(self) -> Any:
        plain = object.__new__(own_class(self))
        vars(plain).update(vars(self))
        return clone(plain)

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        return {key: value for key, value in state.items() if key != "masking__"}

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle and copy without the class, which is made where it is needed."""
        return _blank, (own_class(self),), self.__getstate__()


def own_class(net: Any) -> type[NeuralNet]:
    """Name the class that a net was made from."""
    cls: Any = type(net)
    return cls.__mro__[3] if issubclass(cls, MasksHold) else cls


@cache
def _masked(cls: type[NeuralNet]) -> type[NeuralNet]:
    name = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (_MaskedNet, cls), name)


def _blank(cls: Any) -> NeuralNet:
    return object.__new__(_masked(cls))


def with_masks(net: NeuralNet, masks: dict[str, Tensor]) -> NeuralNet:
    """Have masks hold in a net, in place, also when its user trains it or loads weights.

    Parameters
    ----------
    net : NeuralNet
        The net.
    masks : dict of str to Tensor of bool
        What is kept of each weight, by the parameter's name.

    Returns
    -------
    net : NeuralNet
        The same net. ``fit`` and whatever else initializes its module anew ends the masks.
    """
    if masks:
        own: Any = own_class(net)
        net.__class__ = _masked(own)
        vars(net)["masks_"] = masks
    return net


def without_masks(net: NeuralNet) -> NeuralNet:
    """Undo :func:`with_masks`; the weights stay as they are."""
    net.__class__ = own_class(net)
    for name in ("masks_", "masking__"):
        vars(net).pop(name, None)
    return net


def _steps_as_torch(net: Any) -> bool:
    """Whether all that changes weights in a training step is a step of torch's optimizers."""
    cls: Any = own_class(net)
    optimizers = (getattr(net, f"{name}_") for name in net._optimizers)
    return cls.train_step is NeuralNet.train_step and all(
        getattr(type(optimizer).step, "hooked", False) for optimizer in optimizers
    )


def masks_of(net: NeuralNet) -> dict[str, Tensor]:
    """Give the masks that :func:`with_masks` has hold in a net."""
    return dict(vars(net).get("masks_", {}))
