"""Cameras as a denoiser takes them: rays of every latent frame, in the frame of an anchor camera."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import relative_poses
from plenodream.geometry.plucker import plucker_tokens
from plenodream.types import Cameras


def latent_cameras(cameras: Cameras, temporal_factor: int) -> Cameras:
    """One camera per latent frame: frame 0, then every `temporal_factor`-th (batch shape (..., frames))."""
    return replace(
        cameras,
        camera_to_world=cameras.camera_to_world[..., ::temporal_factor, :, :],
        intrinsics=cameras.intrinsics[..., ::temporal_factor, :],
    )


def camera_tokens(
    cameras: Cameras, anchor: Float[Tensor, "*#batch 4 4"], patch: int, temporal_factor: int = 1
) -> Float[Tensor, "*batch frames rows columns numbers"]:
    """Folded Plücker rays relative to an anchor pose.

    Rays are anchored at the source's first camera of the window, as the published networks have them: a view's tokens
    for it, and the keys and values made from them, never go stale when other views join.

    Args:
        cameras: Batch shape (..., frames).
        anchor: Camera-to-world pose that becomes the identity; broadcasts over the batch dimensions before frames.
        patch: Pixels under one token, each way.
        temporal_factor: Frames under one latent frame.
    """
    latent = latent_cameras(cameras, temporal_factor)
    poses = relative_poses(latent.camera_to_world, anchor.unsqueeze(-3))
    return plucker_tokens(replace(latent, camera_to_world=poses), patch)
