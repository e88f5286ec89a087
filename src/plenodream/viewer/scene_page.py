"""The page of a scene folder: what the memory bank knows, put into the page."""

from __future__ import annotations

from pathlib import Path

from plenodream.memory.scene import Scene
from plenodream.rendering.source import source_notes
from plenodream.viewer.page import Page, PageView, write_page
from plenodream.viewer.truth import Truth, read_truth


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


def write_scene_page(scene: Scene) -> Path:
    """Write `index.html` into a scene's folder.

    Args:
        scene: Views that are not finished are left out. What it keeps of the truth is shown.

    Returns:
        The page's path.
    """
    manifest, (notes, truths) = scene.manifest, read_truth(scene)
    names = [name for name in scene.names() if scene.preview_path(name).is_file()]
    views = tuple(page_view(scene, name, truths.get(name)) for name in names)
    facts = (
        f"{manifest.frames} frames of {manifest.width}x{manifest.height} at {manifest.fps:g} frames/s, "
        f"model {manifest.model_name} ({manifest.model_hash}), seed {manifest.seed}"
    )
    lines = dict.fromkeys((facts, *source_notes(scene), *notes))
    return write_page(scene.folder, Page(scene.folder.resolve().name, views, tuple(lines)))
