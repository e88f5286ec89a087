"""DyCheck's iPhone recordings: a phone that moves (the source) and one or two that stand, some moments of all of them.

    SEQUENCE/camera/0_00000.json                        orientation (world to camera), position, focal_length, ...
    SEQUENCE/rgb/1x/0_00000.png                         also 2x, 4x: smaller by that factor
    SEQUENCE/splits/{train,val}.json                    frame_names, camera_ids, time_ids
    SEQUENCE/covisible/2x/val/1_00000.png               what the phone's video shows at some time, too
    SEQUENCE/depth/1x/0_00000.npy                       metres along z, of the phone that moves alone
    SEQUENCE/extra.json                                 fps

Published at github.com/KAIR-BAIR/dycheck (docs/DATASETS.md); OpenCV axes, metres, pixel centres at +0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.evaluation.recordings.recording import Recording, RecordingFile, fit_view, size_of, smaller
from plenodream.files.documents import read_document
from plenodream.geometry.cameras import make_pose, resize_cameras
from plenodream.media.fit import fit_depth, stretch_depth
from plenodream.media.images import load_image, stack_images
from plenodream.types import Cameras, View

_TODO = "expected a file of DyCheck"
_Vector = tuple[float, float, float]


class _Split(TypedDict):
    frame_names: list[str]
    camera_ids: list[int]
    time_ids: list[int]


class _Extra(TypedDict):
    fps: float


class _Camera(TypedDict):
    orientation: tuple[_Vector, _Vector, _Vector]
    position: _Vector
    focal_length: float
    pixel_aspect_ratio: NotRequired[float]
    principal_point: tuple[float, float]
    image_size: tuple[int, int]


def dycheck_recordings(folder: Path) -> list[RecordingFile]:
    """The sequences of a folder that more than one phone recorded, or the folder itself; none if there are none."""
    found = []
    for sequence in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        if (sequence / "splits" / "val.json").is_file() and (sequence / "camera").is_dir():
            items = _items(sequence)
            read = partial(read_dycheck, sequence)
            found.append(RecordingFile("DyCheck", sequence.name, next(iter(items)), tuple(items), read))
    return found


def read_dycheck(sequence: Path, names: Sequence[str], frames: int | None, height: int | None) -> Recording:
    """Some views of a sequence, at the moments that all of its phones recorded.

    Raises:
        ValueError: Fewer than two such moments; pictures or cameras that are missing or of another form.
    """
    items = _items(sequence)
    times = sorted(set.intersection(*(set(items[name]) for name in items)))
    if len(times) < 2:
        raise ValueError(f"{sequence}: {len(times)} moments that all phones recorded; expected at least 2")
    span = (times[-1] - times[0]) / (len(times) - 1)
    fps = read_document(sequence / "extra.json", _Extra, _TODO)["fps"] / span
    times = times[:frames]
    views, seen = {}, {}
    for name in names:
        chosen = _Chosen(sequence, tuple(items[name][time] for time in times))
        view = chosen.view(fps)
        size = size_of(next(iter(views.values()))) if views else smaller(*size_of(view), height)
        views[name] = fit_view(view, *size)
        mask = chosen.covisible()
        if mask is not None:
            seen[name] = fit_depth(mask.float(), *size) > 0.5
    return Recording(views, seen)


@dataclass(frozen=True)
class _Chosen:
    """Some items of one phone."""

    sequence: Path
    names: tuple[str, ...]

    def view(self, fps: float) -> View:
        """Their pictures, as large as there are, with cameras, and depth where there is some."""
        folder = self._largest("rgb")
        decoded = stack_images([folder / f"{name}.png" for name in self.names])
        pictures = torch.from_numpy(np.stack(decoded.frames))
        cameras = _cameras([self.sequence / "camera" / f"{name}.json" for name in self.names])
        fitted = resize_cameras(cameras, *pictures.shape[1:3])
        return View(pictures, fitted.to(torch.float32), fps, depth=self._depth(*pictures.shape[1:3]))

    def covisible(self) -> Bool[Tensor, "frames height width"] | None:
        """What the phone that moves shows of them at some time."""
        folder = self._largest("covisible", "val")
        paths = [folder / f"{name}.png" for name in self.names]
        if not all(path.is_file() for path in paths):
            return None
        return torch.stack([torch.from_numpy(load_image(path)[..., 0] > 127) for path in paths])

    def _depth(self, height: int, width: int) -> Float[Tensor, "frames height width"] | None:
        folder = self._largest("depth")
        paths = [folder / f"{name}.npy" for name in self.names]
        if not all(path.is_file() for path in paths):
            return None
        values = [np.load(path, allow_pickle=False).astype(np.float32).squeeze() for path in paths]
        return stretch_depth(torch.from_numpy(np.stack(values)), height, width)

    def _largest(self, kind: str, split: str = "") -> Path:
        """The folder of the least factor."""
        factors = [path for path in (self.sequence / kind).glob("*x") if path.name[:-1].isdecimal()]
        best = min(factors, key=lambda path: int(path.name[:-1]), default=self.sequence / kind / "1x")
        return best / split


def _items(sequence: Path) -> dict[str, dict[int, str]]:
    """Views by camera: `phone0` is the one that moves."""
    found: dict[str, dict[int, str]] = {}
    for split in ("train", "val"):
        content = read_document(sequence / "splits" / f"{split}.json", _Split, _TODO)
        columns = (content["camera_ids"], content["time_ids"], content["frame_names"])
        for camera, time, name in zip(*columns, strict=True):
            found.setdefault(f"phone{camera}", {})[time] = name
    return found


def _cameras(paths: Sequence[Path]) -> Cameras:
    poses, lenses, sizes = [], [], set()
    for path in paths:
        content = read_document(path, _Camera, _TODO)
        rotation = torch.tensor(content["orientation"], dtype=torch.float64)
        poses.append(make_pose(rotation.T, torch.tensor(content["position"], dtype=torch.float64)))
        focal, aspect = content["focal_length"], content.get("pixel_aspect_ratio", 1.0)
        lenses.append([focal, focal * aspect, *content["principal_point"]])
        sizes.add(content["image_size"][::-1])
    if len(sizes) != 1:
        raise ValueError(f"{paths[0].parent}: cameras of {len(sizes)} sizes; expected one")
    return Cameras(torch.stack(poses), torch.tensor(lenses, dtype=torch.float64), *sizes.pop())
