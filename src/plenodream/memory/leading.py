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

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.memory.counting import Grid, Moved, apart, bound_shared, furthest
from plenodream.types import Cameras

ALL_COUNTED = 64  # views, up to which every one is counted: what is shown of small scenes then is complete
# Frames spread over the video first, since neighbours tell much the same; together every frame once.
_CHUNKS = (slice(0, None, 8), slice(4, None, 8), slice(2, None, 4), slice(1, None, 2))
STRETCH = 8  # frames next to each other that are bounded together first
_EXACT = 1e-6  # of the largest coordinate: rounding of numbers in single precision
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
    coarse, steady = bound_stretches(target, views, grid)
    stretch = torch.arange(len(target)) // STRETCH
    bounds = coarse @ stretch.bincount().double()

    def refine(left: Tensor, chunk: slice) -> None:
        if len(left) and len(target[chunk]):
            fine = _bound(target[chunk], part(views, left, chunk), grid).sum(dim=1)
            bounds[left] += fine - coarse[left][:, stretch[chunk]].sum(dim=1)

    def ahead(some: Tensor) -> Tensor:
        """Those of some views that may still be chosen; ties go to the lower index."""
        known = (free & ~counts.isneginf()).nonzero().flatten()
        last = known[counts[known].argsort(descending=True, stable=True)[wanted - 1]]
        bound, least = bounds[some], counts[last]
        return some[((bound > least) | ((bound == least) & (some < last))) & counts[some].isneginf()]

    def count_best(left: Tensor) -> Tensor:
        """Count those of the highest bounds, by which more of the others fall behind."""
        first = left[bounds[left].topk(min(wanted, len(left))).indices]
        counts[first] = count(first)
        return ahead(left)

    if steady:
        left = count_best(left)
    for chunk in _CHUNKS:
        refine(left, chunk)
        if chunk is _CHUNKS[0] and (len(left) > 4 * ALL_COUNTED or not steady):
            left = count_best(left)
        left = ahead(left)
    left = left[bounds[left].argsort(descending=True, stable=True)]
    for some in left.split(_AT_ONCE):
        some = ahead(some)
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
    if not all(bool((c.intrinsics == c.intrinsics[..., :1, :]).all()) for c in (target, views)):
        return torch.full((len(views), len(stretches)), 2.0 * grid.points, dtype=torch.float64), False
    middles = [min(start + STRETCH // 2, len(target) - 1) for start in stretches]
    (our_turn, our_shift), (their_turn, their_shift) = (_movement(c, middles) for c in (target[None], views))
    moved = Moved(our_turn[0], their_turn, our_shift + their_shift)
    return _bound(target[middles], views[:, middles], grid, moved), True


def _bound(target: Cameras, views: Cameras, grid: Grid, moved: Moved | None = None) -> Float[Tensor, "views frames"]:
    """At most what views share with the target in each frame; of those that moved more coarsely."""
    near = ~apart(target, views, grid.far, moved)
    bound = torch.zeros(near.shape, dtype=torch.float64)
    asked = near.any(dim=1).nonzero().flatten()
    if len(asked):
        cells, moved = (4, 2) if moved is None else (2, 2), moved and moved.of(asked)
        bound[asked] = bound_shared(target, part(views, asked), grid, cells, moved).sum(dim=0)
    return bound.mul_(near)


def _movement(cameras: Cameras, middles: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Largest change of rotation (operator norm) and centre (metres) from the middle of each stretch to its frames."""
    poses, numbers = cameras.camera_to_world.flatten(-2), torch.arange(16)
    parts = torch.stack([(numbers < 12) & (numbers % 4 < 3), (numbers < 12) & (numbers % 4 == 3)], dim=-1)
    moved, size = torch.empty(2, len(poses), len(middles)), 0.0
    for number, middle in enumerate(middles):
        stretch = poses[:, STRETCH * number : STRETCH * (number + 1)].unbind(1)
        most, least, now = furthest(stretch, torch.maximum), furthest(stretch, torch.minimum), poses[:, middle]
        change = torch.maximum(most - now, now - least).float().square_() @ parts.float()
        moved[:, :, number] = change.sqrt_().T
        size = max(size, most.amax().item(), -least.amin().item())
    # The difference of two rotations stretches nothing by more than its Frobenius norm over the root of 2; poses are
    # rotations, and numbers exact, to a little.
    return moved[0] / math.sqrt(2) * 1.01 + 1e-4, moved[1] * 1.01 + _EXACT * size


def part(views: Cameras, numbers: Tensor, frames: slice = slice(None)) -> Cameras:
    """Some frames of some views."""
    poses, lenses = views.camera_to_world[:, frames][numbers], views.intrinsics[:, frames][numbers]
    return replace(views, camera_to_world=poses, intrinsics=lenses)
