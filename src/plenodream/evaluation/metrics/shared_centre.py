"""Agreement of shots that share a centre (turns, tilts, zooms of the lens): exact by a homography, without depth.

It works on real video, where nothing else is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE, pool
from plenodream.evaluation.metrics.metric import DECIBELS, Column, Score, Unavailable
from plenodream.evaluation.shots import COPY, Shot, pairs_of_videos, single
from plenodream.geometry.visibility import apply_homography, homography, lookup
from plenodream.types import Cameras

_SAME_CENTRE = 1e-3  # metres


class SharedCentre:
    """Every shot against each earlier one, and against the source, where their cameras stand in one place."""

    name, version = "homography", 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """Agreement on all that both show; on what of it the source does not show; and with the source itself."""
        kind = ("dB", DECIBELS, "higher", MINIMUM_COVERAGE)
        return (
            Column("homography", *kind, pairs=True),
            Column("homography.hidden", *kind, pairs=True),
            Column("homography.source", *kind),
        )

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": f"cameras that were asked for; centres within {_SAME_CENTRE} m in every frame; no depth",
            "reduction": "squared error pooled over a scene's pairs, then the mean over scenes in dB, at most 100",
            "gate": MINIMUM_COVERAGE,
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        cameras, scores = single(shot.cameras), []
        for a in earlier:
            own = single(a.cameras)
            if _share_centre(own, cameras):
                pixels, shared = _overlap(own, cameras)
                hidden = shared & _outside(own, a)
                for row, (first, second) in pairs_of_videos(a, shot).items():
                    error = (first - lookup(second, pixels)).double().square().mean(-1)
                    for name, mask in (("homography", shared), ("homography.hidden", hidden)):
                        scores.append(_score(name, row, error, mask, a.sample.shot))
        source, theirs = shot.source, shot.source_cameras
        if source is not None and theirs is not None and _share_centre(cameras, single(theirs)):
            pixels, shared = _overlap(cameras, single(theirs))
            expected = lookup(source, pixels)
            for row, video in ((row, shot.videos[row]) for row in shot.videos if row != COPY):
                error = (video - expected).double().square().mean(-1)
                scores.append(_score("homography.source", row, error, shared, None))
        if not scores:
            raise Unavailable("shots that share a centre")
        return scores


def _score(column: str, row: str, error: Tensor, mask: Tensor, earlier: str | None) -> Score:
    sums = pool(error, mask)
    return Score(column, row, float(sums.total), float(sums.count), float(sums.coverage), earlier)


def _share_centre(a: Cameras, b: Cameras) -> bool:
    if len(a) != len(b):
        return False
    return bool((a.camera_to_world[:, :3, 3] - b.camera_to_world[:, :3, 3]).norm(dim=-1).max() < _SAME_CENTRE)


def _overlap(
    a: Cameras, b: Cameras
) -> tuple[Float[Tensor, "frames height width 2"], Bool[Tensor, "frames height width"]]:
    """Where a's pixels lie in b, and which of them lie inside by half a pixel, so that nothing is looked up beyond."""
    pixels = apply_homography(homography(a, b), a.height, a.width)
    inside = (pixels >= 0.5) & (pixels <= pixels.new_tensor([b.width, b.height]) - 0.5)
    return pixels, inside.all(-1)


def _outside(own: Cameras, shot: Shot) -> Tensor:
    """Pixels that the source does not show; none where that cannot be told without depth."""
    theirs = shot.source_cameras
    if theirs is None or not _share_centre(own, single(theirs)):
        return torch.zeros(len(own), own.height, own.width, dtype=torch.bool)
    pixels = apply_homography(homography(own, single(theirs)), own.height, own.width)
    far = (pixels < -1) | (pixels > pixels.new_tensor([theirs.width, theirs.height]) + 1) | pixels.isnan()
    return far.any(-1)
