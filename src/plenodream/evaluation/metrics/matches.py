"""Matched points between shots, the paper's measure of agreement, with any matcher behind one small interface.

It can be gamed: shots that ignore their cameras match best. So it is given as a share of the truth's matches, too, and
is to be read beside the camera error and HSync.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plenodream.evaluation.metrics.matchers import Matcher, XFeat
from plenodream.evaluation.metrics.metric import MEAN, Column, Score
from plenodream.evaluation.shots import TRUTH, Shot, few_frames, pairs_of_videos


class Matches:
    """Matches of a shot with each earlier one, in the first, middle and last frame."""

    version = 1

    def __init__(self, matcher: Matcher | None = None) -> None:
        self._matcher = matcher or XFeat()
        # The one that needs nothing from the user is `matches`; the others say which they are.
        self.name = "matches" if isinstance(self._matcher, XFeat) else f"matches-{self._matcher.name}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Matches a frame, and as a share of the truth's."""
        name = f"matches.{self._matcher.name}"
        return (
            Column(name, "", MEAN, "higher", pairs=True, digits=1),
            Column(f"{name}.share", "", MEAN, "higher", pairs=True),
        )

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        reading = "ignoring the camera maximises it: read it beside the camera error; copy is that row"
        return self._matcher.protocol() | {"frames": "first, middle, last", "reading": reading}

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        name, scores = self.columns[0].name, []
        frames = few_frames(shot)
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
