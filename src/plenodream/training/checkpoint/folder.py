"""A folder that is put in its place when it is full, on disk and whole; on a full disk, what to do in one line."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException

from plenodream.files.folders import new_folder, tidy

_SHOWN = 160  # characters of a reason


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, flushed to disk and put at `folder` when it is full; what was there before stays until then.

    Raises:
        ValueError: As `writing`.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        tidy(folder.parent, folders=[folder.name])
        with new_folder(folder) as fresh:
            yield fresh
            for path in (path for path in fresh.rglob("*") if path.is_file()):
                with open(path, "rb") as file:
                    os.fsync(file.fileno())


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the writers of torch and safetensors say of a full disk, which is no OSError, in one line.

    Raises:
        ValueError: The disk is full or not writable; what was at `folder` is untouched.
    """
    try:
        with _alone():
            yield
    except (CheckpointException, OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        kept = ", then --resume: the one before is still there, whole" if folder.exists() else ", then start again"
        raise ValueError(f"{folder}: cannot be written ({_reason(error)}); free some space{kept}") from error


@contextmanager
def reading(path: Path, todo: str) -> Iterator[None]:
    """Whatever is wrong with a checkpoint's files in one line.

    Raises:
        ValueError: Naming the file, the reason, and what to do.
    """
    try:
        with _alone():
            yield
    except (CheckpointException, Exception) as error:
        raise ValueError(f"{path}: damaged checkpoint ({_reason(error)}); {todo}") from error


@contextmanager
def _alone() -> Iterator[None]:
    """One process need not be told that it is one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
        yield


def _reason(error: BaseException) -> str:
    """Shortly: the first rank's error, and of it the operating system's where there is one."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__context__
    return " ".join(str(found or error).split())[:_SHOWN]
