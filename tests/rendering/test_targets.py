"""Views that are asked for: cameras of files fitted as the source was, and refusals that change nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from plenodream.geometry.cameras import intrinsics_from_fov, scale_poses
from plenodream.geometry.formats import save_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import make_trajectory
from plenodream.media.fit import fit_cameras
from plenodream.models.layout import LAYOUTS
from plenodream.rendering.request import make_request
from plenodream.rendering.source import still_cameras
from plenodream.rendering.targets import plan_targets
from plenodream.types import Cameras

WIDE = (180, 320)
LONG = "orbit:angle=-10.123456789,subject_distance=9.123456789,ease=smooth,of=source"
LONG_SPIRAL = f"{LONG.replace('orbit', 'spiral')},rise=11.123456789,closer=1.123456789"


@pytest.fixture
def source():
    """A 16:9 video of 5 frames with a lens of its own, at 48x48."""
    lens = torch.tensor([277.0, 275.0, 163.0, 88.0]).repeat(5, 1)
    return fit_cameras(Cameras(torch.eye(4).repeat(5, 1, 1), lens, *WIDE), 48, 48)


def loaded(path, source, size=WIDE):
    (target,) = plan_targets(make_request((), [path]), source, size, 1.0, 4.0)
    assert target.name == path.stem and target.trajectory is None
    assert (target.cameras.height, target.cameras.width, target.cameras.intrinsics.dtype) == (48, 48, torch.float32)
    return target.cameras.intrinsics


def transforms(path, **keys):
    frames = [{"transform_matrix": np.diag([1.0, -1, -1, 1]).tolist(), "file_path": f"{n}.png"} for n in range(5)]
    path.write_text(json.dumps({**keys, "frames": frames}))
    return path


def test_a_file_of_the_sources_own_cameras_gives_the_sources_intrinsics(source, tmp_path):
    lens = torch.tensor([277.0, 275.0, 163.0, 88.0]).repeat(5, 1)
    save_cameras(tmp_path / "own.json", Cameras(torch.eye(4).repeat(5, 1, 1), lens, *WIDE))
    save_cameras(tmp_path / "double.json", Cameras(torch.eye(4).repeat(5, 1, 1), 2 * lens, 360, 640))
    for name in ("own", "double"):
        torch.testing.assert_close(loaded(tmp_path / f"{name}.json", source), source.intrinsics)
    # The size that a file states counts, whatever the source's is.
    torch.testing.assert_close(loaded(tmp_path / "own.json", source, (48, 48)), source.intrinsics)


def test_a_file_of_another_shape_keeps_square_pixels(source, tmp_path):
    save_cameras(tmp_path / "square.json", still_cameras(5, 100, 100, 70.0))
    torch.testing.assert_close(loaded(tmp_path / "square.json", source)[0], intrinsics_from_fov(70.0, 48, 48))


def test_a_transforms_file_without_a_size_is_of_the_sources_own(source, tmp_path):
    keys = {"fl_x": 277.0, "fl_y": 275.0, "cx": 163.0, "cy": 88.0}
    for path in (
        transforms(tmp_path / "sized.json", **keys, w=320, h=180),
        transforms(tmp_path / "bare.json", **keys),
    ):
        torch.testing.assert_close(loaded(path, source), source.intrinsics)
    angle = transforms(tmp_path / "angle.json", camera_angle_x=np.deg2rad(60.0))
    expected = fit_cameras(still_cameras(5, *WIDE, 60.0), 48, 48).intrinsics
    torch.testing.assert_close(loaded(angle, source), expected)


def test_files_without_a_focal_length_have_the_sources_to_the_last_bit(source, tmp_path):
    (tmp_path / "poses.txt").write_text("\n".join(["1 0 0 0 0 1 0 0 0 0 1 0"] * 5))
    for path in (
        tmp_path / "poses.txt",
        transforms(tmp_path / "bare.json"),
        transforms(tmp_path / "sized.json", w=100, h=70),
    ):
        for size in (WIDE, (48, 48)):
            assert torch.equal(loaded(path, source, size), source.intrinsics)


def test_names_that_cannot_be_are_refused_before_anything_else(tmp_path):
    names = make_request(["arc-left", LONG], [tmp_path / "a.json"]).names
    assert names == ["arc-left", *make_request(LONG).names, "a"]
    with pytest.raises(ValueError, match=r"up to 100 letters.*: give fewer or rounder parameters"):
        make_request([LONG_SPIRAL])
    with pytest.raises(ValueError, match=r"up to 100 letters.*: choose another"):
        make_request({"a b": None})
    with pytest.raises(ValueError, match=r"a.json: another view is called 'a' too"):
        make_request((), [tmp_path / "a.json", tmp_path / "b" / "a.json"])


@pytest.mark.parametrize("case", ["name", "cameras", "count", "conflict", "file", "force", "slots"])
def test_a_refused_request_leaves_no_scene_and_changes_none(
    tiny_pipeline, tiny_video, settings, content, tmp_path, case
):
    joint = {"context_attention": "joint", "layout": LAYOUTS["middle-of-4"]} if case == "slots" else {}
    pipeline, video = tiny_pipeline(k=1, **joint), tiny_video()
    still = video.cameras
    arc_left = trajectory_cameras(make_trajectory("arc-left"), still).camera_to_world
    moved = replace(still, camera_to_world=scale_poses(arc_left, 2.0))
    (tmp_path / "short.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0")
    bad = {
        "name": ({"trajectories": ["zoom-out", LONG_SPIRAL]}, "up to 100 letters"),
        "cameras": ({"trajectories": {"a": still, "b": replace(still, intrinsics=-still.intrinsics)}}, "focal length"),
        "count": ({"trajectories": {"a": still, "b": still[:2]}}, r"shape \(2,\); expected 3"),
        "conflict": ({"trajectories": {"a": still, "arc-left": moved}}, "exists with other cameras"),
        "file": ({"trajectories": ["zoom-out"], "files": [tmp_path / "short.txt"]}, "short.txt: 1 cameras"),
        "force": ({"trajectories": ["zoom-out"], "force": ["arc-left", "arc-up"]}, "no view 'arc-up'"),
        "slots": ({"trajectories": ["zoom-out"], "settings": settings(9)}, "choose k up to"),
    }
    arguments, message = bad[case]
    if case != "conflict":
        with pytest.raises(ValueError, match="no scene yet" if case == "force" else message):
            pipeline.prepare(tmp_path / "new", video, **arguments)
        assert not (tmp_path / "new").exists()
    if case != "slots":
        pipeline(video, ["arc-left"], tmp_path / "old", settings(1))
        before = content(tmp_path / "old")
        for given in (video, None):
            with pytest.raises(ValueError, match=message):
                pipeline.prepare(tmp_path / "old", given, **arguments)
        assert content(tmp_path / "old") == before


def test_a_file_of_key_frames_is_a_trajectory_of_the_source(source, tmp_path):
    (tmp_path / "swing.json").write_text('{"keyframes": [{"time": 0}, {"time": 1, "azimuth": 40, "ease": "linear"}]}')
    (target,) = plan_targets(make_request((), [tmp_path / "swing.json"]), source, WIDE, 1.0, 4.0)
    arc = trajectory_cameras(make_trajectory("arc-right", {"angle": 40}), source)
    torch.testing.assert_close(target.cameras.camera_to_world, arc.camera_to_world)
    torch.testing.assert_close(target.cameras.intrinsics, source.intrinsics)
    assert target.trajectory is not None and len(target.trajectory["keyframes"]["keyframes"]) == 2
    (tmp_path / "swing.json").write_text('{"keyframes": [{"time": 0, "azimut": 3}]}')
    with pytest.raises(ValueError, match=r"swing.json: .*unknown field azimut.*docs/trajectories.md"):
        plan_targets(make_request((), [tmp_path / "swing.json"]), source, WIDE, 1.0, 4.0)
