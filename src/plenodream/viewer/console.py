"""What a render shows in a terminal: a bar for views and steps, then a table of views."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from plenodream.rendering.forecast import spoken_time

if TYPE_CHECKING:
    from plenodream.memory.scene import Scene
    from plenodream.rendering.renderer import Progress as Step


@contextmanager
def progress_bar(console: Console, pending: Collection[tuple[str, int]], quiet: bool) -> Iterator:
    """A callback for `render(report=...)` that moves a bar of views and one of the steps.

    Args:
        console: Where to.
        pending: Name and window of the views to come, merged ones too as far as they are known.
        quiet: No bar.
    """
    hidden = quiet or not console.is_terminal  # a file or a pipe would show nothing but the last state
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden, transient=True) as bar:
        known = set(pending)
        all_views = bar.add_task("views", total=len(known))
        steps = bar.add_task("steps", total=1)

        def report(step: Step) -> None:
            known.add((step.view, step.window))
            bar.update(all_views, total=len(known), advance=step.step == step.steps)
            bar.update(steps, completed=step.step, total=step.steps, description=step.view)

        yield report


def time_line(console: Console, count: int, report: Callable[[Step], None]) -> Callable[[Step], None]:
    """A callback that says once, when the first of `count` windows is done, how long the others will take."""
    began, done = time.monotonic(), False

    def and_say(step: Step) -> None:
        nonlocal done
        report(step)
        if step.step == step.steps and not done and count > 1:
            left = spoken_time((time.monotonic() - began) * (count - 1))
            console.print(f"{step.view} done; about {left} for the others", highlight=False, markup=False)
            done = True

    return and_say


def plain_table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table as narrow as can be that cuts nothing off: 80 columns hold the names of merged views."""
    made = (Column(n, justify="right", no_wrap=True) if n in right else Column(n, overflow="fold") for n in columns)
    text = None if title is None else Text(title, overflow="fold")
    shape = {"show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    return Table(*made, title=text, title_justify="left", box=SIMPLE_HEAD, **shape)


def table_of_views(scene: Scene) -> Table:
    """Every view of a scene: context chosen for its first window (with scores), seconds, peak memory."""
    numbers, windows = ("seconds", "peak\nmemory"), len(scene.manifest.windows)
    context = "context (score)" + (f"\nwindow 1 of {windows}" if windows > 1 else "")
    table = plain_table("view", context, *numbers, right=numbers, title=str(scene.folder))
    for name in scene.names():
        kind, made = scene.entry(name).kind, _made(scene, name)
        if kind == "source" or not made:
            table.add_row(name, "given" if kind == "source" else "not rendered yet", "", "")
            continue
        record = scene.record(name, made[0])
        scores = record.get("scores", {})
        lines = [f"{n} {scores[n]:.2f}" if n in scores else n for n in record.get("context", ())]
        if made[0] > 0:
            lines.insert(0, f"window {made[0] + 1}:")
        if any(scene.outdated(name, window) for window in made):
            lines.insert(0, "outdated: a view in it was made again" if kind == "helper" else "outdated")
        timings = [scene.timing(name, window) for window in made]
        seconds, peak = sum(t.get("seconds", 0) for t in timings), max(t.get("peak_bytes", 0) for t in timings)
        table.add_row(name, "\n".join(lines), f"{seconds:.1f}", f"{peak / 2**20:.0f} MiB")
    return table


def rows_of_views(scene: Scene) -> list[dict]:
    """The same as data, for scripts.

    A merged view that is outdated, because a view in it was made again, is owed to nobody: it counts as complete.
    """
    rows = []
    for name in scene.names():
        kind, made = scene.entry(name).kind, _made(scene, name)
        outdated = any(scene.outdated(name, window) for window in made)
        owed = kind != "helper" or len(made) < len(scene.manifest.windows)
        rows.append(
            {
                "name": name,
                "kind": kind,
                "complete": scene.complete(name) or not owed,
                "outdated": outdated,
                "preview": str(preview) if (preview := scene.preview_path(name)).is_file() else None,
                "chunks": [{**scene.record(name, c), **scene.timing(name, c)} for c in made],
            }
        )
    return rows


def _made(scene: Scene, name: str) -> list[int]:
    """The windows of a view that are there, outdated ones too."""
    windows = range(len(scene.manifest.windows))
    return [window for window in windows if scene.has(name, window) or scene.outdated(name, window)]
