"""Does a video follow the camera that was asked for? What an estimator found in it, against what was wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from plenodream.evaluation.metrics.camera import paper_error, worldscore_error
from plenodream.evaluation.metrics.metric import MEAN, Column, Score, Unavailable
from plenodream.evaluation.shots import TRUTH, VIDEO, Shot

STILL = "no motion"


class CameraPath:
    """TransErr and RotErr of the paper (sums over frames) and their means, from poses read from disk."""

    name, version = "camera", 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """The paper's sums, and means over frames in degrees and metres."""
        return (
            Column("roterr", "rad", MEAN, "lower", digits=3),
            Column("transerr", "m^2", MEAN, "lower", digits=3),
            Column("roterr.mean", "deg", MEAN, "lower", digits=3),
            Column("transerr.mean", "m", MEAN, "lower", digits=3),
        )

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": "poses on disk (estimated, truth_estimated)",
            "roterr, transerr": "sum over frames of angles, of squared distances (the paper's)",
            "roterr.mean, transerr.mean": "mean over frames in degrees, of distances (WorldScore's)",
            "scale": "least squares on the estimated centres, not below 0; for transerr.mean least mean distance",
            "paths without translation": "have no transerr; they are counted as left out",
            "rows": "truth: the estimator's floor; no motion: a camera that stands still",
            "reduction": "mean over a scene's shots, then over scenes",
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        estimated = shot.estimated()
        if estimated is None:
            raise Unavailable("estimated (cameras found in the video)")
        wanted = shot.cameras.camera_to_world
        rows = {VIDEO: estimated.camera_to_world, STILL: wanted[:1].expand_as(wanted)}
        floor = shot.estimated(of_truth=True)
        if floor is not None:
            rows[TRUTH] = floor.camera_to_world
        return [score for row, poses in rows.items() for score in _errors(row, poses, wanted)]


def _errors(row: str, poses: Float[Tensor, "frames 4 4"], wanted: Float[Tensor, "frames 4 4"]) -> list[Score]:
    ours, means = paper_error(poses, wanted), worldscore_error(poses, wanted)
    each = {
        "roterr": ours.rotation,
        "transerr": ours.translation,
        "roterr.mean": means.rotation,
        "transerr.mean": means.translation,
    }
    return [Score(name, row, value or 0.0, 0.0 if value is None else 1.0) for name, value in each.items()]
