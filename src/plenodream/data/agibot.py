"""Episodes of AgiBot World: a head camera and two gripper cameras of one robot.

Layout of AgiBotWorld-Alpha and -Beta:

    observations/<task>/<episode>/videos/{head,hand_left,hand_right}_color.mp4
    parameters/<task>/<episode>/parameters/camera/<view>_intrinsic_params.json
    parameters/<task>/<episode>/parameters/camera/<view>_extrinsic_params_aligned.json
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypedDict

import torch

from plenodream.data.episode import Episode, open_views
from plenodream.files.documents import read_document
from plenodream.media.seek import VideoFile
from plenodream.types import Cameras

VIEWS = ("head", "hand_left", "hand_right")
_Row = tuple[float, float, float]


class _Intrinsic(TypedDict):
    fx: float
    fy: float
    ppx: float
    ppy: float


class _Lens(TypedDict):
    """A file of intrinsics."""

    intrinsic: _Intrinsic


class _Pose(TypedDict):
    rotation_matrix: tuple[_Row, _Row, _Row]
    translation_vector: _Row


class _Entry(TypedDict):
    """A frame in a file of extrinsics."""

    extrinsic: _Pose


def is_agibot(root: Path) -> bool:
    """Whether a folder is the root of an AgiBot World download."""
    return (root / "observations").is_dir() and (root / "parameters").is_dir()


def agibot_folders(root: Path) -> list[Path]:
    """The video folders of all episodes under `root`."""
    return sorted({video.parent for video in root.glob("observations/*/*/videos/*_color.mp4")})


def open_agibot(videos: Path) -> Episode:
    """One episode of AgiBot World: the RGB views head, hand_left and hand_right that are there.

    Args:
        videos: `observations/<task>/<episode>/videos` under the root of the download.

    Returns:
        The episode; its world is the robot's, poses OpenCV camera-to-world in metres. Lens distortion is ignored.

    Raises:
        ValueError: No video, no camera file for a video, or another number of poses than frames.
    """
    task, episode = videos.parts[-3:-1]
    root = videos.parents[3]
    parameters = root / "parameters" / task / episode / "parameters" / "camera"
    paths = {view: videos / f"{view}_color.mp4" for view in VIEWS if (videos / f"{view}_color.mp4").exists()}
    return open_views(f"{task}/{episode}", videos.parent, paths, partial(load_agibot_cameras, parameters))


def load_agibot_cameras(parameters: Path, videos: Mapping[str, VideoFile]) -> dict[str, Cameras]:
    """Cameras of the given views from a `parameters/camera` folder.

    The calibration places pixel centres at whole numbers; half a pixel is added to the principal point for ours at
    +0.5. A single pose stands for a camera that does not move.

    Raises:
        ValueError: A file is missing or not of this format.
    """
    return {view: _load_view(parameters, view, video) for view, video in videos.items()}


def _load_view(parameters: Path, view: str, video: VideoFile) -> Cameras:
    intrinsics_path = parameters / f"{view}_intrinsic_params.json"
    poses_path = parameters / f"{view}_extrinsic_params_aligned.json"
    for path in (intrinsics_path, poses_path):
        if not path.exists():
            raise ValueError(f"{path}: missing cameras; expected this file beside the {view} video of the episode")
    lens = read_document(intrinsics_path, _Lens)["intrinsic"]
    found = [entry["extrinsic"] for entry in read_document(poses_path, list[_Entry])]
    poses = torch.eye(4, dtype=torch.float64).repeat(len(found), 1, 1)
    if found:
        poses[:, :3, :3] = torch.tensor([pose["rotation_matrix"] for pose in found], dtype=torch.float64)
        poses[:, :3, 3] = torch.tensor([pose["translation_vector"] for pose in found], dtype=torch.float64)
    intrinsics = [lens["fx"], lens["fy"], lens["ppx"] + 0.5, lens["ppy"] + 0.5]
    rows = torch.tensor(intrinsics, dtype=torch.float64).repeat(len(found), 1)
    return Cameras(poses, rows, video.height, video.width)
