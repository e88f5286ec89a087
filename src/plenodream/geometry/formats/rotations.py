"""Unit quaternions and rotations."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import rotation_vector


def quaternion_rotation(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotations of unit quaternions w, x, y, z (Hamilton's, active)."""
    w, x, y, z = quaternion.unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def rotation_quaternion(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions w >= 0, x, y, z of rotations: the inverse of `quaternion_rotation` up to sign."""
    half = 0.5 * rotation_vector(rotation)
    angle = half.norm(dim=-1, keepdim=True)
    return torch.cat([angle.cos(), half * torch.sinc(angle / torch.pi)], dim=-1)


def unit_quaternions(quaternion: Float[Tensor, "cameras 4"], path: Path) -> Float[Tensor, "cameras 4"]:
    """Quaternions of length 1, from ones whose length differs from it by rounding.

    Raises:
        ValueError: A length more than 1 % off.
    """
    length = quaternion.norm(dim=-1, keepdim=True)
    off = (length - 1).abs().max().item()
    if not off <= 0.01:
        raise ValueError(
            f"{path}: a quaternion's length is {off:.3g} off; expected unit quaternions: check the columns"
        )
    return quaternion / length
