"""How a network is made again: by a call, layer by layer, or by the caller, who gives it."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn

from skprune.deployment.saving.building import build, made
from skprune.deployment.saving.fields import check, field, names_in
from skprune.deployment.saving.layers import describe_layers, layers_from, same_layers
from skprune.deployment.saving.trust import is_known
from skprune.deployment.saving.values import Reader, Writer
from skprune.exceptions import InvalidFileError, UnsavableError
from skprune.network.recipe import ModuleRecipe

__all__ = ["Making", "describe_making"]


def describe_making(
    module: nn.Module, recipe: ModuleRecipe | None, example: Any, to: Writer, where: str
) -> tuple[dict[str, Any], nn.Module | None]:
    """Describe how a network is made.

    Parameters
    ----------
    module : nn.Module
        The network as pruning left it.
    recipe : ModuleRecipe or None
        What made it before it was pruned, if that is known.
    example : Tensor, mapping of str to Tensor, or None
        Rows of input.
    to : Writer
        Writes the arguments.
    where : str
        What it is, for messages.

    Returns
    -------
    about : dict
        As JSON holds it.
    dense : nn.Module or None
        The network as it was before it was pruned; None where that is not made.
    """
    reason = ""
    if recipe is not None:
        try:
            call = to.write(recipe.make, f"{where}.module")
            arguments = to.attempt(dict(recipe.arguments), f"{where}.module__")
            return {"as": "call", "call": call, "arguments": arguments}, made(recipe, example)
        except UnsavableError as error:
            reason = str(error)
    try:
        layers = describe_layers(module, "")
        if same_layers(made(lambda: layers_from(layers, where), None), module):
            return {"as": "layers", "layers": to.attempt(layers, where)}, None
        reason = reason or "its layers are more than their arguments say"
    except UnsavableError as error:
        reason = reason or str(error)
    return {"as": "given", "class": type(module).__name__, "because": reason}, None


@dataclass(frozen=True)
class Making:
    """Makes a network of its description.

    Attributes
    ----------
    given : nn.Module or None
        The caller's network, to be used in place of any other.
    stand_in : nn.Module or None
        The pruned network, to be used where one has to be given.
    example : Tensor, mapping of str to Tensor, or None
        Rows of input.
    n_tensors : int
        How many tensors the network has, about.
    max_bytes : int
        How much memory it may take.
    """

    given: nn.Module | None
    stand_in: nn.Module | None
    example: Any
    n_tensors: int
    max_bytes: int

    def made(
        self, about: Any, source: Reader, where: str
    ) -> tuple[ModuleRecipe | None, nn.Module, bool]:
        """Make the network.

        Parameters
        ----------
        about : object
            As :func:`describe_making` gives it.
        source : Reader
            Reads the arguments.
        where : str
            What it is, for messages.

        Returns
        -------
        recipe : ModuleRecipe or None
            What made it, if that is known.
        module : nn.Module
            The network.
        pruned : bool
            Whether it comes without what was removed.
        """
        kind = field(about, "as", str, where)
        check(kind in ("call", "layers", "given"), where, f"a network is made by {kind[:80]!r}")
        if kind == "call":
            return self._by_call(about, source, where)
        if kind == "layers":
            names_in(about, where, {"as", "layers"})
            layers = source.read(about["layers"], where)
            if self.given is not None:
                return None, self.given, False
            return None, self._built(lambda: layers_from(layers, where), known=True), True
        return self._by_the_caller(about, where)

    def _by_call(
        self, about: Any, source: Reader, where: str
    ) -> tuple[ModuleRecipe | None, nn.Module, bool]:
        names_in(about, where, {"as", "call", "arguments"})
        arguments = source.read(field(about, "arguments", dict, where), where)
        if self.given is not None:
            return None, self.given, False
        call = source.read(about["call"], f"{where}.module")
        is_class = isinstance(call, type)
        fits = issubclass(call, nn.Module) if is_class else callable(call)
        check(fits, where, "what is called makes no network")
        recipe = ModuleRecipe(call, arguments)
        module = self._built(recipe, known=is_known(call))
        check(isinstance(module, nn.Module), where, f"{call} made a {type(module).__name__}")
        return recipe, module, False

    def _by_the_caller(self, about: Any, where: str) -> tuple[ModuleRecipe | None, nn.Module, bool]:
        names_in(about, where, {"as", "class", "because"})
        if self.stand_in is not None:
            return None, deepcopy(self.stand_in), True
        if self.given is None:
            raise InvalidFileError(
                f"The file has the weights of a {field(about, 'class', str, where)[:80]}, and "
                "nothing that makes one. Pass module=, a network as the original was before it "
                f"was pruned. (The reason: {field(about, 'because', str, where)[:300]})"
            )
        return None, self.given, False

    def _built(self, make: Callable[[], nn.Module], *, known: bool) -> nn.Module:
        return build(make, self.example, self.n_tensors, self.max_bytes, known=known)
