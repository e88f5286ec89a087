"""How far estimated cameras are from the wanted ones, by the definitions in use.

Every function compares camera-to-world poses of one path (OpenCV axes), taken relative to each path's own first frame,
since aligning centres by a similarity is degenerate on straight paths and pans. Computed in float64. Where the true
path hardly translates, a translation error has no scale and is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import relative_poses, rotation_vector

_MINIMUM_PATH = 0.01  # metres


@dataclass(frozen=True)
class CameraError:
    """Rotation and translation error of one path; what unit, and sum or mean, is the definition's.

    Attributes:
        rotation: Angle between true and predicted rotations.
        translation: Distance between true and predicted centres after the definition's scale; None where undefined.
    """

    rotation: float
    translation: float | None


def rotation_angles(a: Float[Tensor, "*#batch 3 3"], b: Float[Tensor, "*#batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Angle in radians between rotations, in float64 by atan2 of sine and cosine: arccos alone loses small angles."""
    return rotation_vector(a.double().transpose(-1, -2) @ b.double()).norm(dim=-1)


def paper_error(predicted: Float[Tensor, "frames 4 4"], truth: Float[Tensor, "frames 4 4"]) -> CameraError:
    """RotErr (radians) and TransErr (squared distance) of the paper, both summed over frames.

    Source: TransErr and RotErr of PlenopticDreamer. It does not state its scale alignment; ours is the least squares
    factor on the predicted centres, first frames put together, and not below 0, so moving backwards is never rewarded.

    Args:
        predicted: Camera-to-world poses in any world and scale.
        truth: Camera-to-world poses in metres.

    Raises:
        ValueError: Paths of different lengths, not of shape (frames, 4, 4), or not finite.
    """
    predicted, truth = _anchored(predicted, truth)
    rotation = rotation_angles(predicted[:, :3, :3], truth[:, :3, :3]).sum().item()
    p, g = predicted[:, :3, 3], truth[:, :3, 3]
    if not _translates(g):
        return CameraError(rotation, None)
    scale = ((p * g).sum() / p.square().sum().clamp(min=1e-300)).clamp(min=0)
    return CameraError(rotation, (g - scale * p).square().sum().item())


def worldscore_error(predicted: Float[Tensor, "frames 4 4"], truth: Float[Tensor, "frames 4 4"]) -> CameraError:
    """Rotation (degrees) and translation (distance in the truth's units) of WorldScore, both means over frames.

    The scale on the predicted centres is the one that minimises the mean distance itself, not its square; that is what
    reproduces WorldScore's numbers. It may be negative: a path walked backwards counts as right. Arguments and errors
    as for `paper_error`.
    """
    predicted, truth = _anchored(predicted, truth)
    rotation = torch.rad2deg(rotation_angles(predicted[:, :3, :3], truth[:, :3, :3])).mean().item()
    p, g = predicted[:, :3, 3], truth[:, :3, 3]
    if not _translates(g):
        return CameraError(rotation, None)
    return CameraError(rotation, (g - _least_distance_scale(p, g) * p).norm(dim=-1).mean().item())


def _least_distance_scale(p: Float[Tensor, "frames 3"], g: Float[Tensor, "frames 3"]) -> Float[Tensor, ""]:
    """The s that minimises sum_i |g_i - s p_i|: bisection on the slope, which grows with s since the sum is convex."""
    moving = p.norm(dim=-1) > 1e-12
    if not bool(moving.any()):
        return p.new_zeros(())
    p, g = p[moving], g[moving]
    best = (p * g).sum(-1) / p.square().sum(-1)
    low, high = best.min(), best.max()
    # Each step halves the interval: 64 reach the resolution of float64.
    for _ in range(64):
        middle = (low + high) / 2
        gap = middle * p - g
        slope = ((p * gap).sum(-1) / gap.norm(dim=-1).clamp(min=1e-300)).sum()
        low, high = torch.where(slope < 0, middle, low), torch.where(slope < 0, high, middle)
    return (low + high) / 2


def _translates(centres: Float[Tensor, "frames 3"]) -> bool:
    return centres.norm(dim=-1).max().item() > _MINIMUM_PATH


def _anchored(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Both paths in float64, relative to their own first frame; refuses what cannot be compared."""
    if predicted.shape != truth.shape or predicted.ndim != 3 or predicted.shape[1:] != (4, 4) or len(predicted) == 0:
        raise ValueError(
            f"camera paths of shape {tuple(predicted.shape)} and {tuple(truth.shape)}: expected two of (frames, 4, 4); "
            "give one pose for every frame of both"
        )
    for name, path in (("predicted", predicted), ("true", truth)):
        if not bool(torch.isfinite(path).all()):
            raise ValueError(
                f"NaN or infinite numbers in the {name} camera path: expected finite poses; count it as failed"
            )
    predicted, truth = predicted.double(), truth.double()
    return relative_poses(predicted, predicted[:1]), relative_poses(truth, truth[:1])
