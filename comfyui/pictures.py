"""ComfyUI's pictures and ours."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from plenodream.types import Cameras


def pixels(images: torch.Tensor) -> torch.Tensor:
    """`IMAGE` as bytes."""
    if images.ndim != 4 or images.shape[-1] < 3:
        raise ValueError(f"images of shape {tuple(images.shape)}: expected (frames, height, width, 3)")
    return (images[..., :3].float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)


def images(frames: torch.Tensor) -> torch.Tensor:
    """Bytes as `IMAGE`."""
    return frames.float() / 255


def drawing(paths: Mapping[str, Cameras]) -> torch.Tensor:
    """Camera paths as an `IMAGE` of one frame."""
    from plenodream.viewer.paths import draw_paths

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "paths.png"
        draw_paths(paths, file)
        picture = np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB"))
    return images(torch.from_numpy(picture.copy())[None])
