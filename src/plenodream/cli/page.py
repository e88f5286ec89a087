"""The page of a scene with what the commands know beyond the scene: how views of the bundled clip should look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plenodream.demo.score import DemoScore
    from plenodream.memory.scene import Scene

SCORE_NOTE = "PSNR on pixels that the source saw, against the true view; copy: the source's own frames as the answer"


def write_known_page(scene: Scene) -> Path:
    """Write the page of a scene; for one of the bundled clip with truth and scores, whichever command made it."""
    from plenodream.viewer.scene_page import Truth, write_scene_page

    scores = known_scores(scene)
    truths = {name: Truth(score.video, score.psnr, score.psnr_copy) for name, score in scores.items()}
    return write_scene_page(scene, (SCORE_NOTE,) if scores else (), truths)


def known_scores(scene: Scene) -> dict[str, DemoScore]:
    """Scores of the finished views of a scene of the bundled clip, by name; none for any other scene."""
    from plenodream.demo.clip import FPS, FRAMES, clip_folder
    from plenodream.demo.score import score_demo
    from plenodream.rendering.source import SOURCE, check_source, open_source

    manifest = scene.manifest
    if (manifest.frames, manifest.fps) != (FRAMES, FPS) or not scene.complete(SOURCE):
        return {}
    clip = clip_folder()
    given, _ = open_source(clip / "source.mp4", manifest.height, manifest.width, clip / "cameras.json")
    try:
        damaged = check_source(scene, given)
    except ValueError:
        return {}
    # A view along a file's cameras may have a preset's name: nothing is known of how it should look.
    return (
        {}
        if damaged
        else {name: s for name, s in score_demo(scene).items() if "preset" in (scene.entry(name).trajectory or {})}
    )
