"""Folders that appear whole or not at all, and replace an older one without a moment in which both are lost."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plenodream.files.atomic import TEMPORARY, remove_leftover, sync_folder, temporary_name

LOCK = ".lock"
_REPLACED = ".old-"


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to fill (by `write_file`), put at `final` in place of what is there; removed if filling it fails.

    Raises:
        OSError: Disk full, parent not writable.
    """
    temporary, old = temporary_name(final), final.with_name(_REPLACED + final.name)
    try:
        remove_leftover(temporary)
        temporary.mkdir()
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if os.path.lexists(final):  # a link is replaced, not followed
        remove_leftover(old)
        os.rename(final, old)
    os.rename(temporary, final)
    sync_folder(final.parent)
    with suppress(OSError):
        remove_leftover(old)


def check_new_folder(final: Path, what: str) -> None:
    """Refuse a place where `new_folder` would replace something, or the folder that the program was started in.

    Raises:
        ValueError: Something is there that is no empty folder; or it is the working directory, or above it.
    """
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise ValueError(f"{final}: holds something already; expected a new or empty folder for {what}")
    here = Path.cwd()
    if final.resolve() in (here, *here.parents):
        raise ValueError(f"{final}: the folder you are in; expected a new folder below it for {what}")


@contextmanager
def folder_if_used(folder: Path) -> Iterator[None]:
    """A folder, made if need be. If the body fails and has put nothing there, what was made is removed again."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in (path for path in made if path.is_dir()):  # the body may have removed some itself
            if any(inside.name != LOCK for inside in path.iterdir()):
                break
            (path / LOCK).unlink(missing_ok=True)
            path.rmdir()
        raise


def tidy(folder: Path, files: Iterable[str] = (), folders: Iterable[str] = ()) -> None:
    """Mend what a killed process left in a folder: remove unfinished files and folders, finish or undo replacements.

    Args:
        folder: Where to look. Nothing happens if it is not there.
        files: Names that are written there by `write_file`; what is left of others is not ours.
        folders: Names that are written there by `new_folder`.
    """
    files, folders = set(files), set(folders)
    for path in folder.glob(f"{TEMPORARY}*"):
        if unfinished_name(path.name) in (files if not _is_folder(path) else folders):
            remove_leftover(path)
    for name in folders:
        old, current = folder / f"{_REPLACED}{name}", folder / name
        if _is_folder(old) and current.exists():
            shutil.rmtree(old)
        elif _is_folder(old):  # killed between the two renames of `new_folder`
            os.rename(old, current)


def unfinished_name(name: str) -> str | None:
    """Of which file or folder this is the unfinished state; None if it is that of none."""
    found = re.fullmatch(re.escape(TEMPORARY) + r"(.+)-\d+", name)
    return found[1] if found else None


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
