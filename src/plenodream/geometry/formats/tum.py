"""TUM trajectories: `time tx ty tz qx qy qz qw` a line (cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats)."""

from __future__ import annotations

import torch

from plenodream.geometry.cameras import make_pose
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size
from plenodream.geometry.formats.rotations import quaternion_rotation, unit_quaternions
from plenodream.geometry.formats.text_lines import number_lines, text_refusal


def _read(content: Content, asked: Size) -> CameraFile:
    rows = number_lines(content, 8, "time tx ty tz qx qy qz qw")
    values = torch.tensor(rows, dtype=torch.float64)
    rotation = quaternion_rotation(unit_quaternions(values[:, [7, 4, 5, 6]], content.path))
    return CameraFile(
        make_pose(rotation, values[:, 1:4]), "camera-to-world quaternions, OpenCV axes: taken as they are", "metres"
    )


FORMAT = Format("TUM text", "text", lambda content: text_refusal(content, 8), _read)
