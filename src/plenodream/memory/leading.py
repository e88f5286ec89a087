"""The views that share most with a target, without counting what all of them share. Ours; the choice is exact.

Few views are all counted. Of many, a bound is kept of what each may share, first of a few frames together and by how
far the cameras move in them, then made tighter; a view whose bound falls below what k others are known to share is left
out. A bound is never below the truth, and a view whose bound equals it stays in where it comes before one of the k, so
who leads, ties included, is who would lead if all were counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.memory.counting import Grid, apart, bound_shared
from plenodream.memory.pairs import Moved
from plenodream.types import Cameras

ALL_COUNTED = 64  # views, up to which every one is counted: what is shown of small scenes then is complete
# Frames spread over the video first, since neighbours tell much the same; together every frame once.
_CHUNKS = (slice(0, None, 8), slice(4, None, 8), slice(2, None, 4), slice(1, None, 2))
STRETCH = 8  # frames next to each other that are bounded together first
_EXACT = 1e-6  # of the largest coordinate: rounding of numbers in single precision
# Of a pose's numbers, those of its rotation and of its centre.
_PARTS = np.array([[column < 3, column == 3] for column in (0, 1, 2, 3)] * 3, "f4")
_FEW = 4096  # frames of all views, up to which each is bounded at once
_FIRST = 128  # views that are bounded more closely before all others
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
    left = free.nonzero().flatten()
    many = len(views) * len(target) > _FEW
    coarse, steady = bound_stretches(target, views, grid) if many else _unbounded(views, grid)
    chunks = _CHUNKS if many else (slice(None),)
    stretch = torch.arange(len(target)) // STRETCH
    bounds = coarse @ stretch.bincount().double()

    def refine(left: Tensor, chunk: slice) -> None:
        if len(left) and len(target[chunk]):
            fine = bound_shared(target[chunk], part(views, left, chunk), grid).sum(dim=(0, 2))
            bounds[left] += fine - coarse[left][:, stretch[chunk]].sum(dim=1)

    def ahead(some: Tensor) -> Tensor:
        """Those of some views that may still be chosen; ties go to the lower index."""
        known = (free & ~counts.isneginf()).nonzero().flatten()
        last = known[counts[known].argsort(descending=True, stable=True)[wanted - 1]]
        bound, least = bounds[some], counts[last]
        return some[((bound > least) | ((bound == least) & (some < last))) & counts[some].isneginf()]

    def count_best(some: Tensor) -> None:
        """Count those of the highest bounds, by which others fall behind."""
        best = some[bounds[some].topk(min(wanted, len(some))).indices]
        if len(best):
            counts[best] = count(best)

    # Where cameras move much their bounds are high; of the first alone some frames are looked at, to know who leads.
    first = left[bounds[left].topk(min(max(_FIRST, wanted), len(left))).indices] if steady else left
    refine(first, chunks[0])
    count_best(first)
    left = ahead(left)
    refine(left[~torch.isin(left, first)], chunks[0])
    for chunk in chunks[1:]:
        left = ahead(left)
        count_best(left)
        left = ahead(left)
        refine(left, chunk)
    left = ahead(left)
    left = left[bounds[left].argsort(descending=True, stable=True)]
    for batch in left.split(_AT_ONCE):
        some = ahead(batch)
        if len(some):
            counts[some] = count(some)


def bound_stretches(target: Cameras, views: Cameras, grid: Grid) -> tuple[Float[Tensor, "views stretches"], bool]:
    """At most what views share with the target in any frame of each stretch, from its middle and how far cameras move.

    Args:
        target: Batch shape (frames,), float64.
        views: Batch shape (views, frames), on the CPU.
        grid: The samples.

    Returns:
        Bounds, and whether they say anything: of lenses that change within a video they do not.
    """
    stretches = range(0, len(target), STRETCH)
    lenses = (c.intrinsics.numpy().reshape(len(c), -1) for c in (target[None], views))
    if not all((lens[:, 4:] == lens[:, :-4]).all() for lens in lenses):
        return _unbounded(views, grid)
    middles = [min(start + STRETCH // 2, len(target) - 1) for start in stretches]
    (our_turn, our_shift), (their_turn, their_shift) = (_movement(c, middles) for c in (target[None], views))
    moved = Moved(our_turn[0], their_turn, our_shift + their_shift)
    frames = torch.tensor(middles)
    poses, lens = (
        x.index_select(1, frames) for x in (views.camera_to_world, views.intrinsics)
    )  # faster than views[...]
    target, views = target[frames], replace(views, camera_to_world=poses, intrinsics=lens)
    near = ~apart(target, views, grid.far, moved)
    some = slice(None) if near.any(dim=1).all() else near.any(dim=1).nonzero().flatten().numpy()
    bounds = torch.zeros(near.shape, dtype=torch.float64)
    bounds[some] = bound_shared(target, views[some], grid, (2, 1), moved.of(some)).sum(dim=0)
    return bounds.mul_(near), True


def _unbounded(views: Cameras, grid: Grid) -> tuple[Tensor, bool]:
    return torch.full((len(views), math.ceil(views.shape[1] / STRETCH)), 2.0 * grid.points, dtype=torch.float64), False


def _movement(cameras: Cameras, middles: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Largest change of rotation (operator norm) and centre (metres) from the middle of each stretch to its frames."""
    # Frames first: then numbers next to each other are compared with such.
    poses = cameras.camera_to_world.numpy().reshape(*cameras.shape, 16)
    poses = np.ascontiguousarray(poses.transpose(1, 0, 2)[..., :12])
    now = poses[middles]
    most, least = np.empty_like(now), np.empty_like(now)
    for number, start in enumerate(range(0, len(poses), STRETCH)):
        poses[start : start + STRETCH].max(axis=0, out=most[number])
        poses[start : start + STRETCH].min(axis=0, out=least[number])
    size = max(most.max(), -least.min())
    change = np.maximum(np.subtract(most, now, out=most), np.subtract(now, least, out=least), out=most)
    # The difference of two rotations stretches nothing by more than its Frobenius norm over the root of 2; poses are
    # rotations, and numbers exact, to a little.
    turn, shift = np.sqrt(np.square(change, out=change).astype(np.float32) @ _PARTS).transpose(2, 1, 0)
    return turn * np.float32(1.01 / math.sqrt(2)) + np.float32(1e-4), shift * np.float32(1.01) + np.float32(
        _EXACT * size
    )


def part(views: Cameras, numbers: Tensor, frames: slice = slice(None)) -> Cameras:
    """Some frames of some views."""
    poses, lenses = views.camera_to_world[:, frames][numbers], views.intrinsics[:, frames][numbers]
    return replace(views, camera_to_world=poses, intrinsics=lenses)
