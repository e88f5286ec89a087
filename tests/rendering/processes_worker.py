"""What every process of test_processes.py runs: one scene from Python, another one by the command line."""

from __future__ import annotations

from pathlib import Path

import forked

from plenodream.rendering.load import load_pipeline
from plenodream.rendering.processes import follow, join_team, share_pipeline

VIEWS = ("arc-left", "tilt-up")


def from_python(folder: Path) -> None:
    """Render with a pipeline that the processes share."""
    team, device = join_team("cpu")
    pipeline = load_pipeline(str(folder / "model"), device)
    share_pipeline(pipeline, team)
    if team.rank:
        follow(pipeline, team)
    else:
        pipeline(str(folder / "clip"), VIEWS, folder / "scene")
        team.tell(None)


def by_command(folder: Path) -> None:
    """`plenodream render`, which ends the process."""
    views = [word for name in VIEWS for word in ("--trajectory", name)]
    options = ["--model", folder / "model", "--out", folder / "scene", "--device", "cpu", "--quiet"]
    forked.command("render", folder / "clip", *views, *options)


def render_together(first: Path, second: Path) -> None:
    """Both."""
    from_python(first)
    by_command(second)
