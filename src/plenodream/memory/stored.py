"""One window of a view on disk: frames and depth without loss, what it was made from, what it took."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from plenodream.files.atomic import write_file
from plenodream.files.documents import dump_document, read_object
from plenodream.files.folders import new_folder
from plenodream.media.video import read_depth, read_lossless, write_depth, write_lossless
from plenodream.types import Cameras, View

VIDEO, DEPTH, RECORD, TIMING, STALE = "video.mkv", "depth.mkv", "record.json", "timing.json", "stale"


class Record(TypedDict, total=False):
    """What is read of a record, beside what else is in it: names of views, and their scores.

    Attributes:
        context: The views it was generated from, the most relevant first.
        scores: Of those.
        candidates: Scores of all views that it could have been generated from.
        merged: By helper that was made for it, the views merged in that.
        merged_from: Of a helper: the views merged in it.
        together: The views that it was made together with, itself among them; nothing for one that was made alone.
        notes: Of a source: what was done to the video.
        size: Of a source: height and width of the video it was made from.
    """

    context: list[str]
    scores: dict[str, float]
    candidates: dict[str, float]
    merged: dict[str, list[str]]
    merged_from: list[str]
    together: list[str]
    notes: list[str]
    size: tuple[int, int]


class Timing(TypedDict, total=False):
    """What is read of a timing.

    Attributes:
        seconds: That it took.
        peak_bytes: Of memory.
    """

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class StoredWindow:
    """A window's folder; it appears whole or not at all.

    Attributes:
        folder: Where it is, or will be.
    """

    folder: Path

    @property
    def state(self) -> str:
        """`ready`, `stale` (there, but to be made again) or `missing`."""
        if not (self.folder / VIDEO).is_file():
            return "missing"
        return STALE if (self.folder / STALE).exists() else "ready"

    def invalidate(self) -> None:
        """Mark it, if it is there, for making again."""
        if self.folder.is_dir():
            write_file(self.folder / STALE, b"")

    def write(self, view: View, record: dict[str, Any], timing: dict[str, Any]) -> None:
        """Put a window in place of what is there.

        Raises:
            ValueError: Record or timing that are no JSON, depth that is NaN or negative.
            OSError: Disk full, folder not writable; what was there before stays then.
        """
        documents = {RECORD: dump_document(record), TIMING: dump_document(timing)}
        with new_folder(self.folder) as folder:
            write_lossless(folder / VIDEO, view.frames, view.fps)
            if view.depth is not None:
                write_depth(folder / DEPTH, view.depth, view.fps)
            for name, content in documents.items():
                write_file(folder / name, content)

    def read(self, cameras: Cameras, fps: float) -> View:
        """Frames and, where it was given, depth.

        Raises:
            ValueError: Missing, damaged, or not of the cameras' number and size.
        """
        frames = read_lossless(self.folder / VIDEO).frames
        depth = read_depth(self.folder / DEPTH) if (self.folder / DEPTH).is_file() else None
        expected = (len(cameras), cameras.height, cameras.width)
        for name, found in ((VIDEO, frames), (DEPTH, depth)):
            if found is not None and tuple(found.shape[:3]) != expected:
                raise ValueError(f"{name} has {tuple(found.shape[:3])} frames, rows, columns; expected {expected}")
        return View(frames, cameras, fps, depth=depth)

    def record(self) -> dict[str, Any]:
        """What it was made from. Raises `ValueError` if it is missing or damaged."""
        return read_object(self.folder / RECORD, Record)

    def timing(self) -> dict[str, Any]:
        """Seconds and memory that it took. Raises `ValueError` if it is missing or damaged."""
        return read_object(self.folder / TIMING, Timing)
