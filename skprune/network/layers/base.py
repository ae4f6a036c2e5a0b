"""What is asked of a layer."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Axes", "ChannelAxis", "Count", "Layer", "Side", "Widths"]

Side = Literal["out", "in"]
Axes: TypeAlias = Mapping[str, int]
Widths: TypeAlias = tuple[str, ...]


class ChannelAxis(NamedTuple):
    """Channel `c` of a layer lies at index ``c % period`` of dimension `dim` of `tensor`."""

    tensor: str
    dim: int
    period: int


class Count(NamedTuple):
    """An attribute that counts channels of a dimension of `tensor`, or its heads alone."""

    attribute: str
    tensor: str
    dim: int
    of: Literal["channel", "head", "head dimension"] = "channel"


class Layer:
    """What skprune knows of a layer; this class itself stands for types that are not registered.

    A subclass says of one type of layer what differs. Its class attributes and the two mappings
    of axes are enough for units to be removed. Each further method that it overrides supports one
    more feature, which the method's docstring names.

    Parameters
    ----------
    module : nn.Module
        The layer.

    Attributes
    ----------
    out_axes : dict of str to int
        For each tensor that has the output channels, the dimension in which they lie.
    in_axes : dict of str to int or None
        The same for the input channels. None if the output channels are the input channels, as
        those of a norm.
    out_widths, in_widths : tuple of str
        Attributes of the module that hold the number of channels.
    has_weights : bool
        Whether it multiplies its input with weights, so that a unit whose weights are all zero
        is cut off.
    normalizes : bool
        Whether it is a norm, whose parameters are no weights.
    mixes_units : bool
        Whether what it computes for one unit depends on the others that are there. Where
        `channels_last` is None, its channels have to be the last dimension of its inputs or the
        second.
    reads_codes : bool
        Whether its inputs are integers to look up, as those of an embedding.
    is_recurrent : bool
        Whether it goes along a sequence, and keeps a state.
    is_one_part : bool
        Whether the modules inside it are counted as part of it, and not as layers of their own.
    channels_last : bool or None
        Whether channels are the last dimension of its outputs, or the second; None if that depends
        on the layer before.
    kind : str
        What its units are: "neuron", "channel", "hidden unit" or "embedding dimension".
    is_followed_as_whole : bool
        Whether :meth:`follow` says what becomes of its channels, and not each operation in it.
    has_input_rows : bool
        Whether its input can be arranged as rows that the weights of each output multiply, which
        importances that look at inputs need: :meth:`input_rows`. The outputs have to be the first
        dimension of the weight.
    multiplies_rows : bool
        Whether the gradient of a weight is the product of an output's gradient and an input. The
        outputs have to be the first dimension of the weight.
    reads_features : bool
        Whether it can be the layer that the features of the network's input go to, whose weights
        ``structure="feature"`` removes: :meth:`features`.
    """

    out_axes: ClassVar[Axes] = {}
    in_axes: ClassVar[Axes | None] = None
    out_widths: ClassVar[Widths] = ()
    in_widths: ClassVar[Widths] = ()
    has_weights: ClassVar[bool] = False
    normalizes: ClassVar[bool] = False
    mixes_units: ClassVar[bool] = False
    reads_codes: ClassVar[bool] = False
    is_recurrent: ClassVar[bool] = False
    is_one_part: ClassVar[bool] = False
    channels_last: ClassVar[bool | None] = None
    kind: ClassVar[Any] = "neuron"
    is_followed_as_whole: ClassVar[bool] = False
    has_input_rows: ClassVar[bool] = False
    multiplies_rows: ClassVar[bool] = False
    reads_features: ClassVar[bool] = False

    def __init__(self, module: nn.Module) -> None:
        self.module: Any = module

    @property
    def passes_on(self) -> bool:
        """Whether its output channels are its input channels, as those of a norm."""
        return bool(self.out_axes) and self.in_axes is None

    @property
    def makes_units(self) -> bool:
        """Whether its output channels are its own, and units can be removed from them."""
        return self.has_weights and not self.passes_on

    @property
    def n_groups(self) -> int:
        """Number of groups of channels that have to keep equal widths."""
        return 1

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether a row's output depends on the other rows of the batch, in evaluation too."""
        return False

    @property
    def n_units(self) -> int:
        """Number of units that it puts out, for the report; 0 if it makes none of its own."""
        return (self.n_channels("out") or 0) if self.has_weights else 0

    # Its channels.

    def n_channels(self, side: Side) -> int | None:
        """Count the channels on a side.

        Parameters
        ----------
        side : {"out", "in"}
            Which of its channels.

        Returns
        -------
        n_channels : int or None
            None for a layer whose channels are not known.
        """
        widths = self._of_side(side, self.out_widths, self.in_widths)
        if not widths:
            return None
        width = getattr(self.module, widths[0])
        return width[0] if isinstance(width, tuple) else width

    def channels_per_group(self, side: Side) -> int:
        """Count the channels after which a grouped layer repeats; all if it has no groups.

        The groups keep equal widths, so channels at equal places in each can only go together.

        Parameters
        ----------
        side : {"out", "in"}
            Which of its channels.

        Returns
        -------
        n_channels : int
            At least one.
        """
        count = self.n_channels(side)
        assert count is not None
        return count // self.n_groups

    def axes(self, side: Side) -> Iterator[ChannelAxis]:
        """Say where the channels on a side lie in the tensors that the layer has.

        Parameters
        ----------
        side : {"out", "in"}
            Which of its channels.

        Yields
        ------
        axis : ChannelAxis
            One for each tensor.
        """
        for name, dim in self._of_side(side, self.out_axes, self.in_axes or {}).items():
            tensor = getattr(self.module, name, None)
            if tensor is not None:
                yield ChannelAxis(name, dim, tensor.shape[dim])

    def _of_side(self, side: Side, out: Any, into: Any) -> Any:
        return into if side == "in" and not self.passes_on else out

    def keep(self, side: Side, keep: Tensor) -> list[tuple[str, int, Tensor]]:
        """Remove the channels that are not kept, in place.

        Parameters
        ----------
        side : {"out", "in"}
            Which of its channels.
        keep : Tensor of bool of shape (n_channels,)
            True for a channel that stays.

        Returns
        -------
        slices : list of (str, int, Tensor)
            The name of each tensor that was cut, the dimension, and the indices that it kept.
        """
        slices = []
        for tensor, dim, period in list(self.axes(side)):
            index = keep[:period].nonzero().flatten()
            self._slice(tensor, dim, index)
            slices.append((tensor, dim, index))
        for width in self._of_side(side, self.out_widths, self.in_widths):
            old = getattr(self.module, width)
            new = int(keep.sum())
            setattr(self.module, width, (new,) if isinstance(old, tuple) else new)
        return slices

    def make_flexible(self) -> None:
        """Prepare it, in place, for widths that its type cannot have; called before it is cut."""

    @property
    def own_dims(self) -> set[int] | None:
        """Dimensions of its parameters that are those of its units; None for all."""
        if self.out_axes:
            return {*self.out_axes.values()}
        return {0} if self.n_units else None

    def follow(
        self,
        channels: Any,
        arguments: tuple[Any, ...],
        known: Callable[[Tensor], Any],
        own: Mapping[str, Any],
        output: Any,
    ) -> Iterator[tuple[Tensor, list[Any]]]:
        """Say what becomes of its channels, if it is followed as a whole.

        Parameters
        ----------
        channels : Channels
            What the labels of channels are united with; see ``skprune.network.tracing``.
        arguments : tuple
            What it is given.
        known : callable
            Gives the :class:`~skprune.network.tracing.values.Value` of a tensor.
        own : dict of str to Value
            Its parameters.
        output : object
            What it puts out.

        Yields
        ------
        tensor : Tensor
            A tensor that it puts out.
        dims : list of Dim
            The channels of each of its dimensions.
        """
        raise NotImplementedError

    def counts(self) -> Iterator[Count]:
        """Say what its numbers count, for a layer whose channels are those of its tensors alone.

        Yields
        ------
        count : Count
            One for each attribute that has to follow when a tensor of the layer is cut.
        """
        yield from ()

    def _slice(self, tensor: str, dim: int, index: Tensor) -> None:
        old = getattr(self.module, tensor)
        new = old.detach().index_select(dim, index.to(old.device))
        if isinstance(old, nn.Parameter):
            new = nn.Parameter(new, requires_grad=old.requires_grad)
        setattr(self.module, tensor, new)

    def zero(self, side: Side, channels: Tensor) -> None:
        """Set the parameters of some channels to zero, in place.

        Parameters
        ----------
        side : {"out", "in"}
            Which of its channels.
        channels : Tensor of int
            Their numbers.
        """
        with torch.no_grad():
            for name, dim, period in self.axes(side):
                tensor = getattr(self.module, name)
                if isinstance(tensor, nn.Parameter):
                    index = (channels % period).unique()
                    tensor.index_fill_(dim, index.to(tensor.device), 0.0)

    def has_weight(self, side: Side) -> Tensor:
        """Say of each channel on a side whether a weight of it is not zero.

        Parameters
        ----------
        side : {"out", "in"}
            Which of its channels.

        Returns
        -------
        has_weight : Tensor of bool of shape (n_channels,)
            On the CPU.
        """
        channels = torch.arange(self.n_channels(side) or 0)
        found = torch.zeros(len(channels), dtype=torch.bool)
        for name, dim, period in self.axes(side):
            tensor = getattr(self.module, name).detach()
            if tensor.dim() >= 2:
                found |= tensor.movedim(dim, 0).flatten(1).ne(0).any(1).cpu()[channels % period]
        return found

    @property
    def has_computed_tensors(self) -> bool:
        """Whether its tensors are made from other parameters, as ``weight_norm`` does it."""
        own = {*self.module._parameters, *self.module._buffers}
        return any(axis.tensor not in own for axis in self.axes("out"))

    # Its weights.

    @property
    def weight(self) -> Tensor:
        """Its weight: of the tensors with its output channels, the first of several dimensions."""
        tensors = (getattr(self.module, axis.tensor) for axis in self.axes("out"))
        return next(tensor for tensor in tensors if tensor.dim() >= 2)

    def matrices(self, values: Tensor) -> Tensor:
        """Arrange what belongs to a weight by output and input: for N:M and blocks.

        Parameters
        ----------
        values : Tensor
            One for each weight, in the parameter's shape.

        Returns
        -------
        matrices : Tensor of shape (n_matrices, n_outputs, n_inputs)
            A view or a copy.
        """
        in_axes = self.in_axes or {}
        for name in self.out_axes.keys() & in_axes.keys():
            if getattr(self.module, name).shape == values.shape:
                values = values.movedim((self.out_axes[name], in_axes[name]), (-2, -1))
        return values.reshape(-1, *values.shape[-2:])

    def n_applications(self, inputs: Any, output: Any) -> int:
        """Count how often each weight is applied: for multiply-accumulates.

        Parameters
        ----------
        inputs : object
            The layer's first argument.
        output : object
            What it put out.

        Returns
        -------
        n : int
            Over all rows; 0 for a layer whose work is not counted.
        """
        width = self.n_channels("out")
        return output.numel() // width if self.has_weights and width else 0

    # What its weights are multiplied with: for importances that look at inputs.

    def batched(self, inputs: Tensor) -> Tensor:
        """Add a dimension of rows to inputs, where the layer also takes them without.

        Parameters
        ----------
        inputs : Tensor
            What the layer is given.

        Returns
        -------
        inputs : Tensor
            The same, as one row where there was no such dimension.
        """
        return inputs

    def input_rows(self, inputs: Tensor) -> Tensor:
        """Arrange inputs as the rows that a weight is multiplied with.

        Parameters
        ----------
        inputs : Tensor
            The layer's input, with a dimension of rows.

        Returns
        -------
        rows : Tensor of shape (n_groups, n, n_columns)
            A convolution is given a row for each place of its kernel, padding included.
        """
        raise NotImplementedError

    def input_places(self, inputs: Tensor) -> Tensor:
        """Arrange inputs by channel, each place once.

        Parameters
        ----------
        inputs : Tensor
            The layer's input, with a dimension of rows.

        Returns
        -------
        rows : Tensor of shape (n_groups, n, n_channels)
            As :meth:`input_rows`, with a column for each channel and without padding.
        """
        return self.input_rows(inputs)

    # How it reads the features of the network's input: for structure="feature".

    def feature_dim(self, given: Tensor, inputs: Tensor) -> int | None:
        """Say in which dimension of its input the features are, if it is given the network's input.

        Parameters
        ----------
        given : Tensor
            What it is given.
        inputs : Tensor
            What the network is given.

        Returns
        -------
        dim : int or None
            None if what it is given cannot be the network's input, by its shape.
        """
        return given.dim() - 1 if given.shape == inputs.shape else None

    def features(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the weights that meet the input, and the input channel that each of them reads.

        Yields
        ------
        weight : Tensor
            The weight.
        channel : Tensor of int
            In the shape of the weight.
        """
        ((name, dim, period),) = self.axes("in")
        weight = getattr(self.module, name)
        channel = torch.arange(period, device=weight.device)
        shape = [-1 if axis == dim else 1 for axis in range(weight.dim())]
        yield weight, channel.view(shape).expand(weight.shape)

    # What it does to a constant: for units that weight pruning has left dead.

    @property
    def passes_constants(self) -> bool:
        """Whether a constant input channel changes its output by the same amount everywhere.

        The module then has to have a ``bias``, which may be None, and the class a :meth:`shift`.
        """
        return False

    def channel_values(self, inputs: Tensor) -> Tensor:
        """Arrange inputs by channel.

        Parameters
        ----------
        inputs : Tensor
            What the layer is given.

        Returns
        -------
        values : Tensor of shape (n, n_channels)
            All positions of all rows.
        """
        return (inputs.movedim(1, -1) if self.channels_last is False else inputs).flatten(0, -2)

    def shift(self, inputs: Tensor) -> Tensor:
        """Compute what input channels that are constant add to its output.

        Parameters
        ----------
        inputs : Tensor of shape (n_channels,)
            The value of each; zero for one that is not constant.

        Returns
        -------
        shift : Tensor of shape (n_outputs,)
            For the bias.
        """
        raise NotImplementedError

    # Without its own statistics: for SynFlow.

    def linearized(self, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Compute what it would put out if it were linear in its weights; None for its output.

        Parameters
        ----------
        inputs : tuple
            Its arguments.
        output : Tensor
            What it put out.

        Returns
        -------
        output : Tensor or None
            A norm that takes its statistics from its input is left with its scale, and an
            embedding puts out the sum over all that can be looked up.
        """
        return None
