"""MegaSaM's `*_droid.npz` and `*_sgd_cvd_hr.npz` (mega-sam: camera_tracking_scripts/test_demo.py, cvd_opt/cvd_opt.py).

`cam_c2w` (N, 4, 4) camera-to-world, `intrinsic` (3, 3) in pixels of `images` (N, H, W, 3) and `depths` (N, H, W).
"""

from __future__ import annotations

from plenodream.geometry.formats.arrays import array_intrinsics, array_poses, arrays_refusal
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, size_by_centre

_ARRAYS = {"cam_c2w": ((None, 4, 4),), "intrinsic": ((3, 3),)}


def _read(content: Content, asked: Size) -> CameraFile:
    poses = array_poses(content.array("cam_c2w"), "cam_c2w", content.path)
    intrinsics = array_intrinsics(content.array("intrinsic"), len(poses), content.path)
    images = content.shapes.get("images", content.shapes.get("depths", ()))
    said = len(images) >= 3
    return CameraFile(
        poses,
        "camera-to-world, OpenCV axes: taken as they are",
        "MegaSaM's (near metres, from its depth network)",
        intrinsics,
        size=(images[1], images[2]) if said else size_by_centre(intrinsics, asked),
        size_said=said,
    )


FORMAT = Format("MegaSaM npz", "arrays", lambda content: arrays_refusal(content, _ARRAYS), _read)
