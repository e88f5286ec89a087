"""What a metric is: numbers of one sample, or of a whole set of them, each with all that is needed to repeat it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from plenodream.evaluation.shots import Shot

DECIBELS, MEAN = "decibels", "mean"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        unit: dB, rad, deg, px, ...; empty for a ratio.
        pooling: How sums become a score: `decibels` (-10 log10 of total / count) or `mean` (total / count).
        better: `higher`, `lower`, or `one` for a ratio to the truth.
        gate: Least share of the pixels for a score to count.
        pairs: Whether it belongs to a pair of shots.
        digits: Behind the point, where it is printed.
    """

    name: str
    unit: str
    pooling: str
    better: str
    gate: float = 0.0
    pairs: bool = False
    digits: int = 2

    def score(self, total: float, count: float) -> float:
        """The score of pooled sums; NaN where nothing was counted. At most 100 dB."""
        if not count > 0:
            return math.nan
        if self.pooling == MEAN:
            return total / count
        return min(100.0, -10 * math.log10(max(total / count, 1e-300)))


@dataclass(frozen=True)
class Score:
    """Sums of one sample, or of a pair of samples, so that they can be pooled before they become a score.

    Attributes:
        column: Name of its column.
        row: What was scored: the video or a control.
        total: Sum.
        count: What it is divided by.
        share: Share of all pixels that it is of.
        earlier: For a pair: the shot that was made before.
    """

    column: str
    row: str
    total: float
    count: float
    share: float = 1.0
    earlier: str | None = None


class Unavailable(Exception):
    """A metric cannot be computed here at all: what it needs is not there. Printed as `n/a (needs ...)`."""


def needed(module: str, needs: str) -> Any:
    """A package that a metric stands on, imported when it is first used.

    Raises:
        Unavailable: It is not installed; `needs` says what is.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Unavailable(needs) from None


class Metric(Protocol):
    """Scores one sample at a time."""

    name: str
    version: int

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        ...

    def protocol(self) -> dict[str, Any]:
        """All that its numbers depend on besides the pixels: estimator, hash of weights, sum or mean, scale, gate."""
        ...

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """Scores of a shot, alone and together with each shot of its scene that was made before.

        Raises:
            Unavailable: Something that it needs is missing, in this sample or altogether.
            ValueError: It failed on this sample; counted, never dropped.
        """
        ...


@runtime_checkable
class SetMetric(Metric, Protocol):
    """Scores a whole set: rows keep features of every sample, and the set is scored from them.

    Attributes:
        fewest: Videos that a set needs for its numbers to mean something.
    """

    fewest: int

    @property
    def set_columns(self) -> tuple[Column, ...]:
        """What it fills for the whole set."""
        ...

    def features(self, shot: Shot) -> dict[str, list[float]]:
        """Features of the video and of the controls, by row."""
        ...

    def score_set(
        self, column: str, made: Float[Tensor, "samples width"], truth: Float[Tensor, "samples width"]
    ) -> float:
        """One column of the set."""
        ...
