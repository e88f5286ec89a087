"""Numbered images as a clip: a folder of them, or a pattern like `frames/%05d.png`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from plenodream.geometry.formats.frame_names import by_name
from plenodream.media.decode import Decoded
from plenodream.media.fit import fit_frames

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_PATTERN = re.compile(r"%(0?\d*)d")


def is_sequence(path: Path) -> bool:
    """Whether a path stands for images rather than for one video file."""
    return path.is_dir() or (not path.exists() and bool(_PATTERN.search(path.name)))


def sequence_paths(path: Path) -> tuple[list[Path], list[str]]:
    """The images that a folder or a pattern stands for, in the order of their numbers, and notes on what is missing.

    Raises:
        ValueError: No such folder, or no image there.
    """
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected images like {path.name}")
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    if path.is_dir():
        names = [name for name in names if name.lower().endswith(SUFFIXES)]
        if not names:
            raise ValueError(f"{path}: is a folder without images; expected a video file, or a folder of png or jpg")
        return [folder / names[index] for index in by_name(names)], []
    first, last = _PATTERN.split(path.name)[0], _PATTERN.split(path.name)[-1]
    numbered = re.compile(re.escape(first) + r"(\d+)" + re.escape(last))
    found = sorted((int(match.group(1)), name) for name in names if (match := numbered.fullmatch(name)))
    if not found:
        raise ValueError(f"{path}: no such images; expected names like {first}00001{last}")
    gaps = sum(b - a - 1 for (a, _), (b, _) in pairwise(found))
    notes = [f"{gaps} numbers missing between {found[0][1]} and {found[-1][1]}: closed up"] if gaps else []
    return [folder / name for _, name in found], notes


def decode_images(path: Path, max_frames: int | None, size: tuple[int, int] | None) -> Decoded:
    """Images as `decode` gives a video: RGB, upright, fitted to `size`, without times.

    Raises:
        ValueError: No images there, one that cannot be read, or images of different sizes.
    """
    paths, notes = sequence_paths(path)
    return stack_images(paths[:max_frames], size, notes)


def stack_images(paths: Sequence[Path], size: tuple[int, int] | None = None, notes: Sequence[str] = ()) -> Decoded:
    """Some images in order, as `decode_images` gives them. Raises as it does."""
    decoded, first = Decoded(notes=list(notes)), None
    for file in paths:
        image = load_image(file)
        first = first or image.shape[:2]
        if image.shape[:2] != first:
            found, expected = (f"{width}x{height}" for height, width in (image.shape[:2], first))
            raise ValueError(f"{file}: {found} after images of {expected}; expected one size")
        if size is not None:
            decoded.size, image = first, fit_frames(torch.from_numpy(image)[None], *size)[0][0].numpy()
        decoded.frames.append(image)
        decoded.times.append(None)
    return decoded


def load_image(path: Path) -> np.ndarray:
    """An image upright, RGB, (height, width, 3). Raises ValueError where it cannot be read."""
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I;16"):  # which Pillow would cut off at 255
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            return np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not readable ({error}); expected an image: replace it") from None
