"""Lyra's camera.npz and trajectory.npz (nv-tlabs/lyra: Lyra-2/README.md).

`w2c` (N, 4, 4) world-to-camera, `intrinsics` (N, 3, 3) in pixels of `image_height` x `image_width`, which Lyra 1 leaves
out.
"""

from __future__ import annotations

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.formats.arrays import array_intrinsics, array_poses, array_size, arrays_refusal
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, size_by_centre

_ARRAYS = {"w2c": ((None, 4, 4),), "intrinsics": ((None, 3, 3),)}


def _read(content: Content, asked: Size) -> CameraFile:
    poses = invert_pose(array_poses(content.array("w2c"), "w2c", content.path))
    intrinsics = array_intrinsics(content.array("intrinsics"), len(poses), content.path)
    said = {"image_height", "image_width"} <= content.shapes.keys()
    size = array_size(content, "image_height", "image_width") if said else size_by_centre(intrinsics, asked)
    return CameraFile(
        poses, "world-to-camera, OpenCV axes: inverted", "Lyra's own", intrinsics, size=size, size_said=said
    )


FORMAT = Format("Lyra npz", "arrays", lambda content: arrays_refusal(content, _ARRAYS), _read)
