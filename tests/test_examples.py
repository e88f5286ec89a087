"""Every numbered example runs as its first lines say; here with fewer sampling steps and views."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from plenodream.demo import clip
from plenodream.rendering import load

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("[0-9]*.py"))


@pytest.fixture
def hasty(monkeypatch):
    """Bundled models sample in one step, the demo has one view."""
    load_pipeline = load.load_pipeline

    def load_hasty(name):
        pipeline = load_pipeline(name)
        pipeline.register_to_config(steps=1)
        return pipeline

    monkeypatch.setattr(load, "load_pipeline", load_hasty)
    monkeypatch.setattr(clip, "TRAJECTORIES", clip.TRAJECTORIES[:1])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.usefixtures("hasty")
def test_example_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example), "out"])
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()
