"""What all estimators around a net share: how they are validated, printed, copied and pickled."""

from collections.abc import Callable, Mapping
from copy import copy
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import torch
from joblib import Memory
from sklearn.base import BaseEstimator
from skorch import NeuralNet

from skprune._sklearn import Interval, StrOptions
from skprune.components import NamesComponents
from skprune.estimators.showing import ShownNet
from skprune.strategies.target import BUDGETS
from skprune.structures import STRUCTURES, Structure
from skprune.training.nets import is_fitted_net, unwrapped
from skprune.training.pickling import PlainNet

__all__ = ["WrapsNet"]


class WrapsNet(NamesComponents):
    """An estimator that has a skorch net as its parameter `estimator`, and prunes it."""

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {"structure": STRUCTURES}

    _parameter_constraints: ClassVar[dict] = {
        "estimator": "no_validation",
        "structure": [str, Structure],
        "budget": [StrOptions(set(BUDGETS))],
        "fine_tune_epochs": [Interval(Integral, 0, None, closed="left"), None],
        "protect": [None, list, tuple],
        "memory": [None, str, PathLike, Memory],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # The nets that it takes.
    _nets: ClassVar[tuple[type[NeuralNet], ...]]

    estimator: Any

    def _usual_net(self) -> Callable[[], NeuralNet]:
        """Say what makes the net that is used where the user gives none."""
        return self.axes["estimator"][None]

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        shown = copy(self)
        if isinstance(unwrapped(self.estimator), self._nets):
            shown.estimator = ShownNet(self.estimator, self._usual_net())
        # scikit-learn lays out what has its own __repr__ and leaves others as they are.
        plain = {"__repr__": BaseEstimator.__repr__}
        shown.__class__ = type(type(self).__name__, (type(self),), plain)
        return BaseEstimator.__repr__(shown, N_CHAR_MAX)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        plain = {
            name: PlainNet(state[name])
            for name in ("net_", "estimator")
            if is_fitted_net(state.get(name))
            and torch.device(state[name].device or "cpu").type == "cpu"
        }
        return {**state, **plain}

    def __copy__(self) -> Self:
        result = object.__new__(type(self))
        result.__dict__.update(vars(self))
        return result
