"""The camera of every frame of a trajectory."""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from plenodream.geometry.presets import EASES, PRESETS, SENSOR_WIDTH_MM
from plenodream.geometry.rig import Rig, rig_poses
from plenodream.geometry.trajectories import Trajectory
from plenodream.types import Cameras


def trajectory_cameras(trajectory: Trajectory, source: Cameras) -> Cameras:
    """The camera of every frame of a trajectory.

    The anchor is the source's first camera (`of=start`) or, frame by frame, the source's camera (`of=source`: the
    trajectory is composed with the source's own motion). The subject lies `subject_distance` metres straight ahead of
    the anchor. Computed in float64, returned in the source's dtype and on its device.

    Args:
        trajectory: From `make_trajectory` or `parse_trajectories`.
        source: Cameras of the source video, batch shape (frames,).

    Returns:
        Cameras of the source's size, world and number of frames. The first is the anchor itself, unless the preset is a
        static camera elsewhere; a single frame shows the start of the motion.

    Raises:
        ValueError: If `source` is not one path of at least one frame.
    """
    if len(source.shape) != 1 or len(source) == 0:
        raise ValueError(f"source cameras of shape {tuple(source.shape)}: expected one path of at least 1 frame")
    preset, parameters = PRESETS[trajectory.preset], trajectory.parameters
    anchor = source.to("cpu", torch.float64)
    if parameters["of"] == "start":
        anchor = anchor[:1]
    time = torch.linspace(0, 1, len(source), dtype=torch.float64)
    progress = torch.ones_like(time) if preset.static else EASES[str(parameters["ease"])](time)

    distance = float(parameters["subject_distance"])
    at_rest = {field.name: torch.zeros_like(time) for field in fields(Rig)}
    at_rest |= {"radius": torch.full_like(time, distance), "focal": torch.ones_like(time)}
    source_focal = anchor.intrinsics[:, 0] / anchor.width * SENSOR_WIDTH_MM
    rig = Rig(**at_rest | preset.curve(progress, {**parameters, "source_focal": source_focal}))

    poses = anchor.camera_to_world @ rig_poses(rig, distance)
    focal = rig.focal[:, None] * anchor.intrinsics[:, :2]
    intrinsics = torch.cat([focal, anchor.intrinsics[:, 2:].expand_as(focal)], dim=-1)
    return replace(
        source, camera_to_world=poses.to(source.camera_to_world), intrinsics=intrinsics.to(source.intrinsics)
    )
