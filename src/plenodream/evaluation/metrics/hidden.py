"""Do the shots of a scene agree with each other where the source shows nothing (HSync), and where it does (VSync)?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE
from plenodream.evaluation.metrics.metric import DECIBELS, Column, Score, Unavailable
from plenodream.evaluation.metrics.sync import match_seen, sync
from plenodream.evaluation.shots import Shot, pairs_of_videos, single


class Sync:
    """Exact agreement of every shot with each earlier one of its scene, through true depth and cameras."""

    name, version = "sync", 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """Agreement on hidden pixels, on those of them that are static or move, and on seen ones."""
        names = ("hsync", "hsync.static", "hsync.moving", "vsync")
        return tuple(Column(name, "dB", DECIBELS, "higher", MINIMUM_COVERAGE, pairs=True) for name in names)

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": "true depth and cameras; depth tolerance 1 %, masks eroded by 1 pixel",
            "pixels": "of the earlier shot, looked up bilinearly in the later",
            "reduction": "squared error pooled over a scene's pairs, then the mean over scenes in dB, at most 100",
            "gate": MINIMUM_COVERAGE,
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        if shot.depth is None or shot.seen is None:
            raise Unavailable("depth, source_cameras and source_depth")
        return [score for a in earlier if a.depth is not None and a.seen is not None for score in _pair(a, shot)]


def _pair(a: Shot, b: Shot) -> list[Score]:
    assert a.depth is not None and b.depth is not None and a.seen is not None
    match = match_seen(a.depth, single(a.cameras), b.depth, single(b.cameras), a.seen, a.moving)
    rows = pairs_of_videos(a, b)
    first, second = (torch.stack(videos) for videos in zip(*rows.values(), strict=True))
    hidden, shown = sync(first, second, match)
    errors = {"hsync": hidden.all, "hsync.static": hidden.static, "hsync.moving": hidden.moving, "vsync": shown.all}
    return [
        Score(name, row, float(error.total[n]), float(error.count[n]), float(error.coverage[n]), a.sample.shot)
        for n, row in enumerate(rows)
        for name, error in errors.items()
        if error is not None
    ]
