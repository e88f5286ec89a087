"""Files that appear whole or not at all: written beside their name, flushed to disk, renamed into place."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY = ".tmp-"


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process uses; leftovers of a killed process start with `TEMPORARY`."""
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")


def write_file(path: str | Path, data: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, never a part.

    Args:
        path: File to write or to replace; its folder exists.
        data: The whole content.

    Raises:
        OSError: The disk is full, the folder is missing or read-only; nothing is left behind then.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names, so that a rename in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
