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
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.surface import Carried, Surface, pixel_grid
from plenodream.geometry.visibility import homography, lens_matrix
from plenodream.geometry.zbuffer import bands, depth_and_number, z_buffer
from plenodream.types import Cameras

# Half a pixel and what it reaches farther.
INSIDE = 0.6
# Share by which the depth on a pixel's plane may differ from that of its centre.
SLANT = 0.1


def carry(view: Surface, target: Cameras) -> Carried:
    """A picture as a target camera (batch shape ()) sees it.

    The weight falls with the angle between the two cameras' rays to the point and with the area that a pixel is
    enlarged to.
    """
    keys = z_buffer(view, target)
    pose = (invert_pose(view.camera.camera_to_world.double()) @ target.camera_to_world.double()).cpu()
    matrix, centre = pose[:3, :3] @ torch.linalg.inv(lens_matrix(target.to("cpu", torch.float64))), pose[:3, 3].tolist()
    across, down = pixel_grid(target, view.inverse)
    parts = [
        _looked_up(view, target, keys[rows], _rays(matrix, across, down[rows]), centre) for rows in bands(*keys.shape)
    ]
    return Carried(*(torch.cat(part, dim=-2) for part in zip(*parts, strict=True)))


def _looked_up(
    view: Surface, target: Cameras, keys: Tensor, rays: Sequence[Tensor], centre: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, depth and weight of some of the target's rows, by their keys; rays and centre in the picture's frame."""
    splatted, number, filled = depth_and_number(keys)
    index = number.flatten()
    normal = [n.flatten().index_select(0, index).view_as(splatted) for n in view.normal]
    depth = (1 - _dot(normal, centre)).div_(_dot(normal, rays))
    # A plane known badly, seen edge-on: the splatted point itself is better.
    depth = torch.where((depth - splatted).abs_() < SLANT * splatted, depth, splatted)
    x, y, z = (depth * r + c for c, r in zip(centre, rays, strict=True))
    fx, fy, cx, cy = view.camera.intrinsics.tolist()
    over = z.clamp(min=1e-6).reciprocal_()
    # Within the winner's own pixel: beside it may lie another thing.
    row = number.div(view.camera.width, rounding_mode="floor")
    column = (number - row * view.camera.width).to(splatted).add_(0.5)
    row = row.to(splatted).add_(0.5)
    x_there = (x * over).mul_(fx).add_(cx).clamp_(column - INSIDE, column + INSIDE)
    y_there = (y * over).mul_(fy).add_(cy).clamp_(row - INSIDE, row + INSIDE)
    colour = look_up(view.colour, x_there, y_there).flatten(1)
    # Across a depth step lies another thing's colour.
    edge = view.edge.flatten().index_select(0, index).nonzero()[:, 0]
    colour[:, edge] = view.colour.flatten(1)[:, index[edge]]
    weight = _cosine_square((x, y, z), rays).clamp_(max=1).div_(_growth(view, target, depth, z))
    return colour.unflatten(1, keys.shape), torch.where(filled, depth, 0), torch.where(filled, weight, 0)


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
    x, y, z = _rays(matrix, *pixel_grid(target, colour))
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


def _rays(matrix: Tensor, across: Tensor, down: Tensor) -> list[Tensor]:
    """The three rows of a matrix times (x, y, 1) at the pixels of some columns and rows."""
    return [a * across + (b * down + c) for a, b, c in matrix.tolist()]


def look_up(colour: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bicubic colour at positions (which may overshoot); beyond the border the nearest."""
    height, width = colour.shape[1:]
    grid = torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], dim=-1)
    return torch.nn.functional.grid_sample(
        colour[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )[0]


def _dot(a: Sequence[Tensor], b: Sequence[Tensor] | Sequence[float]) -> Tensor:
    return (a[0] * b[0]).add_(a[1] * b[1]).add_(a[2] * b[2])


def _cosine_square(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Square of the cosine of the angle between vectors given by coordinates; next to nothing beyond 90 degrees."""
    sizes = _dot(a, a).mul_(_dot(b, b)).clamp_(min=1e-12)
    return _dot(a, b).clamp_(min=0).square_().div_(sizes).add_(1e-4)


def _growth(view: Surface, target: Cameras, depth: Tensor, depth_here: Tensor) -> Tensor:
    """Area that a pixel is enlarged to, at least 1, were it facing both cameras."""
    focal = (target.intrinsics[:2].prod() / view.camera.intrinsics[:2].prod()).item()
    return (depth_here / depth.clamp(min=1e-6)).square_().mul_(focal).clamp_(min=1)
