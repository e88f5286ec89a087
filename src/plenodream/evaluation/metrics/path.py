"""Does a video follow the camera that was asked for? What an estimator found in it, against what was wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from plenodream.evaluation.metrics.camera import paper_error, worldscore_error
from plenodream.evaluation.metrics.metric import MEAN, Column, Score, Unavailable, needed
from plenodream.evaluation.shots import TRUTH, VIDEO, Shot
from plenodream.geometry.cameras import horizontal_fov
from plenodream.types import Cameras

STILL = "no motion"
# Frames and their horizontal field of view in degrees to the cameras found in them; ValueError where it fails.
Estimate = Callable[[UInt8[Tensor, "frames height width 3"], float], Cameras]
_MEANING = {
    "roterr, transerr": "sum over frames of angles, of squared distances (the paper's)",
    "roterr.mean, transerr.mean": "mean over frames in degrees, of distances (WorldScore's)",
    "scale": "least squares on the estimated centres, not below 0; for transerr.mean least mean distance",
    "paths without translation": "have no transerr; they are counted as left out",
    "rows": "truth: the estimator's floor; no motion: a camera that stands still",
    "reduction": "mean over a scene's shots, then over scenes",
}


class CameraPath:
    """TransErr and RotErr of the paper (sums over frames) and their means, from poses read from disk."""

    name, version = "camera", 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """The paper's sums, and means over frames in degrees and metres."""
        return _columns("")

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {"estimator": "poses on disk (estimated, truth_estimated)", **_MEANING}

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        found, floor = shot.estimated(), shot.estimated(of_truth=True)
        if found is None:
            raise Unavailable("estimated (cameras found in the video)")
        return _scores(shot, {VIDEO: found} | ({TRUTH: floor} if floor is not None else {}), "")


class EstimatedPath:
    """The same, by our own estimator (pycolmap), which is told the lens."""

    name, version = "pycolmap", 1

    def __init__(self, estimate: Estimate | None = None) -> None:
        self._estimate = estimate or _pycolmap

    @property
    def columns(self) -> tuple[Column, ...]:
        """As `CameraPath`, named after the estimator."""
        return _columns(f".{self.name}")

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        try:
            release = version("pycolmap")
        except PackageNotFoundError:
            release = None
        return {"estimator": f"pycolmap {release}, intrinsics of the first frame known", **_MEANING}

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        fov = float(horizontal_fov(shot.cameras)[0])
        rows = {row: video for row, video in shot.videos.items() if row in (VIDEO, TRUTH)}
        found = {row: self._estimate((video * 255).round().byte(), fov) for row, video in rows.items()}
        return _scores(shot, found, f".{self.name}")


def _pycolmap(frames: UInt8[Tensor, "frames height width 3"], fov: float) -> Cameras:
    needed("pycolmap", "pycolmap (pip install plenodream[sfm])")
    estimator = importlib.import_module("plenodream.estimate.cameras")
    return estimator.estimate_cameras(frames, fov).cameras


def _columns(estimator: str) -> tuple[Column, ...]:
    units = {"roterr": "rad", "transerr": "m^2", "roterr.mean": "deg", "transerr.mean": "m"}
    return tuple(Column(f"{name}{estimator}", unit, MEAN, "lower", digits=3) for name, unit in units.items())


def _scores(shot: Shot, found: dict[str, Cameras], estimator: str) -> list[Score]:
    wanted = shot.cameras.camera_to_world
    for row, cameras in found.items():
        if len(cameras) != len(wanted):
            raise ValueError(f"{len(cameras)} cameras found in the {row} of {len(wanted)} frames; expected one a frame")
    rows = {row: cameras.camera_to_world for row, cameras in found.items()} | {STILL: wanted[:1].expand_as(wanted)}
    return [score for row, poses in rows.items() for score in _errors(row, poses, wanted, estimator)]


def _errors(
    row: str, poses: Float[Tensor, "frames 4 4"], wanted: Float[Tensor, "frames 4 4"], estimator: str
) -> list[Score]:
    sums, means = paper_error(poses, wanted), worldscore_error(poses, wanted)
    each = {
        "roterr": sums.rotation,
        "transerr": sums.translation,
        "roterr.mean": means.rotation,
        "transerr.mean": means.translation,
    }
    return [
        Score(f"{name}{estimator}", row, value or 0.0, 0.0 if value is None else 1.0) for name, value in each.items()
    ]
