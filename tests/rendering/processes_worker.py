"""What every process of test_processes.py runs: one scene from Python, another one by the command line."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

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
    """`python -m plenodream render`."""
    views = [word for name in VIEWS for word in ("--trajectory", name)]
    options = ["--model", f"{folder}/model", "--out", f"{folder}/scene", "--device", "cpu", "--quiet"]
    sys.argv = ["plenodream", "render", f"{folder}/clip", *views, *options]
    runpy.run_module("plenodream", run_name="__main__")


def main(cached: Path, joint: Path) -> None:
    """Both scenes."""
    from_python(cached)
    by_command(joint)
