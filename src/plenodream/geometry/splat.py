"""What a picture with depth shows of another camera's: its pixels carried there, nearest first. Ours.

Every pixel is a piece of the plane that it and the neighbours on its surface span (`surface.py`). It is splatted into
a z-buffer at the target's size, so that hidden pixels fall out; then the target's ray is cut with the winner's plane,
exactly, and the colour looked up where the cut lies in the picture (`carry`). Neighbours across a depth step belong to
different planes: no surface is stretched over it. Cameras that share a centre need neither depth nor z-buffer (`turn`).

One picture at a time: cameras have no batch dimension. Coordinates are of docs/conventions.md, depth is z in metres, 0
where it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.surface import STEP, Carried, Surface, pixel_grid
from plenodream.geometry.visibility import homography, lens_matrix
from plenodream.types import Cameras

# Pixels reach this much farther than their outline, in target pixels, so that no cracks open between them.
MARGIN = 0.05
# Half a pixel and what it reaches farther.
INSIDE = 0.6
# A pixel that is drawn out this many times more than one that faces both cameras shows nothing.
STRETCH = 6.0
# Most pieces each way that a pixel which grows is cut into.
MOST_CUTS = 4
# Fewest filled neighbours (of eight) of a pinhole.
PINHOLE = 5
_MARGIN_CELLS = 2  # around the z-buffer
_EMPTY = torch.iinfo(torch.int64).max


def carry(view: Surface, target: Cameras) -> Carried:
    """A picture as a target camera (batch shape ()) sees it.

    The weight falls with the angle between the two cameras' rays to the point and with the area that a pixel is
    enlarged to.
    """
    index, splatted, filled = _z_buffer(view, target)
    pose = (invert_pose(view.camera.camera_to_world.double()) @ target.camera_to_world.double()).cpu()
    centre = pose[:3, 3].tolist()
    rays = _rays(pose[:3, :3] @ _inverse_matrix(target), target, splatted)
    normal = [n.flatten().index_select(0, index).view_as(splatted) for n in view.normal]
    facing = 1 - (normal[0] * centre[0] + normal[1] * centre[1] + normal[2] * centre[2])
    depth = facing / (normal[0] * rays[0] + normal[1] * rays[1] + normal[2] * rays[2])
    # A plane known badly, seen edge-on: the splatted point itself is better.
    depth = torch.where((depth - splatted).abs() < STEP * splatted, depth, splatted)
    x, y, z = (depth * r + c for c, r in zip(centre, rays, strict=True))
    fx, fy, cx, cy = view.camera.intrinsics.tolist()
    over = z.clamp(min=1e-6).reciprocal()
    # Within the winner's own pixel: beside it may lie another thing.
    row = ((index + 0.5).double() / view.camera.width).floor().view_as(splatted)
    column = (index.view_as(row) - row * view.camera.width).to(splatted) + 0.5
    row = row.to(splatted) + 0.5
    x_there = torch.maximum(torch.minimum(x * over * fx + cx, column + INSIDE), column - INSIDE)
    y_there = torch.maximum(torch.minimum(y * over * fy + cy, row + INSIDE), row - INSIDE)
    colour = look_up(view.colour, x_there, y_there).flatten(1)
    # Across a depth step lies another thing's colour.
    edge = view.edge.flatten().index_select(0, index).nonzero()[:, 0]
    colour[:, edge] = view.colour.flatten(1)[:, index[edge]]
    colour = colour.unflatten(1, filled.shape)
    weight = _cosine_square((x, y, z), rays).clamp(max=1) / _growth(view, target, depth, z)
    return Carried(colour, torch.where(filled, depth, 0), torch.where(filled, weight, 0))


def turn(
    colour: Float[Tensor, "3 height width"],
    depth: Float[Tensor, "height width"] | None,
    camera: Cameras,
    target: Cameras,
    keep: Bool[Tensor, "height width"] | None = None,
) -> Carried:
    """A picture as a camera at the same place sees it, turned or zoomed: exact, without depth or visibility test.

    Args:
        colour: The picture, any range.
        depth: Its depth, which is carried along; None where it is not known.
        camera: Its camera, of batch shape ().
        target: The other camera, of batch shape (); its place is not looked at.
        keep: Pixels to take; all if None.
    """
    matrix = homography(target.to(torch.float64), camera.to(torch.float64)).cpu()
    x, y, z = _rays(matrix, target, colour)
    # Along the ray of a target's pixel, one metre deep there is z metres deep here.
    over = z.clamp(min=1e-6).reciprocal()
    x, y = x * over, y * over
    inside = (z > 1e-6) & (x >= 0) & (x <= camera.width) & (y >= 0) & (y <= camera.height)
    column, row = x.floor().clamp(0, camera.width - 1), y.floor().clamp(0, camera.height - 1)
    index = (row * camera.width + column).long().flatten()
    if keep is not None:
        inside &= keep.flatten().index_select(0, index).view_as(inside)
    found = torch.zeros_like(x)
    if depth is not None:
        found = torch.where(inside, depth.flatten().index_select(0, index).view_as(x) * over, 0)
    area = abs(torch.linalg.det(matrix).item()) * over**3
    return Carried(look_up(colour, x, y), found, torch.where(inside, area.clamp(max=1), 0))


def _matrix(camera: Cameras) -> Tensor:
    return lens_matrix(camera.to("cpu", torch.float64))


def _inverse_matrix(camera: Cameras) -> Tensor:
    return torch.linalg.inv(_matrix(camera))


def _rays(matrix: Tensor, camera: Cameras, like: Tensor) -> list[Tensor]:
    """The three rows of a matrix times (x, y, 1) at every pixel."""
    x, y = pixel_grid(camera, like)
    return [a * x + (b * y + c) for a, b, c in matrix.tolist()]


def look_up(colour: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bicubic colour at positions (which may overshoot); beyond the border the nearest."""
    height, width = colour.shape[1:]
    grid = torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], dim=-1)
    return torch.nn.functional.grid_sample(
        colour[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )[0]


def _cosine_square(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Square of the cosine of the angle between vectors given by coordinates; next to nothing beyond 90 degrees."""
    dot, size_a, size_b = (p[0] * q[0] + p[1] * q[1] + p[2] * q[2] for p, q in ((a, b), (a, a), (b, b)))
    return dot.clamp(min=0).square() / (size_a * size_b).clamp(min=1e-12) + 1e-4


def _growth(view: Surface, target: Cameras, depth: Tensor, depth_here: Tensor) -> Tensor:
    """Area that a pixel is enlarged to, at least 1, were it facing both cameras."""
    focal = (target.intrinsics[:2].prod() / view.camera.intrinsics[:2].prod()).item()
    return (focal * (depth_here / depth.clamp(min=1e-6)).square()).clamp(min=1)


def _z_buffer(view: Surface, target: Cameras) -> tuple[Int[Tensor, "pixels"], Tensor, Tensor]:
    """Of every target pixel the picture's pixel that shows there (0 where none), its depth there, and whether any."""
    pose = (invert_pose(target.camera_to_world.double()) @ view.camera.camera_to_world.double()).cpu()
    matrix = _matrix(target) @ pose[:3, :3] @ _inverse_matrix(view.camera)
    lines = torch.cat([matrix, (_matrix(target) @ pose[:3, 3:])], dim=1).tolist()
    across, down = pixel_grid(view.camera, view.inverse)
    x, y, over = _project(lines, across, down, view.inverse)
    # Derivatives of (x, y) along the pixel's plane, across and down.
    (xx, yx), (xy, yy) = (_derivative(lines, axis, view.slope[axis], x, y, over) for axis in range(2))
    reach_x, reach_y = 0.5 * (xx.abs() + xy.abs()) + MARGIN, 0.5 * (yx.abs() + yy.abs()) + MARGIN
    reach = torch.maximum(reach_x, reach_y)
    plain = over * (target.intrinsics[:2] / view.camera.intrinsics[:2]).max().item()
    # Seen from behind, or drawn out from next to nothing: not what this picture shows.
    shown = (view.inverse > 0) & (over > 0) & (xx * yy > xy * yx) & (reach < STRETCH * plain + MARGIN)
    margin = _MARGIN_CELLS
    buffer = torch.full((target.height + 2 * margin, target.width + 2 * margin), _EMPTY, device=x.device)
    number = torch.arange(x.numel(), device=x.device).view_as(x)
    small = reach <= 1
    _splat(buffer, x, y, reach_x, reach_y, _key(view.inverse * over, number), shown & small)
    where = (shown & ~small).nonzero(as_tuple=True)
    if len(where[0]):
        _splat_cut(buffer, lines, view, where, (reach_x[where], reach_y[where]), number[where])
    buffer = _close(buffer[margin:-margin, margin:-margin])
    filled = buffer != _EMPTY
    index = torch.where(filled, buffer & 0xFFFFFFFF, 0)
    splatted = (buffer >> 32).to(torch.int32).view(torch.float32)
    return index.flatten(), torch.where(filled, splatted, 1), filled


def _project(lines, across: Tensor, down: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Position in the target of pixels (x, y) of some inverse depth, and depth here / depth there (0: behind)."""
    x, y, z = ((a * across + (b * down + c)).add(inverse, alpha=d) for a, b, c, d in lines)
    over = torch.where(z > 1e-6, z.reciprocal(), 0)
    return x * over, y * over, over


def _derivative(lines, axis: int, slope: Tensor, x: Tensor, y: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
    """How the position in the target changes along one axis of the picture on the pixels' planes."""
    a, b, c = (line[axis] + line[3] * slope for line in lines)
    return (a - x * c) * over, (b - y * c) * over


def _key(over_depth: Tensor, number: Tensor) -> Tensor:
    """(bits of the depth, number of the pixel): in the order of the depth, as positive floats' bits are."""
    depth = over_depth.clamp(min=1e-12).reciprocal()
    return (depth.to(torch.float32).view(torch.int32).long() << 32) | number


def _splat(buffer: Tensor, x: Tensor, y: Tensor, reach_x: Tensor, reach_y: Tensor, key: Tensor, shown: Tensor) -> None:
    """Put points into a z-buffer of keys with a margin; each reaches the (at most four) pixel centres it covers."""
    height, width = buffer.shape
    x, y = x + (_MARGIN_CELLS - 0.5), y + (_MARGIN_CELLS - 0.5)  # centres at whole numbers
    column, row = x.round(), y.round()
    shown = shown & (column >= 1) & (column < width - 1) & (row >= 1) & (row < height - 1)
    # Points that are not shown go to the first cell, in the margin: what is put there is never read.
    cell = torch.where(shown, row * width + column, 0).long()
    x, y = x - column, y - row
    gap_x, gap_y = x.abs(), y.abs()
    own_x, own_y = gap_x <= reach_x, shown & (gap_y <= reach_y)
    next_x, next_y = 1 - gap_x <= reach_x, shown & (1 - gap_y <= reach_y)
    flat, key = buffer.view(-1), key.flatten()
    flat.scatter_reduce_(0, torch.where(own_x & own_y, cell, 0).flatten(), key, "amin")
    # Few reach a second pixel: those alone are handled.
    for reached, dx, dy in ((next_x & own_y, 1, 0), (own_x & next_y, 0, width), (next_x & next_y, 1, width)):
        chosen = reached.flatten().nonzero()[:, 0]
        offset = x.flatten()[chosen].sign() * dx + y.flatten()[chosen].sign() * dy
        flat.scatter_reduce_(0, cell.flatten()[chosen] + offset.long(), key[chosen], "amin")


def _splat_cut(buffer: Tensor, lines, view: Surface, where, reach: tuple[Tensor, Tensor], number: Tensor) -> None:
    """Splat pixels that grow, cut into as many as cover what they grow to, each on the pixel's plane."""
    cuts = torch.maximum(*reach).ceil().clamp(2, MOST_CUTS)
    for count in range(2, MOST_CUTS + 1):
        chosen = (cuts == count).nonzero(as_tuple=True)[0]
        row, column = where[0][chosen], where[1][chosen]
        offsets = (torch.arange(count, device=row.device) + 0.5) / count - 0.5
        down, across = offsets[:, None, None], offsets[:, None]
        slope = view.slope[:, row, column]
        inverse = view.inverse[row, column] + across * slope[0] + down * slope[1]
        x, y, over = _project(lines, column + 0.5 + across, row + 0.5 + down, inverse)
        key = _key((inverse * over), number[chosen].expand_as(inverse))
        reach_x, reach_y = ((r[chosen] / count + MARGIN).expand_as(x) for r in reach)
        _splat(buffer, x, y, reach_x, reach_y, key, (inverse > 0) & (over > 0))


def _close(buffer: Int[Tensor, "height width"]) -> Int[Tensor, "height width"]:
    """Give pinholes the farthest of their neighbours: what is near does not grow."""
    empty = buffer == _EMPTY
    rows = torch.nn.functional.pad((~empty).to(torch.uint8), (1, 1, 1, 1))
    rows = rows[:-2] + rows[1:-1] + rows[2:]
    neighbours = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    row, column = (empty & (neighbours >= PINHOLE)).nonzero(as_tuple=True)
    if len(row):
        padded = torch.nn.functional.pad(torch.where(empty, -1, buffer), (1, 1, 1, 1), value=-1)
        around = [padded[row + i, column + j] for i in range(3) for j in range(3)]
        buffer = buffer.index_put((row, column), torch.stack(around).amax(0))
    return buffer
