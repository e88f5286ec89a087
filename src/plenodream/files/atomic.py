"""Files that appear whole or not at all: written beside their name, flushed to disk, renamed into place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TEMPORARY = ".tmp-"


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process uses; leftovers of a killed process start with `TEMPORARY`."""
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")


def write_file(path: str | Path, data: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, never a part.

    A link is replaced, not followed.

    Args:
        path: File to write or to replace; its folder exists.
        data: The whole content.

    Raises:
        OSError: The disk is full, the folder is missing or read-only; nothing is left behind then.
    """
    path = Path(path)
    temporary = temporary_name(path)
    remove_leftover(temporary)
    try:
        with open(temporary, "xb") as file:  # x: never through a link
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # the name that people know
        raise
    sync_folder(path.parent)


def remove_leftover(path: Path) -> None:
    """Remove a file, a link (not what it points to) or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names, so that a rename in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
