"""Text with 12 numbers a line: 3x4 camera-to-world, row by row."""

from __future__ import annotations

import torch

from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, square
from plenodream.geometry.formats.text_lines import number_lines, text_refusal


def _read(content: Content, asked: Size) -> CameraFile:
    rows = number_lines(content, 12, "3x4 camera-to-world, row by row")
    poses = square(torch.tensor(rows, dtype=torch.float64).unflatten(-1, (3, 4)))
    return CameraFile(poses, "camera-to-world, OpenCV axes: taken as they are", "metres")


FORMAT = Format("12 numbers a line", "text", lambda content: text_refusal(content, 12), _read)
