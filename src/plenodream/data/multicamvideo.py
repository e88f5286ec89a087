"""Scenes of MultiCamVideo (ten moving cameras) and SynCamVideo (ten static ones), rendered with Unreal Engine.

Layout: `train/f24_aperture5/scene1/{videos/cam01.mp4,cameras/camera_extrinsics.json}`; the focal length in millimetres
is part of a folder's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from plenodream.data.episode import Episode, open_views, videos_in
from plenodream.geometry.formats.recammaster import load_unreal_poses
from plenodream.media.seek import VideoFile
from plenodream.types import Cameras

SENSOR_WIDTH = 23.76  # millimetres


def is_multicamvideo(folder: Path) -> bool:
    """Whether a folder is a scene of this layout."""
    return (folder / "videos").is_dir() and (folder / "cameras" / "camera_extrinsics.json").is_file()


def open_multicamvideo(folder: Path, name: str | None = None) -> Episode:
    """One scene of MultiCamVideo or SynCamVideo.

    Args:
        folder: The scene's folder, with `videos` and `cameras` in it.
        name: What to call the episode; the last two parts of its path if not given.

    Returns:
        The episode; its world is the first frame of its first camera (OpenCV axes, metres).

    Raises:
        ValueError: Videos or cameras are missing or ragged, or no folder on the path says the focal length.
    """
    focal = focal_length(folder)
    reader = partial(load_multicamvideo_cameras, folder / "cameras" / "camera_extrinsics.json", focal)
    return open_views(name or "/".join(folder.parts[-2:]), folder, videos_in(folder / "videos"), reader)


def focal_length(folder: Path) -> float:
    """Focal length in millimetres from the nearest folder named like `f24_aperture5`.

    Raises:
        ValueError: No such folder on the path.
    """
    for part in reversed(folder.absolute().parts):
        if found := re.fullmatch(r"f(\d+(?:\.\d+)?)(?:_.*)?", part):
            return float(found.group(1))
    raise ValueError(
        f"{folder}: no focal length on its path; expected a folder named like f24_aperture5 above the scene"
    )


def load_multicamvideo_cameras(path: Path, focal: float, videos: Mapping[str, VideoFile]) -> dict[str, Cameras]:
    """Cameras of the given views: poses from the JSON, intrinsics from the focal length and the sensor's width.

    Args:
        path: `camera_extrinsics.json`.
        focal: Millimetres.
        videos: The views wanted; one pose only in the file stands for a static camera.

    Raises:
        ValueError: A view has no camera, or the file is not of this format.
    """
    poses = load_unreal_poses(path)
    if missing := sorted(set(videos) - set(poses)):
        raise ValueError(f"{path}: no camera for the video {missing[0]}; found {', '.join(poses)}")
    return {
        name: Cameras(poses[name], _intrinsics(focal, video).repeat(len(poses[name]), 1), video.height, video.width)
        for name, video in videos.items()
    }


def _intrinsics(focal: float, video: VideoFile) -> torch.Tensor:
    pixels = focal / SENSOR_WIDTH * video.width
    return torch.tensor([pixels, pixels, video.width / 2, video.height / 2], dtype=torch.float64)
