"""Absolute cameras beside source cameras of another world: refused or said, before anything is rendered."""

import json

import numpy as np
import pytest
import torch

from plenodream.geometry.cameras import look_at, make_pose, rotation_matrix
from plenodream.geometry.formats import save_cameras
from plenodream.geometry.formats.transforms import OPENGL
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.video import write_lossless
from plenodream.rendering.same_world import check_same_world, describe_files, sees_source
from plenodream.rendering.source import still_cameras
from plenodream.types import Cameras

FRAMES = 4
STILL = still_cameras(FRAMES, 48, 64)


def around(up: int) -> Cameras:
    """A walk around the origin at 3 units with that axis up, as reconstructions have it."""
    angle = torch.linspace(0, 1.5, FRAMES, dtype=torch.float64)
    flat = [axis for axis in range(3) if axis != up]
    centre = torch.zeros(FRAMES, 3, dtype=torch.float64)
    centre[:, flat[0]], centre[:, flat[1]], centre[:, up] = 3 * angle.sin(), 3 * angle.cos(), 0.6
    down = -torch.eye(3, dtype=torch.float64)[up]
    poses = look_at(centre, torch.zeros(3, dtype=torch.float64).expand(FRAMES, 3), down)
    return Cameras(poses.float(), STILL.intrinsics, 48, 64)


def transforms(path, cameras):
    frames = [{"transform_matrix": pose} for pose in (cameras.camera_to_world.double() * OPENGL).tolist()]
    path.write_text(json.dumps({"fl_x": 50.0, "w": 64, "h": 48, "frames": frames}))
    return path


def test_a_world_of_its_own_with_z_up_shows_nothing_of_a_still_source():
    with pytest.raises(ValueError, match=r"w: its cameras see nothing of the source at any time.*stands at the origin"):
        check_same_world("w", around(2), STILL, 4.0)
    assert check_same_world("w", around(2), around(2), 4.0) == ()


def test_what_begins_elsewhere_is_said_and_what_begins_at_the_source_is_not():
    half = rotation_matrix(torch.tensor([0.0, 0.8, 0.0]))
    begins = Cameras(make_pose(half, torch.zeros(3)).repeat(FRAMES, 1, 1), STILL.intrinsics, 48, 64)
    (line,) = check_same_world("x", begins, STILL, 4.0)
    assert "turned by 46 degrees" in line and "need --cameras of the same world" in line
    for name in ("arc-left", "orbit", "zoom-out", "rotate-left:angle=170", "spiral:angle=720", "focal"):
        path = trajectory_cameras(parse_trajectories([name])[0], STILL)
        assert check_same_world(name, path, STILL, 4.0) == () and bool(sees_source(path, STILL, 4.0)[0])
    # Another unit is told by the source's own path: 100 units aside of a source that goes 1,000 and looks aside.
    far = Cameras(STILL.camera_to_world.clone(), STILL.intrinsics, 48, 64)
    far.camera_to_world[:, 0, 3] = torch.linspace(0, 1000, FRAMES)
    beside = Cameras(far.camera_to_world.clone(), far.intrinsics, 48, 64)
    beside.camera_to_world[:, 1, 3] += 100
    assert check_same_world("y", beside, far, 4.0) == ()


def test_most_frames_that_see_nothing_are_counted():
    turns = torch.tensor([0.8, 2.0, 2.5, 3.0])[:, None] * torch.tensor([0.0, 1.0, 0.0])
    looks = Cameras(make_pose(rotation_matrix(turns), torch.zeros(FRAMES, 3)), STILL.intrinsics, 48, 64)
    assert sees_source(looks, STILL, 4.0).tolist() == [True, False, False, False]
    assert "x: sees nothing of the source in 3 of 4 frames" in check_same_world("x", looks, STILL, 4.0)[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = np.random.default_rng(0).integers(0, 255, (FRAMES, 48, 64, 3), dtype=np.uint8)
    write_lossless(tmp_path / "clip.mkv", torch.from_numpy(frames), 8.0)
    transforms(tmp_path / "around.json", around(2))
    transforms(tmp_path / "source.json", around(2))
    save_cameras(tmp_path / "mine.json", trajectory_cameras(parse_trajectories(["tilt-up"])[0], STILL))
    return tmp_path


def test_plan_and_render_refuse_before_a_model_is_opened(folder, run, monkeypatch):
    monkeypatch.setattr("plenodream.rendering.load.load_model", lambda *_: pytest.fail("a model was loaded"))
    for command in (("plan",), ("render",), ("render", "--dry-run")):
        code, out, err = run(*command, "clip.mkv", "--trajectory-file", "around.json", "--out", "new")
        assert code == 2 and err.count("\n") == 1 and out == ""
        assert "around.json: its cameras see nothing of the source" in err and "--cameras of the same world" in err
    assert not list(folder.glob("new*"))


def test_pipelines_refuse_too_and_one_world_is_fine(folder, run, tiny_pipeline, tiny_video):
    pipeline = tiny_pipeline(k=1)
    turned = Cameras(around(2).camera_to_world[:3], STILL.intrinsics[:3], 48, 64)
    with pytest.raises(ValueError, match="a: its cameras see nothing of the source"):
        pipeline.prepare(folder / "scene", tiny_video(), {"a": turned})
    assert not (folder / "scene").exists()
    words = ("--cameras", "source.json", "--trajectory-file", "around.json", "--model", "reprojection", "--out", "p")
    code, out, err = run("plan", "clip.mkv", *words)
    assert (code, err) == (
        0,
        "",
    ) and "around.json: nerfstudio transforms.json: 4 cameras; poses: camera-to-" in out
    assert "unit of length: the file's own" in out
    words = ("render", "clip.mkv", "--model", "reprojection", "--out", "s")
    code, _, err = run(*words, "--trajectory", "tilt-down", "--trajectory", "arc-left")
    assert code == 2 and "arc-left: frame 3 stands 2.1 m from the source's camera, and the source has no depth" in err
    assert err.count("\n") == 1 and not (folder / "s").exists()
    code, _, err = run("render", "clip.mkv", "--trajectory-file", "mine.json", "--model", "reprojection", "--out", "s")
    assert code == 0 and "mine.json: our JSON: 4 cameras" in err and describe_files([folder / "clip.mkv"]) == []
