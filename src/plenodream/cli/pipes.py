"""Pipes as files: what a shell hands over as /dev/stdin or <(command) can be read only once, from front to back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

# Arguments that name files to read. A clip is none: decoders want to go back in it, and it may have no end.
_READ = ("given", "cameras", "trajectory_file", "depth", "file", "vae")


@contextmanager
def readable(args: Any) -> Iterator[Any]:
    """A command's arguments, with every pipe that it is to read copied into a file for as long as it runs.

    Args:
        args: The command, a dataclass. A view gets the name that the pipe has (`stdin`).
    """
    given = {field.name: getattr(args, field.name) for field in fields(args) if field.name in _READ}
    if not any(_is_pipe(one) for value in given.values() for one in _each(value)):
        yield args
        return
    with tempfile.TemporaryDirectory(prefix="plenodream-") as folder:
        yield replace(args, **{name: _settled(value, Path(folder, name)) for name, value in given.items()})


def _settled(value: Any, folder: Path) -> Any:
    if isinstance(value, tuple):
        return tuple(_settled(one, folder / str(number)) for number, one in enumerate(value))
    if not _is_pipe(value):
        return value
    folder.mkdir(parents=True)
    with open(value, "rb") as source, open(folder / Path(value).name, "wb") as copy:
        shutil.copyfileobj(source, copy)
    return type(value)(folder / Path(value).name)


def _each(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _is_pipe(value: Any) -> bool:
    with suppress(OSError, ValueError):  # no such file, or a name that none can have
        return value is not None and (Path(value).is_fifo() or Path(value).is_socket())
    return False
