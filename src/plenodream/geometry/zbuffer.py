"""Which pixel of a picture with depth shows at every pixel of another camera: splatting, nearest first. Ours.

Every pixel is a piece of the plane that it and the neighbours on its surface span (`surface.py`), drawn as the
parallelogram that it is in the target; where several cover a pixel's centre the nearest stays. The z-buffer holds (bits
of the depth, number of the pixel) as one integer, so that one minimum finds both. Pictures are worked through in bands
of rows whose numbers stay in the processor's cache; the result does not depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.surface import Surface, pixel_grid
from plenodream.geometry.visibility import lens_matrix
from plenodream.types import Cameras

# Pixels reach this much farther than their outline, in target pixels, so that no cracks open between them.
MARGIN = 0.05
# A pixel that is drawn out this many times more than one that faces both cameras shows nothing.
STRETCH = 6.0
# Fewest filled neighbours (of eight) of a pinhole.
PINHOLE = 5
# Of a z-buffer's pixel that nothing covers.
EMPTY = torch.iinfo(torch.int64).max
# Pixels of a band: a dozen arrays of them fit the cache of a core.
BAND = 1 << 17

Lines = Sequence[Sequence[float]]


def z_buffer(view: Surface, target: Cameras) -> Int[Tensor, "height width"]:
    """Keys of the nearest pixel at every pixel of the target (batch shape ()); see `depth_and_number`."""
    pose = (invert_pose(target.camera_to_world.double()) @ view.camera.camera_to_world.double()).cpu()
    here, there = (lens_matrix(camera.to("cpu", torch.float64)) for camera in (target, view.camera))
    lines = torch.cat([here @ pose[:3, :3] @ torch.linalg.inv(there), here @ pose[:3, 3:]], dim=1).tolist()
    plain = (target.intrinsics[:2] / view.camera.intrinsics[:2]).max().item()
    buffer = torch.full((target.height, target.width), EMPTY, device=view.inverse.device)
    for rows in bands(*view.inverse.shape):
        _splat_rows(buffer, view, rows, lines, plain)
    return _close(buffer)


def depth_and_number(keys: Int[Tensor, "*pixels"]) -> tuple[Tensor, Tensor, Tensor]:
    """Of keys the depth in the target (float32; 1 where nothing is), the pixel's number (0 there), and where."""
    empty = keys == EMPTY
    number = (keys & 0xFFFFFFFF).masked_fill_(empty, 0)
    depth = (keys >> 32).to(torch.int32).view(torch.float32).masked_fill_(empty, 1)
    return depth, number, ~empty


def bands(height: int, width: int) -> list[slice]:
    """Rows of a picture, a band at a time."""
    count = max(1, BAND // width)
    return [slice(row, min(row + count, height)) for row in range(0, height, count)]


def _splat_rows(buffer: Tensor, view: Surface, rows: slice, lines: Lines, plain: float) -> None:
    """Put some rows of a picture into the z-buffer; `plain`: by how much focal lengths alone enlarge a pixel."""
    across, down = pixel_grid(view.camera, view.inverse)
    inverse, slope = view.inverse[rows], view.slope[:, rows]
    x, y, over = _project(lines, across, down[rows], inverse)
    # Derivatives of (x, y) along the pixel's plane, across and down.
    (xx, yx), (xy, yy) = (_derivative(lines, axis, slope[axis], x, y, over) for axis in range(2))
    reach_x, reach_y = ((a.abs() + b.abs()).mul_(0.5).add_(MARGIN) for a, b in ((xx, xy), (yx, yy)))
    area = xx * yy - xy * yx
    # Seen from behind, or drawn out from next to nothing: not what this picture shows.
    most = (over * (STRETCH * plain)).add_(MARGIN)
    shown = (inverse > 0) & (over > 0) & (area > 0) & (torch.maximum(reach_x, reach_y) < most)
    left, columns = _within(x, reach_x, buffer.shape[1])
    top, count = _within(y, reach_y, buffer.shape[0])
    first = rows.start * inverse.shape[1]
    number = torch.arange(first, first + x.numel(), device=x.device).view_as(x)
    x, y = (left + 0.5).sub_(x), (top + 0.5).sub_(y)
    outline = [_outline(a, b, area, x, y) for a, b in ((yy, -xy), (-yx, xx))]
    cell = top.mul_(buffer.shape[1]).add_(left).long().flatten()
    key = _key(inverse * over, number).flatten()
    _put(buffer, cell, columns.long().flatten(), count.mul_(shown).long().flatten(), key, outline)


def _within(place: Tensor, reach: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The first pixel whose centre lies within reach of a place, along one side of the target, and how many do."""
    place = place - 0.5
    first, last = (place - reach).ceil_().clamp_(min=0), place.add_(reach).floor_().clamp_(max=side - 1)
    return first, last.sub_(first).add_(1).clamp_(min=0)


def _outline(a: Tensor, b: Tensor, area: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where (x, y) from a pixel's centre, in the target, lies in the pixel: between -1 and 1 within outline and margin.

    Along one side of the pixel; the position, and how it changes along x and y.
    """
    edge = (a.abs() + b.abs()).mul_(MARGIN).add_(area, alpha=0.5).reciprocal_()
    a, b = a * edge, b * edge
    return (a * x).add_(b * y).flatten(), a.flatten(), b.flatten()


def _put(
    buffer: Tensor, cell: Tensor, columns: Tensor, rows: Tensor, key: Tensor, outline: Sequence[Sequence[Tensor]]
) -> None:
    """Lower the z-buffer to the keys of pixels at all cells within their outline.

    Args:
        buffer: To change.
        cell: The first of the rectangle around a pixel's outline.
        columns: Of the rectangle.
        rows: Of it; 0 for pixels that are not shown.
        key: Of the pixels.
        outline: See `_outline`, at the first cell, along both sides of the pixels.
    """
    owner, step = _repeat(rows * (columns > 0))
    cell = cell.index_select(0, owner).add_(step, alpha=buffer.shape[1])
    columns, key = columns.index_select(0, owner), key.index_select(0, owner)
    step = step.to(outline[0][0])
    # Where the first cell of every row lies, and how that changes along the row.
    line = [
        (place.addcmul(b, step), a) for place, a, b in ([o.index_select(0, owner) for o in side] for side in outline)
    ]
    owner, step = _repeat(columns)
    cell = cell.index_select(0, owner).add_(step)
    step = step.to(outline[0][0])
    x, y = (place.index_select(0, owner).addcmul_(a.index_select(0, owner), step).abs_() for place, a in line)
    key = torch.where(torch.maximum(x, y) <= 1, key.index_select(0, owner), EMPTY)
    buffer.view(-1).scatter_reduce_(0, cell, key, "amin")


def _repeat(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Every number as often as its count says, and how often it stood before."""
    owner = torch.repeat_interleave(counts)
    start = counts.cumsum(0).sub_(counts).index_select(0, owner)
    return owner, torch.arange(len(owner), device=counts.device).sub_(start)


def _project(lines: Lines, across: Tensor, down: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Position in the target of pixels (x, y) of some inverse depth, and depth here / depth there (0: behind)."""
    x, y, z = ((a * across + (b * down + c)).add(inverse, alpha=d) for a, b, c, d in lines)
    over = z.reciprocal().masked_fill_(z <= 1e-6, 0)
    return x.mul_(over), y.mul_(over), over


def _derivative(lines: Lines, axis: int, slope: Tensor, x: Tensor, y: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
    """How the position in the target changes along one axis of the picture on the pixels' planes."""
    a, b, c = (torch.mul(slope, line[3]).add_(line[axis]) for line in lines)
    return a.sub_(x * c).mul_(over), b.sub_(c.mul_(y)).mul_(over)


def _key(over_depth: Tensor, number: Tensor) -> Tensor:
    """(bits of the depth, number of the pixel): in the order of the depth, as positive floats' bits are."""
    depth = over_depth.clamp(min=1e-12).reciprocal_()
    return depth.to(torch.float32).view(torch.int32).long().bitwise_left_shift_(32).bitwise_or_(number)


def _close(buffer: Int[Tensor, "height width"]) -> Int[Tensor, "height width"]:
    """Give pinholes the farthest of their neighbours: what is near does not grow."""
    empty = buffer == EMPTY
    rows = torch.nn.functional.pad((~empty).to(torch.uint8), (1, 1, 1, 1))
    rows = rows[:-2] + rows[1:-1] + rows[2:]
    neighbours = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    row, column = (empty & (neighbours >= PINHOLE)).nonzero(as_tuple=True)
    if len(row):
        padded = torch.nn.functional.pad(torch.where(empty, -1, buffer), (1, 1, 1, 1), value=-1)
        around = [padded[row + i, column + j] for i in range(3) for j in range(3)]
        buffer = buffer.index_put((row, column), torch.stack(around).amax(0))
    return buffer
