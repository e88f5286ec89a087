"""Real images as textures of procedural worlds: a folder becomes one tensor of small squares. Ours."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Pixels along a side. A power of two, so that halving it ends at the mean colour (`worlds.texels`).
SIZE = 64


def load_textures(folder: str | Path, size: int = SIZE) -> Float[Tensor, "images 3 size size"]:
    """All images of a folder (not of those in it), sorted by name: the middle square of each, RGB in 0..1, on the CPU.

    Photographs are turned upright as their EXIF says; grey, palette and 16-bit images become RGB; what is transparent
    becomes white. Of animations the first picture is taken.

    Args:
        folder: With png, jpg, webp, bmp, gif or tif files; other files are left alone.
        size: Pixels along a side; each is the mean of the area that it covers.

    Raises:
        ValueError: No such folder, no image in it, or one that cannot be read.
    """
    folder, expected = Path(folder), f"expected a folder of images ({', '.join(SUFFIXES)})"
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    except OSError as error:
        raise ValueError(f"{folder}: {(error.strerror or str(error)).lower()}; {expected}") from None
    if not paths:
        raise ValueError(f"{folder}: no images found; {expected}")
    pixels = np.stack([_load(path, size) for path in paths])
    return torch.from_numpy(pixels).movedim(-1, 1).float() / 255


def textures_fingerprint(textures: Float[Tensor, "images 3 size size"]) -> str:
    """How many images and a hash of their pixels: kept beside what was made with them, compared when that goes on."""
    pixels = (textures * 255).round().byte().cpu().contiguous().numpy()
    return f"{len(textures)} images {hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}"


def _load(path: Path, size: int) -> np.ndarray:
    """The middle square of one image, uint8 (size, size, 3)."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (8 * size, 8 * size))  # a large JPEG is decoded at a fraction of its size
            upright = _rgb(ImageOps.exif_transpose(image))
            return np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.BOX))
    except Exception as error:  # what a broken file makes a decoder raise is anybody's guess
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not readable ({reason}); expected an image: replace or remove it") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip to 8
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
