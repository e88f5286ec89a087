"""Video of any size to the model's size, and its cameras with it: scale to cover, then crop the centre."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from plenodream.geometry.cameras import crop_cameras, resize_cameras
from plenodream.types import Cameras, View

_PIXELS_AT_ONCE = 2**24


@dataclass(frozen=True)
class Fit:
    """A resize followed by a crop.

    Attributes:
        scaled_height: Height after the resize, in pixels.
        scaled_width: Width after the resize, in pixels.
        top: First row of the crop.
        left: First column of the crop.
        height: Height of the crop.
        width: Width of the crop.
    """

    scaled_height: int
    scaled_width: int
    top: int
    left: int
    height: int
    width: int


def plan_fit(source_height: int, source_width: int, height: int, width: int) -> Fit:
    """The smallest image of the source's shape that covers `height` x `width`, and its central window.

    The scaled size is rounded to whole pixels, so the two axes may differ in scale by less than one pixel in all.

    Raises:
        ValueError: If a size is less than 1.
    """
    if min(source_height, source_width, height, width) < 1:
        raise ValueError(f"cannot fit {source_width}x{source_height} into {width}x{height}: expected at least 1x1")
    scale = max(height / source_height, width / source_width)
    scaled_height, scaled_width = max(height, round(source_height * scale)), max(width, round(source_width * scale))
    return Fit(scaled_height, scaled_width, (scaled_height - height) // 2, (scaled_width - width) // 2, height, width)


def fit_frames(
    frames: UInt8[Tensor, "frames source_height source_width 3"], height: int, width: int
) -> tuple[UInt8[Tensor, "frames {height} {width} 3"], Fit]:
    """Resize (bicubic, anti-aliased) and centre-crop frames to the model's size.

    Returns:
        The frames, and what was done; `fit_cameras` does the same to their cameras.
    """
    fit = plan_fit(frames.shape[1], frames.shape[2], height, width)
    scaled = stretch_frames(frames, fit.scaled_height, fit.scaled_width)
    window = scaled[:, fit.top : fit.top + height, fit.left : fit.left + width]
    return window.contiguous(), fit


def stretch_frames(
    frames: UInt8[Tensor, "frames source_height source_width 3"], height: int, width: int
) -> UInt8[Tensor, "frames {height} {width} 3"]:
    """Resize frames (bicubic, anti-aliased) to a size of any shape; `resize_cameras` does the same to their cameras."""
    if (height, width) == tuple(frames.shape[1:3]):
        return frames
    batch = max(1, _PIXELS_AT_ONCE // max(frames[0, ..., 0].numel(), height * width))
    return torch.cat([_resize(part, height, width) for part in frames.split(batch)])


def stretch_depth(
    depth: Float[Tensor, "frames source_height source_width"], height: int, width: int
) -> Float[Tensor, "frames {height} {width}"]:
    """Depth resized like `stretch_frames`, by the nearest pixel: nothing is mixed across edges, 0 stays 0."""
    if (height, width) == tuple(depth.shape[1:]):
        return depth
    return interpolate(depth[None], size=(height, width), mode="nearest-exact")[0]


def stretch_view(view: View, height: int, width: int) -> View:
    """A view at another size, its cameras and depth with it; nothing is cropped."""
    depth = None if view.depth is None else stretch_depth(view.depth, height, width)
    frames, cameras = stretch_frames(view.frames, height, width), resize_cameras(view.cameras, height, width)
    return View(frames, cameras, view.fps, depth=depth)


def fit_depth(
    depth: Float[Tensor, "frames source_height source_width"], height: int, width: int
) -> Float[Tensor, "frames {height} {width}"]:
    """Depth of the frames that `fit_frames` makes from theirs."""
    whole_height, whole_width = depth.shape[1:]
    fit = plan_fit(whole_height, whole_width, height, width)
    scaled = stretch_depth(depth, fit.scaled_height, fit.scaled_width)
    return scaled[:, fit.top : fit.top + height, fit.left : fit.left + width].contiguous()


def fit_cameras(cameras: Cameras, height: int, width: int) -> Cameras:
    """Cameras of the frames that `fit_frames` makes from theirs."""
    fit = plan_fit(cameras.height, cameras.width, height, width)
    scaled = resize_cameras(cameras, fit.scaled_height, fit.scaled_width)
    return crop_cameras(scaled, fit.top, fit.left, fit.height, fit.width)


def _resize(frames: Tensor, height: int, width: int) -> Tensor:
    channels_first = frames.permute(0, 3, 1, 2).float()
    scaled = interpolate(channels_first, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return scaled.round().clamp(0, 255).byte().permute(0, 2, 3, 1)
