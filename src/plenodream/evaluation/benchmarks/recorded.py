"""A folder of recordings as a benchmark: one view is the source, along the cameras of the others videos are made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from plenodream.evaluation.benchmarks.scene import BenchmarkScene, Truth, check_scene, shuffle
from plenodream.evaluation.recordings import find_recordings
from plenodream.evaluation.recordings.recording import Recording, RecordingFile
from plenodream.rendering.request import SOURCE
from plenodream.types import Cameras


@dataclass(frozen=True)
class RecordedBenchmark:
    """Recordings found in a folder, in the order of their names.

    Attributes:
        folder: Where they are, in any known layout.
        frames: Only the first so many frames; all if None.
        height: Pixels that they are made smaller to; as they are if None.
    """

    folder: Path
    frames: int | None = None
    height: int | None = None

    version = 1
    stills = False

    @cached_property
    def _files(self) -> list[RecordingFile]:
        return find_recordings(self.folder)

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.resolve().name

    @property
    def scenes(self) -> int:
        """See `Benchmark`."""
        return len(self._files)

    @property
    def most_shots(self) -> int:
        """See `Benchmark`."""
        return max(len(file.views) for file in self._files) - 1

    def digest(self) -> str:
        """Hash of names, views, and what is taken of them."""
        content = [(file.layout, file.name, file.source, file.views) for file in self._files]
        return hashlib.sha256(f"{content} {self.frames} {self.height}".encode()).hexdigest()[:16]

    def open(self, number: int, shots: int | None = None, shuffled: bool = False) -> BenchmarkScene:
        """See `Benchmark`."""
        check_scene(self, number, shots)
        file = self._files[number]
        names = tuple(name for name in file.views if name != file.source)
        chosen = shuffle(names[:shots], number) if shuffled else names[:shots]
        recording = file.read((file.source, *chosen), self.frames, self.height)
        return BenchmarkScene(
            name=file.name,
            source=recording.views[file.source],
            targets={name: recording.views[name].cameras for name in chosen},
            see=lambda name, along: _see(recording, file.source if name == SOURCE else name, along),
        )


def _see(recording: Recording, name: str, along: Cameras) -> Truth:
    """What was recorded; it cannot be seen along any cameras but its own."""
    view = recording.views[name]
    assert (along.height, along.width) == view.frames.shape[1:3], "recordings are shown at their own size"
    return Truth(view.frames, view.depth, None, recording.seen.get(name))
