"""A camera that moves: poses, focal length and points by pycolmap's global mapping (GLOMAP)."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.estimate.tracks import load_pycolmap, quiet
from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.formats.found import square

_SEED = 0
_LENSES = (20.0, 110.0)  # degrees: no motion tells a field of view beyond them
_OTHER = 0.75  # a focal length so much shorter or longer
_WORSE = 1.1  # must raise the error to so much of it, or the motion does not tell the focal length


@dataclass(frozen=True)
class Map:
    """A reconstruction, in its own world and unit.

    Attributes:
        frames: Frames that have a camera, ascending.
        poses: Their cameras, camera-to-world.
        focal: Focal length in pixels.
        told: Whether the clip told the focal length; it is the given one otherwise.
        points: Points of the world.
        error: Median distance in pixels between where points are seen and where they are.
    """

    frames: Int[Tensor, "registered"]
    poses: Float[Tensor, "registered 4 4"]
    focal: float
    told: bool
    points: Float[Tensor, "points 3"]
    error: float


def map_frames(folder: Path, focal: float, held: bool, width: int) -> Map | None:
    """Reconstruct the frames that `match_frames` matched in a folder.

    Args:
        folder: As `match_frames` left it.
        focal: Focal length in pixels that the frames were matched with.
        held: Whether that is true. Else the clip is asked for it: where another one explains what is seen as well
            (moving straight sideways or ahead, for instance), `focal` is taken all the same.
        width: Of the images.

    Returns:
        The largest model; None where nothing could be reconstructed.
    """
    pycolmap = load_pycolmap()
    with quiet(pycolmap):
        model = None if held else _global_model(pycolmap, folder, refine_focal=True)
        told = model is not None and _tells_focal(pycolmap, model, width)
        if model is None:
            model = _global_model(pycolmap, folder, refine_focal=False)
        elif not told:
            model = _with_focal(pycolmap, model, focal)
    if model is None:
        return None
    images = sorted((int(Path(image.name).stem), image) for image in model.images.values() if image.has_pose)
    poses = [torch.from_numpy(image.cam_from_world().matrix()) for _, image in images]
    return Map(
        torch.tensor([number for number, _ in images]),
        invert_pose(square(torch.stack(poses))),
        _focal(model),
        told,
        torch.stack([torch.from_numpy(point.xyz) for point in model.points3D.values()]),
        _error(model),
    )


def _global_model(pycolmap: ModuleType, folder: Path, refine_focal: bool) -> Any | None:
    options = pycolmap.GlobalPipelineOptions()
    options.random_seed = options.mapper.random_seed = _SEED
    options.mapper.bundle_adjustment.refine_focal_length = refine_focal
    target = folder / ("refined" if refine_focal else "held")
    target.mkdir()
    try:
        models = pycolmap.global_mapping(folder / "matches.db", folder / "images", target, options)
    except (RuntimeError, ValueError):  # what COLMAP's own checks raise where too little is matched
        return None
    models = {number: model for number, model in models.items() if model.num_points3D()}
    if not models:
        return None
    return max(models.values(), key=lambda model: (model.num_reg_images(), model.num_points3D()))


def _tells_focal(pycolmap: ModuleType, model: Any, width: int) -> bool:
    """Whether other focal lengths explain the tracks clearly worse."""
    focal = _focal(model)
    low, high = (0.5 * width / math.tan(math.radians(fov) / 2) for fov in reversed(_LENSES))
    if not low < focal < high:
        return False
    best = _error(_with_focal(pycolmap, model, focal))
    others = (_error(_with_focal(pycolmap, model, other)) for other in (focal * _OTHER, focal / _OTHER))
    return all(error > _WORSE * best for error in others)


def _with_focal(pycolmap: ModuleType, model: Any, focal: float) -> Any:
    """A copy of a model, adjusted to a focal length that is held."""
    adjusted = copy.deepcopy(model)
    for camera in adjusted.cameras.values():
        camera.params = [focal, *camera.params[1:]]
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = options.print_summary = False
    parts = pycolmap.BundleAdjustmentConfig()
    for number, image in adjusted.images.items():
        if image.has_pose:
            parts.add_image(number)
    parts.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, parts, adjusted).solve()
    return adjusted


def _focal(model: Any) -> float:
    return float(next(iter(model.cameras.values())).params[0])


def _error(model: Any) -> float:
    model.update_point_3d_errors()
    return torch.tensor([point.error for point in model.points3D.values()]).median().item()
