"""`plenodream plan` and `render --dry-run`: what would be seen and what it would cost, and nothing rendered."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from plenodream.geometry.formats import save_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.video import write_lossless
from plenodream.rendering.source import still_cameras

FRAMES, HEIGHT, WIDTH = 3, 32, 48


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A clip with cameras, depth, and the cameras of a target."""
    monkeypatch.chdir(tmp_path)
    frames = torch.randint(
        0, 255, (FRAMES, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    write_lossless(tmp_path / "clip.mkv", frames, 8.0)
    source = still_cameras(FRAMES, HEIGHT, WIDTH)
    save_cameras(tmp_path / "cams.json", source)
    save_cameras(tmp_path / "up.json", trajectory_cameras(parse_trajectories(["tilt-up"])[0], source))
    np.savez(tmp_path / "depth.npz", depth=np.full((FRAMES, 8, 12), 3.0), unit="metres along z")
    return tmp_path


def test_presets_and_files_are_planned_with_cameras_and_depth(folder, run):
    words = ("--cameras", "cams.json", "--model", "reprojection", "--trajectory", "arc-left")
    code, out, _ = run("plan", "clip.mkv", *words, "--trajectory-file", "up.json", "--out", "p")
    assert code == 0 and "depth assumed" in out and "up: " in out and "depth not needed" in out
    plan = json.loads((folder / "p/plan.json").read_text())
    assert [view["name"] for view in plan["views"]] == ["arc-left", "up"] and plan["windows"] == 1
    assert 0.02 < sum(plan["views"][0]["unseen"]) / FRAMES < 0.5 and plan["views"][1]["turn"] > 5
    assert (folder / "p/plan.png").read_bytes().startswith(b"\x89PNG")
    assert run("plan", "clip.mkv", *words, "--depth", "depth.npz", "--frames", 2, "--subject-distance", 2)[0] == 0
    nearer = json.loads((folder / "plan/plan.json").read_text())
    assert nearer["views"][0]["depth"] == "given" and len(nearer["views"][0]["unseen"]) == 2
    assert nearer["views"][0]["travel"] == pytest.approx(plan["views"][0]["travel"] / 2, rel=0.01)


def test_a_dry_run_is_the_same_and_makes_no_scene(folder, run):
    words = ("clip.mkv", "--cameras", "cams.json", "--trajectory", "arc-left", "--trajectory", "arc-right")
    assert run("plan", *words, "--out", "p")[0] == 0
    assert run("render", *words, "--dry-run", "--out", "scene")[0] == 0
    assert not (folder / "scene").exists()
    planned, dry = (json.loads((folder / name / "plan.json").read_text()) for name in ("p", "scene-plan"))
    assert {**planned, "seconds": 0} == {**dry, "seconds": 0}
    code, out, _ = run("render", *words, "--dry-run", "--as-paper", "--candidates", 1, "--k", 1, "--json")
    assert code == 0 and [view["name"] for view in json.loads(out)["views"]] == ["arc-left", "arc-right"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "clip.mkv"), "nothing to plan: expected --trajectory"),
        (("plan", "clip.mkv", "--trajectory", "arc"), "arc"),
        (("plan", "none.mkv", "--trajectory", "arc-left"), "none.mkv: no such file"),
        (("plan", "clip.mkv", "--trajectory", "arc-left", "--frames", "1"), "--frames 1: expected at least 2"),
        (
            ("plan", "clip.mkv", "--trajectory-file", "cams.json", "--cameras", "up5.json"),
            "up5.json: cannot read the camera file",
        ),
        (("render", "--trajectory", "arc-left", "--dry-run"), "--dry-run without a video"),
        (
            ("plan", "clip.mkv", "--trajectory", "arc-left", "--scale", "0", "--model", "reprojection"),
            "scale 0.0: expect",
        ),
        (("plan", "clip.mkv", "--trajectory", "arc-left", "--depth-kind", "metric"), "--depth-kind metric says what"),
        (("render", "clip.mkv", "--trajectory", "arc-left", "--depth-kind", "metric"), "--depth-kind metric says what"),
    ],
)
def test_what_cannot_be_planned_is_one_line(folder, run, words, message):
    code, out, err = run(*words, "--out", "new")
    assert code == 2 and message in err and err.count("\n") == 1 and out == ""
    assert not (folder / "new").exists() and not (folder / "new-plan").exists()
