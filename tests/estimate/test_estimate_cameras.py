"""Cameras of rendered clips, whose true ones are known."""

from dataclasses import replace

import pytest
import torch

from plenodream.estimate.cameras import estimate_cameras
from plenodream.geometry.cameras import intrinsics_from_fov, project, relative_poses
from plenodream.geometry.formats import load_cameras, read_cameras
from plenodream.geometry.formats.colmap import colmap_files
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.types import Cameras
from plenodream.worlds.family import MILD
from plenodream.worlds.raycast import render
from plenodream.worlds.world import sample_worlds

pytest.importorskip("pycolmap")
HEIGHT, WIDTH = 192, 256


def noise_textures():
    generator = torch.Generator().manual_seed(0)
    octaves = [torch.rand(12, 3, size, size, generator=generator) for size in (4, 8, 16, 32, 64, 128)]
    total = sum(torch.nn.functional.interpolate(octave, size=(128, 128), mode="bilinear") for octave in octaves)
    low, high = total.amin((1, 2, 3), keepdim=True), total.amax((1, 2, 3), keepdim=True)
    return (total - low) / (high - low)


def clip(trajectory, frames):
    """A world with things that move, walls and things in noise, seen along a trajectory."""
    worlds = sample_worlds(MILD, 1, torch.Generator().manual_seed(1), textures=noise_textures())
    worlds = replace(worlds, image_width=worlds.image_width.clamp(max=3.0))
    lens = intrinsics_from_fov(60, HEIGHT, WIDTH)
    still = Cameras(torch.eye(4).repeat(frames, 1, 1), lens.repeat(frames, 1), HEIGHT, WIDTH)
    cameras = trajectory_cameras(parse_trajectories([trajectory])[0], still)
    rendered = render(worlds, cameras[None, None], torch.linspace(0, 1, frames), supersample=2)
    return (rendered.rgb[0, 0] * 255).round().byte(), cameras


def angles(found, true):
    between = found[:, :3, :3].transpose(1, 2) @ true[:, :3, :3]
    return torch.rad2deg(torch.acos(((between.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1)))


def errors(found, cameras):
    """Largest angle in degrees, and largest distance as a share of the path, by the scale that fits best."""
    true = relative_poses(cameras.camera_to_world.double(), cameras.camera_to_world[0].double())
    here, there = found.cameras.camera_to_world[:, :3, 3], true[:, :3, 3]
    scale = (here * there).sum() / here.square().sum()
    off = (here * scale - there).norm(dim=-1).max() / there.diff(dim=0).norm(dim=-1).sum()
    return angles(found.cameras.camera_to_world, true).max().item(), off.item()


def test_so_does_one_that_hardly_moves_among_things_that_do():
    frames, cameras = clip("arc-left:angle=4", 8)
    found = estimate_cameras(frames, fov=60)
    rotation, share = errors(found, cameras)
    assert found.motion == "moving" and rotation < 0.5 and share < 0.02


def test_a_moving_camera_comes_back_up_to_scale(tmp_path):
    frames, cameras = clip("arc-left", 8)
    found = estimate_cameras(frames, subject_distance=3.0)
    assert found.motion == "moving" and any("8 of 8 frames registered" in note for note in found.notes)
    pose, (rotation, share) = found.cameras.camera_to_world, errors(found, cameras)
    assert rotation < 0.5 and share < 0.02
    assert found.cameras.intrinsics[0, 0].item() == pytest.approx(cameras.intrinsics[0, 0].item(), rel=0.03)
    # The middle of what the first frame sees is where it was asked for.
    assert found.points.places[:, 2].median().item() == pytest.approx(3.0, rel=0.3)
    for name, data in colmap_files(found.cameras, [f"{i}.png" for i in range(8)], found.points.places).items():
        (tmp_path / name).write_bytes(data)
    read = load_cameras(tmp_path, HEIGHT, WIDTH, 8, dtype=torch.float64)
    # Who sees which point is known, and that is where the points are.
    frame, point = found.points.seen.unbind(1)
    _, depth = project(found.points.places[point][:, None], found.cameras[frame])
    assert bool((depth > 0).all()) and len(frame) >= 3 * len(found.points)
    torch.testing.assert_close(read.camera_to_world, pose, rtol=0, atol=1e-6)
    assert len(read_cameras(tmp_path, HEIGHT, WIDTH).points) == len(found.points)


def test_a_turning_and_a_still_camera_are_told_apart():
    frames, cameras = clip("rotate-left", 5)
    found = estimate_cameras(frames)
    assert found.motion == "turning" and "estimated" in " ".join(found.notes) and found.points is None
    true = relative_poses(cameras.camera_to_world.double(), cameras.camera_to_world[0].double())
    assert angles(found.cameras.camera_to_world, true).max() < 0.5
    assert found.cameras.intrinsics[0, 0].item() == pytest.approx(cameras.intrinsics[0, 0].item(), rel=0.02)
    still = estimate_cameras(frames[:1].expand(3, -1, -1, -1), fov=50)
    assert still.motion == "still" and torch.equal(still.cameras.camera_to_world, torch.eye(4).double().repeat(3, 1, 1))
    assert "50.0 degrees: given" in " ".join(still.notes)


def test_straight_ahead_does_not_tell_the_lens_and_that_is_said():
    frames, _ = clip("zoom-in", 5)
    found = estimate_cameras(frames)
    warning = "warning: the focal length was not determined, since this motion does not show it; assumed: horizontal"
    assert found.motion == "moving" and any(note.startswith(warning) for note in found.notes)
    assert found.cameras.intrinsics[0, 0] == intrinsics_from_fov(60, HEIGHT, WIDTH)[0]


def test_clips_that_cannot_be_estimated():
    with pytest.raises(ValueError, match=r"only 0 of 3 neighbouring frames have 15 points in common \(0%\)"):
        estimate_cameras(torch.full((4, 48, 64, 3), 90, dtype=torch.uint8))
    shots = torch.cat([torch.full((5, 48, 64, 3), value, dtype=torch.uint8) for value in (20, 200)])
    with pytest.raises(ValueError, match="2 shots: cut at frame 5"):
        estimate_cameras(shots)


def test_pycolmap_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    with pytest.raises(ValueError, match=r"needs pycolmap .*pip install 'plenodream\[sfm\]'"):
        estimate_cameras(torch.zeros(3, 48, 64, 3, dtype=torch.uint8))
