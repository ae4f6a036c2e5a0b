"""Files that are there whole, or not at all."""

import os
from pathlib import Path
from secrets import token_hex

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody, at no time, finds a half of it.

    It is written under another name in the same folder, and takes its place when all of it is on
    the disk. A process that is killed meanwhile leaves the old file as it was, and perhaps a
    ``.part`` file beside it.

    Parameters
    ----------
    path : Path
        Where; a file that is there is replaced.
    data : bytes
        The content.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = Path(os.path.realpath(path))  # what a link leads to is replaced, and not the link
    unfinished = path.with_name(f"{path.name}.{token_hex(8)}.part")
    try:
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            unfinished.chmod(path.stat().st_mode & 0o777)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk as well, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
