"""The memory bank on disk: a folder that a crash never breaks and that every later render adds to.

    NAME.mp4, cameras/NAME.json       a finished view, for people
    grid.mp4                          all of them side by side
    scene.json                        Manifest: model, size, frames, windows, seed, settings, list of views
    views/NAME/cameras.json           cameras of all frames, float32, exact
    views/NAME/chunk-000/video.mkv    frames of one window, lossless
    views/NAME/chunk-000/depth.mkv    depth of its frames, where it is known, as half-precision floats
    views/NAME/depth.mp4, points.npz  of depth, for the page: to look at, and a few points in space
    views/NAME/chunk-000/record.json  what it was generated from
    views/NAME/chunk-000/timing.json  seconds and memory: with .lock the only file that two equal runs may differ in
    views/NAME/preview.mp4            a finished helper, for the page

A window appears by a rename of a finished folder. Names that start with a dot are unfinished work, or the result that a
new one is about to replace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from plenodream.files.documents import dump_document
from plenodream.files.lock import locked
from plenodream.geometry.formats import load_cameras, save_cameras
from plenodream.memory.checks import check_fit, check_free, check_readable, way_out
from plenodream.memory.deliver import deliver, tidy_scene, video_path, withdraw
from plenodream.memory.manifest import FILE, Entry, Manifest, read_manifest, write_manifest
from plenodream.memory.stored import StoredWindow
from plenodream.memory.windows import window_index
from plenodream.types import Cameras, View, join_views

_Found = TypeVar("_Found")


class Scene:
    """A memory bank. Reading needs no lock; every write takes it for itself unless `lock()` holds it already.

    Attributes:
        folder: Where it is.
        manifest: What holds for all of its views, and their list; read again whenever the lock is taken.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._lock_depth = 0
        self._cameras: dict[str, Cameras] = {}

    def __repr__(self) -> str:
        return f"Scene({str(self.folder)!r}: {', '.join(self.names())})"

    # Life of a scene

    @classmethod
    def create(cls, folder: str | Path, manifest: Manifest) -> Scene:
        """Start a scene in a new or empty folder. The manifest has no entries yet: `declare` adds them.

        Raises:
            ValueError: If the folder holds a scene or anything else, or a file has its name.
        """
        assert not manifest.entries, manifest.entries
        folder = Path(folder)
        check_free(folder)
        with locked(folder):
            if (folder / FILE).exists():
                raise ValueError(f"{folder}: another process has just made a scene there; open it to add views")
            (folder / "views").mkdir(exist_ok=True)
            write_manifest(folder, manifest)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> Scene:
        """Open a scene for reading and writing.

        Raises:
            ValueError: Not a scene, damaged manifest, newer schema version, missing views folder or cameras.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        check_readable(folder, manifest)
        return cls(folder, manifest)

    @contextmanager
    def lock(self) -> Iterator[Scene]:
        """Hold the scene for writing; within one `Scene` it nests. What a killed run left unfinished is tidied up.

        Raises:
            ValueError: If another process is rendering the scene.
        """
        if self._lock_depth:
            self._lock_depth += 1
            try:
                yield self
            finally:
                self._lock_depth -= 1
            return
        with locked(self.folder):
            self._lock_depth = 1
            try:
                self.manifest = read_manifest(self.folder)
                tidy_scene(self.folder, self.manifest)
                yield self
            finally:
                self._lock_depth = 0

    # Views

    def names(self, kind: str | None = None) -> list[str]:
        """Names of the declared views, in order; of one kind ("source", "view", "helper") if given."""
        return [entry.name for entry in self.manifest.entries if kind in (None, entry.kind)]

    def entry(self, name: str) -> Entry:
        """The manifest's entry of a view.

        Raises:
            ValueError: If there is no such view.
        """
        if (entry := self.manifest.by_name.get(name)) is not None:
            return entry
        known = ", ".join(self.names()) or "none"
        raise ValueError(f"{self.folder}: no view {name!r}; it has: {known}")

    def declare(self, name: str, kind: str, cameras: Cameras, trajectory: dict[str, Any] | None = None) -> None:
        """Add a view that is still to be written; nothing happens if it is there already.

        Args:
            name: Unique; becomes a folder name.
            kind: "source", "view" or "helper".
            cameras: One camera for each of the scene's frames, of the scene's size. Stored as float32.
            trajectory: How they were made, as JSON.

        Raises:
            ValueError: Unfit name, kind or cameras, or a view of this name that is not the same.
        """
        entry = Entry(name, kind, trajectory)
        cameras = cameras.to("cpu", torch.float32)
        with self.lock():
            self.check(name, kind, cameras, trajectory)
            if name in self.manifest.by_name:
                return
            folder = self.view_folder(name)
            folder.mkdir(exist_ok=True)
            save_cameras(folder / "cameras.json", cameras, self.manifest.fps)
            manifest = replace(self.manifest, entries=(*self.manifest.entries, entry))
            write_manifest(self.folder, manifest)
            self.manifest = manifest

    def check(self, name: str, kind: str, cameras: Cameras, trajectory: dict[str, Any] | None = None) -> None:
        """Refuse what `declare` refuses, and change nothing. Arguments and errors are those of `declare`."""
        entry = Entry(name, kind, trajectory)
        manifest = self.manifest
        check_fit(manifest, name, cameras)
        cameras = cameras.to("cpu", torch.float32)
        folder, known = self.view_folder(name), name in self.manifest.by_name
        if known or any(folder.glob("chunk-*")):
            stored = load_cameras(folder / "cameras.json", manifest.height, manifest.width)
            same = torch.equal(stored.camera_to_world, cameras.camera_to_world)
            same = same and torch.equal(stored.intrinsics, cameras.intrinsics)
            if not same or (known and dump_document(vars(self.entry(name))) != dump_document(vars(entry))):
                raise ValueError(
                    f"{self.folder}: view {name} exists with other cameras, kind or trajectory; "
                    "expected the same: choose another name"
                )

    def cameras(self, name: str, window: int | None = None) -> Cameras:
        """Cameras (float32) of a view, or of a window's frames, padded by the last; read once, as they never change."""
        self.entry(name)
        manifest = self.manifest
        if name not in self._cameras:
            path = self.view_folder(name) / "cameras.json"
            self._cameras[name] = load_cameras(path, manifest.height, manifest.width, manifest.frames)
        cameras = self._cameras[name]
        return cameras if window is None else cameras[window_index(manifest.windows[window], manifest.frames)]

    def has(self, name: str, window: int) -> bool:
        """Whether a window of a view is there and needs no rendering."""
        return name in self.manifest.by_name and self._window(name, window).state == "ready"

    def outdated(self, name: str, window: int) -> bool:
        """Whether a window of a view is there but was marked by `invalidate`, and not made again since."""
        return name in self.manifest.by_name and self._window(name, window).state == "stale"

    def complete(self, name: str) -> bool:
        """Whether all windows of a view are there and need no rendering."""
        return all(self.has(name, window) for window in range(len(self.manifest.windows)))

    # Content

    def write(
        self,
        name: str,
        window: int,
        frames: UInt8[Tensor, "frames height width 3"],
        record: dict[str, Any],
        timing: dict[str, Any],
        depth: Float[Tensor, "frames height width"] | None = None,
    ) -> None:
        """Put a window in its place, whole or not at all; one that is there already is replaced.

        Args:
            name: A declared view.
            window: Number of the window.
            frames: All frames of the window, padding included.
            record: What it was generated from, as JSON: the same for the same render.
            timing: Seconds, memory: whatever differs from run to run.
            depth: Of every frame in metres along z, 0 where not known. Kept to 11 binary digits (`write_depth`).

        Raises:
            ValueError: Unknown view, record and timing that are no JSON, depth that is NaN or negative.
            OSError: Disk full, folder not writable; what was there before stays then.
        """
        assert frames.dtype == torch.uint8, frames.dtype
        view = View(frames, self.cameras(name, window), self.manifest.fps, depth=depth)
        with self.lock():
            self._window(name, window).write(view, record, timing)
            withdraw(self, name)

    def invalidate(self, name: str) -> None:
        """Mark all windows of a view for rendering again; each stays readable until `write` replaces it."""
        self.entry(name)
        with self.lock():
            for window in range(len(self.manifest.windows)):
                self._window(name, window).invalidate()

    def read(self, name: str, window: int) -> View:
        """A window's frames, padding included, with their cameras and, where it was written, depth.

        Raises:
            ValueError: Unknown view, window not rendered, or damaged on disk.
        """
        cameras = self.cameras(name, window)
        return self._checked(name, window, lambda stored: stored.read(cameras, self.manifest.fps))

    def record(self, name: str, window: int) -> dict[str, Any]:
        """What a window was generated from. Raises as `read` does."""
        return self._checked(name, window, StoredWindow.record)

    def timing(self, name: str, window: int) -> dict[str, Any]:
        """Seconds and memory that a window took. Raises as `read` does."""
        return self._checked(name, window, StoredWindow.timing)

    def view(self, name: str) -> View:
        """A whole view: its windows without the frames they share with the window before, and without padding.

        Raises:
            ValueError: As `read` does, for any of its windows.
        """
        parts = [
            self.read(name, number)[window.clean : self.manifest.frames - window.start]
            for number, window in enumerate(self.manifest.windows)
        ]
        return join_views(parts, self.cameras(name))

    def frames(self, name: str) -> UInt8[Tensor, "frames height width 3"]:
        """The pixels of `view`."""
        return self.view(name).frames

    def preview_path(self, name: str) -> Path:
        """Where a whole view is, or will be, as a video for people."""
        return video_path(self, name)

    def finish(self, *names: str) -> None:
        """Write what is missing or damaged of complete views' videos and cameras, and with the last view the grid.

        Raises:
            ValueError: Damaged windows.
            OSError: Disk full or folder not writable; nothing is left behind.
        """
        with self.lock():
            deliver(self, names)

    def view_folder(self, name: str) -> Path:
        """Folder of a view's own files."""
        return self.folder / "views" / name

    def _window(self, name: str, window: int) -> StoredWindow:
        return StoredWindow(self.view_folder(name) / f"chunk-{window:03d}")

    def _checked(self, name: str, window: int, load: Callable[[StoredWindow], _Found]) -> _Found:
        """What `load` finds in a window; its errors say which view it is and what to do."""
        self.entry(name)
        stored = self._window(name, window)
        if not stored.folder.is_dir():
            raise ValueError(f"{self.folder}: view {name}, window {window} is not rendered yet; render it first")
        try:
            return load(stored)
        except ValueError as error:
            reason = str(error).replace(f"{stored.folder}/", "", 1)
            todo = way_out(self.entry(name), self.names("view"), self.view_folder(name))
            raise ValueError(f"{self.folder}: view {name}, window {window} is damaged ({reason}); {todo}") from None
