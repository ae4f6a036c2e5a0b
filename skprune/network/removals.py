"""What was removed of a network, so that it can be removed of an equal one."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from skprune.network.layers import Side, layer_for

__all__ = ["Removals", "set_tensor"]


class _Cut(NamedTuple):
    """Channels that went on one side of a layer, or along a dimension of a tensor."""

    place: str
    side: Side | int
    keep: Tensor


class _Width(NamedTuple):
    """A number that a module has of its channels."""

    place: str
    attribute: str
    width: int


class Removals:
    """The removals that lead from a network to what pruning left of it, in their order.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from skprune.network.removals import Removals
    >>> def build():
    ...     return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> removals = Removals()
    >>> pruned = build()
    >>> keep = torch.arange(8) < 3
    >>> for place, side in (("0", "out"), ("2", "in")):
    ...     _ = removals.cut(pruned, place, side, keep)
    >>> smaller = removals.replay(build())
    >>> smaller.load_state_dict(pruned.state_dict())
    <All keys matched successfully>
    >>> smaller[2]
    Linear(in_features=3, out_features=2, bias=True)
    """

    def __init__(self) -> None:
        self._cuts: list[_Cut] = []
        self._biases: dict[str, torch.dtype] = {}
        self._widths: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        """Count the cuts."""
        return len(self._cuts)

    def copy(self) -> "Removals":
        """Copy the list, so that one of the two can go on."""
        other = Removals()
        other._cuts, other._biases = list(self._cuts), dict(self._biases)
        other._widths = dict(self._widths)
        return other

    def cut(
        self, module: nn.Module, place: str, side: Side | int, keep: Tensor
    ) -> list[tuple[str, int, Tensor]]:
        """Remove channels of a network, in place, and remember that.

        Parameters
        ----------
        module : nn.Module
            The network.
        place : str
            Name of a layer, or of a parameter or buffer.
        side : {"out", "in"} or int
            Which of the layer's channels, or the dimension of the tensor.
        keep : Tensor of bool of shape (n_channels,)
            True for a channel that stays.

        Returns
        -------
        slices : list of (str, int, Tensor)
            The name of each tensor that was cut, the dimension, and the indices that it kept.
        """
        self._cuts.append(_Cut(place, side, keep.clone()))
        return _cut(module, place, side, keep)

    def add_bias(self, place: str, dtype: torch.dtype) -> None:
        """Remember that a layer was given a bias.

        Parameters
        ----------
        place : str
            Name of the layer.
        dtype : torch.dtype
            Type of the bias.
        """
        self._biases[place] = dtype

    def set_width(self, module: nn.Module, place: str, attribute: str, width: int) -> None:
        """Set a number that a module has of its channels, in place, and remember that.

        Parameters
        ----------
        module : nn.Module
            The network.
        place : str
            Name of the module within it.
        attribute : str
            Name of the attribute: a number, or a tuple of one.
        width : int
            How many channels there are now.
        """
        self._widths[place, attribute] = width
        _set_width(module, place, attribute, width)

    def to_plain(self) -> dict[str, Any]:
        """Give the removals as plain data, which JSON and arrays can hold.

        Returns
        -------
        plain : dict
            ``"cuts"``: a table ``{"place", "side", "keep"}`` for each cut, in their order; `keep`
            is an ndarray of bool, and the rest as :meth:`cut` was given it. ``"biases"``: the type
            of each bias that was added, such as ``"float32"``, by the name of the layer.
            ``"widths"``: a table ``{"place", "attribute", "width"}`` for each number that was set.

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> from skprune.network.removals import Removals
        >>> removals = Removals()
        >>> _ = removals.cut(nn.Sequential(nn.Linear(4, 3)), "0", "out", torch.arange(3) < 2)
        >>> removals.to_plain()["cuts"]
        [{'place': '0', 'side': 'out', 'keep': array([ True,  True, False])}]
        """
        cuts = [{**cut._asdict(), "keep": cut.keep.cpu().numpy().copy()} for cut in self._cuts]
        biases = {p: str(dtype).removeprefix("torch.") for p, dtype in self._biases.items()}
        widths = [_Width(*at, width)._asdict() for at, width in self._widths.items()]
        return {"cuts": cuts, "biases": biases, "widths": widths}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Removals":
        """Make removals of plain data.

        Parameters
        ----------
        plain : mapping
            As :meth:`to_plain` gives it.

        Returns
        -------
        removals : Removals
            The same removals.

        Raises
        ------
        ValueError
            If it is something else.
        """
        if not isinstance(plain, Mapping) or set(plain) != {"cuts", "biases", "widths"}:
            raise ValueError(
                "Removals as plain data are a mapping with 'cuts', 'biases' and 'widths'."
            )
        removals = cls()
        for cut in plain["cuts"]:
            if not isinstance(cut, Mapping) or set(cut) != set(_Cut._fields):
                raise ValueError(f"A cut has {', '.join(_Cut._fields)}; got {cut!r:.80}.")
            place, side, keep = (cut[name] for name in _Cut._fields)
            sides = type(side) is int or (isinstance(side, str) and side in get_args(Side))
            keep = np.asarray(keep)
            if not (isinstance(place, str) and sides and keep.dtype == bool and keep.ndim == 1):
                raise ValueError(
                    f"A cut has the name of a place, a side or dimension, and a vector of bool; "
                    f"got {place!r:.80}, {side!r:.80} and {keep.dtype} of shape {keep.shape}."
                )
            removals._cuts.append(_Cut(place, side, torch.from_numpy(keep.copy())))
        for place, name in plain["biases"].items():
            dtype = getattr(torch, str(name), None)
            if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
                raise ValueError(f"The bias of {place!r} is of no type of torch's: {name!r:.80}.")
            removals.add_bias(place, dtype)
        for row in plain["widths"]:
            if not isinstance(row, Mapping) or set(row) != set(_Width._fields):
                raise ValueError(f"A width has {', '.join(_Width._fields)}; got {row!r:.80}.")
            place, attribute, width = (row[name] for name in _Width._fields)
            if not (isinstance(place, str) and isinstance(attribute, str) and type(width) is int):
                raise ValueError(
                    "A width has the name of a module, that of an attribute, and a number; got "
                    f"{place!r:.80}, {attribute!r:.80} and {width!r:.80}."
                )
            removals._widths[place, attribute] = width
        return removals

    def replay(self, module: nn.Module) -> nn.Module:
        """Cut an equal network to the same shape.

        Parameters
        ----------
        module : nn.Module
            A network as the original was before it was pruned; it is left as it is.

        Returns
        -------
        smaller : nn.Module
            A copy with the same removed. Its weights are those that the module has: load the
            ``state_dict`` of the pruned network into it.

        Raises
        ------
        ValueError
            If the network has no such layer, or one of another width.
        """
        smaller = deepcopy(module)
        for place, side, keep in self._cuts:
            self._check(smaller, place, side, len(keep))
            _cut(smaller, place, side, keep)
        for (place, attribute), width in self._widths.items():
            _set_width(smaller, place, attribute, width)
        for place, dtype in self._biases.items():
            part = smaller.get_submodule(place)
            n_outputs = layer_for(part).n_channels("out")
            assert n_outputs is not None
            device = next(part.parameters()).device
            part.bias = nn.Parameter(torch.zeros(n_outputs, dtype=dtype, device=device))
        return smaller

    def _check(self, module: nn.Module, place: str, side: Side | int, width: int) -> None:
        found: int | None = None
        if isinstance(side, int):
            tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            if place in tensors and side < tensors[place].dim():
                found = tensors[place].shape[side]
        elif place in dict(module.named_modules()):
            found = layer_for(module.get_submodule(place)).n_channels(side)
        if found != width:
            what = "dimension" if isinstance(side, int) else "channels on side"
            raise ValueError(
                f"{place!r} of the pruned network had {width} {what} {side!r} before they were "
                f"removed, and that of this {type(module).__name__} has "
                f"{'none' if found is None else found}. Give a network as the original was before "
                "it was pruned."
            )


def _cut(
    module: nn.Module, place: str, side: Side | int, keep: Tensor
) -> list[tuple[str, int, Tensor]]:
    names = place.split(".")
    for end in range(len(names) + 1):
        around = ".".join(names[:end])
        if not isinstance(side, int) or end < len(names):
            layer_for(module.get_submodule(around)).make_flexible()
    if isinstance(side, int):
        return [_cut_tensor(module, place, side, keep)]
    slices = layer_for(module.get_submodule(place)).keep(side, keep)
    return [(f"{place}.{name}" if place else name, dim, index) for name, dim, index in slices]


def _cut_tensor(module: nn.Module, name: str, dim: int, keep: Tensor) -> tuple[str, int, Tensor]:
    """Cut a parameter or buffer, in all places that share it."""
    owner, _, leaf = name.rpartition(".")
    old = getattr(module.get_submodule(owner), leaf)
    index = keep.nonzero().flatten()
    set_tensor(module, old, old.detach().index_select(dim, index.to(old.device)))
    return name, dim, index


def set_tensor(module: nn.Module, old: Tensor, new: Tensor) -> None:
    """Put another tensor in all places of a network that have a parameter or buffer.

    Parameters
    ----------
    module : nn.Module
        The network.
    old : Tensor
        The parameter or buffer.
    new : Tensor
        What it becomes; a parameter stays one.
    """
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    for part in module.modules():
        for key, tensor in [*part._parameters.items(), *part._buffers.items()]:
            if tensor is old:
                setattr(part, key, new)


def _set_width(module: nn.Module, place: str, attribute: str, width: int) -> None:
    part = module.get_submodule(place)
    old: Any = vars(part).get(attribute)
    is_tuple = isinstance(old, tuple) and len(old) == 1
    if type(old[0] if is_tuple else old) is not int:
        raise ValueError(f"{place!r} of this {type(module).__name__} has no number {attribute!r}.")
    setattr(part, attribute, (width,) if is_tuple else width)
