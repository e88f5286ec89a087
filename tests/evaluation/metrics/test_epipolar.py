from __future__ import annotations

import pytest
import torch
from held import held_shot

from plenodream.evaluation.metrics.epipolar import FEWEST, Tsed, epipolar_distance
from plenodream.geometry.cameras import axis_rotation, intrinsics_from_fov, make_pose, project
from plenodream.geometry.visibility import warp
from plenodream.types import Cameras


def camera(x: float, degrees: float = 0.0, size=(96, 128)) -> Cameras:
    pose = make_pose(
        axis_rotation("y", torch.tensor([degrees], dtype=torch.float64)),
        torch.tensor([[x, 0.1 * x, 0.0]], dtype=torch.float64),
    )
    return Cameras(pose, intrinsics_from_fov(60, *size, dtype=torch.float64)[None], *size)


def test_points_of_one_scene_lie_on_their_lines_whatever_their_depth():
    a, b = camera(0.0), camera(0.7, -8.0)
    points = torch.rand(1, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = points * torch.tensor([2.0, 1.5, 4.0]) + torch.tensor([-1.0, -0.75, 3.0])
    pixels = [project(points, c)[0][0] for c in (a, b)]
    assert epipolar_distance(*pixels, a[0], b[0]).max() < 1e-9


def test_a_shift_across_the_lines_is_its_own_distance():
    # Without a turn and a rise the lines are rows: 3 pixels down is a distance of 3 in both pictures.
    a, b = camera(0.0), camera(0.7)
    b.camera_to_world[0, 1, 3] = 0.0
    points = torch.rand(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 80
    moved = points + torch.tensor([-5.0, 3.0])
    assert epipolar_distance(points, moved, a[0], b[0]).tolist() == pytest.approx([3.0] * 40)


def test_two_views_of_a_textured_wall_pass_and_a_moved_one_does_not():
    texture = torch.rand(1, 24, 32, 3, generator=torch.Generator().manual_seed(2))
    picture = torch.nn.functional.interpolate(texture.movedim(-1, 1), (96, 128), mode="bicubic").clamp(0, 1)
    a, b = camera(0.0), camera(0.5)
    depth = torch.full((1, 96, 128), 4.0, dtype=torch.float64)
    first = picture.movedim(1, -1).double()
    second = warp(first, depth, b, a)
    shots = [held_shot("a", 1, first, a), held_shot("b", 2, second, b)]
    scores = {s.column: s for s in Tsed().score(shots[1], shots[:1])}
    assert scores["tsed"].total == 1 and scores["tsed.matches"].total >= FEWEST
    shots[1] = held_shot("b", 2, second.roll(6, dims=1), b)
    scores = {s.column: s for s in Tsed().score(shots[1], shots[:1])}
    assert scores["tsed"].total == 0 and scores["tsed.matches"].total >= FEWEST
    shots[1] = held_shot("b", 2, torch.full_like(second, 0.5), b)  # nothing to match is no success
    assert {s.total for s in Tsed().score(shots[1], shots[:1])} == {0}
