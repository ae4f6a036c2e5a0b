"""Which names of a file are looked up: those of a list, and those that the caller trusts."""

import sys
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from inspect import isclass, isfunction
from types import ModuleType
from typing import Any

from skprune.exceptions import InvalidFileError, UnsavableError

__all__ = ["AllNames", "Names", "is_known", "name_of"]


def _subclasses_of(base: str) -> Callable[[str, Any], bool]:
    def allowed(name: str, value: Any) -> bool:
        home, _, kind = base.partition(":")
        return isclass(value) and issubclass(value, getattr(import_module(home), kind))

    return allowed


def _one_of(*names: str) -> Callable[[str, Any], bool]:
    def allowed(name: str, value: Any) -> bool:
        return name in names

    return allowed


def _public(name: str, value: Any) -> bool:
    return isclass(value) and value.__module__.startswith("skprune.")


# What can be named without being trusted by the caller: nothing of it reads or writes files, or
# runs what it is given, when it is made.
_KNOWN: dict[str, Callable[[str, Any], bool]] = {
    "skprune": _one_of("PrunedClassifier", "PrunedRegressor", "Strategy", "Target"),
    "skprune.strategies": _public,
    "skprune.structures": _public,
    "skprune.network": _one_of("MLP"),
    "skprune.network.losses": _one_of("ScaledMSELoss"),
    "torch.nn": _subclasses_of("torch.nn:Module"),
    "torch.optim": _subclasses_of("torch.optim:Optimizer"),
    "torch.optim.lr_scheduler": _subclasses_of("torch.optim.lr_scheduler:LRScheduler"),
    "torch.utils.data": _one_of("DataLoader"),
    "torch": _one_of("exp", "relu", "sigmoid", "tanh"),
    "skorch": _one_of(
        "NeuralNet", "NeuralNetBinaryClassifier", "NeuralNetClassifier", "NeuralNetRegressor"
    ),
    "skorch.dataset": _one_of("Dataset", "ValidSplit"),
    "skorch.callbacks": _one_of(
        "BatchScoring",
        "EarlyStopping",
        "EpochScoring",
        "EpochTimer",
        "GradientNormClipping",
        "InputShapeSetter",
        "LRScheduler",
        "PassthroughScoring",
        "PrintLog",
        "ProgressBar",
    ),
    "sklearn.pipeline": _one_of("Pipeline", "FeatureUnion"),
    "sklearn.compose": _one_of("ColumnTransformer"),
    "sklearn.decomposition": _one_of("PCA", "TruncatedSVD"),
    "sklearn.feature_selection": _one_of("VarianceThreshold"),
    "sklearn.impute": _one_of("MissingIndicator", "SimpleImputer"),
    "sklearn.preprocessing": _one_of(
        "Binarizer",
        "KBinsDiscretizer",
        "MaxAbsScaler",
        "MinMaxScaler",
        "Normalizer",
        "OneHotEncoder",
        "OrdinalEncoder",
        "PolynomialFeatures",
        "PowerTransformer",
        "QuantileTransformer",
        "RobustScaler",
        "SplineTransformer",
        "StandardScaler",
    ),
}


def name_of(value: Any, where: str) -> str:
    """Name a class or a function, so that it can be found again by import.

    Parameters
    ----------
    value : type or callable
        The class or function.
    where : str
        What it is, for messages.

    Returns
    -------
    name : str
        Its module and its name in it, such as ``"torch.nn:Linear"``.

    Raises
    ------
    UnsavableError
        If it cannot be found by a name, as a lambda cannot.
    """
    short = getattr(value, "__name__", "")
    for home, allowed in _KNOWN.items():
        found = getattr(sys.modules.get(home), short, None) if short else None
        if found is value and allowed(short, value):
            return f"{home}:{short}"
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if (
        not module
        or not name.isidentifier()
        or getattr(sys.modules.get(module), name, None) is not value
    ):
        raise UnsavableError(
            f"{where} is {str(value)[:80]}, which cannot be found by a name. Define it at the top "
            "of a module, under the name that it has."
        )
    return f"{module}:{name}"


def is_known(value: Any) -> bool:
    """Whether a class or function may be named without being trusted by the caller."""
    try:
        return name_of(value, "").partition(":")[0] in _KNOWN
    except UnsavableError:
        return False


class Names:
    """Looks names up, if they are trusted.

    Parameters
    ----------
    trusted : collection of str, module, type or callable
        Beside what is always known: names of modules and packages, all of whose classes and
        functions may be used; names of single ones (``"package.module.Name"``); or these
        themselves.
    """

    def __init__(self, trusted: Collection[Any]) -> None:
        if isinstance(trusted, (str, ModuleType, type)) or not isinstance(trusted, Iterable):
            raise TypeError(
                f"trusted must be a list, such as [{trusted!r}] with what you gave; got a "
                f"{type(trusted).__name__}."
            )
        self._names: set[str] = set()
        self._values: dict[str, Any] = {}
        for each in trusted:
            if isinstance(each, str):
                self._names.add(each)
            elif isinstance(each, ModuleType):
                self._names.add(each.__name__)
            elif isclass(each) or isfunction(each):
                self._values[f"{each.__module__}:{each.__qualname__}"] = each
            else:
                raise TypeError(
                    "trusted must hold names of modules, classes or functions, or these "
                    f"themselves; it has a {type(each).__name__}."
                )

    def find(self, name: str, where: str) -> Any:
        """Find a class or a function.

        Parameters
        ----------
        name : str
            As :func:`name_of` gives it.
        where : str
            What it is, for messages.

        Returns
        -------
        value : type or callable
            The class or function.

        Raises
        ------
        InvalidFileError
            If it is not trusted, or there is no such name.
        """
        module, _, short = name.partition(":")
        if name in self._values:
            return self._values[name]
        if not short.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise InvalidFileError(f"The file is damaged: {where} has the name {name[:80]!r}.")
        trusted = self._trusts(module) or bool({f"{module}.{short}", name} & self._names)
        if not trusted and module not in _KNOWN:
            raise InvalidFileError(self._refusal(module, short, where))
        try:
            value = getattr(import_module(module), short)
        except (ImportError, AttributeError) as error:
            raise InvalidFileError(
                f"{where} is {module}.{short}, which cannot be imported: {error}."
            ) from error
        if trusted and (getattr(value, "__module__", None) == module or module in _KNOWN):
            return value
        if module not in _KNOWN or not _KNOWN[module](short, value):
            raise InvalidFileError(self._refusal(module, short, where))
        return value

    def _trusts(self, module: str) -> bool:
        """Whether a module is trusted, or a package that it is in."""
        return any(module == name or module.startswith(f"{name}.") for name in self._names)

    @staticmethod
    def _refusal(module: str, name: str, where: str) -> str:
        return (
            f"{where} is {module}.{name}, which is not trusted. To look it up runs the code of "
            f"its module, and to use it runs its own: if you trust them, pass "
            f"trusted=[{module!r}], or trusted=['{module}.{name}']."
        )


class AllNames(Names):
    """Trusts every name: for a file that was made a moment ago, of what is here."""

    def __init__(self) -> None:
        super().__init__(())

    def _trusts(self, module: str) -> bool:
        return True
