"""A bar for what counts up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def counting(unit: str, total: int | None = None, quiet: bool = False) -> Iterator:
    """A callback that moves a bar to a count, and to a total where it is told one; in a file or a pipe it says nothing.

    What is refused before the first count shows no bar.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(
        TextColumn("{task.description}"), *columns, console=console, disable=quiet or not console.is_terminal
    )
    task = bar.add_task(f"{unit}s", total=total)

    def progress(done: int, of: int | None = None) -> None:
        bar.start()
        bar.update(task, completed=done, total=of or total)

    try:
        yield progress
    finally:
        bar.stop()
