"""Sample sheets: what a model made beside what is true, to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from plenodream.media.files import write_file

_HEADER = 14


def sheet(
    truth: Float[Tensor, "scenes views frames height width 3"],
    made: Float[Tensor, "scenes targets frames height width 3"],
    scale: int = 2,
    most_targets: int = 2,
) -> Image.Image:
    """One row a scene; at the first, middle and last frame the source, then truth and result of every target in turn.

    Args:
        truth: True videos, 0..1; view 0 is the source, the views after it are the targets.
        made: What the model made of them, 0..1.
        scale: Enlargement, nearest pixel.
        most_targets: How many targets to show.
    """
    frames, targets = truth.shape[2], min(made.shape[1], most_targets)
    moments = sorted({0, frames // 2, frames - 1})
    columns, names = [], []
    for moment in moments:
        columns.append(truth[:, 0, moment])
        names.append(f"source {moment}")
        for target in range(targets):
            columns += [truth[:, 1 + target, moment], made[:, target, moment]]
            names += ["true", "made"]
    tiles = torch.stack(columns, dim=1).clamp(0, 1).mul(255).round().to(torch.uint8).cpu()
    pixels = tiles.permute(0, 2, 1, 3, 4).flatten(0, 1).flatten(1, 2)
    picture = Image.fromarray(pixels.numpy())
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    page = Image.new("RGB", (picture.width, picture.height + _HEADER), "white")
    page.paste(picture, (0, _HEADER))
    draw, width = ImageDraw.Draw(page), picture.width // len(names)
    for index, name in enumerate(names):
        draw.text((index * width + 2, 1), name, fill="black")
    return page


def save_sheet(path: Path, truth: Tensor, made: Tensor) -> None:
    """Write a sheet as PNG, whole or not at all; arguments as `sheet`."""
    from io import BytesIO

    buffer = BytesIO()
    sheet(truth, made).save(buffer, format="PNG")
    write_file(path, buffer.getvalue())
