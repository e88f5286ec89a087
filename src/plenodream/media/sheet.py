"""Frames to look at: one picture with a column for every kind of video and two rows for every scene."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from plenodream.files.atomic import write_file

# Side (pixels) that small frames are enlarged to at least, by whole numbers, and the gap around them.
_SIDE, _GAP, _HEAD = 112, 4, 16
_GROUND, _INK = 32, (230, 230, 230)


def draw_sheet(videos: Mapping[str, Float[Tensor, "scenes frames height width 3"]]) -> UInt8[Tensor, "rows columns 3"]:
    """First and last frame of every video, scenes below each other.

    Args:
        videos: By column title; values 0..1, all of the same shape.

    Raises:
        ValueError: No videos, or of different shapes.
    """
    shapes = {tuple(video.shape) for video in videos.values()}
    if len(shapes) != 1:
        raise ValueError(f"videos of shapes {sorted(shapes)}: expected one or more, all of the same shape")
    ends = torch.stack(list(videos.values()), dim=2)[:, [0, -1]]
    scale = max(1, -(-_SIDE // ends.shape[-3]))
    pixels = (ends.clamp(0, 1) * 255).round().byte().cpu()
    pixels = pixels.repeat_interleave(scale, dim=-3).repeat_interleave(scale, dim=-2)
    # Frames of a scene touch, scenes and columns are set apart.
    tiles = pixels.permute(0, 2, 1, 3, 4, 5).flatten(2, 3)
    tiles = torch.nn.functional.pad(tiles, (0, 0, 0, _GAP, 0, _GAP), value=_GROUND)
    sheet = tiles.permute(0, 2, 1, 3, 4).flatten(0, 1).flatten(1, 2)
    sheet = torch.nn.functional.pad(sheet, (0, 0, _GAP, 0, _HEAD, 0), value=_GROUND)
    picture = Image.fromarray(sheet.numpy())
    draw, step = ImageDraw.Draw(picture), tiles.shape[3]
    for number, title in enumerate(videos):
        draw.text((_GAP + number * step, 2), title, fill=_INK)
    return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(sheet.shape)


def save_sheet(path: Path, videos: Mapping[str, Float[Tensor, "scenes frames height width 3"]]) -> None:
    """`draw_sheet` as a PNG, written whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(draw_sheet(videos).numpy()).save(buffer, format="PNG")
    write_file(path, buffer.getvalue())
