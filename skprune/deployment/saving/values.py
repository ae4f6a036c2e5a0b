"""Values of Python as JSON, with a mark where JSON has no such type."""

from abc import ABC, abstractmethod
from itertools import chain, count
from math import isfinite
from typing import Any

from skprune.deployment.saving.arrays import ArrayReader, ArrayWriter
from skprune.deployment.saving.fields import names_in
from skprune.deployment.saving.trust import Names
from skprune.exceptions import InvalidFileError, UnsavableError

__all__ = ["MARK", "Kind", "PlainKind", "Reader", "Writer"]

# A table with this key says what the rest of it is.
MARK = "//"
_PLAIN = (type(None), bool, int, str)


class Kind(ABC):
    """How values of a kind are written, and read.

    Attributes
    ----------
    mark : str
        What they are called in a file.
    """

    mark: str

    @abstractmethod
    def fits(self, value: Any) -> bool:
        """Whether a value is of the kind.

        Parameters
        ----------
        value : object
            The value.

        Returns
        -------
        fits : bool
            Whether :meth:`write` can write it.
        """

    @abstractmethod
    def write(self, value: Any, to: "Writer", where: str) -> dict[str, Any]:
        """Describe a value.

        Parameters
        ----------
        value : object
            The value.
        to : Writer
            Writes what it is made of.
        where : str
            What it is, for messages.

        Returns
        -------
        about : dict
            As JSON holds it.
        """

    @abstractmethod
    def read(self, about: dict[str, Any], source: "Reader", where: str) -> Any:
        """Make a value of its description.

        Parameters
        ----------
        about : dict
            The description.
        source : Reader
            Reads what it is made of.
        where : str
            What it is, for messages.

        Returns
        -------
        value : object
            The value.
        """


class PlainKind(Kind):
    """Values that are written as one value that JSON, or another kind, can hold."""

    def write(self, value: Any, to: "Writer", where: str) -> dict[str, Any]:
        """Describe it; see :class:`Kind`."""
        return {"is": to.write(self.plain(value, where), where)}

    def read(self, about: dict[str, Any], source: "Reader", where: str) -> Any:
        """Make it again; see :class:`Kind`."""
        names_in(about, where, {"is"})
        return self.made(source.read(about["is"], where), where)

    @abstractmethod
    def plain(self, value: Any, where: str) -> Any:
        """Give what stands for a value.

        Parameters
        ----------
        value : object
            The value.
        where : str
            What it is, for messages.

        Returns
        -------
        plain : object
            What can be written.
        """

    @abstractmethod
    def made(self, plain: Any, where: str) -> Any:
        """Make a value of what stands for it.

        Parameters
        ----------
        plain : object
            What was read.
        where : str
            What it is, for messages.

        Returns
        -------
        value : object
            The value.
        """


class Writer:
    """Writes values.

    Parameters
    ----------
    kinds : tuple of Kind
        What can be written beside what JSON holds.

    Attributes
    ----------
    arrays : ArrayWriter
        Where arrays go.
    """

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.arrays = ArrayWriter()
        self._kinds = kinds

    def new_name(self, name: str = "array") -> str:
        """Give the name of a new array, like the one that is wanted.

        Parameters
        ----------
        name : str, default="array"
            What is wanted.

        Returns
        -------
        name : str
            One that no other array has.
        """
        taken = self.arrays.about
        return next(n for n in chain([name], (f"{name} {i}" for i in count(2))) if n not in taken)

    def write(self, value: Any, where: str) -> Any:
        """Describe a value.

        Parameters
        ----------
        value : object
            The value.
        where : str
            What it is, for messages.

        Returns
        -------
        about : object
            As JSON holds it.

        Raises
        ------
        UnsavableError
            If it is of no kind that can be written; the message says what and where.
        """
        kind = type(value)
        if kind in _PLAIN or (kind is float and isfinite(value)):
            return value
        if kind is list:
            return [self.write(each, f"{where}[{i}]") for i, each in enumerate(value)]
        if kind is dict and all(type(key) is str for key in value) and MARK not in value:
            return {key: self.write(each, f"{where}.{key}") for key, each in value.items()}
        for each in self._kinds:
            if each.fits(value):
                return {MARK: each.mark, **each.write(value, self, where)}
        raise UnsavableError(
            f"{where} is a {kind.__module__}.{kind.__qualname__}, which cannot be written without "
            "code of its own."
        )

    def attempt(self, value: Any, where: str) -> Any:
        """Describe a value as :meth:`write` does; one that cannot be leaves no arrays behind."""
        about, streams = dict(self.arrays.about), dict(self.arrays.streams)
        try:
            return self.write(value, where)
        except UnsavableError:
            self.arrays.about, self.arrays.streams = about, streams
            raise


class Reader:
    """Reads values.

    Parameters
    ----------
    kinds : tuple of Kind
        As for :class:`Writer`.
    arrays : ArrayReader
        Where arrays are.
    names : Names
        Where classes and functions are found.

    Attributes
    ----------
    arrays, names
        As they were given.
    """

    def __init__(self, kinds: tuple[Kind, ...], arrays: ArrayReader, names: Names) -> None:
        self.arrays = arrays
        self.names = names
        self._kinds = {kind.mark: kind for kind in kinds}

    def read(self, about: Any, where: str) -> Any:
        """Make a value of its description.

        Parameters
        ----------
        about : object
            What JSON held.
        where : str
            What it is, for messages.

        Returns
        -------
        value : object
            The value.

        Raises
        ------
        InvalidFileError
            If it is no description.
        """
        if isinstance(about, list):
            return [self.read(each, f"{where}[{i}]") for i, each in enumerate(about)]
        if not isinstance(about, dict):
            return about
        if MARK not in about:
            return {key: self.read(each, f"{where}.{key}") for key, each in about.items()}
        mark = about[MARK]
        if not isinstance(mark, str) or mark not in self._kinds:
            raise InvalidFileError(
                f"The file is damaged, in {where}: values of the kind {str(mark)[:80]!r} are not "
                "known."
            )
        return self._kinds[mark].read(about, self, where)
