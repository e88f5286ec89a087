"""Videos in whatever form people have them: files, tensors, arrays, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from plenodream.geometry.cameras import scale_cameras
from plenodream.geometry.formats import load_cameras
from plenodream.media.depth import RawDepth
from plenodream.media.video import read_video
from plenodream.rendering.source import DEFAULT_FOV, WHOLE, SourceVideo, fit_source, open_source, still_cameras
from plenodream.types import Cameras, View

DEFAULT_HEIGHT = 480  # pixels, of views that have the source's own size

EXPECTED = (
    "expected a file, RGB frames (frames, height, width, 3) as bytes or as floats 0..1 (tensor or array), "
    "a list of PIL images, or a View"
)


def open_video(
    video: Any,
    height: int,
    width: int,
    cameras: Any = None,
    fov: float | None = None,
    fps: float | None = None,
    scale: float = 1.0,
    part: slice = WHOLE,
    depth: RawDepth | None = None,
    subject_distance: float = 4.0,
) -> SourceVideo:
    """A source video at a scene's size, from whatever holds it; see `PlenopticPipeline.open`.

    Raises:
        ValueError: Not a video; cameras that do not fit it.
    """
    if not (isinstance(scale, int | float) and 0 < scale < float("inf")):
        raise ValueError(f"scale {scale!r}: expected a factor from the cameras' lengths to metres, more than 0")
    if isinstance(video, str | Path):
        if fps is not None:
            raise ValueError(f"fps beside {video}: expected them for frames in memory alone, a file has its own")
        if isinstance(cameras, Cameras):
            raise ValueError(f"Cameras beside {video}: expected a camera file, or frames in memory (`read_video`)")
        return open_source(video, height, width, cameras, fov, scale, part, depth, subject_distance)
    if depth is not None:
        raise ValueError("depth beside frames in memory: expected a View that has it")
    view = video if isinstance(video, View) else _view(frames_of(video), cameras, fov, fps)
    if part != WHOLE:
        view = replace(view[part], fps=view.fps / (part.step or 1))
    view = replace(view, cameras=scale_cameras(view.cameras, scale))
    return fit_source(view, height, width)


def view_size(
    video: Any, own: tuple[int, int] | None = None, height: int | None = None, width: int | None = None
) -> tuple[int, int]:
    """Height and width of the views of a new scene, even numbers. Ours.

    Args:
        video: The source, as for `open_video`.
        own: The size that views have where nothing else is said; None: the video's own, up to `DEFAULT_HEIGHT`.
        height: Most pixels; the video's aspect is kept, and it is never enlarged.
        width: Likewise; both together are taken as they are.

    Raises:
        ValueError: Not a video, or sides that are none.
    """
    for name, side in (("height", height), ("width", width)):
        if side is not None and not (isinstance(side, int) and side >= 2):
            raise ValueError(f"{name} {side!r}: expected a whole number of pixels, at least 2")
    if height is not None and width is not None:
        return height, width
    if own is not None and height is width is None:
        return own
    whole_height, whole_width = _size_of(video)
    limit = DEFAULT_HEIGHT / whole_height if height is width is None else 1.0
    ratio = min(1.0, limit, (height or whole_height) / whole_height, (width or whole_width) / whole_width)
    sides = (max(2, round(whole * ratio / 2) * 2) for whole in (whole_height, whole_width))
    first, second = (
        side if most is None else min(side, most - most % 2) for side, most in zip(sides, (height, width), strict=True)
    )
    return first, second


def _size_of(video: Any) -> tuple[int, int]:
    if isinstance(video, View):
        return video.cameras.height, video.cameras.width
    frames = read_video(video, 2).frames if isinstance(video, str | Path) else frames_of(video)
    return frames.shape[1], frames.shape[2]


def _view(frames: Tensor, cameras: Any, fov: float | None, fps: float | None) -> View:
    """Frames in memory with their cameras."""
    count, height, width = frames.shape[:3]
    if cameras is None:
        cameras = still_cameras(count, height, width, DEFAULT_FOV if fov is None else fov)
    elif isinstance(cameras, str | Path):
        lens = None if fov is None else still_cameras(1, height, width, fov).intrinsics[0]
        cameras = load_cameras(cameras, height, width, count, lens)
    if not isinstance(cameras, Cameras):
        raise ValueError(f"cameras of type {type(cameras).__name__}: expected a camera file or Cameras")
    if (cameras.shape, cameras.height, cameras.width) != ((count,), height, width):
        raise ValueError(
            f"cameras of shape {tuple(cameras.shape)} for {cameras.width}x{cameras.height}: expected {count} for "
            f"{width}x{height}, one for each frame"
        )
    if fps is not None and not 0 < fps < float("inf"):
        raise ValueError(f"fps {fps!r}: expected frames per second, more than 0")
    return View(frames, cameras, 24.0 if fps is None else fps)


def frames_of(video: Any) -> UInt8[Tensor, "frames height width 3"]:
    """RGB bytes of frames given as a tensor, an array, or a list of images, tensors or arrays.

    Floats are 0..1. Frames may have their channels first, as torch has them.

    Raises:
        ValueError: Anything else, or no frames.
    """
    if isinstance(video, Sequence) and not isinstance(video, str | bytes) and len(video):
        video = _stacked(video)
    if isinstance(video, np.ndarray):
        video = _tensor(video)
    if not isinstance(video, Tensor):
        raise ValueError(f"video of type {type(video).__name__}: {EXPECTED}")
    if video.ndim != 4 or 3 not in (video.shape[-1], video.shape[1]) or 0 in video.shape:
        raise ValueError(f"video of shape {tuple(video.shape)}: {EXPECTED}")
    if video.shape[-1] != 3:
        video = video.movedim(1, -1)
    if video.is_floating_point():
        if not bool(((video >= 0) & (video <= 1)).all()):
            raise ValueError(f"video of floats from {video.min():g} to {video.max():g}: {EXPECTED}")
        video = (video.float() * 255).round().byte()
    if video.dtype != torch.uint8:
        raise ValueError(f"video of {video.dtype}: {EXPECTED}")
    return video.cpu().contiguous()


def _stacked(frames: Sequence[Any]) -> Any:
    """One array or tensor of a list of frames, all of one size."""
    parts = [np.array(frame.convert("RGB")) if isinstance(frame, Image.Image) else frame for frame in frames]
    shapes = {tuple(getattr(part, "shape", ())) for part in parts}
    if len(shapes) > 1:
        raise ValueError(f"frames of different sizes {sorted(shapes)[:3]}: expected all of one size")
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len(tensors) == len(parts):
        return torch.stack(tensors)
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.stack(parts)
    raise ValueError(f"video of a list of {type(parts[0]).__name__}: {EXPECTED}")


def _tensor(array: np.ndarray) -> Tensor:
    try:
        return torch.from_numpy(np.ascontiguousarray(array))
    except TypeError:
        raise ValueError(f"video of {array.dtype}: {EXPECTED}") from None
