"""The page of a scene folder: what the memory bank knows, put into the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plenodream.memory.scene import Scene
from plenodream.rendering.source import source_notes
from plenodream.viewer.page import Page, PageView, write_page


@dataclass(frozen=True)
class Truth:
    """What is known of how a view should look.

    Attributes:
        video: mp4 of the true view.
        psnr: dB of the result on pixels that the source saw.
        psnr_copy: The same for the source's own pixels.
    """

    video: Path
    psnr: float
    psnr_copy: float


def page_view(scene: Scene, name: str, truth: Truth | None = None) -> PageView:
    """One finished video of a scene as the page shows it; context and scores are those of its first window."""
    kind, windows = scene.entry(name).kind, len(scene.manifest.windows)
    record = {} if kind == "source" else scene.record(name, 0)
    timings = [scene.timing(name, window) for window in range(windows)]
    seconds = [timing["seconds"] for timing in timings if "seconds" in timing]
    scores = record.get("scores", {})
    return PageView(
        name,
        kind,
        scene.preview_path(name),
        scene.cameras(name),
        context=tuple((n, scores.get(n, float("nan"))) for n in record.get("context", ())),
        candidates=tuple(sorted(record.get("candidates", {}).items(), key=lambda pair: -pair[1])),
        seconds=sum(seconds) if seconds else None,
        psnr=truth.psnr if truth else None,
        psnr_copy=truth.psnr_copy if truth else None,
        truth=truth.video if truth else None,
        windows=windows,
        outdated=any(scene.outdated(name, window) for window in range(windows)),
    )


def write_scene_page(scene: Scene, notes: tuple[str, ...] = (), truths: Mapping[str, Truth] | None = None) -> Path:
    """Write `index.html` into a scene's folder.

    Args:
        scene: Views that are not finished are left out.
        notes: Lines of text under the heading, beside those that the scene has of its source.
        truths: By view, where the truth is known.

    Returns:
        The page's path.
    """
    manifest = scene.manifest
    names = [name for name in scene.names() if scene.preview_path(name).is_file()]
    views = tuple(page_view(scene, name, (truths or {}).get(name)) for name in names)
    facts = (
        f"{manifest.frames} frames of {manifest.width}x{manifest.height} at {manifest.fps:g} frames/s, "
        f"model {manifest.model_name} ({manifest.model_hash}), seed {manifest.seed}"
    )
    lines = dict.fromkeys((facts, *source_notes(scene), *notes))
    return write_page(scene.folder, Page(scene.folder.resolve().name, views, tuple(lines)))
