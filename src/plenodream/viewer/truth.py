"""What is known of how a scene's views should look: kept in the scene's folder, so that every later page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plenodream.files.atomic import write_file
from plenodream.files.documents import dump_document, read_document
from plenodream.files.hashes import hash_file
from plenodream.memory.scene import Scene

TRUTH = "truth.json"


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


@dataclass(frozen=True)
class _Entry:
    video: str
    psnr: float
    psnr_copy: float
    result: str


@dataclass(frozen=True)
class _Document:
    note: str
    views: dict[str, _Entry] = field(default_factory=dict)


def write_truth(scene: Scene, note: str, truths: Mapping[str, Truth]) -> None:
    """Keep with a scene how its finished views should look, and what they scored.

    Args:
        scene: The scene.
        note: What the scores are, for the page.
        truths: By view.
    """
    views = {
        name: {
            "video": str(truth.video),
            "psnr": truth.psnr,
            "psnr_copy": truth.psnr_copy,
            "result": hash_file(scene.preview_path(name)),
        }
        for name, truth in truths.items()
    }
    write_file(scene.folder / TRUTH, dump_document({"note": note, "views": views}))


def read_truth(scene: Scene) -> tuple[tuple[str, ...], dict[str, Truth]]:
    """The note and the truths that were kept; none of a view that was made anew since.

    Raises:
        ValueError: A damaged file.
    """
    path = scene.folder / TRUTH
    if not path.is_file():
        return (), {}
    document = read_document(path, _Document, "remove it; `plenodream demo` writes it again")
    truths = {}
    for name, entry in document.views.items():
        result = scene.preview_path(name)
        if Path(entry.video).is_file() and result.is_file() and hash_file(result) == entry.result:
            truths[name] = Truth(Path(entry.video), entry.psnr, entry.psnr_copy)
    return (document.note,) if truths else (), truths
