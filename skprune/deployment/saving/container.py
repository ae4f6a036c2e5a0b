"""The file itself: a few bytes that say what it is, and a compressed safetensors file."""

import json
import struct
from collections.abc import Iterator, Mapping
from importlib.resources import files
from io import BytesIO
from math import isfinite
from typing import Any

import numpy as np
import zstandard
from safetensors.numpy import save as safetensors_bytes

from skprune.exceptions import InvalidFileError

__all__ = ["FORMAT", "Container", "pack"]

# The version of the format: what a file of a higher one holds is not known here.
FORMAT = 1
_MAGIC = b"SKPRUNE\n"
_PREFIX = struct.Struct("<8sI")
# Of what describes the content; each name, parameter and size takes a few bytes of it.
_MAX_DESCRIPTION = 1 << 24
_ABOUT = "about"
# What all other names begin with: safetensors sorts them, and the description comes first.
_DATA = "data/"
# What descriptions have in common takes no room in a file: its compression begins with this text,
# which therefore never changes. Another version of the format may have another.
_COMMON_TEXT = zstandard.ZstdCompressionDict(
    files(__package__).joinpath("common_text_1.txt").read_bytes(),
    dict_type=zstandard.DICT_TYPE_RAWCONTENT,
)
# Beyond that, the strongest compression takes minutes and wins next to nothing.
_LARGE = 1 << 25


def pack(about: Any, streams: Mapping[str, list[bytes]]) -> bytes:
    """Make the bytes of a file.

    Parameters
    ----------
    about : object
        What JSON can hold.
    streams : mapping of str to list of bytes
        Numbers, by name, in parts. Each part is compressed by statistics of its own.

    Returns
    -------
    data : bytes
        The file.

    Raises
    ------
    ValueError
        If the description is too long.
    """
    text = json.dumps(about, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > _MAX_DESCRIPTION:
        raise ValueError(
            f"The description of what is saved takes {len(text):,} bytes, of at most "
            f"{_MAX_DESCRIPTION:,}."
        )
    parts = {_ABOUT: [text], **{f"{_DATA}{name}": each for name, each in streams.items()}}
    tensors = {name: np.frombuffer(b"".join(each), np.uint8) for name, each in parts.items()}
    content = safetensors_bytes(tensors)
    compressor = zstandard.ZstdCompressor(
        level=19 if len(content) < _LARGE else 6, write_checksum=True, dict_data=_COMMON_TEXT
    ).compressobj(size=len(content))
    compressed = [_PREFIX.pack(_MAGIC, FORMAT)]
    view, start = memoryview(content), 0
    for end in _ends(content, parts):
        compressed.append(compressor.compress(view[start:end]))
        # Numbers of different kinds have no statistics in common.
        compressed.append(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        start = end
    compressed.append(compressor.flush())
    return b"".join(compressed)


def _ends(content: bytes, parts: Mapping[str, list[bytes]]) -> Iterator[int]:
    """Say where each part ends, the header first."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    start = 8 + length
    yield start
    for name in sorted(parts, key=lambda name: header[name]["data_offsets"]):
        for part in parts[name]:
            if part:
                start += len(part)
                yield start


class Container:
    """A file that is read: its description first, and the rest when its size is known.

    Parameters
    ----------
    data : bytes
        The file.
    max_bytes : int
        How long its content may be.

    Attributes
    ----------
    about : object
        The description.
    lengths : dict of str to int
        The length of each stream, by name.

    Raises
    ------
    InvalidFileError
        If it is no such file, of a later version, damaged, or longer than it may be.
    """

    def __init__(self, data: bytes, max_bytes: int) -> None:
        frame = memoryview(data)[_PREFIX.size :]
        _check_prefix(data)
        try:
            size = zstandard.frame_content_size(frame)
        except zstandard.ZstdError as error:
            raise InvalidFileError(f"The file is damaged: {error}.") from error
        if size < 8:
            raise InvalidFileError("The file is damaged: it does not say how long its content is.")
        _check_length(frame)
        if size > max_bytes + _MAX_DESCRIPTION:
            raise InvalidFileError(
                f"The file says that its content takes {size:,} bytes, and at most {max_bytes:,} "
                "are allowed. If you trust it, pass a larger max_bytes."
            )
        decompressor = zstandard.ZstdDecompressor(dict_data=_COMMON_TEXT, max_window_size=1 << 27)
        self._size, self._position = size, 0
        self._reader = decompressor.stream_reader(BytesIO(frame))
        (length,) = struct.unpack("<Q", self._read(8))
        offsets = self._offsets(length)
        if offsets[:1] != [(_ABOUT, offsets[0][1])] or offsets[0][1] > _MAX_DESCRIPTION:
            raise InvalidFileError("The file has no description, or one that is too long.")
        self.about = parse(self._read(offsets[0][1]))
        self.lengths = {name.removeprefix(_DATA): length for name, length in offsets[1:]}
        if len(self.lengths) < len(offsets) - 1:
            raise InvalidFileError("The file is damaged: it has a name twice.")

    def _offsets(self, length: int) -> list[tuple[str, int]]:
        """Read the header of the safetensors file: names and lengths, in their order."""
        if length > min(_MAX_DESCRIPTION, self._size - 8):
            raise InvalidFileError(f"The file is damaged: its header has {length:,} bytes.")
        header = parse(self._read(length))
        if not isinstance(header, dict):
            raise InvalidFileError("The file is damaged: its header is no table.")
        end, found = 0, []
        try:
            entries = sorted(header.items(), key=lambda entry: entry[1]["data_offsets"])
            for name, entry in entries:
                start, stop = entry["data_offsets"]
                whole = all(type(number) is int for number in (start, stop))
                if not whole or start != end or stop < start:
                    raise InvalidFileError(
                        f"The file is damaged: {name!r} is said to lie from {start} to {stop}, and "
                        f"what comes before it ends at {end}."
                    )
                if entry != {"dtype": "U8", "shape": [stop - start], "data_offsets": [start, stop]}:
                    raise InvalidFileError(f"The file is damaged: {name!r} is {entry}.")
                found.append((name, stop - start))
                end = stop
        except (TypeError, ValueError, KeyError) as error:
            if isinstance(error, InvalidFileError):
                raise
            raise InvalidFileError(f"The file is damaged: its header has {error!r}.") from error
        if not found or 8 + length + end != self._size:
            raise InvalidFileError(
                f"The file is damaged: its content has {self._size:,} bytes, and its header speaks "
                f"of {8 + length + end:,}."
            )
        return found

    def streams(self) -> dict[str, memoryview]:
        """Read the streams.

        Returns
        -------
        streams : dict of str to memoryview
            By their names.
        """
        data, start = {}, 0
        rest = memoryview(self._read(self._size - self._position))
        for name, length in self.lengths.items():
            data[name] = rest[start : start + length]
            start += length
        return data

    def _read(self, length: int) -> bytes:
        """Read bytes; a reader of compressed data may give them piece by piece."""
        pieces, missing = [], length
        try:
            while missing and (piece := self._reader.read(missing)):
                pieces.append(piece)
                missing -= len(piece)
        except zstandard.ZstdError as error:
            raise InvalidFileError(f"The file is damaged: {error}.") from error
        if missing:
            raise InvalidFileError("The file is damaged: it ends too early.")
        self._position += length
        return b"".join(pieces)


def _check_length(frame: memoryview) -> None:
    """Go from block to block of compressed data; a reader stops at the end of a file in silence."""
    end, is_last = zstandard.frame_header_size(frame), False
    while not is_last and end + 3 <= len(frame):
        block = int.from_bytes(frame[end : end + 3], "little")
        is_last, is_one_byte = bool(block & 1), block >> 1 & 3 == 1
        end += 3 + (1 if is_one_byte else block >> 3)
    end += 4  # the checksum
    if not is_last or end > len(frame):
        raise InvalidFileError("The file is damaged: it ends too early.")
    if end < len(frame):
        raise InvalidFileError("The file is damaged: something follows after its end.")
    if not zstandard.get_frame_parameters(frame).has_checksum:
        raise InvalidFileError("The file is damaged: it has no checksum.")


def _check_prefix(data: bytes) -> None:
    if len(data) < _PREFIX.size:
        raise InvalidFileError(f"This is no file of skprune: it has {len(data)} bytes.")
    magic, version = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise InvalidFileError(
            f"This is no file of skprune: it begins with {magic!r}, and not with {_MAGIC!r}."
        )
    if not 1 <= version <= FORMAT:
        raise InvalidFileError(
            f"The file has version {version} of the format, and this skprune reads 1 to {FORMAT}. "
            "A newer skprune can read it."
        )


def parse(text: bytes) -> Any:
    """Read JSON: each key once, and no number that is not finite.

    Parameters
    ----------
    text : bytes
        The JSON.

    Returns
    -------
    value : object
        What it says.

    Raises
    ------
    InvalidFileError
        If it is something else.
    """
    try:
        return json.loads(
            text.decode(), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except InvalidFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidFileError(f"The file is damaged: its description is no JSON ({error}).") from (
            error
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise InvalidFileError("The file is damaged: its description has a key twice.")
    return result


def _refuse(constant: str) -> Any:
    raise InvalidFileError(f"The file is damaged: its description has the number {constant}.")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise InvalidFileError(f"The file is damaged: its description has the number {text}.")
    return number
