"""Camera text of RealEstate10K and CameraCtrl, read and written (google.github.io/realestate10k/download.html).

A line for the video's address, then one a frame: time in microseconds, fx, fy, cx, cy as shares of the image's width
and height, two zeros, and the 3x4 world-to-camera matrix, row by row.
"""

from __future__ import annotations

import torch

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, square
from plenodream.geometry.formats.text_lines import number_lines, text_refusal
from plenodream.types import Cameras

_SHARE = 20.0  # a lens of 3 degrees: more are pixels


def realestate10k_text(cameras: Cameras, fps: float, address: str) -> str:
    """One path as the text of a camera file.

    Args:
        cameras: Batch shape (frames,).
        fps: Frames per second.
        address: What the first line says.
    """
    share = torch.tensor([cameras.width, cameras.height] * 2, dtype=torch.float64)
    values = cameras.intrinsics.double().cpu() / share
    matrices = invert_pose(cameras.camera_to_world.double().cpu())[:, :3].flatten(1)
    zeros = torch.zeros(len(values), 2, dtype=torch.float64)
    lines = [
        f"{round(index / fps * 1e6)} " + " ".join(f"{number:.12g}" for number in row)
        for index, row in enumerate(torch.cat([values, zeros, matrices], dim=-1).tolist())
    ]
    return "\n".join([address, *lines]) + "\n"


def _read(content: Content, asked: Size) -> CameraFile:
    rows = number_lines(content, 19, "time, fx fy cx cy, 0 0, 3x4 world-to-camera", head=1)
    values = torch.tensor(rows, dtype=torch.float64)
    share = torch.tensor([asked[1], asked[0]] * 2, dtype=torch.float64)
    if (largest := values[:, 1:5].abs().max().item()) > _SHARE:
        raise ValueError(
            f"{content.path}: intrinsics up to {largest:g}; expected shares of the image's width and height, about "
            "0.5 to 2: divide pixels by the image's size"
        )
    distorted = bool((values[:, 5:7] != 0).any())
    return CameraFile(
        invert_pose(square(values[:, 7:].unflatten(-1, (3, 4)))),
        "world-to-camera, OpenCV axes: inverted",
        "the file's own (RealEstate10K: not metres)",
        values[:, 1:5] * share,
        remarks=("intrinsics are shares of the image's width and height",),
        warnings=("lens distortion is ignored; undistort the images for exact cameras",) if distorted else (),
    )


FORMAT = Format("RealEstate10K text", "text", lambda content: text_refusal(content, 19), _read)
