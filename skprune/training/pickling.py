"""Nets in pickles."""

from typing import Any

from skorch import NeuralNet

from skprune.training.masked_net import own_class, with_masks

__all__ = ["PlainNet"]


class PlainNet:
    """Pickles a net with the pickler at hand.

    skorch pickles modules apart, by reference, to move them between devices as they are loaded.
    That fails for a module that was defined in ``__main__`` and comes back from a worker process.

    Parameters
    ----------
    net : NeuralNet
        A net on the CPU, which is what comes out of the pickle.
    """

    def __init__(self, net: NeuralNet) -> None:
        self.net = net

    def __reduce__(self) -> tuple[Any, ...]:
        attributes = {name: v for name, v in vars(self.net).items() if name != "masking__"}
        return _restore_net, (own_class(self.net), attributes)


def _restore_net(cls: type, attributes: dict[str, Any]) -> NeuralNet:
    net: NeuralNet = object.__new__(cls)
    vars(net).update(attributes)
    return with_masks(net, attributes.get("masks_", {}))
