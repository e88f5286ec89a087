"""Frames of a lens that distorts as those of a pinhole camera, by pycolmap's camera models."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from plenodream.estimate.tracks import load_pycolmap
from plenodream.geometry.cameras import pixel_centres
from plenodream.geometry.formats.found import Distortion
from plenodream.types import Cameras, View

# Focal length of the pinhole, in those of the lens, at most and at least.
_LONGEST, _SHORTEST = 2.0, 0.5

AnyView = TypeVar("AnyView", bound=View)


def undistort(view: AnyView, distortion: Distortion) -> AnyView:
    """A view of the same size whose lines are straight, as large a part of it as fills the picture.

    Args:
        view: As filmed, with the cameras of its lens but for the distortion, which is the same in all frames.
        distortion: Of that lens.

    Raises:
        ValueError: pycolmap is missing, or does not know the lens.
    """
    lens = _lens(load_pycolmap("undistorting frames"), distortion)
    height, width = view.cameras.height, view.cameras.width
    low, high = _SHORTEST, _LONGEST
    for _ in range(16):  # the shortest focal length whose border the lens saw
        middle = 0.5 * (low + high)
        edge = _places(lens, view.cameras[0], middle)
        edge = torch.cat([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
        low, high = (low, middle) if bool((edge.abs() <= 1).all()) else (middle, high)
    factor = torch.tensor([high, high, 1.0, 1.0]).to(view.cameras.intrinsics)
    cameras = replace(view.cameras, intrinsics=view.cameras.intrinsics * factor)
    grid = _places(lens, view.cameras[0], high)[None].float()
    frames = torch.empty_like(view.frames)
    for number, frame in enumerate(view.frames):
        there = grid_sample(frame.movedim(-1, 0)[None].float(), grid, padding_mode="border", align_corners=False)
        frames[number] = there[0].round().movedim(0, -1).to(torch.uint8)
    depth = view.depth
    if depth is not None:
        whole = grid.expand(len(depth), height, width, 2)
        depth = grid_sample(depth[:, None], whole, "nearest", padding_mode="border", align_corners=False)[:, 0]
    return replace(view, frames=frames, cameras=cameras, depth=depth)


def _lens(pycolmap: ModuleType, distortion: Distortion):
    """A lens of focal length 1 around the principal point 0."""
    for pinhole in ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]):
        try:
            lens = pycolmap.Camera(
                model=distortion.model, width=1, height=1, params=[*pinhole, *distortion.coefficients]
            )
        except (RuntimeError, ValueError, TypeError):
            continue
        if lens.verify_params():
            return lens
    raise ValueError(f"lens distortion {distortion.model}: not a camera model of pycolmap; undistort the images first")


def _places(lens, camera: Cameras, zoom: float) -> Float[Tensor, "height width 2"]:
    """Where the lens saw what each pixel of a pinhole camera sees, -1 to 1 over its picture.

    Args:
        lens: As `_lens` made it.
        camera: Of the lens but for the distortion.
        zoom: Focal length of the pinhole camera, in the lens's.
    """
    size = torch.tensor([camera.width, camera.height], dtype=torch.float64)
    focal, centre = camera.intrinsics.double().cpu().split(2)
    rays = (pixel_centres(camera.height, camera.width, size) - centre) / (focal * zoom)
    rays = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1).reshape(-1, 3)
    seen = torch.from_numpy(lens.img_from_cam(rays.numpy())).view(camera.height, camera.width, 2)
    return 2 * (seen * focal + centre) / size - 1
