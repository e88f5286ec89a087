"""Vista4D's cameras.npz (Eyeline-Labs/Vista4D: utils/media.py).

`cam_c2w` (N, 4, 4) camera-to-world, `intrinsics` (N, 4) fx fy cx cy in pixels of the video of its reconstruction.
"""

from __future__ import annotations

from plenodream.geometry.formats.arrays import array_intrinsics, array_poses, arrays_refusal
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, size_by_centre

_ARRAYS = {"cam_c2w": ((None, 4, 4),), "intrinsics": ((None, 4),)}


def _read(content: Content, asked: Size) -> CameraFile:
    poses = array_poses(content.array("cam_c2w"), "cam_c2w", content.path)
    intrinsics = array_intrinsics(content.array("intrinsics"), len(poses), content.path)
    return CameraFile(
        poses,
        "camera-to-world, OpenCV axes: taken as they are",
        "Vista4D's (that of the reconstruction it was made in)",
        intrinsics,
        size=size_by_centre(intrinsics, asked),
        size_said=False,
        remarks=("cam_c2w_fsff is left out",) if "cam_c2w_fsff" in content.shapes else (),
    )


FORMAT = Format("Vista4D npz", "arrays", lambda content: arrays_refusal(content, _ARRAYS), _read)
