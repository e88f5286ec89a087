"""A sample with its pixels: what metrics are given."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.evaluation.reading import Reader
from plenodream.evaluation.samples import Sample
from plenodream.geometry.visibility import seen_by_source
from plenodream.types import Cameras

# Rows of every table. A control is scored as if it were the method.
VIDEO, TRUTH, COPY, OTHER, UNSEEN = "video", "truth", "copy", "other seed", "unseen history"


class Shot:
    """One sample; everything is read when it is first asked for and kept while its scene is scored.

    Frames are floats 0..1, depth metres along z (0 where unknown), cameras float64. What the sample does not name is
    None.

    Attributes:
        sample: What it is made of.
    """

    def __init__(self, sample: Sample, reader: Reader) -> None:
        self.sample, self._reader = sample, reader

    @cached_property
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

    @cached_property
    def truth(self) -> Float[Tensor, "frames height width 3"] | None:
        """How it should look."""
        return self._reader.frames(self.sample.truth) if self.sample.truth else None

    @cached_property
    def depth(self) -> Float[Tensor, "frames height width"] | None:
        """True depth."""
        return _clean(self._reader.array(self.sample.depth)) if self.sample.depth else None

    @cached_property
    def moving(self) -> Bool[Tensor, "frames height width"] | None:
        """What moves."""
        return self._reader.array(self.sample.moving).bool() if self.sample.moving else None

    @cached_property
    def source(self) -> Float[Tensor, "frames height_s width_s 3"] | None:
        """The source video."""
        return self._reader.frames(self.sample.source) if self.sample.source else None

    @cached_property
    def source_cameras(self) -> Cameras | None:
        """The source's cameras, at its size."""
        if self.sample.source_cameras is None or self.source is None:
            return None
        return self._reader.cameras(self.sample.source_cameras, *self.source.shape[1:3])

    @cached_property
    def source_depth(self) -> Float[Tensor, "frames height_s width_s"] | None:
        """The source's true depth."""
        return _clean(self._reader.array(self.sample.source_depth)) if self.sample.source_depth else None

    @cached_property
    def seen(self) -> Bool[Tensor, "frames height width"] | None:
        """Pixels whose point the source shows at the same time, by depth and cameras of both, or as the sample says."""
        if self.sample.seen is not None:
            return self._reader.array(self.sample.seen).bool()
        if self.depth is None or self.source_depth is None or self.source_cameras is None:
            return None
        return seen_by_source(self.depth, single(self.cameras), self.source_depth, single(self.source_cameras))

    @cached_property
    def videos(self) -> dict[str, Float[Tensor, "frames height width 3"]]:
        """What stands in the rows of a table: the video, and the controls that there are."""
        found = {VIDEO: self.frames}
        if self.truth is not None:
            found[TRUTH] = self.truth
        if self.source is not None and self.source.shape == self.frames.shape:
            found[COPY] = self.source
        if self.sample.other is not None:
            found[OTHER] = self._reader.frames(self.sample.other)
        return found

    def estimated(self, of_truth: bool = False) -> Cameras | None:
        """Cameras that an estimator found in the video, or in the truth."""
        path = self.sample.truth_estimated if of_truth else self.sample.estimated
        return self._reader.cameras(path, *self.frames.shape[1:3]) if path else None


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
