"""Does a video change from frame to frame as the true one does? Seams between windows and flicker show here. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plenodream.evaluation.metrics.metric import DECIBELS, Column, Score, Unavailable
from plenodream.evaluation.shots import Shot


class Change:
    """PSNR of the differences of neighbouring frames against those of the truth: over a video, and its worst step."""

    name, version = "change", 1
    columns = (Column("psnr.change", "dB", DECIBELS, "higher"), Column("psnr.change.worst", "dB", DECIBELS, "higher"))

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {"estimator": "differences of neighbouring frames", "worst": "the step of the largest error"}

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        if shot.truth is None:
            raise Unavailable("truth")
        if len(shot.frames) < 2:
            raise Unavailable("two frames")
        wanted, scores = shot.truth.double().diff(dim=0), []
        for row, video in shot.videos.items():
            steps = (video.double().diff(dim=0) - wanted).square().mean((1, 2, 3))
            scores.append(Score("psnr.change", row, float(steps.sum()), len(steps)))
            scores.append(Score("psnr.change.worst", row, float(steps.max()), 1.0))
        return scores
