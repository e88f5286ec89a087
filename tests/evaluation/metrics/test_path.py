from __future__ import annotations

import json
import math

import guest
import numpy as np
import pytest
import torch

from plenodream.evaluation.metrics import registry
from plenodream.evaluation.metrics.path import EstimatedPath
from plenodream.evaluation.run import run
from plenodream.types import Cameras


def write_poses(path, x, turn=0.0):
    """As `guest.write_cameras`, turned about y by `turn` radians in every frame but the first."""
    guest.write_cameras(path, x)
    content = json.loads(path.read_text())
    cos, sin = math.cos(turn), math.sin(turn)
    for frame in content["frames"][1:]:
        pose = np.array(frame["transform_matrix"])
        pose[:3, :3] = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ pose[:3, :3]
        frame["transform_matrix"] = pose.tolist()
    path.write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path):
    guest.deliver(tmp_path, scenes=1)
    path = tmp_path / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        shot = f"scene0/{line['shot']}"
        line |= {"estimated": f"{shot}_found.json", "truth_estimated": f"{shot}_floor.json"}
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return tmp_path


def test_a_known_pose_error_is_found(folder):
    frames = guest.FRAMES
    for shot, end in guest.SHOTS.items():
        x = guest.centres(end)
        # Three times as large as in truth and elsewhere: neither matters. The turn does.
        write_poses(folder / "scene0" / f"{shot}_found.json", 3 * x + 1, turn=0.1)
        write_poses(folder / "scene0" / f"{shot}_floor.json", x)
    report = run(folder, folder / "evaluation", ("camera",), "guest").report
    assert report is not None

    def mean(column, row="video"):
        number = report.number(column, row)
        return None if number is None else number.mean

    assert mean("roterr") == pytest.approx(0.1 * (frames - 1), rel=1e-6)
    assert mean("roterr.mean") == pytest.approx(math.degrees(0.1) * (frames - 1) / frames, rel=1e-6)
    assert mean("transerr") == pytest.approx(0, abs=1e-12)
    assert mean("roterr", "truth") == pytest.approx(0, abs=1e-6)
    # A camera that stands still makes the path itself its error.
    own = [np.square(guest.centres(end) - guest.centres(end)[0]).sum() for end in guest.SHOTS.values()]
    assert mean("transerr", "no motion") == pytest.approx(np.mean(own), rel=1e-6)
    assert mean("roterr", "no motion") == pytest.approx(0, abs=1e-9)


def test_a_path_without_translation_is_counted_not_zero(folder):
    for shot in guest.SHOTS:
        still = np.zeros(guest.FRAMES)
        guest.write_cameras(folder / "scene0" / f"{shot}.json", still)
        for kind in ("found", "floor"):
            write_poses(folder / "scene0" / f"{shot}_{kind}.json", still, turn=0.2)
    report = run(folder, folder / "evaluation", ("camera",), "guest").report
    assert report is not None
    number = report.number("transerr")
    assert number is not None and number.mean is None and (number.samples, number.gated) == (0, 3)


def test_an_estimate_that_failed_is_named(folder):
    for shot, end in guest.SHOTS.items():
        write_poses(folder / "scene0" / f"{shot}_found.json", guest.centres(end)[:3])
        write_poses(folder / "scene0" / f"{shot}_floor.json", guest.centres(end))
    report = run(folder, folder / "evaluation", ("camera",), "guest").report
    assert report is not None and len(report.failures["camera"]) == 3
    assert "3 cameras found in the video of 4 frames" in report.failures["camera"][0]
    assert report.numbers == []


def test_without_estimates_it_is_not_available(tmp_path):
    guest.deliver(tmp_path, scenes=1)
    report = run(tmp_path, tmp_path / "evaluation", ("camera",), "guest").report
    assert report is not None and report.unavailable == {"camera": {"estimated (cameras found in the video)": 3}}
    assert "camera: n/a (needs estimated" in (tmp_path / "evaluation" / "report.txt").read_text()


def test_our_own_estimator_is_told_the_lens_and_its_failures_are_counted(tmp_path, monkeypatch):
    guest.deliver(tmp_path, scenes=1)
    told = []

    def estimate(frames, fov):
        told.append((tuple(frames.shape), fov))
        if len(told) > 4:
            raise ValueError("too little in common between frames")
        poses = torch.eye(4, dtype=torch.float64).repeat(len(frames), 1, 1)
        poses[:, 0, 3] = torch.from_numpy(guest.centres(1.0))  # the path of `near`
        return Cameras(poses, torch.ones(len(frames), 4), *frames.shape[1:3])

    monkeypatch.setitem(registry.METRICS, "pycolmap", lambda: EstimatedPath(estimate))
    report = run(tmp_path, tmp_path / "evaluation", ("pycolmap",), "guest").report
    assert report is not None and told[0][0] == (guest.FRAMES, guest.HEIGHT, guest.WIDTH, 3)
    assert told[0][1] == pytest.approx(2 * math.degrees(math.atan(guest.WIDTH / 2 / guest.FOCAL)))
    # Paths of `near` and `far` are one but for their scale; `left`, the third, failed.
    assert report.failures == {"pycolmap": ["scene0/left: too little in common between frames"]}
    number = report.number("transerr.pycolmap")
    assert number is not None and number.samples == 2 and number.mean == pytest.approx(0, abs=1e-9)
    still = report.number("transerr.pycolmap", "no motion")
    assert still is not None and still.mean is not None and still.mean > 0.01
