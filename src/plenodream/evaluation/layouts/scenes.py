"""Our own scene folders, read directly."""

from __future__ import annotations

from pathlib import Path

from plenodream.evaluation.samples import Sample
from plenodream.memory.manifest import FILE
from plenodream.memory.scene import Scene


def find_scenes(folder: Path) -> list[Path]:
    """The folder itself if it is a scene, or the scenes in it."""
    if (folder / FILE).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{FILE}"))


def read_scenes(folder: Path) -> list[Sample]:
    """The views of every scene in the order in which they were asked for; merged helpers are not scored.

    Raises:
        ValueError: A damaged scene.
    """
    return [sample for path in find_scenes(folder) for sample in scene_samples(path)]


def scene_samples(folder: Path, name: str | None = None) -> list[Sample]:
    """The views of one scene.

    Args:
        folder: The scene.
        name: What to call it; its folder's name if None.
    """
    scene = Scene.open(folder)
    views = folder / "views"
    (source,) = scene.names("source") or [None]
    given = {"source": views / source, "source_cameras": views / source / "cameras.json"} if source else {}
    return [
        Sample(name or folder.resolve().name, shot, number, views / shot, views / shot / "cameras.json", **given)
        for number, shot in enumerate(scene.names("view"), start=1)
    ]
