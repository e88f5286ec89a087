"""Camera tokens: the published ones, and what they do not depend on."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from plenodream.geometry.cameras import make_pose, rotation_matrix
from plenodream.geometry.plucker import plucker_tokens
from plenodream.models.rays import camera_tokens, latent_cameras
from plenodream.types import Cameras

REFERENCE = Path(__file__).parents[1] / "reference" / "cosmos_camera_dit"
IDENTITY = torch.eye(4, dtype=torch.float64)


def random_pose(seed, *batch):
    generator = torch.Generator().manual_seed(seed)
    vector, centre = (torch.randn(*batch, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    return make_pose(rotation_matrix(vector), centre)


def random_cameras(*batch):
    intrinsics = torch.tensor([9.0, 10, 6, 4], dtype=torch.float64).repeat(*batch, 1)
    return Cameras(random_pose(0, *batch), intrinsics, height=8, width=12)


@pytest.mark.parametrize("network", ["in4_out1", "in1_out2"])
def test_tokens_are_those_of_the_published_network_when_the_anchor_is_the_identity(network):
    config = json.loads((REFERENCE / network / "config.json").read_text())
    tensors = load_file(REFERENCE / network / "tensors.safetensors")
    pose = torch.eye(4).repeat(len(tensors["camera_to_world"]), 1, 1)
    pose[:, :3] = tensors["camera_to_world"]
    cameras = Cameras(pose, tensors["intrinsics_fxfycxcy"], config["image_height"], config["image_width"])
    tokens = camera_tokens(cameras, torch.eye(4), config["camera_patch"])
    torch.testing.assert_close(tokens, tensors["plucker_tokens"], rtol=0, atol=1e-5)


def test_moving_the_world_and_the_anchor_together_changes_nothing():
    cameras, anchor, motion = random_cameras(2, 5), random_pose(1), random_pose(2)
    moved = Cameras(motion @ cameras.camera_to_world, cameras.intrinsics, cameras.height, cameras.width)
    tokens = camera_tokens(cameras, anchor, 4)
    torch.testing.assert_close(camera_tokens(moved, motion @ anchor, 4), tokens, rtol=0, atol=1e-12)
    assert not torch.allclose(camera_tokens(moved, anchor, 4), tokens, atol=0.1)


def test_the_anchor_itself_sees_the_rays_of_a_camera_at_the_origin():
    cameras = random_cameras(3)
    origin = Cameras(IDENTITY.expand(1, 4, 4), cameras.intrinsics[:1], cameras.height, cameras.width)
    tokens = camera_tokens(cameras, cameras.camera_to_world[0], 4)
    torch.testing.assert_close(tokens[:1], plucker_tokens(origin, 4), rtol=0, atol=1e-12)


def test_anchors_go_with_their_batch_entries():
    cameras, anchors = random_cameras(2, 5), random_pose(3, 2)
    tokens = camera_tokens(cameras, anchors, 4)
    for entry in range(2):
        alone = camera_tokens(cameras[entry], anchors[entry], 4)
        torch.testing.assert_close(tokens[entry], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("frames", "kept"), [(1, [0]), (5, [0, 4]), (9, [0, 4, 8]), (93, list(range(0, 93, 4)))])
def test_one_camera_per_latent_frame_of_a_codec_of_4n_plus_1_frames(frames, kept):
    cameras = random_cameras(2, frames)
    latent = latent_cameras(cameras, 4)
    assert torch.equal(latent.camera_to_world, cameras.camera_to_world[:, kept])
    assert torch.equal(latent.intrinsics, cameras.intrinsics[:, kept])
    tokens = camera_tokens(cameras, IDENTITY, 4, temporal_factor=4)
    assert tokens.shape == (2, len(kept), 2, 3, 6 * 16)
    assert torch.equal(tokens, camera_tokens(cameras, IDENTITY, 4)[:, kept])
