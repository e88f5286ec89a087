"""Cameras between plenodream and the types that other ComfyUI nodes exchange.

`CAMERAPOSES` (WanVideoWrapper's ReCamMaster nodes): an array (poses, 4, 4) of camera-to-world matrices, one for every
fourth frame, camera axes x forward, y right, z up, centimetres, in Unreal's left-handed world.
`LOAD3D_CAMERA` (ComfyUI's Load3D): a dictionary with `position` and `target` (x, y, z; right-handed, y up), `zoom`,
`cameraType` and, in newer versions, `quaternion` and `fov`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from plenodream.geometry.cameras import cameras_at, relative_poses
from plenodream.geometry.formats.recammaster import opencv_to_unreal, unreal_to_opencv
from plenodream.geometry.keyframe_paths import keyframe_cameras
from plenodream.geometry.keyframes import Keyframe, Keyframes
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.types import Cameras

STEP = 4  # frames of the video between two of `CAMERAPOSES`


@dataclass(frozen=True)
class Trajectories:
    """Views that are asked for, by all ways of asking.

    Attributes:
        presets: As on the command line.
        files: Camera files and files of key frames.
        paths: By name of the view: key frames, or poses relative to the source's first camera.
    """

    presets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    paths: Mapping[str, Keyframes | torch.Tensor] = field(default_factory=dict)

    def cameras(self, source: Cameras) -> dict[str, Cameras]:
        """The cameras of `presets` and `paths` along a source."""
        presets = {t.name: trajectory_cameras(t, source) for t in parse_trajectories(self.presets)}
        return presets | {name: path_cameras(path, source) for name, path in self.paths.items()}


def joined(before: Trajectories | None, after: Trajectories) -> Trajectories:
    """Trajectories of two nodes in a chain.

    Raises:
        ValueError: A name comes twice.
    """
    if before is None:
        return after
    if twice := set(before.paths) & set(after.paths):
        raise ValueError(f"trajectory {twice.pop()!r} comes twice; expected different names")
    paths = {**before.paths, **after.paths}
    return Trajectories(before.presets + after.presets, before.files + after.files, paths)


def path_cameras(path: Keyframes | torch.Tensor, source: Cameras) -> Cameras:
    """The camera of every frame of the source; poses are spread over its length."""
    if isinstance(path, Keyframes):
        return keyframe_cameras(path, source)
    lens = source.intrinsics[:1].double()
    given = Cameras(path, lens.expand(len(path), 4), source.height, source.width)
    spread = cameras_at(given, torch.linspace(0, len(path) - 1, len(source), dtype=torch.float64))
    poses = source.camera_to_world[0].double() @ spread.camera_to_world
    return replace(spread, camera_to_world=poses).to(source.camera_to_world.dtype)


def poses_from(camera_poses: Any) -> torch.Tensor:
    """`CAMERAPOSES` as poses relative to the first: OpenCV, metres, float64.

    Raises:
        ValueError: No array of (poses, 4, 4), or no finite numbers.
    """
    given = torch.as_tensor(np.asarray(camera_poses, dtype=np.float64))
    if given.ndim != 3 or given.shape[1:] != (4, 4) or not len(given) or not bool(given.isfinite().all()):
        raise ValueError(f"CAMERAPOSES of shape {tuple(given.shape)}: expected finite numbers (poses, 4, 4)")
    poses = unreal_to_opencv(given.transpose(-1, -2))
    return relative_poses(poses, poses[0])


def poses_of(cameras: Cameras) -> np.ndarray:
    """Cameras as `CAMERAPOSES`: every fourth one."""
    return opencv_to_unreal(cameras.camera_to_world[::STEP].double()).transpose(-1, -2).numpy().copy()


def keyframe_from(camera_info: Mapping[str, Any], time: float, unit: float = 1.0) -> Keyframe:
    """`LOAD3D_CAMERA` as a key frame: its angle and distance to its target; straight in front (+z) is the source.

    Args:
        camera_info: The dictionary; what it says of the lens is left out.
        time: Of the key frame.
        unit: Metres of one of its units.

    Raises:
        ValueError: No position and target, or a camera straight above or below its target.
    """
    try:
        off = [float(camera_info["position"][a]) - float(camera_info["target"][a]) for a in "xyz"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"LOAD3D_CAMERA without position and target ({error}); connect a Load 3D node") from None
    distance = math.hypot(*off)
    azimuth = math.degrees(math.atan2(off[0], off[2]))
    elevation = math.degrees(math.asin(off[1] / distance)) if distance else 0.0
    return Keyframe(time, azimuth, elevation, distance * unit)


def load3d_camera(key: Keyframe) -> dict[str, Any]:
    """The angle and distance of a key frame as `LOAD3D_CAMERA`, around the origin."""
    azimuth, elevation, distance = math.radians(key.azimuth), math.radians(key.elevation), key.distance or 4.0
    flat = distance * math.cos(elevation)
    position = (flat * math.sin(azimuth), distance * math.sin(elevation), flat * math.cos(azimuth))
    return {
        "position": dict(zip("xyz", position, strict=True)),
        "target": {"x": 0.0, "y": 0.0, "z": 0.0},
        "zoom": 1.0,
        "cameraType": "perspective",
    }
