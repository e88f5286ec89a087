"""Raymaps: the published tokens, a plain loop, and what a Plücker line is invariant to."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from plenodream.geometry.cameras import make_pose, rotation_matrix
from plenodream.geometry.plucker import fold_raymap, plucker_raymap, plucker_tokens
from plenodream.types import Cameras

REFERENCE = Path(__file__).parents[1] / "reference" / "cosmos_camera_dit"


def random_cameras(batch, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    vector, centre = (torch.randn(*batch, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    intrinsics = torch.tensor([9.0, 10, 6, 4], dtype=torch.float64).expand(*batch, 4)
    return Cameras(make_pose(rotation_matrix(vector), centre), intrinsics, height=8, width=12).to(dtype)


@pytest.mark.parametrize("network", ["in4_out1", "in1_out2"])
def test_tokens_are_those_the_published_network_was_fed(network):
    config = json.loads((REFERENCE / network / "config.json").read_text())
    tensors = load_file(REFERENCE / network / "tensors.safetensors")
    # The reference leaves out the last row.
    pose = torch.eye(4).repeat(len(tensors["camera_to_world"]), 1, 1)
    pose[:, :3] = tensors["camera_to_world"]
    cameras = Cameras(pose, tensors["intrinsics_fxfycxcy"], config["image_height"], config["image_width"])
    tokens = plucker_tokens(cameras, config["camera_patch"])
    torch.testing.assert_close(tokens, tensors["plucker_tokens"], rtol=0, atol=1e-5)


def test_raymap_agrees_with_a_plain_loop():
    cameras = random_cameras((2,))
    raymap = plucker_raymap(cameras)
    for frame in range(2):
        fx, fy, cx, cy = cameras.intrinsics[frame].tolist()
        rotation, origin = cameras.camera_to_world[frame, :3, :3], cameras.camera_to_world[frame, :3, 3]
        for row in range(8):
            for column in range(12):
                local = [(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, 1.0]
                direction = rotation @ torch.tensor(local, dtype=torch.float64)
                direction = direction / direction.norm()
                expected = torch.cat([torch.linalg.cross(origin, direction), direction])
                torch.testing.assert_close(raymap[frame, row, column], expected)


def test_folding_agrees_with_a_plain_loop():
    raymap = torch.randn(3, 8, 12, 6, generator=torch.Generator().manual_seed(0))
    tokens = fold_raymap(raymap, 4)
    assert tokens.shape == (3, 2, 3, 96)
    for row in range(8):
        for column in range(12):
            start = ((row % 4) * 4 + column % 4) * 6
            assert torch.equal(tokens[:, row // 4, column // 4, start : start + 6], raymap[:, row, column])


def test_folding_needs_whole_patches():
    with pytest.raises(ValueError, match=r"8x12.*multiples of the patch size 5"):
        fold_raymap(torch.zeros(8, 12, 6), 5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_moments_are_orthogonal_to_unit_directions(batch, dtype):
    raymap = plucker_raymap(random_cameras(batch, dtype))
    assert raymap.shape == (*batch, 8, 12, 6) and raymap.dtype == dtype
    moment, direction = raymap[..., :3], raymap[..., 3:]
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    assert (moment * direction).sum(-1).abs().max() < tolerance
    assert (direction.norm(dim=-1) - 1).abs().max() < tolerance


def test_moving_along_a_ray_leaves_that_ray_unchanged_and_others_not():
    cameras = random_cameras(())
    before = plucker_raymap(cameras)
    moved = cameras.camera_to_world.clone()
    moved[:3, 3] += 2.5 * before[3, 5, 3:]
    after = plucker_raymap(Cameras(moved, cameras.intrinsics, 8, 12))
    torch.testing.assert_close(after[3, 5], before[3, 5])
    assert (after[0, 0, :3] - before[0, 0, :3]).norm() > 0.1
    assert torch.equal(after[..., 3:], before[..., 3:])


def test_zoom_of_the_pixels_picks_the_same_rays():
    """The corner of four pixels is the centre of one pixel at half the size: rays depend on the scene alone."""
    cameras = random_cameras(())
    double = Cameras(cameras.camera_to_world, cameras.intrinsics * 3, 24, 36)
    torch.testing.assert_close(plucker_raymap(double)[1::3, 1::3], plucker_raymap(cameras))
