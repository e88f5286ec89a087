"""Is everything there? Checked before anything is scored: files, lengths, sizes, frame rates, cameras."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plenodream.evaluation.reading import Reader
from plenodream.evaluation.samples import Sample
from plenodream.media.seek import UnreadableVideo, probe_video
from plenodream.memory.scene import Scene

_RATE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Fault:
    """Why a sample cannot be scored.

    Attributes:
        sample: Which.
        kind: In a word: missing, short, size, rate, damaged or cameras.
        reason: In a line: what was found and what was expected.
    """

    sample: Sample
    kind: str
    reason: str


@dataclass(frozen=True)
class _Header:
    frames: int
    fps: float
    size: tuple[int, int]


def check_delivery(samples: Iterable[Sample]) -> list[Fault]:
    """What is missing, short, of another size or rate, damaged, or has cameras that do not fit; one fault a sample."""
    faults = (_fault(sample) for sample in samples)
    return [fault for fault in faults if fault is not None]


def _fault(sample: Sample) -> Fault | None:
    for path in sample.files:
        if not path.exists():
            return Fault(sample, "missing", f"{path}: no such file")
    try:
        found = _header(sample.video)
        wanted = _header(sample.truth) if sample.truth else None
        cameras = Reader().cameras(sample.cameras, *found.size)
    except (ValueError, UnreadableVideo, OSError) as error:
        return Fault(sample, "damaged", str(error))
    if len(cameras) != found.frames:
        kind = "short" if found.frames < len(cameras) else "cameras"
        return Fault(sample, kind, f"{sample.video}: {found.frames} frames for {len(cameras)} cameras")
    if wanted is None:
        return None
    if found.frames != wanted.frames:
        return Fault(
            sample, "short", f"{sample.video}: {found.frames} frames; expected {wanted.frames} as in the truth"
        )
    if found.size != wanted.size:
        sizes = ["x".join(map(str, size[::-1])) for size in (found.size, wanted.size)]
        return Fault(sample, "size", f"{sample.video}: {sizes[0]} pixels; expected the truth's {sizes[1]}")
    if abs(found.fps - wanted.fps) > _RATE_TOLERANCE * wanted.fps:
        return Fault(sample, "rate", f"{sample.video}: {found.fps:g} frames/s; expected the truth's {wanted.fps:g}")
    return None


def _header(path: Path) -> _Header:
    """Length, rate and size of a video file, or of a view of one of our scenes."""
    if path.is_dir():
        scene = Scene.open(path.parent.parent)
        if not scene.complete(path.name):
            raise ValueError(f"{path}: not rendered to its end; expected a complete view")
        manifest = scene.manifest
        return _Header(manifest.frames, manifest.fps, (manifest.height, manifest.width))
    header = probe_video(path)
    return _Header(header.frames, header.fps, (header.height, header.width))
