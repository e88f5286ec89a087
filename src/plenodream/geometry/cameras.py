"""Poses, intrinsics, projection: pure functions, any leading batch dimensions, float32 and float64.

Conventions of docs/conventions.md: camera-to-world, OpenCV axes, metres; fx fy cx cy in pixels, pixel centres at +0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.types import Cameras


def invert_pose(pose: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Inverse of rigid transforms (camera-to-world to world-to-camera and back), without a matrix solve."""
    rotation, translation = pose[..., :3, :3], pose[..., :3, 3:]
    inverse = pose.clone()
    inverse[..., :3, :3] = rotation.transpose(-1, -2)
    inverse[..., :3, 3:] = -rotation.transpose(-1, -2) @ translation
    return inverse


def make_pose(rotation: Float[Tensor, "*batch 3 3"], centre: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 4 4"]:
    """Camera-to-world pose from a rotation (columns: right, down, forward in the world) and a centre in metres."""
    pose = torch.eye(4, dtype=rotation.dtype, device=rotation.device).expand(*rotation.shape[:-2], 4, 4).clone()
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = centre
    return pose


def relative_poses(
    poses: Float[Tensor, "*batch 4 4"], reference: Float[Tensor, "*#batch 4 4"]
) -> Float[Tensor, "*batch 4 4"]:
    """Camera-to-world poses in the frame of a reference camera: the reference itself becomes the identity."""
    return invert_pose(reference) @ poses


def scale_poses(poses: Float[Tensor, "*batch 4 4"], scale: float | Tensor) -> Float[Tensor, "*batch 4 4"]:
    """Poses of the same scene in other units: camera centres multiplied by `scale`, rotations kept."""
    scaled = poses.clone()
    scaled[..., :3, 3] = poses[..., :3, 3] * scale
    return scaled


def scale_cameras(cameras: Cameras, scale: float) -> Cameras:
    """Cameras of a world whose lengths are `scale` times as large."""
    return cameras if scale == 1 else replace(cameras, camera_to_world=scale_poses(cameras.camera_to_world, scale))


def axis_rotation(axis: str, degrees: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Right-handed rotation about a coordinate axis ('x', 'y' or 'z')."""
    angle = torch.deg2rad(degrees)
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = {
        "x": (one, zero, zero, zero, cos, -sin, zero, sin, cos),
        "y": (cos, zero, sin, zero, one, zero, -sin, zero, cos),
        "z": (cos, -sin, zero, sin, cos, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def look_at(
    centre: Float[Tensor, "*batch 3"], target: Float[Tensor, "*batch 3"], down: Float[Tensor, "3"] | None = None
) -> Float[Tensor, "*batch 4 4"]:
    """Camera-to-world pose at `centre` looking at `target`, with no roll about the world's `down` (default +y).

    Raises:
        ValueError: If a target lies at its centre or straight along `down`, where the roll is undefined.
    """
    if down is None:
        down = torch.tensor([0.0, 1.0, 0.0], dtype=centre.dtype, device=centre.device)
    forward = target - centre
    right = torch.linalg.cross(down.expand_as(forward), forward)
    if bool((right.norm(dim=-1) < 1e-6).any()):
        raise ValueError("look_at: the target is at the camera or straight above or below it, so the roll is undefined")
    forward = forward / forward.norm(dim=-1, keepdim=True)
    right = right / right.norm(dim=-1, keepdim=True)
    true_down = torch.linalg.cross(forward, right)
    return make_pose(torch.stack([right, true_down, forward], dim=-1), centre)


def intrinsics_from_fov(
    horizontal_fov: float, height: int, width: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "4"]:
    """Intrinsics of square pixels and a centred principal point from a horizontal field of view in degrees."""
    if not 0 < horizontal_fov < 180:
        raise ValueError(f"field of view {horizontal_fov} degrees: expected more than 0 and less than 180")
    focal = 0.5 * width / math.tan(math.radians(horizontal_fov) / 2)
    return torch.tensor([focal, focal, width / 2, height / 2], dtype=dtype)


def horizontal_fov(cameras: Cameras) -> Float[Tensor, "*batch"]:
    """Horizontal field of view in degrees."""
    fx, cx = cameras.intrinsics[..., 0], cameras.intrinsics[..., 2]
    return torch.rad2deg(torch.atan(cx / fx) + torch.atan((cameras.width - cx) / fx))


def stack_cameras(cameras: Sequence[Cameras]) -> Cameras:
    """Several cameras of equal batch shape and image size as one, along a new first batch dimension.

    Raises:
        ValueError: If frame counts or image sizes differ.
    """
    sizes = {(*c.shape, c.height, c.width) for c in cameras}
    if len(sizes) > 1:
        found = ", ".join("x".join(map(str, size)) for size in sorted(sizes))
        raise ValueError(
            f"cameras of different frames x height x width ({found}): expected equal ones; resample or resize"
        )
    return replace(
        cameras[0],
        camera_to_world=torch.stack([c.camera_to_world for c in cameras]),
        intrinsics=torch.stack([c.intrinsics for c in cameras]),
    )


def join_cameras(cameras: Sequence[Cameras]) -> Cameras:
    """Cameras of one batch shape (frames,) and image size, one after another: (all frames,)."""
    stacked = stack_cameras(cameras)
    poses, lenses = stacked.camera_to_world, stacked.intrinsics
    return replace(stacked, camera_to_world=poses.flatten(0, 1), intrinsics=lenses.flatten(0, 1))


def resize_cameras(cameras: Cameras, height: int, width: int) -> Cameras:
    """Cameras of the same images resized to `height` x `width` (intrinsics scale with the size, per axis)."""
    sx, sy = width / cameras.width, height / cameras.height
    scale = torch.tensor([sx, sy, sx, sy], dtype=cameras.intrinsics.dtype, device=cameras.intrinsics.device)
    return replace(cameras, intrinsics=cameras.intrinsics * scale, height=height, width=width)


def crop_cameras(cameras: Cameras, top: int, left: int, height: int, width: int) -> Cameras:
    """Cameras of the window that starts at pixel (top, left): the principal point moves, the focal length stays."""
    shift = torch.tensor([0, 0, left, top], dtype=cameras.intrinsics.dtype, device=cameras.intrinsics.device)
    return replace(cameras, intrinsics=cameras.intrinsics - shift, height=height, width=width)


def mirror_poses(poses: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Camera-to-world poses in the world whose x axis points the other way: left and right are exchanged."""
    signs = poses.new_tensor([-1, 1, 1, 1])
    return poses * signs[:, None] * signs


def mirror_cameras(cameras: Cameras) -> Cameras:
    """Cameras that see the mirrored world (`mirror_poses`) as they see this one, columns in reverse order."""
    fx, fy, cx, cy = cameras.intrinsics.unbind(-1)
    lenses = torch.stack([fx, fy, cameras.width - cx, cy], dim=-1)
    return replace(cameras, camera_to_world=mirror_poses(cameras.camera_to_world), intrinsics=lenses)


def pixel_centres(height: int, width: int, like: Tensor) -> Float[Tensor, "height width 2"]:
    """(x, y) of every pixel's centre, at +0.5."""
    y = torch.arange(height, dtype=like.dtype, device=like.device) + 0.5
    x = torch.arange(width, dtype=like.dtype, device=like.device) + 0.5
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)


def pixel_rays(
    cameras: Cameras, pixels: Float[Tensor, "*#batch points 2"]
) -> tuple[Float[Tensor, "*batch points 3"], Float[Tensor, "*batch points 3"]]:
    """Rays through pixels: origins, and directions scaled so that one step along them is one metre of depth (z)."""
    fx, fy, cx, cy = (cameras.intrinsics[..., None, i] for i in range(4))
    x, y = (pixels[..., 0] - cx) / fx, (pixels[..., 1] - cy) / fy
    local = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    directions = torch.einsum("...ij,...pj->...pi", cameras.camera_to_world[..., :3, :3], local)
    return cameras.camera_to_world[..., None, :3, 3].expand_as(directions), directions


def project(
    points: Float[Tensor, "*#batch points 3"], cameras: Cameras
) -> tuple[Float[Tensor, "*batch points 2"], Float[Tensor, "*batch points"]]:
    """Pixel positions and depths (z, metres) of world points. Pixels of points with depth <= 0 are meaningless."""
    rotation, centre = cameras.camera_to_world[..., :3, :3], cameras.camera_to_world[..., None, :3, 3]
    local = torch.einsum("...ji,...pj->...pi", rotation, points - centre)
    depth = local[..., 2]
    safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
    fx, fy, cx, cy = (cameras.intrinsics[..., None, i] for i in range(4))
    return torch.stack([local[..., 0] / safe * fx + cx, local[..., 1] / safe * fy + cy], dim=-1), depth


def unproject(
    pixels: Float[Tensor, "*#batch points 2"], depth: Float[Tensor, "*#batch points"], cameras: Cameras
) -> Float[Tensor, "*batch points 3"]:
    """World points at a depth (z, metres) behind pixels: the inverse of `project`."""
    origins, directions = pixel_rays(cameras, pixels)
    return origins + directions * depth[..., None]


def fill_cameras(cameras: Cameras, numbers: Sequence[int], frames: int) -> Cameras:
    """Cameras of all frames of a video from those of some: as `cameras_at` between them, held beyond them.

    Args:
        cameras: One path, batch shape (known,).
        numbers: Which frames they are of, ascending.
        frames: Of the video.
    """
    if len(cameras) == 1:
        return cameras[torch.zeros(frames, dtype=torch.long)]
    wanted, known = torch.arange(frames, dtype=torch.float64), torch.tensor(numbers, dtype=torch.float64)
    later = torch.searchsorted(known, wanted).clamp(1, len(cameras) - 1)
    position = later - 1 + (wanted - known[later - 1]) / (known[later] - known[later - 1])
    return cameras_at(cameras, position.clamp(0, len(cameras) - 1))


def cameras_at(cameras: Cameras, positions: Float[Tensor, "frames"]) -> Cameras:
    """Cameras between those of a path: centres and intrinsics linear, rotations spherical linear.

    Args:
        cameras: One path, batch shape (frames,).
        positions: Places on it, 0..len(cameras) - 1.
    """
    positions = positions.double().cpu()
    low = positions.floor().long().clamp(max=max(len(cameras) - 2, 0))
    high = (low + 1).clamp(max=len(cameras) - 1)
    weight = (positions - low).to(cameras.camera_to_world)
    start, end = cameras.camera_to_world[low], cameras.camera_to_world[high]
    turn = rotation_vector(start[:, :3, :3].transpose(-1, -2) @ end[:, :3, :3])
    rotation = start[:, :3, :3] @ rotation_matrix(turn * weight[:, None])
    centre = torch.lerp(start[:, :3, 3], end[:, :3, 3], weight[:, None])
    intrinsics = torch.lerp(cameras.intrinsics[low], cameras.intrinsics[high], weight[:, None].to(cameras.intrinsics))
    return replace(cameras, camera_to_world=make_pose(rotation, centre), intrinsics=intrinsics)


def rotation_vector(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Axis times angle (radians) of rotations: the logarithm of SO(3), exact at small angles and at half turns."""
    matrix = rotation.double()
    skew = matrix - matrix.transpose(-1, -2)
    sine_axis = 0.5 * torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1)
    sine = sine_axis.norm(dim=-1)
    cosine = 0.5 * (matrix.diagonal(dim1=-2, dim2=-1).sum(-1) - 1)
    angle = torch.atan2(sine, cosine)
    general = sine_axis * torch.where(sine < 1e-9, torch.ones_like(sine), angle / sine.clamp(min=1e-300))[..., None]
    # Towards a half turn the skew part vanishes: take the axis from (R + R^T) / 2 = cos I + (1 - cos) axis axis^T.
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    outer = 0.5 * (matrix + matrix.transpose(-1, -2)) - cosine[..., None, None] * eye
    column = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
    axis = torch.take_along_dim(outer, column[..., None, None].expand(*column.shape, 3, 1), dim=-1)[..., 0]
    axis = axis / axis.norm(dim=-1, keepdim=True).clamp(min=1e-300)
    axis = axis * torch.where((axis * sine_axis).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    return torch.where((cosine < 0)[..., None], axis * angle[..., None], general).to(rotation.dtype)


def rotation_matrix(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation about an axis by its length in radians: the exponential of so(3), inverse of `rotation_vector`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def check_cameras(cameras: Cameras, name: str) -> None:
    """Refuse poses and intrinsics that no pinhole camera has.

    Args:
        cameras: Any batch shape.
        name: What to call them in the message (a file, an argument).

    Raises:
        ValueError: Not finite, not a rotation, determinant -1 (a left-handed world), or a focal length <= 0; the
            message says what was found, what was expected and what to do.
    """
    pose, intrinsics = cameras.camera_to_world.double(), cameras.intrinsics.double()
    if not bool(torch.isfinite(pose).all() and torch.isfinite(intrinsics).all()):
        raise ValueError(f"{name}: NaN or infinite numbers in the cameras; expected finite poses and intrinsics")
    if bool((intrinsics[..., :2] <= 0).any()):
        worst = intrinsics[..., :2].min().item()
        raise ValueError(f"{name}: focal length {worst:g}; expected more than 0 pixels")
    rotation = pose[..., :3, :3]
    error = (rotation @ rotation.transpose(-1, -2) - torch.eye(3, dtype=torch.float64, device=pose.device)).abs().max()
    if error.item() > 1e-3:
        raise ValueError(
            f"{name}: the 3x3 part is not a rotation (R R^T differs from the identity by {error.item():.2g}); "
            "expected orthonormal camera-to-world rotations without scale"
        )
    if bool((torch.linalg.det(rotation) < 0).any()):
        raise ValueError(
            f"{name}: rotation with determinant -1 (a left-handed world); expected +1: take poses relative to one "
            "camera of the same world first, or flip one axis"
        )
