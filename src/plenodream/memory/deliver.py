"""What people take from a scene: finished videos, cameras and a grid of all at its top. Ours.

All of it is made from the windows and made again when it is missing or damaged.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from plenodream.files.atomic import write_file
from plenodream.files.folders import tidy
from plenodream.media.preview import is_whole, write_grid, write_preview
from plenodream.memory.manifest import FILE, Manifest
from plenodream.memory.stored import STALE

if TYPE_CHECKING:
    from plenodream.memory.scene import Scene

GRID, PAGE = "grid.mp4", "index.html"


def video_path(scene: Scene, name: str) -> Path:
    """Where the whole view is, or will be: source and views at the top, helpers in their folder as all once were."""
    inside = scene.view_folder(name) / "preview.mp4"
    top = scene.folder / f"{name}.mp4"
    old = inside.is_file() and not top.is_file()
    return inside if old or scene.entry(name).kind == "helper" else top


def deliver(scene: Scene, names: Iterable[str]) -> None:
    """Write what is missing or damaged of complete views' files; with the last view the grid. The lock is held."""
    shown = [_deliver_view(scene, name) for name in names]
    if any(shown):
        _deliver_grid(scene)


def _deliver_view(scene: Scene, name: str) -> bool:
    """Write what is missing or damaged of a view's files; returns whether it is there for the grid."""
    if not scene.complete(name):
        return False
    helper = scene.entry(name).kind == "helper"
    inside = scene.view_folder(name) / "preview.mp4"
    path = inside if helper else scene.folder / f"{name}.mp4"
    if not is_whole(path, scene.manifest.frames):
        write_preview(path, scene.frames(name), scene.manifest.fps)
    if helper:
        return False
    inside.unlink(missing_ok=True)
    cameras, stored = scene.folder / "cameras" / f"{name}.json", (scene.view_folder(name) / "cameras.json").read_bytes()
    cameras.parent.mkdir(exist_ok=True)
    if not cameras.is_file() or cameras.read_bytes() != stored:
        write_file(cameras, stored)
    return True


def _deliver_grid(scene: Scene) -> None:
    """All views side by side, as soon as all are there. A view of that name, in whatever letters, goes before."""
    names, frames, grid = [*scene.names("source"), *scene.names("view")], scene.manifest.frames, scene.folder / GRID
    if len(names) < 2 or _takes_grid(names) or not all(map(scene.complete, names)) or is_whole(grid, frames):
        return
    videos = {name: scene.folder / f"{name}.mp4" for name in names}
    if all(is_whole(video, frames) for video in videos.values()):
        write_grid(grid, videos)


def withdraw(scene: Scene, name: str) -> None:
    """Remove what no longer shows the view as it is. The lock is held."""
    gone = [scene.view_folder(name) / "preview.mp4"]
    if scene.entry(name).kind != "helper":
        gone.append(scene.folder / f"{name}.mp4")
        gone += [] if _takes_grid(scene.names()) else [scene.folder / GRID]
    for path in gone:
        path.unlink(missing_ok=True)


def discard(scene: Scene) -> None:
    """Undo a scene that was only just started: remove what it has written, and nothing else. The lock is held."""
    for name in scene.names():
        shutil.rmtree(scene.view_folder(name), ignore_errors=True)
        (scene.folder / f"{name}.mp4").unlink(missing_ok=True)
        (scene.folder / "cameras" / f"{name}.json").unlink(missing_ok=True)
    (scene.folder / FILE).unlink(missing_ok=True)
    for folder in (scene.folder / "views", scene.folder / "cameras"):
        with suppress(OSError):  # not there, or something of others in it
            folder.rmdir()


def tidy_scene(folder: Path, manifest: Manifest) -> None:
    """Mend what a killed run left, of what a scene writes. The lock is held."""
    names, windows = [entry.name for entry in manifest.entries], range(len(manifest.windows))
    tidy(folder, [FILE, GRID, PAGE, *(f"{name}.mp4" for name in names)])
    tidy(folder / "cameras", [f"{name}.json" for name in names])
    for view in folder.glob("views/*"):  # a view that a killed run has not yet declared among them
        tidy(
            view,
            ["cameras.json", "preview.mp4", "depth.mp4", "points.npz"],
            [f"chunk-{window:03d}" for window in windows],
        )
        for window in windows:
            tidy(view / f"chunk-{window:03d}", [STALE])


def _takes_grid(names: Iterable[str]) -> bool:
    return GRID in (f"{name.lower()}.mp4" for name in names)
