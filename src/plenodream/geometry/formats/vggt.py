"""VGGT's predictions.npz, as its demos save it (facebookresearch/vggt: demo_gradio.py, vggt/utils/pose_enc.py).

`extrinsic` (N, 3, 4) world-to-camera, `intrinsic` (N, 3, 3) in pixels of `images` (N, 3, H, W), whose width is 518.
"""

from __future__ import annotations

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.formats.arrays import array_intrinsics, array_poses, arrays_refusal
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, size_by_centre

_ARRAYS = {"extrinsic": ((None, 3, 4), (None, 4, 4)), "intrinsic": ((None, 3, 3),)}


def _read(content: Content, asked: Size) -> CameraFile:
    poses = invert_pose(array_poses(content.array("extrinsic"), "extrinsic", content.path))
    intrinsics = array_intrinsics(content.array("intrinsic"), len(poses), content.path)
    images, depth = content.shapes.get("images", ()), content.shapes.get("depth", ())
    said = images[2:] if len(images) == 4 else depth[1:3] if len(depth) in (3, 4) else None
    return CameraFile(
        poses,
        "world-to-camera, OpenCV axes: inverted",
        "VGGT's (the scene is of size 1: not metres)",
        intrinsics,
        size=(said[0], said[1]) if said else size_by_centre(intrinsics, asked),
        size_said=said is not None,
    )


FORMAT = Format("VGGT npz", "arrays", lambda content: arrays_refusal(content, _ARRAYS), _read)
