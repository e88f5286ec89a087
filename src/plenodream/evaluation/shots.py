"""A sample with its pixels: what metrics are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.evaluation.reading import Reader
from plenodream.evaluation.samples import Sample
from plenodream.geometry.visibility import seen_by_source
from plenodream.types import Cameras

# Rows of every table. A control is scored as if it were the method.
VIDEO, TRUTH, COPY, OTHER, UNSEEN = "video", "truth", "copy", "other seed", "unseen history"


class Videos(Mapping[str, Tensor]):
    """Videos by the row of a table that they stand in, read when they are asked for: (frames, height, width, 3)."""

    def __init__(self, paths: dict[str, Path], reader: Reader) -> None:
        self._paths, self._reader = paths, reader

    def __getitem__(self, row: str) -> Float[Tensor, "frames height width 3"]:
        return self._reader.frames(self._paths[row])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class Shot:
    """One sample; everything is read when it is asked for, and remembered by the reader of its scene.

    Frames are floats 0..1, depth metres along z (0 where unknown), cameras float64. What the sample does not name is
    None.

    Attributes:
        sample: What it is made of.
    """

    def __init__(self, sample: Sample, reader: Reader) -> None:
        self.sample, self._reader = sample, reader

    @property
    def frames(self) -> Float[Tensor, "frames height width 3"]:
        """The video."""
        return self._reader.frames(self.sample.video)

    @property
    def fps(self) -> float:
        """Frames per second of the video."""
        return self._reader.video(self.sample.video)[1]

    @cached_property
    def cameras(self) -> Cameras:
        """The cameras that were asked for, at the video's size."""
        return self._reader.cameras(self.sample.cameras, *self.frames.shape[1:3])

    @property
    def truth(self) -> Float[Tensor, "frames height width 3"] | None:
        """How it should look."""
        return self._reader.frames(self.sample.truth) if self.sample.truth else None

    @property
    def depth(self) -> Float[Tensor, "frames height width"] | None:
        """True depth."""
        return self._depth(self.sample.depth)

    @property
    def moving(self) -> Bool[Tensor, "frames height width"] | None:
        """What moves."""
        return self._reader.array(self.sample.moving).bool() if self.sample.moving else None

    @property
    def source(self) -> Float[Tensor, "frames height_s width_s 3"] | None:
        """The source video."""
        return self._reader.frames(self.sample.source) if self.sample.source else None

    @cached_property
    def source_cameras(self) -> Cameras | None:
        """The source's cameras, at its size."""
        if self.sample.source_cameras is None or self.source is None:
            return None
        return self._reader.cameras(self.sample.source_cameras, *self.source.shape[1:3])

    @property
    def source_depth(self) -> Float[Tensor, "frames height_s width_s"] | None:
        """The source's true depth."""
        return self._depth(self.sample.source_depth)

    @property
    def seen(self) -> Bool[Tensor, "frames height width"] | None:
        """Pixels whose point the source shows at the same time, by depth and cameras of both, or as the sample says."""
        if self.sample.seen is not None:
            return self._reader.array(self.sample.seen).bool()
        return self._reader.once(("seen", self.sample.shot), self._find_seen)

    @cached_property
    def videos(self) -> Videos:
        """What stands in the rows of a table: the video, and the controls that there are."""
        sample = self.sample
        alike = self.source is not None and self.source.shape == self.frames.shape
        paths = {VIDEO: sample.video, TRUTH: sample.truth, COPY: sample.source if alike else None, OTHER: sample.other}
        return Videos({row: path for row, path in paths.items() if path is not None}, self._reader)

    def estimated(self, of_truth: bool = False) -> Cameras | None:
        """Cameras that an estimator found in the video, or in the truth."""
        path = self.sample.truth_estimated if of_truth else self.sample.estimated
        return self._reader.cameras(path, *self.frames.shape[1:3]) if path else None

    def _depth(self, path: Path | None) -> Tensor | None:
        return self._reader.once(("depth", path), lambda: _clean(self._reader.array(path))) if path else None

    def _find_seen(self) -> Tensor | None:
        if self.depth is None or self.source_depth is None or self.source_cameras is None:
            return None
        return seen_by_source(self.depth, single(self.cameras), self.source_depth, single(self.source_cameras))


def pairs_of_videos(a: Shot, b: Shot) -> dict[str, tuple[Tensor, Tensor]]:
    """What is compared in the rows of a table of pairs, a made before b.

    Unseen history (ours): b against an a that it was not shown, from other noise. As b is the same video, its blur
    cancels in the difference to the first row; what is left can only come from b having been shown a.
    """
    rows = {name: (a.videos[name], b.videos[name]) for name in a.videos if name in b.videos}
    if OTHER in a.videos:
        rows[UNSEEN] = (a.videos[OTHER], b.videos[VIDEO])
    return rows


def few_frames(shot: Shot) -> list[int]:
    """First, middle and last frame: what costly metrics look at."""
    return list(dict.fromkeys((0, (len(shot.frames) - 1) // 2, len(shot.frames) - 1)))


def _clean(depth: Tensor) -> Tensor:
    depth = depth.float()
    return torch.where(depth.isfinite() & (depth > 0), depth, 0)


def single(cameras: Cameras) -> Cameras:
    """Cameras in the depth's own precision."""
    return cameras.to(torch.float32)
