"""What a view shows of another, where depth is known: positions, colours, and which pixels both see.

Co-visibility is that of GCD and DyCheck; two choices are ours, made because pictures here can be as small as 48 pixels:

- Depth is compared by bilinear interpolation of 1/D as well as at the nearest pixel. 1/D is affine across the image of
  a plane, so slanted floors pass at any size, where the nearest depth can be off by more than 1 % within 50 rows of the
  horizon. Co-visible needs the interpolated test, which also rejects colours mixed across a depth edge; seen by the
  source needs either test, so that a pixel is called hidden only if both deny it. (A ball above a floor, 64x64: of the
  pixels that the nearest test alone calls hidden the source sees 16 %; by these two, none.)
- The 1-pixel erosion is of the masks, not of depth edges. The picture's border itself is not eroded.

Shapes: depth `(*batch, height, width)` in metres, cameras `(*batch)`, frames `(*batch, height, width, 3)` of floats
0..1; the last batch dimension is the frames of one video, results have the dimensions before it ("scenes"). Depth that
is not finite or not positive (sky) is seen by nobody.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.geometry.cameras import pixel_centres, project, unproject
from plenodream.types import Cameras

DEPTH_TOLERANCE = 0.01  # depths that differ by less than this share are one surface


def reproject(
    depth_a: Float[Tensor, "*#batch height width"], cameras_a: Cameras, cameras_b: Cameras
) -> tuple[Float[Tensor, "*batch height width 2"], Float[Tensor, "*batch height width"]]:
    """Positions (x, y in pixels) and depths (z in metres, NaN where a has none) in view b of what a's pixels show."""
    _check(depth_a, cameras_a, "view a")
    centres = pixel_centres(*depth_a.shape[-2:], like=depth_a).flatten(0, 1)
    points = unproject(centres, depth_a.flatten(-2), cameras_a)
    pixels, z = project(points, cameras_b)
    z = z.unflatten(-1, depth_a.shape[-2:])
    return pixels.unflatten(-2, depth_a.shape[-2:]), torch.where(depth_a > 0, z, torch.nan)


def homography(cameras_a: Cameras, cameras_b: Cameras) -> Float[Tensor, "*batch 3 3"]:
    """K_b R_ba K_a^-1: a's pixels (x, y, 1) to b's up to scale, for cameras that share a centre; needs no depth.

    The centres are ignored: for cameras that do not share one it is the map of points at infinity.
    """
    to_b = cameras_b.camera_to_world[..., :3, :3].transpose(-1, -2) @ cameras_a.camera_to_world[..., :3, :3]
    return lens_matrix(cameras_b) @ to_b @ torch.linalg.inv(lens_matrix(cameras_a))


def lens_matrix(cameras: Cameras) -> Float[Tensor, "*batch 3 3"]:
    """The intrinsics as a matrix: from rays (x / z, y / z, 1) to pixels (x, y, 1)."""
    fx, fy, cx, cy = cameras.intrinsics.unbind(-1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    return torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one], dim=-1).unflatten(-1, (3, 3))


def apply_homography(
    matrix: Float[Tensor, "*batch 3 3"], height: int, width: int
) -> Float[Tensor, "*batch {height} {width} 2"]:
    """Positions (x, y) of all pixels of a `height` x `width` picture under a homography; NaN behind the camera."""
    centres = pixel_centres(height, width, like=matrix)
    rays = torch.einsum("...ij,hwj->...hwi", matrix, torch.cat([centres, torch.ones_like(centres[..., :1])], dim=-1))
    return torch.where(rays[..., 2:] > 0, rays[..., :2] / rays[..., 2:], torch.nan)


def lookup(
    frames: Float[Tensor, "*#batch height width channels"], pixels: Float[Tensor, "*#batch rows columns 2"]
) -> Float[Tensor, "*batch rows columns channels"]:
    """Bilinear values of frames at positions (x, y), pixel centres at +0.5; beyond the border its nearest value."""
    batch = torch.broadcast_shapes(frames.shape[:-3], pixels.shape[:-3])
    height, width = frames.shape[-3:-1]
    grid = 2 * pixels / pixels.new_tensor([width, height]) - 1
    sampled = torch.nn.functional.grid_sample(
        frames.expand(*batch, *frames.shape[-3:]).reshape(-1, *frames.shape[-3:]).movedim(-1, 1),
        grid.nan_to_num(0).to(frames).expand(*batch, *pixels.shape[-3:]).reshape(-1, *pixels.shape[-3:]),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return sampled.movedim(1, -1).unflatten(0, batch) if batch else sampled.movedim(1, -1)[0]


def warp(
    frames_b: Float[Tensor, "*#batch height_b width_b 3"],
    depth_a: Float[Tensor, "*#batch height width"],
    cameras_a: Cameras,
    cameras_b: Cameras,
) -> Float[Tensor, "*batch height width 3"]:
    """View b's colours at a's pixels, looked up bilinearly through a's true depth; meaningful where co-visible."""
    return lookup(frames_b, reproject(depth_a, cameras_a, cameras_b)[0])


def erode(mask: Bool[Tensor, "*batch height width"]) -> Bool[Tensor, "*batch height width"]:
    """The mask without the pixels that touch (by side or corner) a pixel outside of it."""
    outside = (~mask).float().flatten(0, -3)[:, None] if mask.ndim > 2 else (~mask).float()[None, None]
    return torch.nn.functional.max_pool2d(outside, 3, stride=1, padding=1).reshape(mask.shape) == 0


def covisible(
    depth_a: Float[Tensor, "*#batch height width"],
    cameras_a: Cameras,
    depth_b: Float[Tensor, "*#batch height_b width_b"],
    cameras_b: Cameras,
) -> Bool[Tensor, "*batch height width"]:
    """Pixels of a whose point b shows too, so that b can be looked up there; eroded by one pixel.

    Raises:
        ValueError: Depth and cameras of different sizes.
    """
    return erode(_shown(*reproject(depth_a, cameras_a, cameras_b), depth_b, cameras_b)[1])


def seen_by_source(
    depth_a: Float[Tensor, "*#scenes frames height width"],
    cameras_a: Cameras,
    source_depth: Float[Tensor, "*#scenes frames height_s width_s"],
    source_cameras: Cameras,
    moving_a: Bool[Tensor, "*scenes frames height width"] | None = None,
    strict: bool = False,
) -> Bool[Tensor, "*scenes frames height width"]:
    """Pixels of a whose point the source shows at the same time; not eroded, and generous at edges.

    Args:
        moving_a: Pixels of a that move; without it all count as static. Used by `strict` alone.
        strict: Static pixels count as seen if any frame of the source shows them, earlier or later. Compares every
            frame with every frame: memory grows with the square of their number.

    Raises:
        ValueError: Depth and cameras of different sizes.
    """
    nearest, smooth = _shown(*reproject(depth_a, cameras_a, source_cameras), source_depth, source_cameras)
    seen = nearest | smooth
    if not strict:
        return seen
    each_a = _unsqueeze_frames(cameras_a, own=True)
    each_source = _unsqueeze_frames(source_cameras, own=False)
    nearest, smooth = _shown(
        *reproject(depth_a[..., :, None, :, :], each_a, each_source), source_depth[..., None, :, :, :], each_source
    )
    ever = (nearest | smooth).any(dim=-3)
    return seen | (ever if moving_a is None else ever & ~moving_a)


def _shown(
    pixels: Float[Tensor, "*batch height width 2"], z: Tensor, depth_b: Tensor, cameras_b: Cameras
) -> tuple[Bool[Tensor, "*batch height width"], Bool[Tensor, "*batch height width"]]:
    """Whether b's depth at the points' positions is the points' own: by its nearest pixel, and interpolated."""
    _check(depth_b, cameras_b, "view b")
    height, width = depth_b.shape[-2:]
    x, y = pixels.unbind(-1)
    # Points behind b or without depth (z NaN or infinite) fail the comparison with the tolerance below.
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = (v.nan_to_num(0).floor().clamp(0, n - 1).long() for v, n in ((x, width), (y, height)))
    flat = depth_b.flatten(-2).expand(*z.shape[:-2], -1)
    nearest = flat.gather(-1, (row * width + column).flatten(-2)).unflatten(-1, z.shape[-2:])
    # Without depth is infinitely far: neighbours that weigh next to nothing must not make it NaN.
    inverse = torch.where((depth_b > 0) & depth_b.isfinite(), 1 / depth_b, 0)
    smooth = 1 / lookup(inverse[..., None], pixels)[..., 0]
    by_nearest, by_smooth = (inside & ((z - found).abs() < DEPTH_TOLERANCE * z) for found in (nearest, smooth))
    return by_nearest, by_smooth


def _unsqueeze_frames(cameras: Cameras, own: bool) -> Cameras:
    """Cameras (*scenes, frames, 1) for the frames that ask, (*scenes, 1, frames) for those that are asked."""
    pose, intrinsics = cameras.camera_to_world, cameras.intrinsics
    pose, intrinsics = pose.unsqueeze(-3 if own else -4), intrinsics.unsqueeze(-2 if own else -3)
    return replace(cameras, camera_to_world=pose, intrinsics=intrinsics)


def _check(depth: Tensor, cameras: Cameras, name: str) -> None:
    if depth.shape[-2:] != (cameras.height, cameras.width):
        raise ValueError(
            f"depth of {name} is {depth.shape[-2]}x{depth.shape[-1]}, its cameras are of {cameras.height}x"
            f"{cameras.width}; expected the same: resize the cameras (resize_cameras) or the depth"
        )
