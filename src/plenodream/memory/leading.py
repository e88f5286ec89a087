"""The views that share most with a target, without counting what all of them share. Ours; the choice is exact.

Few views are all counted. Of many, a bound is kept of what each may share, and made tighter a few frames at a time; a
view whose bound falls below what k others are known to share is left out. A bound is never below the truth and views
with an equal bound stay in, so who leads, ties included, is who would lead if all were counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.memory.counting import Grid, apart, bound_shared
from plenodream.types import Cameras

ALL_COUNTED = 64  # views, up to which every one is counted: what is shown of small scenes then is complete
# Frames spread over the video first, since neighbours tell much the same; together every frame once.
_CHUNKS = (slice(0, None, 8), slice(4, None, 8), slice(2, None, 4), slice(1, None, 2))
_AT_ONCE = 8  # views counted before bounds are looked at again


def leading_counts(
    target: Cameras, views: Cameras, grid: Grid, k: int, kept: Sequence[int], count: Callable[[Tensor], Tensor]
) -> Float[Tensor, "views"]:
    """What views share with a target: counted for all that can be among the best k, minus infinity for the others.

    Args:
        target: Batch shape (frames,), float64.
        views: Batch shape (views, frames), on the CPU.
        grid: The samples whose sharing bounds what is counted.
        k: Number of views that will be chosen.
        kept: Views among these whatever they share; they are counted, too.
        count: What the views of these indices share; never more than `count_shared`, summed.
    """
    if len(views) <= ALL_COUNTED:
        return count(torch.arange(len(views)))
    counts = torch.full((len(views),), -math.inf, dtype=torch.float64)
    free = torch.ones(len(views), dtype=torch.bool)
    free[list(kept)] = False
    wanted = min(k - len(kept), int(free.sum()))
    if kept:
        counts[list(kept)] = count(torch.tensor(kept))
    if wanted:
        _count_leaders(target, views, grid, free, wanted, count, counts)
    return counts


def _count_leaders(
    target: Cameras, views: Cameras, grid: Grid, free: Tensor, wanted: int, count: Callable, counts: Tensor
) -> None:
    """Fill in the counts of all free views that can be among the best."""

    def reached() -> float:
        return counts[free].topk(wanted).values[-1].item()

    left, most = free.nonzero().flatten(), 2.0 * grid.points
    bounds = torch.full((len(views),), most * len(target), dtype=torch.float64)
    for chunk in _CHUNKS:
        frames = len(target[chunk])
        if frames and len(left):
            bounds[left] += _bound(target[chunk], part(views, left, chunk), grid) - most * frames
        if chunk is _CHUNKS[0]:
            first = left[bounds[left].topk(min(wanted, len(left))).indices]
            counts[first] = count(first)
        left = left[(bounds[left] >= reached()) & counts[left].isneginf()]
    left = left[bounds[left].argsort(descending=True, stable=True)]
    for some in left.split(_AT_ONCE):
        some = some[bounds[some] >= reached()]
        if len(some):
            counts[some] = count(some)


def _bound(target: Cameras, views: Cameras, grid: Grid) -> Tensor:
    """At most what views share with the target in some frames: (views,)."""
    near = ~apart(target, views, grid.far)
    bound = torch.zeros(near.shape, dtype=torch.float64)
    asked = near.any(dim=1).nonzero().flatten()
    if len(asked):
        bound[asked] = bound_shared(target, part(views, asked), grid).sum(dim=0)
    return bound.mul_(near).sum(dim=1)


def part(views: Cameras, numbers: Tensor, frames: slice = slice(None)) -> Cameras:
    """Some frames of some views."""
    poses, lenses = views.camera_to_world[:, frames][numbers], views.intrinsics[:, frames][numbers]
    return replace(views, camera_to_world=poses, intrinsics=lenses)
