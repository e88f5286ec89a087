"""Fewer cameras than frames: interpolated where the file says which frames they are of."""

import json

import camera_writers as writers
import numpy as np
import pytest
import torch

from plenodream.geometry.cameras import cameras_at
from plenodream.geometry.formats import load_cameras, read_cameras
from plenodream.geometry.formats.colmap import colmap_files
from plenodream.geometry.formats.recammaster import save_unreal_poses
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.types import Cameras


def arc(frames):
    lens = torch.tensor([50.0, 50.0, 32.0, 24.0], dtype=torch.float64).repeat(frames, 1)
    still = Cameras(torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1), lens, 48, 64)
    return trajectory_cameras(parse_trajectories(["arc-left"])[0], still)


def same(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found.camera_to_world, expected.camera_to_world, rtol=0, atol=tolerance)


def write_transforms(folder, cameras, numbers):
    path = writers.transforms(folder, cameras)
    data = json.loads(path.read_text())
    for entry, number in zip(data["frames"], numbers, strict=True):
        entry["file_path"] = f"images/frame_{number:05d}.png"
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("first", [0, 1])
def test_a_subset_of_frames_is_interpolated_and_said(tmp_path, first):
    whole, known = arc(9), [0, 1, 2, 4, 6, 7, 8]
    path = write_transforms(tmp_path, whole[known], [number + first for number in known])
    found = read_cameras(path, 48, 64, frames=9, dtype=torch.float64)
    expected = cameras_at(whole[known], torch.tensor([0, 1, 2, 2.5, 3, 3.5, 4, 5, 6]))
    same(found.cameras, expected)
    assert found.count == 7 and "2 of 9 frames without a camera: interpolated" in found.remarks


@pytest.mark.parametrize(
    "numbers",
    [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [0, 2, 4, 6, 9], [10, 12, 14, 16, 18], [40, 42, 44, 46, 48]],
    ids=["from 0", "from 1", "one too many", "far from the start", "beyond the end"],
)
def test_names_that_do_not_show_the_frames_are_no_reason_to_guess(tmp_path, numbers):
    path = write_transforms(tmp_path, arc(5), numbers)
    with pytest.raises(ValueError, match="5 cameras for 8 frames"):
        load_cameras(path, 48, 64, frames=8)
    assert len(load_cameras(path, 48, 64)) == 5  # nothing is said of a clip


def test_colmap_images_that_were_not_registered(tmp_path):
    whole, known = arc(9), [1, 2, 3, 5, 8]
    names = [f"{index:06d}.jpg" for index in known]
    for name, data in colmap_files(whole[known], names).items():
        (tmp_path / name).write_bytes(data)
    found = read_cameras(tmp_path, 48, 64, frames=9, dtype=torch.float64)
    same(found.cameras[known], whole[known])
    same(found.cameras[0], whole[1])  # held


def test_latent_frames_of_worldplay(tmp_path):
    latents = arc(5)
    path = writers.worldplay(tmp_path, latents)
    for frames in (17, None):
        found = read_cameras(path, 48, 64, frames=frames, dtype=torch.float64)
        assert len(found.cameras) == 17
        same(found.cameras[::4], latents)
    same(load_cameras(path, 48, 64, frames=5, dtype=torch.float64), latents)
    with pytest.raises(ValueError, match="5 cameras for 33 frames"):
        load_cameras(path, 48, 64, frames=33)


def test_frames_that_vipe_left_out(tmp_path):
    whole, known = arc(6), [0, 1, 3, 5]
    folder = writers.vipe(tmp_path, whole)
    np.savez(folder / "pose/clip.npz", data=writers.poses(whole)[known], inds=known)
    same(load_cameras(folder, 48, 64, frames=6, dtype=torch.float64)[known], whole[known])


def test_one_of_several_cameras(tmp_path):
    first, second = arc(3), arc(3)[[0, 0, 0]]
    save_unreal_poses(tmp_path / "c.json", {"cam01": first.camera_to_world, "cam02": second.camera_to_world})
    lens = torch.tensor([50.0, 50, 32, 24])
    same(load_cameras(f"{tmp_path}/c.json#cam01", 48, 64, 3, lens, torch.float64), first)
    same(load_cameras(f"{tmp_path}/c.json#cam02", 48, 64, 3, lens, torch.float64), second)
    several = "2 cameras; expected one of cam01, cam02: write c.json#cam01"
    for name, message in (("c.json", several), ("c.json#x", "no camera 'x'")):
        with pytest.raises(ValueError, match=message):
            load_cameras(f"{tmp_path}/{name}", 48, 64, intrinsics=lens)


def test_actions_move_and_turn_in_the_cameras_own_frame(tmp_path):
    lens = torch.tensor([50.0, 50, 32, 24])
    cameras = load_cameras("w-2,right-30,w-1,up-10", 48, 64, 44, lens, torch.float64)
    centre, forward = cameras.camera_to_world[:, :3, 3], cameras.camera_to_world[:, :3, 2]
    torch.testing.assert_close(centre[2], torch.tensor([0, 0, 0.16], dtype=torch.float64))
    torch.testing.assert_close(forward[32], torch.tensor([1.0, 0, 0], dtype=torch.float64))  # 90 degrees to the right
    torch.testing.assert_close(centre[33], torch.tensor([0.08, 0, 0.16], dtype=torch.float64))
    assert forward[43][1] == pytest.approx(-0.5)  # 30 degrees up: -y
    assert len(load_cameras("w-2,j-1", 48, 64, 13, lens)) == 13  # four frames a step
    (tmp_path / "keys.txt").write_text("l-30, w-1\n")
    same(*(load_cameras(path, 48, 64, 32, lens) for path in (tmp_path / "keys.txt", "right-30,w-1")))
    for text, message in (("x-3", "unknown action 'x'"), ("w-0", "whole number of steps"), ("w-99999", "at most")):
        with pytest.raises(ValueError, match=message):
            load_cameras(text, 48, 64, intrinsics=lens)
    with pytest.raises(ValueError, match="4 cameras for 8 frames"):
        load_cameras("w-3", 48, 64, 8, lens)
