"""Rotations and focal length from points alone, in closed form: no images."""

import pytest
import torch

from plenodream.estimate.tracks import Pair
from plenodream.estimate.turning import chain_rotations, fit_focal, fit_turn, gather
from plenodream.geometry.cameras import make_pose, project, rotation_matrix
from plenodream.types import Cameras

HEIGHT, WIDTH, FOCAL = 90, 160, 140.0


def cameras(turn, centres=None, frames=7):
    """A camera that pans by `turn` degrees in all, and tilts and rolls a little."""
    vectors = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None] * torch.tensor([0.2, 1.0, -0.1])
    lens = torch.tensor([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], dtype=torch.float64).repeat(frames, 1)
    centres = torch.zeros(frames, 3, dtype=torch.float64) if centres is None else centres
    poses = make_pose(rotation_matrix(vectors * torch.deg2rad(torch.tensor(turn))), centres)
    return Cameras(poses, lens, HEIGHT, WIDTH)


def pairs_of(path, noise=0.1, outliers=0.1):
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(400, 3, generator=generator, dtype=torch.float64) * torch.tensor([3.0, 2.0, 2.0])
    points[:, 2] += 8
    pixels, _ = project(points, path)
    pixels = pixels + noise * torch.randn(pixels.shape, generator=generator, dtype=torch.float64)
    inside = ((pixels > 0) & (pixels < torch.tensor([WIDTH, HEIGHT]))).all(-1)
    found = []
    for i in range(len(path)):
        for j in range(i + 1, len(path)):
            both = (inside[i] & inside[j]).nonzero()[:, 0]
            there = pixels[j, both].clone()
            wrong = torch.rand(len(both), generator=generator) < outliers
            there[wrong] = torch.rand(int(wrong.sum()), 2, generator=generator, dtype=torch.float64) * HEIGHT
            found.append(Pair(i, j, (pixels[i, both], there)))
    return found


def angle(a, b):
    return torch.rad2deg(
        torch.acos((((a.transpose(-1, -2) @ b).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1))
    )


def test_focal_length_and_rotations_of_a_turning_camera():
    path = cameras(25.0)
    matches = gather(pairs_of(path), HEIGHT, WIDTH)
    turn, told = fit_focal(matches, 100.0, WIDTH)
    assert told and turn.focal == pytest.approx(FOCAL, rel=0.01)
    rotations, reached = chain_rotations(matches, turn, len(path))
    assert bool(reached.all())
    assert angle(rotations, path.camera_to_world[:, :3, :3]).max() < 0.2
    assert turn.quantile(0.75) < 0.5


def test_a_small_turn_does_not_tell_the_focal_length():
    matches = gather(pairs_of(cameras(1.0)), HEIGHT, WIDTH)
    turn, told = fit_focal(matches, 100.0, WIDTH)
    assert not told and turn.focal == 100.0


def test_a_moving_camera_leaves_residuals():
    centres = torch.linspace(0, 1, 7, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0, 0])
    matches = gather(pairs_of(cameras(5.0, centres)), HEIGHT, WIDTH)
    turn, _ = fit_focal(matches, FOCAL, WIDTH)
    assert turn.quantile(0.75) > 1.5


def test_frames_that_no_pair_connects_are_said():
    path = cameras(10.0)
    pairs = [pair for pair in pairs_of(path) if 4 not in (pair.first, pair.second)]
    matches = gather(pairs, HEIGHT, WIDTH)
    rotations, reached = chain_rotations(matches, fit_turn(matches, FOCAL), len(path))
    assert reached.tolist() == [True, True, True, True, False, True, True]
    assert angle(rotations, path.camera_to_world[:, :3, :3])[reached].max() < 0.2
