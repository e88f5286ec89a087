"""How context is chosen: the strategies' names and numbers; `retrieval` does it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plenodream.words import suggestion

NAMES = ("fov", "fov-paper", "visible", "coverage", "pose", "random", "last", "source")
# Those whose scores say how alike views are: candidates beyond the context can be merged by them.
SIMILARITIES = ("fov", "fov-paper", "coverage", "pose")
# Those that `near` and `far` mean something to.
FRUSTUMS = ("fov", "visible", "coverage")


@dataclass(frozen=True)
class RetrievalConfig:
    """How context is chosen.

    Attributes:
        strategy: One of `NAMES`.
        k: Number of views to choose, at least 1.
        near: Start of the frustums, metres; None derives it (`scene_depth_range`).
        far: End of the frustums, metres; None derives it.
        subject_distance: Metres; the least scale of the scene where one has to be derived.
        columns: Frustum samples across the image.
        rows: Frustum samples down the image.
        planes: Frustum samples in depth (ours: the paper gives 8 x 6 points a plane and no number of planes).

    Raises:
        ValueError: Unknown strategy, k < 1, no samples, or a depth range that is empty.
    """

    strategy: str = "fov"
    k: int = 2
    near: float | None = None
    far: float | None = None
    subject_distance: float = 4.0
    columns: int = 8
    rows: int = 6
    planes: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.strategy, str):
            raise ValueError(f"retrieval strategy {self.strategy!r}: expected one of {', '.join(NAMES)}")
        if self.strategy not in NAMES:
            raise ValueError(f"unknown retrieval strategy {self.strategy!r}: {suggestion(self.strategy, NAMES)}")
        if not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"retrieval of k={self.k} views: expected a whole number, at least 1")
        if not all(isinstance(count, int) and count > 0 for count in (self.columns, self.rows, self.planes)):
            raise ValueError(
                f"frustum grid of {self.columns} x {self.rows} x {self.planes} samples: expected at least 1 each way"
            )
        if not self.subject_distance > 0:
            raise ValueError(f"subject distance {self.subject_distance:g} m: expected more than 0")
        near, far = self.near or 0.0, math.inf if self.far is None else self.far
        if not 0 <= near < far or math.inf in (self.near, self.far):
            given = " to ".join(f"{n}={v:g} m" for n, v in (("near", self.near), ("far", self.far)) if v is not None)
            raise ValueError(f"frustum from {given}: expected finite numbers, 0 <= near < far")
