"""A source video from files: frames at the model's size, and the camera of every frame."""

from __future__ import annotations

from pathlib import Path

import torch

from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.geometry.formats import load_cameras
from plenodream.media.fit import fit_cameras
from plenodream.media.video import read_video
from plenodream.types import Cameras, View

DEFAULT_FOV = 60.0


def open_source(
    video: Path, height: int, width: int, cameras: Path | None = None, fov: float = DEFAULT_FOV
) -> tuple[View, tuple[str, ...]]:
    """Read a video at a model's size, with its cameras.

    Args:
        video: File of any size and frame rate.
        height: Of the model, pixels.
        width: Of the model, pixels.
        cameras: Camera file of the video, one camera per frame of the file (docs/conventions.md). Without one the
            camera is taken to stand still.
        fov: Horizontal field of view of the whole video in degrees, for files that give no focal length.

    Returns:
        The view, and notes on what was assumed and done.

    Raises:
        ValueError: Not a usable video, or cameras that do not fit it.
    """
    clip = read_video(video, size=(height, width))
    source_height, source_width = clip.source_size or clip.frames.shape[1:3]
    intrinsics = intrinsics_from_fov(fov, source_height, source_width)
    notes = list(clip.notes)
    count = len(clip.frames)
    if cameras is None:
        poses = torch.eye(4).repeat(count, 1, 1)
        path = Cameras(poses, intrinsics.repeat(count, 1), source_height, source_width)
        notes.append(
            f"no --cameras: the source camera is taken to stand still, with a horizontal field of view of {fov:g} "
            "degrees (--source-fov changes it)"
        )
    else:
        frames = count if clip.index is None else max(clip.index) + 1
        path = load_cameras(cameras, source_height, source_width, frames, intrinsics)
        path = path if clip.index is None else path[list(clip.index)]
    if (source_height, source_width) != (height, width):
        notes.append(f"{source_width}x{source_height} fitted to the model's {width}x{height} (resized, centre-cropped)")
    return View(clip.frames, fit_cameras(path, height, width), clip.fps), tuple(notes)
