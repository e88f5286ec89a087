"""Arguments that say which views of which video: shared by what renders them and what plans them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from plenodream.cli.parse import MaybeFloat, MaybeInt, MaybePath, MaybeText, part_of

if TYPE_CHECKING:
    from plenodream.rendering.source import SourceVideo

Many = tyro.conf.UseAppendAction


@dataclass(frozen=True)
class Asked:
    """Views that are asked for, of a video."""

    clip: Annotated[MaybePath, tyro.conf.Positional] = None
    """Source video, folder of images, or their pattern (frame-%04d.png). Left out, the scene in --out is continued."""
    out: Path = Path("scene")
    """Scene folder: the memory bank, the videos and index.html."""
    trajectory: Many[tuple[str, ...]] = ()
    """Preset like arc-left or arc-right:angle=40,ease=smooth; may be repeated. basic12 stands for twelve."""
    trajectory_file: Many[tuple[Path, ...]] = ()
    """Camera file of a target view (our JSON, transforms.json, 12 numbers a line) or key frames; may be repeated."""
    cameras: MaybePath = None
    """Camera file of the source video."""
    source_fov: MaybeFloat = None
    """Horizontal field of view of the source in degrees, where no file gives a focal length; 60 if left out."""
    depth: MaybePath = None
    """Depth of the source: what `plenodream depth` wrote, or another program's files (npz, npy, EXR, PNG, a folder)."""
    depth_kind: MaybeText = None
    """What those hold where they do not tell: metric, scaled or disparity."""
    scale: MaybeFloat = None
    """Factor from the lengths in camera files to metres, of this scene."""
    subject_distance: MaybeFloat = None
    """How far the subject is in metres, for presets, retrieval and model alike; 4 if left out."""
    frames: MaybeInt = None
    """Take so many frames of the video."""
    start: int = 0
    """Begin at this frame of the video, counted from 0."""
    stride: int = 1
    """Take one of so many frames of the video."""
    height: MaybeInt = None
    """Height of the views in pixels, at most; left out: the source's up to 480, or a network's without depth."""

    def distance(self) -> float:
        """Metres to the subject."""
        return 4.0 if self.subject_distance is None else self.subject_distance

    def video(self, size: tuple[int, int]) -> SourceVideo:
        """The source at the views' height and width, with depth where it is given."""
        from plenodream.media.depth import load_depth
        from plenodream.rendering.inputs import open_video

        depth = None if self.depth is None else load_depth(self.depth, self.depth_kind)
        lens = (self.cameras, self.source_fov, None, 1.0 if self.scale is None else self.scale)
        return open_video(self.clip, *size, *lens, part_of(self), depth, self.distance())
