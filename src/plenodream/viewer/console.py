"""What a render shows in a terminal: a bar for views and steps, then a table of views."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from plenodream.rendering.outlook import Outlook, Work
from plenodream.words import printable

if TYPE_CHECKING:
    from plenodream.memory.scene import Scene
    from plenodream.rendering.renderer import Progress as Step


@contextmanager
def progress_bar(console: Console, work: Sequence[Work]) -> Iterator:
    """A callback for `render(report=...)` that moves a bar of views, merged ones counted, and one of the steps.

    Args:
        console: Where to; a quiet one shows nothing.
        work: What is to be rendered (`outlook.plan_work`).
    """
    hidden = console.quiet or not console.is_terminal  # a file or a pipe would show nothing but the last state
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=console, disable=hidden, transient=True) as bar:
        outlook = Outlook(work)
        views = bar.add_task("views", total=len(work), left="")
        steps = bar.add_task("steps", total=1, left="")

        def report(step: Step) -> None:
            ahead = outlook(step)
            left = "" if ahead.seconds is None else f"{timedelta(seconds=round(ahead.seconds))} left"
            bar.update(views, total=ahead.total, completed=ahead.done, left=left)
            bar.update(steps, completed=step.step, total=step.steps, description=step.view)

        yield report


@contextmanager
def progress_lines(file: TextIO, work: Sequence[Work]) -> Iterator:
    """As `progress_bar`, for programs: for every `Progress` a line of JSON with `view`, `window`, `step`, `steps`,
    `done` and `total` views, and `seconds_left` (null before the first step)."""
    outlook = Outlook(work)

    def report(step: Step) -> None:
        ahead = outlook(step)
        left = None if ahead.seconds is None else round(ahead.seconds, 3)
        line = vars(step) | {"done": ahead.done, "total": ahead.total, "seconds_left": left}
        print(json.dumps(line), file=file, flush=True)

    yield report


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
    table = plain_table("view", context, *numbers, right=numbers, title=printable(str(scene.folder)))
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
