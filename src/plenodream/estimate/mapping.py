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
_TRIES = 3  # mappings, each by a focal length that the one before asks for
_WORSE = 1.1  # must raise the error to so much of it, or the motion does not tell the focal length
_ANGLE = 0.3  # degrees between the rays to a point, at least: clips move little
_ROUNDS = 3  # of adjusting and leaving out what does not fit
_UNFIT = 4.0  # median errors of a point from which on it is left out: it moves, or is another's match
_EXACT = 0.05  # pixels: nothing is seen better


@dataclass(frozen=True)
class Map:
    """A reconstruction, in its own world and unit.

    Attributes:
        frames: Frames that have a camera, ascending.
        poses: Their cameras, camera-to-world.
        focal: Focal length in pixels.
        told: Whether the clip told the focal length; it is the given one otherwise.
        points: Points of the world.
        seen: Number of a frame and of a point that it shows.
        error: Median distance in pixels between where points are seen and where they are.
    """

    frames: Int[Tensor, "registered"]
    poses: Float[Tensor, "registered 4 4"]
    focal: float
    told: bool
    points: Float[Tensor, "points 3"]
    seen: Int[Tensor, "observations 2"]
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
        model, told = _global_model(pycolmap, folder, focal), False
        for _ in range(0 if held or model is None else _TRIES):
            free = _adjusted(pycolmap, model)
            told, better = _tells_focal(pycolmap, free, width)
            if told:
                model = free
            if told or better is None or (other := _global_model(pycolmap, folder, better)) is None:
                break
            model = other
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
        torch.tensor(_observations(model)),
        _error(model),
    )


def _observations(model: Any) -> list[tuple[int, int]]:
    numbers = {key: int(Path(image.name).stem) for key, image in model.images.items()}
    return [
        (numbers[element.image_id], row)
        for row, point in enumerate(model.points3D.values())
        for element in point.track.elements
    ]


def _global_model(pycolmap: ModuleType, folder: Path, focal: float) -> Any | None:
    """The largest model of the matched frames, by a focal length that is held."""
    options = pycolmap.GlobalPipelineOptions()
    options.random_seed = options.mapper.random_seed = _SEED
    options.mapper.bundle_adjustment.refine_focal_length = False
    options.mapper.min_tri_angle_deg = options.mapper.retriangulation.min_angle = _ANGLE
    target = folder / f"model-{focal:.3f}"
    target.mkdir()
    with pycolmap.Database.open(folder / "matches.db") as database:
        for camera in database.read_all_cameras():
            camera.params = [focal, *camera.params[1:]]
            database.update_camera(camera)
    try:
        models = pycolmap.global_mapping(folder / "matches.db", folder / "images", target, options)
    except (RuntimeError, ValueError):  # what COLMAP's own checks raise where too little is matched
        return None
    models = {number: model for number, model in models.items() if model.num_points3D()}
    if not models:
        return None
    largest = max(models.values(), key=lambda model: (model.num_reg_images(), model.num_points3D()))
    return _adjusted(pycolmap, largest, _focal(largest))


def _tells_focal(pycolmap: ModuleType, model: Any, width: int) -> tuple[bool, float | None]:
    """Whether other focal lengths explain the tracks clearly worse; and one that does so clearly better, if any."""
    focal = _focal(model)
    low, high = (0.5 * width / math.tan(math.radians(fov) / 2) for fov in reversed(_LENSES))
    if not low < focal < high:
        return False, None
    best, *errors = (
        _error(_adjusted(pycolmap, model, focal * factor, prune=False)) for factor in (1, _OTHER, 1 / _OTHER)
    )
    better = focal * (_OTHER if errors[0] < errors[1] else 1 / _OTHER)
    goes_on = _WORSE * min(errors) < best and low < better < high
    return min(errors) > _WORSE * best, better if goes_on else None


def _adjusted(pycolmap: ModuleType, model: Any, focal: float | None = None, prune: bool = True) -> Any:
    """A copy of a model by bundle adjustment.

    What is off by more than the rest counts next to nothing.

    Args:
        pycolmap: The module.
        model: Left as it is.
        focal: Focal length in pixels to hold; one of its own if None.
        prune: Without the points that then do not fit: they move, or are mistaken.
    """
    adjusted = copy.deepcopy(model)
    for camera in adjusted.cameras.values() if focal is not None else ():
        camera.params = [focal, *camera.params[1:]]
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length, options.print_summary = focal is None, False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    parts = pycolmap.BundleAdjustmentConfig()
    for number, image in adjusted.images.items():
        if image.has_pose:
            parts.add_image(number)
    parts.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    for _ in range(_ROUNDS):
        options.ceres.loss_function_scale = 2 * max(_error(adjusted), _EXACT)
        pycolmap.create_default_bundle_adjuster(options, parts, adjusted).solve()
        if prune:
            _leave_out(pycolmap, adjusted)
    return adjusted


def _leave_out(pycolmap: ModuleType, model: Any) -> None:
    """Drop points that are off by much more than the others."""
    limit = _UNFIT * max(_error(model), _EXACT)
    observed = pycolmap.ObservationManager(model)
    for number in [number for number, point in model.points3D.items() if point.error > limit]:
        observed.delete_point3D(number)


def _focal(model: Any) -> float:
    return float(next(iter(model.cameras.values())).params[0])


def _error(model: Any) -> float:
    model.update_point_3d_errors()
    return torch.tensor([point.error for point in model.points3D.values()]).median().item()
