"""Weights that are multiplied by the gates of their elements for the length of a training step."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, autograd

__all__ = ["Gating"]

# Gives each weight the product of the values of the elements that it goes with.
Expansion = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Gating:
    """Multiplies weights by gates in place, and takes the gradients back to both.

    Parameters
    ----------
    weights : mapping of str to Tensor
        The weights, by the parameter's name. Frozen ones are left alone.
    expand : callable
        Gives each weight its factor, by the parameter's name, for the gates of each layer.
    """

    def __init__(self, weights: Mapping[str, Tensor], expand: Expansion) -> None:
        self._weights = dict(weights)
        self._expand = expand
        self._factors: dict[str, Tensor] = {}
        self._ungated: dict[str, Tensor] = {}

    def gate(self, gates: Mapping[str, Tensor]) -> None:
        """Multiply the weights by gates, a tensor for each layer."""
        self._factors = self._expand(gates)
        for name, factor in self._factors.items():
            weight = self._weights[name]
            if weight.requires_grad:
                self._ungated[name] = weight.detach().clone()
                weight.data.mul_(factor.detach().to(weight))

    def ungate(self) -> None:
        """Set the weights to what they were without gates."""
        for name, ungated in self._ungated.items():
            self._weights[name].data.copy_(ungated)
        self._ungated = {}

    def backward(self, variables: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Ungate, and turn the gradients of gated weights into those of the weights themselves.

        Parameters
        ----------
        variables : sequence of Tensor
            What the gates were computed from.

        Returns
        -------
        gradients : tuple of Tensor
            Those of the variables, for the same loss.
        """
        factors, pushes = [], []
        for name, ungated in self._ungated.items():
            weight, factor = self._weights[name], self._factors[name]
            if weight.grad is not None and factor.requires_grad:
                factors.append(factor)
                pushes.append((weight.grad.to_dense() * ungated).to(factor))
                weight.grad.mul_(factor.detach().to(weight))
        self.ungate()
        return autograd.grad(factors, variables, pushes, materialize_grads=True)
