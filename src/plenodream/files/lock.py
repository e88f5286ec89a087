"""One writer to a folder at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from plenodream.files.folders import LOCK, folder_if_used

_OWNER_BYTES = 32


@contextmanager
def locked(folder: Path, doing: str = "rendered") -> Iterator[None]:
    """Hold a folder for writing; the kernel lets go when the process ends, however it ends.

    Args:
        folder: Made if need be, and removed again if the body fails before it has put anything there.
        doing: What happens in it, for the message to a second process.

    Raises:
        ValueError: Another process holds it (the message has its number), or the lock is a link or a folder.
    """
    path = folder / LOCK
    with folder_if_used(folder):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ValueError(f"{path}: is a link or no file; expected the lock that plenodream writes: remove it")
        lock = FileLock(path, timeout=0, mode=0o644)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"{folder} is being {doing} by process {_owner(path) or 'unknown'}; expected no other: "
                "wait for it or end it, then repeat"
            ) from None
        try:
            _sign(path, f"{os.getpid()}\n")
            yield
        finally:
            with suppress(FileNotFoundError):  # the body has removed the folder, and why it ended matters more
                _sign(path, "")
            lock.release()


def _owner(path: Path) -> str:
    """The number in a lock; nothing where anything else is in it."""
    with open(path, "rb", opener=_no_link) as file:
        text = file.read(_OWNER_BYTES + 1).decode("ascii", errors="replace").strip()
    return text if text.isdigit() and len(text) < _OWNER_BYTES else ""


def _sign(path: Path, text: str) -> None:
    """Put text into the lock, unless there is something in it that we have not written."""
    if path.stat().st_size and not _owner(path):
        return
    with open(path, "r+b", opener=_no_link) as file:
        file.truncate()
        file.write(text.encode())


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
