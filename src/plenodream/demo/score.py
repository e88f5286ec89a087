"""The demo's score: a result against the true view on pixels that the source saw, beside copying the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plenodream.demo.clip import true_view
from plenodream.evaluation.metrics.fidelity import psnr
from plenodream.memory.scene import Scene

SCORE_NOTE = "PSNR on pixels that the source saw, against the true view; copy: the source's own frames as the answer"


@dataclass(frozen=True)
class DemoScore:
    """PSNR in dB over the pixels that the source saw.

    Attributes:
        video: File of the true video.
        psnr: Of the result.
        psnr_copy: Of the source's own frames.
        seen: Share of the pixels compared.
    """

    video: Path
    psnr: float
    psnr_copy: float
    seen: float


def score_demo(scene: Scene) -> dict[str, DemoScore]:
    """Scores of the finished views of a scene of the bundled clip, by name; views without a truth are left out."""
    manifest = scene.manifest
    source = scene.frames("source").float() / 255
    scores = {}
    for name in scene.names("view"):
        truth = true_view(name, manifest.height, manifest.width)
        # A view along a file's cameras may have a preset's name: nothing is known of how it should look.
        if truth is None or "preset" not in (scene.entry(name).trajectory or {}) or not scene.complete(name):
            continue
        result, expected = scene.frames(name).float() / 255, truth.frames.float() / 255
        scores[name] = DemoScore(
            truth.video,
            psnr(result, expected, truth.seen).item(),
            psnr(source, expected, truth.seen).item(),
            truth.seen.float().mean().item(),
        )
    return scores
