"""Our own arrays: camera_to_world (N, 4, 4), intrinsics (N, 4), height, width and fps in one .npz file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from plenodream.geometry.formats.arrays import array_intrinsics, array_poses, array_size, arrays_refusal
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size
from plenodream.types import Cameras

_ARRAYS = {
    "camera_to_world": ((None, 4, 4),),
    "intrinsics": ((None, 4),),
    "height": ((),),
    "width": ((),),
}


def npz_bytes(cameras: Cameras, fps: float, more: Mapping[str, Any] | None = None) -> bytes:
    """One path (batch shape (frames,)) as the content of a .npz file, with `more` arrays in it that are not read."""
    arrays: dict[str, Any] = {
        "camera_to_world": cameras.camera_to_world.cpu().numpy(),
        "intrinsics": cameras.intrinsics.cpu().numpy(),
        "height": cameras.height,
        "width": cameras.width,
        "fps": fps,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **(more or {}))
    return buffer.getvalue()


def _read(content: Content, asked: Size) -> CameraFile:
    poses = array_poses(content.array("camera_to_world"), "camera_to_world", content.path)
    return CameraFile(
        poses,
        "camera-to-world, OpenCV axes: taken as they are",
        "metres",
        array_intrinsics(content.array("intrinsics"), len(poses), content.path),
        size=array_size(content, "height", "width"),
    )


FORMAT = Format("our npz", "arrays", lambda content: arrays_refusal(content, _ARRAYS), _read)
