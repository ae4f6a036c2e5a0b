"""Entries of a folder of dense networks: safetensors with a checksum, and never code."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any

import torch
from joblib import Memory
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from skprune.files import write_whole
from skprune.training.fingerprint import Uncacheable

__all__ = ["DamagedEntry", "folder_of", "read_entry", "write_entry"]

_SECONDS_TO_WRITE = 3600  # a file that is not finished after that is of a process that ended


class DamagedEntry(ValueError):
    """What is in a file is not what was written there."""


def folder_of(memory: Any) -> Path | None:
    """Give the folder of entries.

    Parameters
    ----------
    memory : str, os.PathLike or joblib.Memory
        A folder, or a memory that is in one.

    Returns
    -------
    folder : Path or None
        Where ``Memory.clear`` clears it; None for a memory that keeps nothing.

    Raises
    ------
    Uncacheable
        If the memory is not in a folder.
    """
    if isinstance(memory, Memory):
        if memory.location is None:
            return None
        if memory.backend != "local":
            raise Uncacheable(f"a memory of the backend {memory.backend!r} is no folder")
        memory = memory.location
    return Path(memory) / "joblib" / "skprune"


def read_entry(folder: Path, key: str) -> tuple[dict[str, Tensor], str] | None:
    """Read what is kept under a key.

    Parameters
    ----------
    folder : Path
        Where entries are.
    key : str
        The key.

    Returns
    -------
    tensors, about
        As :func:`write_entry` was given them; None if there are none.

    Raises
    ------
    DamagedEntry
        If the entry is not what was written under this key.
    OSError
        If the file cannot be read.
    """
    path = _path(folder, key)
    if path.is_dir():
        raise DamagedEntry(f"{path.name} is a folder")
    if not path.exists():
        return None
    with open(path, "rb"):  # an error of the system's says more than one of safetensors
        pass
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:  # it is being replaced, or cleared
        return None
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise DamagedEntry(str(error)) from error
    about = metadata.get("about", "")
    if metadata.get("key") != key:
        raise DamagedEntry("it is the entry of another training")
    if metadata.get("checksum") != _checksum(key, tensors, about):
        raise DamagedEntry("its checksum is another")
    return tensors, about


def write_entry(folder: Path, key: str, tensors: Mapping[str, Tensor], about: str) -> None:
    """Keep tensors under a key: all of them, or nothing is there.

    Parameters
    ----------
    folder : Path
        Where entries are.
    key : str
        The key.
    tensors : mapping of str to Tensor
        Contiguous tensors on the CPU.
    about : str
        What there is to say about them.

    Raises
    ------
    Uncacheable
        If safetensors knows no such tensors.
    OSError
        If the file cannot be written.
    """
    metadata = {"key": key, "about": about, "checksum": _checksum(key, tensors, about)}
    try:
        data = save(dict(tensors), metadata)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Uncacheable(f"safetensors cannot hold the network ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    _tidy(folder)
    path = _path(folder, key)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    write_whole(path, data)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"


def _tidy(folder: Path) -> None:
    for path in folder.glob("*.part"):
        try:
            if time() - path.stat().st_mtime > _SECONDS_TO_WRITE:
                path.unlink()
        except OSError:  # another process was faster
            continue


def _checksum(key: str, tensors: Mapping[str, Tensor], about: str) -> str:
    digest = hashlib.blake2b(digest_size=20)
    digest.update(repr((key, about)).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
