"""Shots for metrics whose videos are in memory, not on disk."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from plenodream.evaluation.reading import Reader
from plenodream.evaluation.samples import Sample
from plenodream.evaluation.shots import Shot
from plenodream.types import Cameras

VIDEO, SOURCE = Path("video"), Path("source")


class HeldReader(Reader):
    """Knows videos by their path."""

    def __init__(self, videos: dict[Path, Tensor]) -> None:
        super().__init__()
        self._videos = {path: video.float() for path, video in videos.items()}

    def frames(self, path: Path) -> Tensor:
        return self._videos[path]


def held_shot(
    name: str, number: int, frames: Tensor, cameras: Cameras, source: tuple[Tensor, Cameras] | None = None
) -> Shot:
    """A shot, and the source that it was made from, if any."""
    sample = Sample("s", name, number, VIDEO, cameras)
    if source is None:
        return Shot(sample, HeldReader({VIDEO: frames}))
    given = Sample("s", name, number, VIDEO, cameras, source=SOURCE, source_cameras=source[1])
    return Shot(given, HeldReader({VIDEO: frames, SOURCE: source[0]}))
