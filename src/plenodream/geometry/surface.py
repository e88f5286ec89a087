"""A picture with depth as pieces of planes, and a picture as another camera sees it. Ours.

One picture at a time: cameras have no batch dimension. Coordinates are of docs/conventions.md, depth is z in metres, 0
where it is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.types import Cameras

# A neighbour whose inverse depth differs from a pixel's plane by more than this share lies on another surface.
STEP = 0.03


@dataclass(frozen=True)
class Surface:
    """A picture whose pixels are pieces of planes.

    Attributes:
        colour: Any range.
        inverse: 1 / depth; 0 where there is none.
        normal: n of n . X = 1 for the points X of a pixel's plane, in the camera's own frame, 1 / metres.
        slope: Change of the inverse depth from pixel to pixel, across and down.
        edge: Pixels with a neighbour (left, right, above, below) on another surface.
        camera: Of batch shape ().
    """

    colour: Float[Tensor, "3 height width"]
    inverse: Float[Tensor, "height width"]
    normal: Float[Tensor, "3 height width"]
    slope: Float[Tensor, "2 height width"]
    edge: Bool[Tensor, "height width"]
    camera: Cameras


@dataclass(frozen=True)
class Carried:
    """A picture as another camera sees it.

    Attributes:
        colour: Where `weight` > 0.
        depth: Of the target, metres; 0 where it is not known.
        weight: How well the target's pixel is known, 0 (not at all) to 1.
    """

    colour: Float[Tensor, "3 height width"]
    depth: Float[Tensor, "height width"]
    weight: Float[Tensor, "height width"]


def surface(
    colour: Float[Tensor, "3 height width"],
    depth: Float[Tensor, "height width"],
    camera: Cameras,
    keep: Bool[Tensor, "height width"] | None = None,
) -> Surface:
    """The pieces of planes that a picture shows.

    Args:
        colour: Any range.
        depth: Metres; not finite or not positive where it is not known.
        camera: Of batch shape (), of the picture's size.
        keep: Pixels to take; all if None.
    """
    assert camera.shape == () and depth.shape == (camera.height, camera.width) == colour.shape[1:]
    known = (depth > 0) & depth.isfinite()
    known = known if keep is None else known & keep
    inverse = torch.where(known, 1 / depth, 0)
    across, apart_across = slope(inverse)
    down, apart_down = (value.t() for value in slope(inverse.t()))
    fx, fy, cx, cy = camera.intrinsics.tolist()
    x, y = pixel_grid(camera, inverse)
    rest = torch.addcmul(torch.addcmul(inverse, across, cx - x), down, cy - y)
    return Surface(
        colour, inverse, torch.stack([across * fx, down * fy, rest]), torch.stack([across, down]),
        apart_across | apart_down, camera,
    )  # fmt: skip


def slope(inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Change of the inverse depth along rows, on each pixel's own surface; and pixels with another one beside them."""
    steps = inverse.diff(dim=1)
    before = torch.nn.functional.pad(steps, (1, 0))
    after = torch.nn.functional.pad(steps, (0, 1))
    before[:, 0], after[:, -1] = after[:, 0], before[:, -1]
    own = torch.where(before.abs() < after.abs(), before, after)
    # Two neighbours are on one surface if the plane of each meets the other.
    limit = STEP * torch.minimum(inverse[:, 1:], inverse[:, :-1])
    joined = ((steps - own[:, 1:]).abs() < limit) & ((steps - own[:, :-1]).abs() < limit)
    left, right = torch.nn.functional.pad(joined, (1, 0)), torch.nn.functional.pad(joined, (0, 1))
    total = torch.where(left, before, 0) + torch.where(right, after, 0)
    slope = torch.where(left & right, 0.5 * total, total)
    left[:, 0], right[:, -1] = True, True
    return slope, ~(left & right)


def pixel_grid(camera: Cameras, like: Tensor) -> tuple[Tensor, Tensor]:
    """x (1, width) and y (height, 1) of the pixels' centres."""
    x = torch.arange(camera.width, dtype=like.dtype, device=like.device) + 0.5
    y = torch.arange(camera.height, dtype=like.dtype, device=like.device) + 0.5
    return x[None], y[:, None]
