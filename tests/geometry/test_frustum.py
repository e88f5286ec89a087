import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plenodream.geometry.cameras import axis_rotation, intrinsics_from_fov, make_pose, project, rotation_matrix
from plenodream.geometry.frustum import TOLERANCE, inside_frustum, sample_frustum, scene_depth_range, scene_scale
from plenodream.types import Cameras

GRID = (8, 6, 5)


def random_cameras(seed, batch=(3, 4), dtype=torch.float64, spread=3.0):
    g = torch.Generator().manual_seed(seed)
    poses = make_pose(
        rotation_matrix(torch.randn(*batch, 3, generator=g, dtype=torch.float64)),
        spread * torch.randn(*batch, 3, generator=g, dtype=torch.float64),
    )
    focal = 20 + 60 * torch.rand(*batch, 2, generator=g, dtype=torch.float64)
    principal = torch.tensor([48.0, 32.0]) * (0.3 + 0.4 * torch.rand(*batch, 2, generator=g, dtype=torch.float64))
    return Cameras(poses.to(dtype), torch.cat([focal, principal], -1).to(dtype), 32, 48)


def yawed(degrees, fov=60.0, dtype=torch.float64):
    rotation = axis_rotation("y", torch.as_tensor(degrees, dtype=dtype))
    return Cameras(make_pose(rotation, torch.zeros(3, dtype=dtype)), intrinsics_from_fov(fov, 32, 48, dtype), 32, 48)


def test_samples_of_an_identity_camera_are_the_closed_form():
    cameras = Cameras(torch.eye(4)[None], torch.tensor([[10.0, 10.0, 2.0, 1.0]]), 2, 4)
    points = sample_frustum(cameras, 1.0, 3.0, 2, 1, 2)
    expected = torch.tensor([[-0.15, 0, 1.5], [0.15, 0, 1.5], [-0.25, 0, 2.5], [0.25, 0, 2.5]])
    assert torch.allclose(points[0], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("near", [0.0, 0.2])
def test_own_points_are_inside_also_far_from_the_origin(dtype, near):
    cameras = random_cameras(0, dtype=dtype, spread=50.0)
    points = sample_frustum(cameras, near, 10.0, *GRID)
    assert points.shape == (3, 4, math.prod(GRID), 3)
    assert points.dtype == dtype
    assert inside_frustum(points, cameras, near, 10.0).all()


def test_samples_are_cell_centres_at_mid_depths():
    cameras = random_cameras(1)
    pixels, depth = project(sample_frustum(cameras, 0.5, 2.5, 8, 6, 5), cameras)
    assert torch.allclose(depth.unique().round(decimals=6).unique(), torch.tensor([0.7, 1.1, 1.5, 1.9, 2.3]).double())
    x = torch.arange(8) * 6.0 + 3.0
    assert torch.allclose(pixels[..., 0].unflatten(-1, (30, 8)), x.double().expand(3, 4, 30, 8))
    assert torch.allclose(pixels[..., 1].mean(-1), torch.tensor(16.0).double())


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_inside_agrees_with_a_plain_loop(seed):
    cameras, others = random_cameras(seed, (2, 3), spread=1.0), random_cameras(seed + 1, (3,), spread=1.0)
    points = sample_frustum(others, 0.1, 5.0, 3, 2, 2)
    inside = inside_frustum(points, cameras, 0.5, 4.0)
    for v in range(2):
        for f in range(3):
            pose, (fx, fy, cx, cy) = cameras.camera_to_world[v, f], cameras.intrinsics[v, f].tolist()
            for p, point in enumerate(points[f]):
                x, y, z = (torch.linalg.inv(pose) @ torch.cat([point, torch.ones(1)]))[:3].tolist()
                column, row = fx * x / z + cx, fy * y / z + cy
                plain = 0.5 <= z <= 4 and 0 <= column <= 48 and 0 <= row <= 32
                margin = min(abs(z - 0.5), abs(z - 4), abs(column), abs(column - 48), abs(row), abs(row - 32))
                assert bool(inside[v, f, p]) == plain or margin < 48 * TOLERANCE  # at an edge it is generous


def test_points_behind_or_at_the_camera_are_outside():
    camera = yawed(0.0)
    points = torch.tensor([[0.0, 0, -2], [0, 0, 0], [0.1, 0, 0], [0, 0, 1e-3], [0, 0, 11]]).double()
    assert inside_frustum(points, camera, 0.0, 10.0).tolist() == [False, False, False, True, False]
    assert not inside_frustum(sample_frustum(camera, 0.0, 10.0, *GRID), yawed(180.0), 0.0, 10.0).any()


def test_a_wider_lens_at_the_same_pose_never_sees_less():
    points = sample_frustum(yawed(20.0), 0.0, 10.0, *GRID)
    inside = torch.stack([inside_frustum(points, yawed(0.0, fov), 0.0, 10.0) for fov in range(10, 170, 10)])
    assert (inside[1:] >= inside[:-1]).all()
    assert inside[-1].sum() > inside[0].sum()


def test_far_may_be_infinite():
    points = torch.tensor([[0.0, 0, 1e6]]).double()
    assert inside_frustum(points, yawed(0.0), 0.0, math.inf).all()
    assert not inside_frustum(points, yawed(0.0), 0.0, 1e5).any()


def test_scene_scale_is_the_subject_or_the_spread():
    cameras = random_cameras(3, (1, 2))
    cameras.camera_to_world[..., :3, 3] = torch.tensor([[-10.0, 0, 0], [10, 0, 0]])
    assert scene_scale(cameras) == pytest.approx(10.0)
    assert scene_scale(cameras, subject_distance=25.0) == 25.0
    assert scene_depth_range(cameras) == pytest.approx((0.5, 25.0))
    assert scene_scale(cameras[:, :1], cameras[:, :1]) == 4.0
    assert scene_depth_range(cameras[0, :1]) == pytest.approx((0.2, 10.0))
