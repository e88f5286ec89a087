"""How near predicted depth is to the true one: its size, its edges, and whether it keeps still. Ours.

Depth is z in metres; 0 where it is not known, which has no part in any score.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from plenodream.geometry.visibility import covisible, lookup, reproject
from plenodream.types import Cameras

# Depths of neighbours that differ by this part of the nearer one are a step; pixels that count as beside it.
STEP, REACH = 0.1, 3


def relative_error(
    depth: Float[Tensor, "*shape"], truth: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"] | None = None
) -> float:
    """Median of |z - true z| / true z over the pixels of a mask; NaN over none."""
    chosen = (truth > 0) & (depth > 0)
    chosen = chosen if mask is None else chosen & mask
    return ((depth - truth).abs() / truth)[chosen].median().item() if bool(chosen.any()) else float("nan")


def beside_steps(
    depth: Float[Tensor, "*frames height width"], reach: int = REACH
) -> Bool[Tensor, "*frames height width"]:
    """Pixels at most `reach` pixels (by side or corner) from one whose right or lower neighbour is at another depth."""
    step = torch.zeros_like(depth)
    for axis in (-1, -2):
        first, second = depth.narrow(axis, 0, depth.shape[axis] - 1), depth.narrow(axis, 1, depth.shape[axis] - 1)
        differs = ((first - second).abs() > STEP * torch.minimum(first, second)).to(depth)
        for start in (0, 1):  # the pixels on both sides of it
            part = step.narrow(axis, start, differs.shape[axis])
            part.copy_(torch.maximum(part, differs))
    flat = step.reshape(-1, 1, *depth.shape[-2:])
    return max_pool2d(flat, 2 * reach - 1, 1, reach - 1).reshape(depth.shape) > 0


def flicker(
    depth: Float[Tensor, "scenes views frames height width"],
    truth: Float[Tensor, "scenes views frames height width"],
    cameras: Cameras,
    moving: Bool[Tensor, "scenes views frames height width"],
) -> float:
    """Median change of depth, relative to the true one, of still points from one frame to the next; NaN of none.

    A point's true depth changes with the camera; what is compared is the share of it that is predicted.
    """
    share = torch.where(moving | (truth <= 0) | (depth <= 0), torch.nan, depth / truth.clamp(min=1e-6))
    now, then = cameras[:, :, :-1], cameras[:, :, 1:]
    seen = covisible(truth[..., :-1, :, :], now, truth[..., 1:, :, :], then)
    pixels, _ = reproject(truth[..., :-1, :, :], now, then)
    # Where a neighbour moves the value is not a number, and so left out.
    later = lookup(share[..., 1:, :, :, None], pixels)[..., 0]
    change = (later / share[..., :-1, :, :] - 1).abs()[seen]
    change = change[change.isfinite()]
    return change.median().item() if len(change) else float("nan")
