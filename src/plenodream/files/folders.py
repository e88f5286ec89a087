"""Folders that appear whole or not at all, and replace an older one without a moment in which both are lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plenodream.files.atomic import TEMPORARY, sync_folder, temporary_name

_REPLACED = ".old-"


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to fill (by `write_file`), put at `final` in place of what is there; removed if filling it fails.

    Raises:
        OSError: Disk full, parent not writable.
    """
    temporary, old = temporary_name(final), final.with_name(_REPLACED + final.name)
    try:
        temporary.mkdir()
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if final.exists():
        os.rename(final, old)
    os.rename(temporary, final)
    sync_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def tidy(folder: Path) -> None:
    """Mend what a killed process left in a folder: remove unfinished files and folders, finish or undo replacements."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    for old in folder.glob(f"{_REPLACED}*"):
        current = old.with_name(old.name.removeprefix(_REPLACED))
        if current.exists():
            shutil.rmtree(old)
        else:  # killed between the two renames of `new_folder`
            os.rename(old, current)
