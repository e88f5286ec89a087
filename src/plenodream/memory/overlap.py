"""What two cameras see of each other, point by point: Algorithm 1 as it is written, and with occlusion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from plenodream.geometry.cameras import project
from plenodream.geometry.frustum import inside_frustum, sample_frustum
from plenodream.memory.counting import Grid
from plenodream.types import Cameras

HIDDEN = 1.1  # times a view's depth: what lies farther is hidden from it
POINTS_AT_ONCE = 2**19  # frustum points handled in one go, which bounds the memory of a retrieval from many views

# Depth of every candidate at any size, or None where it is not known.
Depths = Sequence[Tensor | None]


def overlap(
    target: Cameras, candidates: Cameras, grid: Grid, depths: Depths | None = None
) -> tuple[Bool[Tensor, "views frames points"], Int[Tensor, "views"]]:
    """What target and candidates see of each other, sampled.

    With depth, points that a candidate's own depth hides from it do not count, be they the target's or its own.

    Returns:
        Which of the target's frustum points each candidate contains, and how many of each candidate's points the target
        contains, summed over frames.
    """
    shape = (grid.near, grid.far, grid.columns, grid.rows, grid.planes)
    target_points = sample_frustum(target, *shape)
    at_once = max(1, POINTS_AT_ONCE // target_points[..., 0].numel())
    seen, back = [], []
    for start in range(0, len(candidates), at_once):
        part = candidates[start : start + at_once]
        own_points = sample_frustum(part, *shape)
        inside = inside_frustum(target_points, part, grid.near, grid.far)
        own = inside_frustum(own_points, target, grid.near, grid.far)
        if depths is not None:
            inside = inside & _unhidden(target_points, part, depths[start : start + at_once])
            own = own & _unhidden(own_points, part, depths[start : start + at_once])
        seen.append(inside)
        back.append(own.sum(dim=(1, 2)))
    return torch.cat(seen), torch.cat(back)


def _unhidden(points: Tensor, cameras: Cameras, depths: Depths) -> Bool[Tensor, "views frames points"]:
    """Which world points no candidate's depth hides from it; what is not known hides nothing."""
    pixels, z = project(points, cameras)
    free = torch.ones_like(z, dtype=torch.bool)
    for view, depth in enumerate(depths):
        if depth is not None:
            rows, columns = depth.shape[1:]
            x, y = pixels[view, ..., 0] / cameras.width * columns, pixels[view, ..., 1] / cameras.height * rows
            index = y.long().clamp(0, rows - 1) * columns + x.long().clamp(0, columns - 1)
            found = depth.to(z).flatten(1).gather(1, index)
            free[view] = (found <= 0) | (z[view] <= HIDDEN * found)
    return free
