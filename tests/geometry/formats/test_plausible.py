"""Hints at poses that no rule forbids: of the wrong direction, or where no camera goes."""

import json

import pytest
import torch
from test_placed import arc

from plenodream.geometry.cameras import axis_rotation, invert_pose, look_at, make_pose
from plenodream.geometry.formats import read_cameras, save_cameras
from plenodream.geometry.formats.plausible import hints
from plenodream.types import Cameras

LENS = torch.tensor([50.0, 50, 32, 24], dtype=torch.float64)


def around(radius=3.0):
    """Cameras that walk around the middle of their world, as of a reconstruction."""
    angle = torch.linspace(0, 1, 6, dtype=torch.float64)
    centre = torch.stack([radius * angle.sin(), 0.2 * angle, -radius * angle.cos()], dim=-1)
    return look_at(centre, torch.zeros(6, 3, dtype=torch.float64))


def pan(centre):
    turns = axis_rotation("y", torch.linspace(0, 60, 5, dtype=torch.float64))
    return make_pose(turns, torch.tensor(centre, dtype=torch.float64).expand(5, 3))


def test_poses_of_the_wrong_direction_are_hinted_at_whichever_the_format_takes(tmp_path):
    assert hints(around()) == () and "are they world-to-camera" in hints(invert_pose(around()))[0]
    lines = "\n".join(" ".join(map(str, pose[:3].flatten().tolist())) for pose in invert_pose(around()))
    (tmp_path / "wrong.txt").write_text(lines)
    found = read_cameras(tmp_path / "wrong.txt", 48, 64, intrinsics=LENS)
    assert "are they world-to-camera" in found.hints[0] and found.hints[0] in found.lines()


@pytest.mark.parametrize("poses", [arc(9).camera_to_world, pan([0, 0, 0]), pan([1.0, 2, 0.5]), around(40.0)])
def test_arcs_and_turns_are_fine_in_either_direction_where_nothing_can_be_said(poses):
    assert hints(poses) == ()
    still = torch.eye(4).repeat(4, 1, 1)
    still[1:, 2, 3] += torch.tensor([1.0, 2.0, 3.0])
    assert hints(still) == () and hints(still[:1]) == () and hints(still[:1].expand(4, 4, 4)) == ()


def test_a_camera_far_from_the_others_and_lengths_that_are_hardly_metres():
    poses = arc(6).camera_to_world.clone()
    poses[3:, 0, 3] += 5000
    (line,) = hints(poses)
    assert line.startswith("hint: camera 3 is 5e+03 from camera 2, others step 0.4")
    poses = arc(2).camera_to_world.clone()
    poses[1, 0, 3] = 1e6
    assert "go 1e+06 units of length" in hints(poses)[0]


def test_the_unit_of_a_file_is_kept_by_ours(tmp_path):
    from plenodream.geometry.formats.ours import cameras_json

    cameras = Cameras(arc(3).camera_to_world, LENS.expand(3, 4), 48, 64)
    (tmp_path / "c.json").write_text(cameras_json(cameras, unit="COLMAP's own"))
    data = json.loads((tmp_path / "c.json").read_text())
    assert data["unit"] == "COLMAP's own" and "metres" not in data["convention"]
    assert read_cameras(tmp_path / "c.json", 48, 64).scale == "COLMAP's own"
    save_cameras(tmp_path / "d.json", cameras)
    assert "unit" not in json.loads((tmp_path / "d.json").read_text())
    assert read_cameras(tmp_path / "d.json", 48, 64).scale == "metres"
