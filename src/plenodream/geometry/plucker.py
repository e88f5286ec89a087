"""Plücker raymaps: the camera of a frame as six numbers per pixel, and their folding into tokens."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import pixel_centres, pixel_rays
from plenodream.types import Cameras


def plucker_raymap(cameras: Cameras) -> Float[Tensor, "*batch height width 6"]:
    """Moment o x d and unit direction d of the ray through every pixel centre, in world coordinates and metres.

    Source: the paper's camera condition; the order and the +0.5 are those of the published network.
    """
    pixels = pixel_centres(cameras.height, cameras.width, cameras.camera_to_world).flatten(0, 1)
    origins, directions = pixel_rays(cameras, pixels)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    raymap = torch.cat([torch.linalg.cross(origins, directions), directions], dim=-1)
    return raymap.unflatten(-2, (cameras.height, cameras.width))


def fold_raymap(raymap: Float[Tensor, "*batch height width 6"], patch: int) -> Float[Tensor, "*batch rows columns n"]:
    """Fold squares of `patch` x `patch` pixels into tokens of patch * patch * 6 numbers, ordered (row, column, 6).

    Raises:
        ValueError: If height or width is not a multiple of `patch`.
    """
    height, width = raymap.shape[-3:-1]
    if height % patch or width % patch:
        raise ValueError(f"raymap of {height}x{width}: expected multiples of the patch size {patch}")
    return rearrange(raymap, "... (h p) (w q) c -> ... h w (p q c)", p=patch, q=patch)


def plucker_tokens(cameras: Cameras, patch: int) -> Float[Tensor, "*batch rows columns n"]:
    """Raymaps folded into tokens: what a denoiser's camera projection takes."""
    return fold_raymap(plucker_raymap(cameras), patch)
