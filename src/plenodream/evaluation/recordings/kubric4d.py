"""Kubric-4D of GCD: 16 cameras that stand around falling things, 60 frames at 24 frames/s, with depth.

    scn00000/scn00000_p0_v4.json                       camera (positions, quaternions w x y z, K) and scene (resolution)
    scn00000/frames_p0_v4/{rgba,depth}_00000.{png,tiff}

Published at github.com/basilevh/gcd: cameras are Blender's (y up, looking along -z), K is for pictures of size 1
and has signs of its own, depth is the distance from the camera's centre in units of the scene.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from plenodream.evaluation.recordings.recording import Recording, RecordingFile, fit_view, size_of, smaller
from plenodream.files.documents import read_document
from plenodream.geometry.cameras import make_pose, pixel_centres, pixel_rays
from plenodream.geometry.formats.rotations import quaternion_rotation
from plenodream.media.video import read_video
from plenodream.types import Cameras, View

FPS = 24.0
_Vector = tuple[float, float, float]
_NAME = re.compile(r"(scn\d+_p\d+)_v(\d+)\.json")


class _Camera(TypedDict):
    positions: list[_Vector]
    quaternions: list[tuple[float, float, float, float]]
    K: tuple[_Vector, _Vector, _Vector]


class _Scene(TypedDict):
    camera: _Camera


def kubric_recordings(folder: Path) -> list[RecordingFile]:
    """The scenes of a folder, or the folder itself if it is one. The source is the first view."""
    found = []
    for scene in [folder, *sorted(path for path in folder.glob("scn*") if path.is_dir())]:
        matches = [match for path in scene.glob("scn*_p*_v*.json") if (match := _NAME.fullmatch(path.name))]
        passes = sorted({match[1] for match in matches})
        for one in passes:
            views = tuple(f"v{n}" for n in sorted(int(match[2]) for match in matches if match[1] == one))
            name = scene.name if len(passes) == 1 else one
            if len(views) > 1:
                found.append(RecordingFile("Kubric-4D", name, views[0], views, partial(read_kubric, scene, one)))
    return found


def read_kubric(scene: Path, one: str, names: Sequence[str], frames: int | None, height: int | None) -> Recording:
    """Some views of a scene.

    Args:
        scene: Its folder.
        one: Which of the recordings there, `scn00000_p0`.
        names: Of the views.
        frames: How many at most.
        height: Of the pictures, at most.

    Raises:
        ValueError: Pictures or cameras are missing or of another form.
    """
    views: dict[str, View] = {}
    for name in names:
        view = _view(scene, f"{one}_{name}", frames)
        size = size_of(next(iter(views.values()))) if views else smaller(*size_of(view), height)
        views[name] = fit_view(view, *size)
    return Recording(views)


def _view(scene: Path, name: str, frames: int | None) -> View:
    path = scene / f"{name}.json"
    folder = scene / f"frames_{path.stem.partition('_')[2]}"
    clip = read_video(folder / "rgba_%05d.png", frames, fps=FPS)
    cameras = _cameras(path, len(clip.frames), *clip.frames.shape[1:3])
    depth = [np.array(Image.open(folder / f"depth_{number:05d}.tiff")) for number in range(len(clip.frames))]
    distance = torch.from_numpy(np.stack(depth)).float()
    return View(clip.frames, cameras.to(torch.float32), FPS, depth=_along_axis(distance, cameras))


def _cameras(path: Path, frames: int, height: int, width: int) -> Cameras:
    camera = read_document(path, _Scene, "expected camera: positions, quaternions, K")["camera"]
    quaternions = torch.tensor(camera["quaternions"][:frames], dtype=torch.float64)
    centres = torch.tensor(camera["positions"][:frames], dtype=torch.float64)
    lens = torch.tensor(camera["K"], dtype=torch.float64).abs()
    if not len(quaternions) == len(centres) == frames:
        raise ValueError(f"{path}: {len(quaternions)} cameras for {frames} frames; expected one a frame")
    poses = make_pose(quaternion_rotation(quaternions), centres)
    poses[:, :3, 1:3] *= -1
    intrinsics = torch.stack([lens[0, 0] * width, lens[1, 1] * height, lens[0, 2] * width, lens[1, 2] * height])
    return Cameras(poses, intrinsics.repeat(frames, 1), height, width)


def _along_axis(
    distance: Float[Tensor, "frames height width"], cameras: Cameras
) -> Float[Tensor, "frames height width"]:
    """Depth along z of distances from the centre."""
    height, width = distance.shape[1:]
    pixels = pixel_centres(height, width, cameras.intrinsics).flatten(0, 1)
    _, directions = pixel_rays(cameras, pixels.expand(len(cameras), -1, 2))
    return distance / directions.norm(dim=-1).reshape(distance.shape).to(distance)
