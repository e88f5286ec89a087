"""What a camera can see: sample points of its viewing frustum, and which points lie in it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.geometry.cameras import project, unproject
from plenodream.types import Cameras

# Share of the image size, and of near and far, by which a point may miss and still count as inside: rounding, no more.
TOLERANCE = 1e-4


def sample_frustum(
    cameras: Cameras, near: float, far: float, columns: int, rows: int, planes: int
) -> Float[Tensor, "*batch points 3"]:
    """World points of a regular grid in every camera's frustum.

    The image is cut into `columns` x `rows` cells and the depth range into `planes` slabs of equal depth; the points
    lie at the centres of cells and slabs (ours: the paper does not give the spacing), so `near` may be 0 and no point
    is on the boundary.

    Args:
        cameras: Any batch shape, e.g. (views, frames).
        near: Start of the frustum, metres of depth (z).
        far: End of the frustum, metres of depth (z).
        columns: Points across the image.
        rows: Points down the image.
        planes: Points in depth.

    Returns:
        Points in metres, ordered (plane, row, column).
    """
    like = cameras.camera_to_world
    x, y, z = (
        (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count for count in (columns, rows, planes)
    )
    depth, y, x = torch.meshgrid(near + (far - near) * z, y * cameras.height, x * cameras.width, indexing="ij")
    return unproject(torch.stack([x.flatten(), y.flatten()], dim=-1), depth.flatten(), cameras)


def inside_frustum(
    points: Float[Tensor, "*#batch points 3"], cameras: Cameras, near: float, far: float
) -> Bool[Tensor, "*batch points"]:
    """Whether world points project into the image at a depth between near and far; occlusion is not known here.

    Args:
        points: World points, metres; batch dimensions broadcast against those of the cameras.
        cameras: Any batch shape.
        near: Least depth (z), metres; points at depth 0 or behind the camera are never inside.
        far: Greatest depth (z), metres; may be infinite.
    """
    pixels, depth = project(points, cameras)
    x, y = pixels.unbind(-1)
    slack_x, slack_y = TOLERANCE * cameras.width, TOLERANCE * cameras.height
    in_depth = (depth > 0) & (depth >= near * (1 - TOLERANCE)) & (depth <= far * (1 + TOLERANCE))
    in_width = (x >= -slack_x) & (x <= cameras.width + slack_x)
    in_height = (y >= -slack_y) & (y <= cameras.height + slack_y)
    return in_depth & in_width & in_height


def scene_scale(*cameras: Cameras, subject_distance: float = 4.0) -> float:
    """Typical distance of what matters in the scene, metres. Ours.

    The subject's distance, or the spread of the cameras (greatest distance of a centre from their mean) where that is
    larger: cameras that travel 100 m look at more than the next 4 m.
    """
    centres = [c.camera_to_world[..., :3, 3].movedim(-1, 0).flatten(1).double().cpu() for c in cameras]
    mean = torch.stack([c.sum(dim=1) for c in centres]).sum(dim=0) / sum(c.shape[1] for c in centres)
    # In place: of many cameras, most of the time goes into getting memory.
    squares = [(c - mean[:, None]).square_() for c in centres]
    spread = max(x.add_(y).add_(z).max().item() for x, y, z in squares)
    return max(subject_distance, math.sqrt(spread))


def scene_depth_range(*cameras: Cameras, subject_distance: float = 4.0) -> tuple[float, float]:
    """Near and far of frustums where none are given: 0.05 and 2.5 times the scene's scale (0.2 m and 10 m). Ours."""
    scale = scene_scale(*cameras, subject_distance=subject_distance)
    return 0.05 * scale, 2.5 * scale
