"""Videos, cameras and arrays of samples, read once a scene as far as memory allows."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from plenodream.geometry.formats import load_cameras
from plenodream.media.video import read_video
from plenodream.memory.scene import Scene
from plenodream.types import Cameras

MOST_BYTES = 2 * 2**30


class Reader:
    """Reads files of one scene and remembers them, so that twelve shots decode their source once.

    What has not been asked for the longest is forgotten, and read again when it is, so that memory does not grow with
    the number of shots.

    Args:
        most: Bytes of pictures and arrays that are remembered; beside them there is what its user holds.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._known: dict[tuple, Any] = {}  # the one that was asked for last is the last
        self._most = most
        self.held = 0

    def video(self, path: Path) -> tuple[UInt8[Tensor, "frames height width 3"], float]:
        """Frames and their rate.

        Raises:
            ValueError: Missing, damaged, of a variable rate, or not all rendered yet.
        """
        return self.once(("video", path), lambda: _read_video(path))

    def frames(self, path: Path) -> Float[Tensor, "frames height width 3"]:
        """Frames as floats 0..1. Raises as `video` does."""
        return self.once(("frames", path), lambda: _read_video(path)[0].float() / 255)

    def array(self, path: Path) -> Tensor:
        """Depth or a mask. Raises ValueError where it is no array file."""
        return self.once(("array", path), lambda: _read_array(path))

    def cameras(self, given: Path | Cameras, height: int, width: int) -> Cameras:
        """Cameras in float64 of `height` x `width` pictures. Raises ValueError where there are none in the file."""
        if isinstance(given, Cameras):
            return given.to(torch.float64)
        load = lambda: load_cameras(given, height, width, dtype=torch.float64)  # noqa: E731
        return self.once(("cameras", given, height, width), load)

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, or of what a folder of one of our views shows."""
        return self.once(("digest", path), lambda: _digest(path))

    def once(self, key: tuple, read: Callable[[], Any]) -> Any:
        """What `read` returns, remembered by a key."""
        if key in self._known:
            self._known[key] = self._known.pop(key)
            return self._known[key]
        value = read()
        self._known[key] = value
        self.held += _size(value)
        for old in [name for name in self._known if name != key and _size(self._known[name])]:
            if self.held <= self._most:
                break
            self.held -= _size(self._known.pop(old))
        return value


def _size(value: Any) -> int:
    """Bytes of an array, or of what holds one; of all else none."""
    array = value[0] if isinstance(value, tuple) else value
    return array.numel() * array.element_size() if isinstance(array, Tensor) else 0


def _read_video(path: Path) -> tuple[Tensor, float]:
    if path.is_dir():
        scene = Scene.open(path.parent.parent)
        return scene.frames(path.name), scene.manifest.fps
    clip = read_video(path)
    if clip.index is not None:
        raise ValueError(f"{path}: variable frame rate; expected a constant one, so that frames can be compared")
    return clip.frames, clip.fps


def _read_array(path: Path) -> Tensor:
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            loaded = np.load(path, allow_pickle=False)
            content = loaded if isinstance(loaded, np.lib.npyio.NpzFile) else {"array": loaded}
        values = list(content.values())
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); expected .npy, .npz or .safetensors") from None
    if len(values) != 1 or values[0].ndim != 3:
        raise ValueError(f"{path}: expected one array of (frames, height, width)")
    return torch.as_tensor(np.asarray(values[0]))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path.rglob("video.mkv")) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
