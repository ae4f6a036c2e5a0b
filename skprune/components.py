"""What every value on an axis is: a small estimator-like object with a short name."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator

from skprune._sklearn import InvalidParameterError

__all__ = ["Component", "NamesComponents", "near_match", "resolve"]


class NamesComponents(BaseEstimator):
    """An object some of whose parameters may be given by the name of a component.

    ``axes`` maps such a parameter to its table of names. Setting a nested parameter, as in
    ``set_params(strategy__importance__p=1)``, turns the name into the component that it stands
    for first, so that a search reaches every parameter whether or not it began with a string.
    """

    axes: ClassVar[dict[str, Mapping[Any, Any]]] = {}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, nested ones included.

        Parameters
        ----------
        **params : dict
            Parameter names, nested with double underscores, and their values.

        Returns
        -------
        self : object
            The object itself.
        """
        own = {key: value for key, value in params.items() if "__" not in key}
        nested = {key: value for key, value in params.items() if "__" in key}
        super().set_params(**own)
        for parameter in {key.partition("__")[0] for key in nested} & self.axes.keys():
            value = getattr(self, parameter)
            if value is None or isinstance(value, str):
                setattr(self, parameter, resolve(value, self.axes[parameter], parameter))
        return super().set_params(**nested)


class Component(NamesComponents):
    """Base of the values on an axis: constructor parameters and nothing else."""

    _parameter_constraints: ClassVar[dict] = {}

    def validated(self) -> Self:
        """Check the parameters against their declared constraints.

        Returns
        -------
        self : object
            The component itself.

        Raises
        ------
        InvalidParameterError
            If a parameter has an invalid type or value.
        """
        self._validate_params()
        return self


def resolve(value: Any, table: Mapping[Any, Any], parameter: str, base: type = object) -> Any:
    """Turn a name into the component that it stands for; pass a component through.

    Parameters
    ----------
    value : str, None or component
        What the user gave.
    table : mapping of name to callable
        The known names, and what makes the component of each.
    parameter : str
        The name of the parameter, for the message.
    base : type, default=object
        What a component given as an object must be an instance of.

    Returns
    -------
    component : object
        The component.

    Raises
    ------
    InvalidParameterError
        If the name is unknown; the message has the nearest known one.
    """
    if value is None or isinstance(value, str):
        if value in table:
            return table[value]()
        raise InvalidParameterError(
            f"Unknown {parameter} {value!r}.{near_match(value, table)} "
            f"Known: {', '.join(repr(name) for name in table)}."
        )
    if not isinstance(value, base) or isinstance(value, type):
        raise InvalidParameterError(
            f"{parameter} must be one of {', '.join(repr(name) for name in table)} or an instance "
            f"of {base.__name__}; got {value!r}."
        )
    return value


def near_match(name: Any, known: Any) -> str:
    """Say which known name a wrong one resembles, as a sentence with a leading space.

    Parameters
    ----------
    name : object
        What the user gave.
    known : iterable of str
        The known names.

    Returns
    -------
    sentence : str
        For example ``" Did you mean 'magnitude'?"``; empty if nothing is near.
    """
    names = [candidate for candidate in known if isinstance(candidate, str)]
    close = get_close_matches(str(name), names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
