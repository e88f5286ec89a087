"""What ReCamMaster is told of cameras: the target's pose relative to the start of the view that it is made from."""

import torch
from tiny_published import network

from plenodream.geometry.cameras import axis_rotation
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.context import ViewTokens
from plenodream.types import Cameras


def cameras(shift):
    """Two latent frames of a camera that moves sideways, everything moved along by a pose."""
    poses = torch.eye(4).repeat(5, 1, 1)
    poses[:, 0, 3] = torch.linspace(0, 1, 5)
    return Cameras(shift @ poses, torch.tensor([30.0, 30, 24, 16]).expand(5, 4), 32, 48)


@torch.no_grad()
def test_only_the_pose_relative_to_the_contexts_start_counts():
    model, codec = network("recammaster"), WanCodec(base_dim=4)
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(1, 1, 16, 2, 4, 6, generator=generator) for _ in range(2))
    text = torch.randn(1, 3, 16, generator=generator)
    away = torch.eye(4)
    away[:3, :3], away[:3, 3] = axis_rotation("y", torch.tensor(40.0)), torch.tensor([1.0, -2.0, 3.0])

    def velocity(context_pose, target_pose):
        rays = (model.rays(codec, cameras(pose), torch.eye(4))[None, None] for pose in (context_pose, target_pose))
        context = model.encode(ViewTokens(latents, next(rays)))
        return model.velocity(noise, torch.tensor([0.7]), next(rays), context, text=text)

    at_start = velocity(torch.eye(4), torch.eye(4))
    torch.testing.assert_close(velocity(away, away), at_start, rtol=1e-4, atol=1e-5)
    for other in (velocity(torch.eye(4), away), velocity(away, torch.eye(4))):
        assert (other - at_start).norm() > 1e-3 * at_start.norm()
