"""Closed-form scenes: a wall, a floor and a ball, cast analytically, so depth and visibility are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from plenodream.geometry.cameras import intrinsics_from_fov, look_at, pixel_centres, pixel_rays
from plenodream.types import Cameras

WALL, FLOOR, RADIUS = 5.0, 1.0, 0.7


@dataclass(frozen=True)
class Cast:
    frames: Tensor
    depth: Tensor
    moving: Tensor
    points: Tensor


class ClosedForm:
    """A wall at z = 5, a floor at y = 1 (y points down), a ball that may move. All float64."""

    def cameras(self, centres, targets, size=(24, 32), fov=60.0) -> Cameras:
        centres = torch.tensor(centres, dtype=torch.float64)
        pose = look_at(centres, torch.tensor(targets, dtype=torch.float64).expand_as(centres))
        intrinsics = intrinsics_from_fov(fov, *size, dtype=torch.float64).expand(*pose.shape[:-2], 4)
        return Cameras(pose, intrinsics, *size)

    def distance(self, origins: Tensor, directions: Tensor, ball: Tensor) -> tuple[Tensor, Tensor]:
        """Steps along rays to the nearest surface, and whether it is the ball."""
        infinite = torch.full_like(directions[..., 0], torch.inf)

        def plane(axis: int, offset: float) -> Tensor:
            step = (offset - origins[..., axis]) / directions[..., axis]
            return torch.where(step > 1e-9, step, infinite)

        step = torch.minimum(plane(2, WALL), plane(1, FLOOR))
        to_ball = origins - ball
        a = directions.square().sum(-1)
        b = (to_ball * directions).sum(-1)
        root = b.square() - a * (to_ball.square().sum(-1) - RADIUS**2)
        hit = (-b - root.clamp(min=0).sqrt()) / a
        hit = torch.where((root > 0) & (hit > 1e-9), hit, infinite)
        return torch.minimum(step, hit), hit < step

    def cast(self, cameras: Cameras, ball=(0.0, 0.2, 3.0)) -> Cast:
        ball = torch.tensor(ball, dtype=torch.float64).expand(*cameras.shape, 3)
        pixels = pixel_centres(cameras.height, cameras.width, like=cameras.intrinsics).flatten(0, 1)
        origins, directions = pixel_rays(cameras, pixels)
        depth, moving = self.distance(origins, directions, ball[..., None, :])
        points = origins + depth[..., None] * directions
        # Smooth paint, fixed to the world on wall and floor and to the ball on the ball.
        paint = torch.where(moving[..., None], 2 * (points - ball[..., None, :]), points)
        phase = torch.tensor([[1.1, 0.7, 0.9], [0.6, 1.3, 1.2], [0.9, 0.5, 1.4]], dtype=torch.float64)
        frames = 0.5 + 0.4 * torch.sin(2 * paint @ phase)
        shape = (cameras.height, cameras.width)
        return Cast(*(v.unflatten(len(cameras.shape), shape) for v in (frames, depth, moving, points)))

    def visible(self, points: Tensor, cameras: Cameras, ball=(0.0, 0.2, 3.0)) -> Tensor:
        """Whether cameras see points (*cameras.shape, height, width, 3): inside the picture, and nothing on the way."""
        pose = cameras.camera_to_world[..., None, None, :, :]
        ball = torch.tensor(ball, dtype=torch.float64).expand(*cameras.shape, 3)[..., None, None, :]
        way = points - pose[..., :3, 3]
        local = (pose[..., :3, :3].transpose(-1, -2) @ way[..., None])[..., 0]
        fx, fy, cx, cy = (cameras.intrinsics[..., None, None, i] for i in range(4))
        x, y = local[..., 0] / local[..., 2] * fx + cx, local[..., 1] / local[..., 2] * fy + cy
        inside = (local[..., 2] > 0) & (x >= 0) & (x < cameras.width) & (y >= 0) & (y < cameras.height)
        step, _ = self.distance(pose[..., :3, 3].expand_as(way), way, ball)
        return inside & (step > 1 - 1e-6)


BALLS = [[0.0, 0.2, 3.0], [0.4, 0.1, 3.0], [0.8, 0.0, 3.0]]
LOOK = [[0.0, 0.3, 4.0]]


def three_views(scene: ClosedForm, size=(24, 32)):
    """Three frames of a moving ball from three cameras, a, b and the source, and what they show."""
    a = scene.cameras([[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]], LOOK, size)
    b = scene.cameras([[0.8, -0.2, 0.2], [0.7, -0.2, 0.3], [0.6, -0.2, 0.4]], LOOK, size)
    source = scene.cameras([[-1.0, 0.0, 0.0], [-0.6, 0.0, 0.0], [-0.3, 0.0, 0.0]], [[-1.2, 0.3, 4]], size)
    return a, b, source, *(scene.cast(c, BALLS) for c in (a, b, source))
