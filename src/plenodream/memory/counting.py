"""How many frustum samples two cameras see of each other, counted along rays instead of point by point. Ours.

The samples of a frustum lie on rays, at equal depths on each. Along a ray, with s = 1 / depth, every plane of the other
frustum is one limit on s, linear in the ray's pixel: what is inside is an interval, and the samples in it are counted
by rounding its ends. The same limits, taken at the best corner of a cell of rays, bound the count of all its rays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.geometry.frustum import TOLERANCE, inside_frustum, sample_frustum
from plenodream.types import Cameras

# Numbers handled in one go, so that they stay in the processor's cache; of single precision more.
COUNTED_AT_ONCE, BOUNDED_AT_ONCE = 2**19, 2**21
_CLOSE = 1e-7  # of the distance of two samples: ends that near to a sample are left to the plain test
_ROUNDING = 1e-5  # of the image size, distance or depth: so far are bounds in single precision moved outwards
_FAR = 1e30


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


@dataclass(frozen=True)
class Moved:
    """How far cameras may have moved.

    Attributes:
        our_turn: Of the target: largest change of its rotation (operator norm).
        their_turn: Of the views.
        shift: Largest change of the centres, that of the target and of a view added up, metres.
    """

    our_turn: Float[Tensor, "frames"]
    their_turn: Float[Tensor, "views frames"]
    shift: Float[Tensor, "views frames"]

    def of(self, views: slice | Tensor) -> Moved:
        """That of some of the views."""
        return Moved(self.our_turn, self.their_turn[views], self.shift[views])


def count_shared(target: Cameras, views: Cameras, grid: Grid) -> Float[Tensor, "2 views frames"]:
    """The target's samples inside each view, and each view's samples inside the target: exactly `inside_frustum`.

    Args:
        target: Batch shape (frames,), float64.
        views: Batch shape (views, frames), on the CPU.
        grid: The samples.
    """
    rays = grid.columns * grid.rows
    return _in_parts(target, views, lambda some: _count(target, views[some], grid), COUNTED_AT_ONCE // rays)


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
    cells = min(cells[0], grid.columns), min(cells[1], grid.rows)

    def work(some: slice) -> Tensor:
        return _bound(target, views[some], grid, cells, moved and moved.of(some))

    return _in_parts(target, views, work, BOUNDED_AT_ONCE // (cells[0] * cells[1]))


def apart(target: Cameras, views: Cameras, far: float, moved: Moved | None = None) -> Bool[Tensor, "views frames"]:
    """Where target and view share nothing, because spheres around their frustums do not meet. Arguments as above."""
    (ours, our_radius), (theirs, their_radius) = _sphere(target, far), _sphere(views, far)
    gap = (theirs - ours.to(theirs)[:, None]).square_().sum(dim=0)
    rounding = 1e-5 * max(ours.abs().amax().item(), theirs.abs().amax().item())
    reach = their_radius + our_radius.to(theirs) + rounding
    if moved is not None:
        reach += moved.shift + far * (moved.our_turn + moved.their_turn)
    return gap > reach.square_()


def _sphere(cameras: Cameras, far: float) -> tuple[Tensor, Tensor]:
    """Centre (3, *batch) and radius of a sphere around every frustum, with its tolerance."""
    axis, centre = cameras.camera_to_world[..., :3, 2:].movedim((-1, -2), (0, 1)).contiguous()
    fx, fy, cx, cy = cameras.intrinsics.movedim(-1, 0).contiguous()
    across, down = torch.maximum(cx, cameras.width - cx).div_(fx), torch.maximum(cy, cameras.height - cy).div_(fy)
    slope = across.square_().add_(down.square_()).mul_((1 + 10 * TOLERANCE) ** 2)  # squared, of the steepest corner
    middle = (slope + 1).mul_(far / 2).clamp_(max=far)  # on the axis, as far from the lens as from the far corners
    radius = (far - middle).square_().add_(slope.mul_(far**2)).sqrt_().mul_(1 + 10 * TOLERANCE)
    return centre.addcmul_(axis, middle), torch.maximum(radius, middle)


def _in_parts(target: Cameras, views: Cameras, work: Callable[[slice], Tensor], pairs: int) -> Tensor:
    at_once = max(1, pairs // (12 * max(1, len(target))))
    return torch.cat([work(slice(n, n + at_once)) for n in range(0, len(views), at_once)], dim=1)


def _count(target: Cameras, views: Cameras, grid: Grid) -> Tensor:
    low, high = _limits(_planes(target, views, grid, torch.float64), *_cells(grid, (grid.columns, grid.rows))[:2])
    first, last = _ends(low, high, grid)
    doubtful = ((first - first.round()).abs_() < _CLOSE) | ((last - last.round()).abs_() < _CLOSE)
    counts = last.floor_().sub_(first.ceil_()).add_(1).clamp_(min=0).sum(dim=0)
    pairs = doubtful.any(dim=0).any(dim=0).nonzero(as_tuple=True)
    if len(pairs[0]):
        counts[:, *pairs] = _count_plainly(target[pairs[1]], views[pairs].to(torch.float64), grid)
    return counts


def _bound(target: Cameras, views: Cameras, grid: Grid, cells: tuple[int, int], moved: Moved | None) -> Tensor:
    rays, half, weights = _cells(grid, cells)
    # Without the near plane: it cuts off little, and what is inside the four sides is never behind.
    planes = _planes(target, views, grid, torch.float32)[:5]
    if moved is not None:
        _loosen(planes, target, views, moved)
    low, high = _limits(planes, rays, half)
    rounding = _ROUNDING * grid.planes * grid.far / (grid.far - grid.near)
    first, last = _ends(low, high, grid, rounding)
    inside = last.floor_().sub_(first.ceil_()).clamp_(min=-1).add_(1)
    return torch.tensordot(weights.to(inside), inside, 1).double()


def _ends(low: Tensor, high: Tensor, grid: Grid, apart: float = 0.0) -> tuple[Tensor, Tensor]:
    """Numbers of the first and last sample between limits of 1 / depth, unrounded; ends beyond them stay clear.

    Args:
        low: Limit from below.
        high: Limit from above.
        grid: The samples.
        apart: Both ends are moved outwards by this.
    """
    step, most = (grid.far - grid.near) / grid.planes, grid.planes - 0.5
    begin = low.new_tensor(-grid.near / step - 0.5)
    first, last = (
        torch.add(begin + outwards, s.clamp_(min=1 / _FAR).reciprocal_(), alpha=1 / step).clamp_(-0.5, most)
        for s, outwards in ((high, -apart), (low, apart))
    )
    return first, last


def _loosen(planes: Tensor, target: Cameras, views: Cameras, moved: Moved) -> None:
    """Move planes outwards, in place, by as far as a sample at depth d may be seen elsewhere: D = a d + b metres.

    A sample q of one camera lies within |q| <= k d of it. Cameras whose axes turn by s (the operator norm of the change
    of their rotation) and whose centres shift see it move by no more than (s + s') |q| + shifts + s' |distance of the
    two centres|, s' being that of the camera that sees it; a plane of unit normal counts no more than that.
    """
    (our_reach, our_normals), (their_reach, their_normals) = _lens(target[None]), _lens(views)
    ours, theirs = (c.camera_to_world[..., :3, 3] for c in (target, views))
    distance = (theirs - ours.to(theirs)).norm(dim=-1)
    turn = moved.our_turn + moved.their_turn
    ways = (
        (their_normals, our_reach, moved.their_turn),
        (our_normals, their_reach, moved.our_turn),
    )
    for way, (normals, reach, seeing) in enumerate(ways):
        planes[:, 2, way] += normals * (turn * reach)
        planes[:, 3, way] += normals * (distance * seeing + moved.shift)


def _lens(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Longest ray of depth 1, and length of the normals of its five planes in metres: (*batch,) and (5, *batch)."""
    fx, fy, cx, cy = cameras.intrinsics.float().movedim(-1, 0)
    fx, cx, fy, cy = fx / cameras.width, cx / cameras.width, fy / cameras.height, cy / cameras.height
    slopes = (torch.maximum(c, 1 - c) / f for f, c in ((fx, cx), (fy, cy)))
    reach = sum((slope.square() for slope in slopes), torch.ones_like(fx)).sqrt()
    sides = [(f, side.abs() + TOLERANCE) for f, c in ((fx, cx), (fy, cy)) for side in (c, 1 - c)]
    return reach, torch.stack([*(torch.hypot(*side) for side in sides), torch.ones_like(fx)])


def _count_plainly(targets: Cameras, views: Cameras, grid: Grid) -> Tensor:
    """The samples that pairs of cameras see of each other, by `inside_frustum`: (2, pairs)."""
    shape = (grid.near, grid.far, grid.columns, grid.rows, grid.planes)
    pairs = ((targets, views), (views, targets))
    inside = [inside_frustum(sample_frustum(one, *shape), other, grid.near, grid.far) for one, other in pairs]
    return torch.stack(inside).sum(dim=-1).double()


def _planes(target: Cameras, views: Cameras, grid: Grid, dtype: torch.dtype) -> Tensor:
    """Each frustum's planes in the other camera's (u d, v d, d, 1), positive inside: (6, 4, 2, views, frames).

    u and v go from 0 to 1 across the image; the far plane is the fifth, the near plane the last.
    """
    origin = target.camera_to_world[:, :3, 3].T[:, None]  # of the world: what is far away loses digits
    to_world, to_image = _matrices(target[None], origin, dtype)
    their_world, their_image = _matrices(views, origin, dtype)
    planes = their_world.new_empty(6, 4, 2, *views.shape)
    for way, (image, world) in enumerate(((their_image, to_world), (to_image, their_world))):
        x, y, z = _product(image, world)
        for sides, value in ((planes[0:2, :, way], x), (planes[2:4, :, way], y)):
            torch.add(value, z, alpha=TOLERANCE, out=sides[0])
            torch.sub(z * (1 + TOLERANCE), value, out=sides[1])
        torch.neg(z, out=planes[4, :, way])
        planes[5, :, way] = z
    planes[4, 3] += grid.far * (1 + TOLERANCE)
    planes[5, 3] -= grid.near * (1 - TOLERANCE)
    if dtype != torch.float64:
        planes[:, 3] += _ROUNDING * (their_world[:, 3].abs().sum(dim=0) + their_image[:, 3].abs().sum(dim=0))
    return planes


def _matrices(cameras: Cameras, origin: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(u d, v d, d, 1) to world, and world to (u d, v d, d): (3, 4, *batch) each, d being depth, u and v 0 to 1."""
    given = cameras.camera_to_world[..., :3, :].movedim((-2, -1), (0, 1))
    pose = given.to(dtype).contiguous().clone()
    pose[:, 3] = given[:, 3].double() - origin
    fx, fy, cx, cy = cameras.intrinsics.movedim(-1, 0).to(dtype).contiguous()
    fx, cx, fy, cy = fx / cameras.width, cx / cameras.width, fy / cameras.height, cy / cameras.height
    to_image = torch.empty_like(pose)
    to_image[:, :3] = pose[:, :3].transpose(0, 1)
    torch.sum(pose[:, :3] * pose[:, 3, None], dim=0, out=to_image[:, 3]).neg_()
    to_image[0].mul_(fx).addcmul_(to_image[2], cx)
    to_image[1].mul_(fy).addcmul_(to_image[2], cy)
    pose[:, 0].div_(fx)
    pose[:, 1].div_(fy)
    pose[:, 2].addcmul_(pose[:, 0], cx, value=-1).addcmul_(pose[:, 1], cy, value=-1)
    return pose, to_image


def _product(to_image: Tensor, to_world: Tensor) -> Tensor:
    """One camera's (u d, v d, d, 1) to another's (u d, v d, d): (3, 4, views, frames)."""
    product = to_image[:, 0, None] * to_world[0]
    product = product.addcmul_(to_image[:, 1, None], to_world[1]).addcmul_(to_image[:, 2, None], to_world[2])
    product[:, 3].add_(to_image[:, 3])
    return product


def _limits(planes: Tensor, rays: Tensor, half: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Between which s = 1 / depth the rays of each cell may be inside: (cells, 2, views, frames) twice."""
    offset = planes[:, 3]
    offset = torch.where(offset.abs() < 1 / _FAR, 1 / _FAR, offset)  # through the lens: inside or not, no limit
    # s * offset >= -(a u + b v + c): a lower limit where the lens is inside the plane, else an upper one.
    a, b, c = (planes[:, :3] / -offset[:, None]).unbind(1)
    widen = 0.0 if planes.dtype == torch.float64 else _ROUNDING
    slack = (a.abs() * (half[0] + widen)).add_(b.abs(), alpha=half[1] + widen).add_(c.abs(), alpha=widen)
    ahead = offset > 0
    rays = torch.nn.functional.pad(rays.to(planes), (0, 1), value=1)
    none = torch.tensor([0, 0, _FAR]).to(planes).view(3, 1, 1, 1, 1)
    low = torch.tensordot(rays, torch.where(ahead, torch.stack([a, b, c - slack]), -none), 1)
    high = torch.tensordot(rays, torch.where(ahead, none, torch.stack([a, b, c + slack])), 1)
    return furthest(low.unbind(1), torch.maximum), furthest(high.unbind(1), torch.minimum)


def furthest(values: Sequence[Tensor], choose: Callable) -> Tensor:
    """Maximum or minimum of some tensors: many times faster than `amax` where they are few."""
    result = values[0].clone()
    for other in values[1:]:
        choose(result, other, out=result)
    return result


def _cells(grid: Grid, cells: tuple[int, int]) -> tuple[Tensor, tuple[float, float], Tensor]:
    """Middles (cells, 2) of cells of rays in an image of 1 x 1, half of the widest's extent, number of rays in each."""
    (x, half_x, across), (y, half_y, down) = _split(grid.columns, cells[0]), _split(grid.rows, cells[1])
    rays = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)
    return rays, (half_x, half_y), (down[:, None] * across).flatten()


def _split(samples: int, cells: int) -> tuple[Tensor, float, Tensor]:
    edges = torch.linspace(0, samples, cells + 1, dtype=torch.float64).round_()
    counts = edges.diff()
    return (edges[:-1] + counts / 2) / samples, (counts.max().item() - 1) / 2 / samples, counts
