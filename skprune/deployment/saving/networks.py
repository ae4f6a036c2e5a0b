"""Networks: how they are made, what was removed of them, and their weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as data_field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.deployment.saving.examples import example_from_plain, example_to_plain
from skprune.deployment.saving.fields import check, field, names_in
from skprune.deployment.saving.making import Making, describe_making
from skprune.deployment.saving.original_masks import (
    original_places,
    read_kept,
    read_original,
    write_kept,
    write_original,
)
from skprune.deployment.saving.tensors import dtype_name, rounds, to_numpy, to_tensor
from skprune.deployment.saving.values import Kind, Reader, Writer
from skprune.exceptions import InvalidFileError, UnsavableError
from skprune.network.recipe import ModuleRecipe
from skprune.network.removals import Removals
from skprune.network.wrapping import wrapper_of

__all__ = ["NetworkKind", "SavedNetwork"]


@dataclass(frozen=True)
class SavedNetwork:
    """A pruned network, and what leads to an equal one.

    Attributes
    ----------
    module : nn.Module
        The pruned network.
    recipe : ModuleRecipe or None
        What makes the network as it was before; None if that is not known.
    removals : Removals
        What was removed of it.
    masks : mapping of str to Tensor of bool
        What is kept of each masked weight.
    example : Tensor, mapping of str to Tensor, or None
        Rows of input.
    original_masks : mapping of str to ndarray of bool
        What the strategy kept of each weight, in the original shape.
    kept : mapping of str to ndarray of bool
        Which elements of the structure stayed, by layer.
    """

    module: nn.Module
    recipe: ModuleRecipe | None
    removals: Removals
    masks: Mapping[str, Tensor]
    example: Any = None
    original_masks: Mapping[str, np.ndarray] = data_field(default_factory=dict)
    kept: Mapping[str, np.ndarray] = data_field(default_factory=dict)


class NetworkKind(Kind):
    """Writes and reads a :class:`SavedNetwork`.

    Parameters
    ----------
    rounded : bool, default=False
        Whether weights are written in half precision.
    given : nn.Module, default=None
        The caller's network, as it was before it was pruned, to be used in place of one that is
        made by what the file says.
    stand_in : nn.Module, default=None
        The pruned network, to be used where the file needs one to be given.
    max_bytes : int, default=0
        How much memory a network may take that is read.
    """

    mark = "network"

    def __init__(
        self,
        *,
        rounded: bool = False,
        given: nn.Module | None = None,
        stand_in: nn.Module | None = None,
        max_bytes: int = 0,
    ) -> None:
        self._rounded = rounded
        self._given = given
        self._stand_in = stand_in
        self._max_bytes = max_bytes

    def fits(self, value: Any) -> bool:
        """Tell; see :class:`Kind`."""
        return isinstance(value, SavedNetwork)

    # Writing.

    def write(self, value: SavedNetwork, to: Writer, where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        module = value.module
        wrapper = wrapper_of(module)
        if wrapper is not None:
            raise UnsavableError(f"{where} is in a {wrapper}: save what is inside it.")
        about, dense = describe_making(value.module, value.recipe, value.example, to, where)
        masks = {name: mask.cpu().numpy() for name, mask in value.masks.items()}
        state = self._write_state(module, masks, to, where)
        places = {} if dense is None else original_places(dense, value.removals)
        return {
            "made": about,
            "example": example_to_plain(value.example),
            "removals": to.write(value.removals.to_plain(), f"{where}.removals"),
            "state": state,
            "masks": list(masks),
            "frozen": [n for n, p in module.named_parameters() if not p.requires_grad],
            "original": {
                name: write_original(name, mask, places.get(name), masks.get(name), to)
                for name, mask in value.original_masks.items()
            },
            "kept": {
                name: write_kept(kept, value.original_masks, to, f"{where}.kept.{name}")
                for name, kept in value.kept.items()
            },
        }

    def _write_state(
        self, module: nn.Module, masks: Mapping[str, np.ndarray], to: Writer, where: str
    ) -> dict[str, str]:
        parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
        state: dict[str, str] = {}
        seen: dict[Any, str] = {}
        for name, tensor in module.state_dict().items():
            dtype = dtype_name(tensor, f"{where}.{name}")
            key = (tensor.data_ptr(), tensor.shape, tensor.stride(), dtype)
            if tensor.numel() and key in seen:  # tied weights
                state[name] = seen[key]
                continue
            stored = to.new_name(name)
            state[name] = seen[key] = stored
            rounded = self._rounded and name in parameters and rounds(tensor, f"{where}.{name}")
            array, kept = to_numpy(tensor), masks.get(name)
            if kept is not None and array[~kept].any():
                raise UnsavableError(f"{where}.{name} has weights that its mask leaves out.")
            to.arrays.add(stored, array, dtype, kept=kept, rounded=rounded)
        missing = masks.keys() - state.keys()
        if missing:
            raise UnsavableError(f"{where} has a mask of {sorted(missing)[0]!r}, and no weight.")
        return state

    # Reading.

    def read(self, about: dict[str, Any], source: Reader, where: str) -> SavedNetwork:
        """Make it again; see :class:`Kind`."""
        names = ("made", "example", "removals", "state", "masks", "frozen", "original", "kept")
        names_in(about, where, names)
        example = example_from_plain(about["example"], source, f"{where}.example")
        removals = Removals.from_plain(source.read(about["removals"], f"{where}.removals"))
        state = field(about, "state", dict, where)
        making = Making(
            self._given, self._stand_in, example, n_tensors=len(state), max_bytes=self._max_bytes
        )
        recipe, dense, pruned = making.made(about["made"], source, where)
        smaller = dense if pruned else removals.replay(dense)
        kept = _load(smaller, state, source, where)
        for name in field(about, "frozen", list, where):
            smaller.get_parameter(name).requires_grad_(False)
        masks = {}
        for name in field(about, "masks", list, where):
            check(name in kept, where, f"there is no weight for the mask of {str(name)[:80]!r}")
            shape, mask = smaller.get_parameter(name).shape, kept[name]
            masks[name] = (
                torch.ones(shape, dtype=torch.bool) if mask is None else torch.from_numpy(mask)
            )
        original = field(about, "original", dict, where)
        places = {} if pruned or not original else original_places(dense, removals)
        original_masks = {
            name: read_original(plain, places.get(name), masks.get(name), source, where)
            for name, plain in original.items()
        }
        return SavedNetwork(
            smaller,
            recipe,
            removals,
            masks,
            example,
            original_masks,
            {
                name: read_kept(plain, original_masks, source, f"{where}.kept.{name}")
                for name, plain in field(about, "kept", dict, where).items()
            },
        )


def _load(
    module: nn.Module, state: dict[str, Any], source: Reader, where: str
) -> dict[str, np.ndarray | None]:
    """Give a network its weights; say which of them count."""
    own = module.state_dict()
    fits = own.keys() == state.keys()
    if fits:
        described = {n: source.arrays.described(str(each), where) for n, each in state.items()}
        fits = all(tuple(own[n].shape) == shape for n, (_, shape) in described.items())
    if not fits:
        raise InvalidFileError(
            f"The weights of the file are not those of the {type(module).__name__} that it speaks "
            "of, or that was given: it has other layers, or layers of other sizes."
        )
    dtypes = {getattr(torch, dtype) for dtype, _ in described.values()}
    floating = [dtype for dtype in dtypes if dtype.is_floating_point]
    if len(floating) == 1:  # a network that was converted after it was made
        module.to(floating[0])
    tensors: dict[str, Tensor] = {}
    kept: dict[str, np.ndarray | None] = {}
    read: dict[str, str] = {}
    for name, stored in state.items():
        if stored in read:
            tensors[name], kept[name] = tensors[read[stored]], kept[read[stored]]
            continue
        array, kept[name] = source.arrays.read(stored, f"{where}.{name}")
        tensors[name] = to_tensor(array, described[name][0])
        read[stored] = name
    for name, tensor in module.state_dict().items():
        same = tensor.dtype == tensors[name].dtype
        check(same, f"{where}.{name}", f"it is {tensors[name].dtype}, and {tensor.dtype} is wanted")
    module.load_state_dict(tensors)
    return kept
