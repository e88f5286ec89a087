"""What a render shows in a terminal: a bar for views and steps, then a table of views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from plenodream.memory.scene import Scene
from plenodream.sampling.autoregressive import Progress as Step


@contextmanager
def progress_bar(console: Console, views: int, quiet: bool) -> Iterator:
    """A callback for `render(report=...)` that moves a bar of `views` view chunks and one of the steps."""
    hidden = quiet or not console.is_terminal  # a file or a pipe would show nothing but the last state
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden, transient=True) as bar:
        all_views = bar.add_task("views", total=views)
        steps = bar.add_task("steps", total=1)
        planned = views

        def report(step: Step) -> None:
            nonlocal planned
            bar.update(steps, completed=step.step, total=step.steps, description=step.view)
            if step.step == step.steps:
                planned = max(planned, int(bar.tasks[0].completed) + 1)
                bar.update(all_views, advance=1, total=planned)

        yield report


def plain_table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table as narrow as can be that cuts nothing off: 80 columns hold the names of merged views."""
    made = (Column(n, justify="right", no_wrap=True) if n in right else Column(n, overflow="fold") for n in columns)
    text = None if title is None else Text(title, overflow="fold")
    shape = {"show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    return Table(*made, title=text, title_justify="left", box=SIMPLE_HEAD, **shape)


def table_of_views(scene: Scene) -> Table:
    """Every view of a scene: context chosen (with scores), seconds, peak memory."""
    numbers = ("seconds", "peak\nmemory")
    table = plain_table("view", "context (score)", *numbers, right=numbers, title=str(scene.folder))
    for name in scene.names():
        kind = scene.entry(name).kind
        done = [chunk for chunk in range(len(scene.manifest.chunks)) if scene.has(name, chunk)]
        if kind == "source" or not done:
            table.add_row(name, "given" if kind == "source" else "not rendered yet", "", "")
            continue
        record = scene.record(name, done[0])
        scores = record.get("scores", {})
        context = "\n".join(f"{n} {scores[n]:.2f}" if n in scores else n for n in record.get("context", ()))
        timings = [scene.timing(name, chunk) for chunk in done]
        seconds, peak = sum(t.get("seconds", 0) for t in timings), max(t.get("peak_bytes", 0) for t in timings)
        table.add_row(name, context, f"{seconds:.1f}", f"{peak / 2**20:.0f} MiB")
    return table


def rows_of_views(scene: Scene) -> list[dict]:
    """The same as data, for scripts."""
    rows = []
    for name in scene.names():
        chunks = [chunk for chunk in range(len(scene.manifest.chunks)) if scene.has(name, chunk)]
        rows.append(
            {
                "name": name,
                "kind": scene.entry(name).kind,
                "complete": scene.complete(name),
                "preview": str(preview) if (preview := scene.preview_path(name)).is_file() else None,
                "chunks": [{**scene.record(name, c), **scene.timing(name, c)} for c in chunks],
            }
        )
    return rows
