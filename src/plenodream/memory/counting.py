"""How many frustum samples two cameras see of each other, counted along rays instead of point by point. Ours.

The samples of a frustum lie on rays, at equal depths on each. Along a ray, with s = 1 / depth, every plane of the other
frustum is one limit on s, linear in the ray's pixel: what is inside is an interval, and the samples in it are counted
by rounding its ends. The same limits, taken at the best corner of a cell of rays, bound the count of all its rays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.geometry.frustum import inside_frustum, sample_frustum
from plenodream.memory import pairs
from plenodream.memory.pairs import ROUNDING, Moved, Posed, posed
from plenodream.types import Cameras

AT_ONCE = 2**17  # limits handled in one go, so that they stay in the processor's cache
_CLOSE = 1e-7  # of the distance of two samples: ends that near to a sample are left to the plain test
_FAR = 1e30
_TINY = 1e-20  # a lens this near to a plane is on it


@dataclass(frozen=True)
class Grid:
    """The samples of every frustum (`sample_frustum`).

    Attributes:
        near: Start of the frustums, metres.
        far: End of the frustums, metres.
        columns: Samples across the image.
        rows: Samples down the image.
        planes: Samples in depth.
    """

    near: float
    far: float
    columns: int
    rows: int
    planes: int

    @property
    def points(self) -> int:
        """Samples of one frustum."""
        return self.columns * self.rows * self.planes


def count_shared(target: Cameras, views: Cameras, grid: Grid) -> Float[Tensor, "2 views frames"]:
    """The target's samples inside each view, and each view's samples inside the target: exactly `inside_frustum`.

    Args:
        target: Batch shape (frames,), float64.
        views: Batch shape (views, frames), on the CPU.
        grid: The samples.
    """
    ours = posed(target[None], np.float64)

    def work(some: slice) -> np.ndarray:
        return _count(target, views[some], ours, grid)

    return _in_parts(views, work, grid.columns * grid.rows)


def bound_shared(
    target: Cameras, views: Cameras, grid: Grid, cells: tuple[int, int] = (4, 2), moved: Moved | None = None
) -> Float[Tensor, "2 views frames"]:
    """At least what `count_shared` counts, in a fraction of its time.

    Args:
        target: Batch shape (frames,), float64.
        views: Batch shape (views, frames), on the CPU.
        grid: The samples.
        cells: Across and down: the rays of a cell are bounded together.
        moved: The bounds then hold also for cameras that have moved so far, with the same lenses.
    """
    ours, cells = posed(target[None], np.float32), (min(cells[0], grid.columns), min(cells[1], grid.rows))

    def work(some: slice) -> np.ndarray:
        return _bound(ours, posed(views[some], np.float32), grid, cells, moved and moved.of(some))

    return _in_parts(views, work, 2 * cells[0] * cells[1])


def apart(target: Cameras, views: Cameras, far: float, moved: Moved | None = None) -> Bool[Tensor, "views frames"]:
    """Where target and view share nothing, because spheres around their frustums do not meet. Arguments as above."""
    return torch.from_numpy(pairs.apart(posed(target[None], np.float32), posed(views, np.float32), far, moved))


def _in_parts(views: Cameras, work: Callable[[slice], np.ndarray], limits: int) -> Tensor:
    at_once = max(1, AT_ONCE // (limits * max(1, views.shape[1])))
    counts = np.empty((2, *views.shape))
    for start in range(0, len(views), at_once):
        some = slice(start, start + at_once)
        counts[:, some] = work(some)
    return torch.from_numpy(counts)


def _count(target: Cameras, views: Cameras, ours: Posed, grid: Grid) -> np.ndarray:
    sides = pairs.planes(ours, posed(views, np.float64), grid.near, grid.far)
    first, last = _ends(*_limits(sides, _split(grid.columns, grid.columns), _split(grid.rows, grid.rows), 0.0), grid)
    most, least = (_inside(first - outwards, last + outwards).sum(axis=(0, 1)) for outwards in (_CLOSE, -_CLOSE))
    doubtful = (most != least).any(axis=0)
    if doubtful.any():
        view, frame = (torch.from_numpy(numbers) for numbers in doubtful.nonzero())
        most[:, doubtful] = _count_plainly(target[frame], views[view, frame].to(torch.float64), grid)
    return most


def _bound(ours: Posed, theirs: Posed, grid: Grid, cells: tuple[int, int], moved: Moved | None) -> np.ndarray:
    # Without the near plane: it cuts off little, and what is inside the four sides is never behind.
    sides = pairs.planes(ours, theirs, None, grid.far, moved)
    across, down = _split(grid.columns, cells[0]), _split(grid.rows, cells[1])
    outwards = ROUNDING * grid.planes * grid.far / (grid.far - grid.near)
    first, last = _ends(*_limits(sides, across, down, ROUNDING), grid)
    inside = _inside(np.subtract(first, outwards, out=first), np.add(last, outwards, out=last))
    weights = (across.counts[:, None] * down.counts).astype(inside.dtype)
    return np.tensordot(weights, inside, 2)


def _inside(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Samples from the one to the other end, which are lost."""
    np.floor(last, out=last)
    last -= np.ceil(first, out=first)
    last += 1
    return np.maximum(last, 0, out=last)


def _ends(low: np.ndarray, high: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the first and last sample between limits of 1 / depth, unrounded and in place; clear beyond a grid."""
    step = (grid.far - grid.near) / grid.planes
    for limit in (low, high):
        np.divide(1 / step, limit, out=limit)
        limit -= grid.near / step + 0.5
    return np.maximum(high, -0.5, out=high), np.minimum(low, grid.planes - 0.5, out=low)


def _count_plainly(targets: Cameras, views: Cameras, grid: Grid) -> np.ndarray:
    """The samples that pairs of cameras see of each other, by `inside_frustum`: (2, pairs)."""
    shape = (grid.near, grid.far, grid.columns, grid.rows, grid.planes)
    ways = ((targets, views), (views, targets))
    inside = [inside_frustum(sample_frustum(one, *shape), other, grid.near, grid.far) for one, other in ways]
    return torch.stack(inside).sum(dim=-1).numpy()


@dataclass(frozen=True)
class _Split:
    """One side of the image in cells of rays: their middles in an image of 1 x 1, half of the widest, rays in each."""

    middles: np.ndarray
    half: float
    counts: np.ndarray


def _split(samples: int, cells: int) -> _Split:
    edges = np.rint(np.linspace(0, samples, cells + 1))
    counts = np.diff(edges)
    return _Split((edges[:-1] + counts / 2) / samples, (counts.max() - 1) / 2 / samples, counts)


def _limits(sides: np.ndarray, across: _Split, down: _Split, widen: float) -> tuple[np.ndarray, np.ndarray]:
    """Between which s = 1 / depth the rays of each cell may be inside: (columns, rows, 2, views, frames) twice.

    Args:
        sides: Planes, which are lost.
        across: Cells of a row.
        down: Cells of a column.
        widen: Of the image: planes are moved outwards by it.
    """
    offset = sides[:, 3]
    np.copyto(offset, _TINY, where=np.abs(offset) < _TINY)  # through the lens: inside or not, hardly a limit
    # s * offset >= -(a u + b v + c): a lower limit where the lens is inside the plane, else an upper one.
    sides[:, :3] *= (-1 / offset)[:, None]
    a, b, c = sides[:, 0], sides[:, 1], sides[:, 2]
    ahead = offset > 0
    slack = np.abs(a) * (across.half + widen) + np.abs(b) * (down.half + widen) + np.abs(c) * widen
    lower, upper = np.where(ahead, c - slack, -_FAR), np.where(ahead, _FAR, c + slack)
    x, y = (split.middles.astype(sides.dtype).reshape(-1, 1, 1, 1) for split in (across, down))
    shape = (len(x), len(y), *sides.shape[2:])
    low, high = np.full(shape, 1 / _FAR, sides.dtype), np.full(shape, _FAR, sides.dtype)
    limit = np.empty_like(low)
    for number in range(len(sides)):
        column, row = (x * a[number])[:, None], y * b[number]
        np.maximum(low, np.add(column, row + lower[number], out=limit), out=low)
        np.minimum(high, np.add(column, row + upper[number], out=limit), out=high)
    return low, np.maximum(high, 1 / _FAR, out=high)
