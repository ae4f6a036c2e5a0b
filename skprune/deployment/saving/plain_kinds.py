"""Values of Python that JSON has no form for: tuples, dicts of any keys, infinities, names."""

from collections.abc import Mapping
from typing import Any

from skprune.deployment.saving.fields import check, field, names_in
from skprune.deployment.saving.trust import name_of
from skprune.deployment.saving.values import Kind, PlainKind, Reader
from skprune.exceptions import InvalidFileError

__all__ = ["PLAIN_KINDS"]


class _Float(PlainKind):
    mark = "float"

    def fits(self, value: Any) -> bool:
        return type(value) is float

    def plain(self, value: float, where: str) -> str:
        return repr(value)

    def made(self, plain: Any, where: str) -> float:
        check(plain in ("nan", "inf", "-inf"), where, "a number is expected")
        return float(plain)


class _Tuple(PlainKind):
    mark = "tuple"

    def fits(self, value: Any) -> bool:
        return type(value) is tuple

    def plain(self, value: tuple[Any, ...], where: str) -> list[Any]:
        return list(value)

    def made(self, plain: Any, where: str) -> tuple[Any, ...]:
        check(isinstance(plain, list), where, "a list is expected")
        return tuple(plain)


class _Dict(PlainKind):
    """A dict with other keys than text."""

    mark = "dict"

    def fits(self, value: Any) -> bool:
        return type(value) is dict

    def plain(self, value: Mapping[Any, Any], where: str) -> list[Any]:
        return [[key, each] for key, each in value.items()]

    def made(self, plain: Any, where: str) -> dict[Any, Any]:
        pairs = isinstance(plain, list) and all(
            isinstance(pair, list) and len(pair) == 2 for pair in plain
        )
        check(pairs, where, "pairs are expected")
        try:
            return dict(plain)
        except TypeError as error:
            raise InvalidFileError(f"The file is damaged, in {where}: {error}.") from error


class _Slice(PlainKind):
    mark = "slice"

    def fits(self, value: Any) -> bool:
        return type(value) is slice

    def plain(self, value: slice, where: str) -> list[Any]:
        return [value.start, value.stop, value.step]

    def made(self, plain: Any, where: str) -> slice:
        check(isinstance(plain, list) and len(plain) == 3, where, "three values are expected")
        return slice(*plain)


class _Dtype(PlainKind):
    """A type of NumPy's or torch's."""

    mark = "dtype"

    def fits(self, value: Any) -> bool:
        return str(value).startswith("torch.") and type(value).__name__ == "dtype"

    def plain(self, value: Any, where: str) -> str:
        return str(value).removeprefix("torch.")

    def made(self, plain: Any, where: str) -> Any:
        import torch

        dtype = getattr(torch, plain, None) if isinstance(plain, str) else None
        check(isinstance(dtype, torch.dtype), where, f"{plain!r} is no type of torch's")
        return dtype


class _Named(PlainKind):
    """A class or a function, by its name."""

    mark = "name"

    def fits(self, value: Any) -> bool:
        return callable(value) and hasattr(value, "__qualname__")

    def plain(self, value: Any, where: str) -> str:
        return name_of(value, where)

    def made(self, plain: Any, where: str) -> Any:
        raise NotImplementedError

    def read(self, about: dict[str, Any], source: Reader, where: str) -> Any:
        names_in(about, where, {"is"})
        return source.names.find(field(about, "is", str, where), where)


PLAIN_KINDS: tuple[Kind, ...] = (_Float(), _Tuple(), _Dict(), _Slice(), _Dtype(), _Named())
