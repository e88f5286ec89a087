"""A bar for what counts up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def counting(unit: str, total: int | None = None, quiet: bool = False) -> Iterator:
    """A callback that moves a bar to a count, and to a total where it is told one."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=quiet, delay=1) as bar:  # what is refused at once shows no bar

        def progress(done: int, of: int | None = None) -> None:
            bar.total = of or total
            bar.update(done - bar.n)

        yield progress
