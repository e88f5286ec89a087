"""The memory bank on disk: a folder that a crash never breaks and that every later render adds to.

    scene.json                        Manifest: model, size, frames, windows, seed, settings, list of views
    views/NAME/cameras.json           cameras of all frames, float32, exact
    views/NAME/chunk-000/video.mkv    frames of one window, lossless
    views/NAME/chunk-000/record.json  what it was generated from
    views/NAME/chunk-000/timing.json  seconds and memory: with .lock the only file that two equal runs may differ in
    views/NAME/preview.mp4            the whole view, for people

A window appears by a rename of a finished folder. Names that start with a dot are unfinished work, or the result that a
new one is about to replace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from plenodream.files.atomic import TEMPORARY, temporary_name, write_file
from plenodream.files.folders import new_folder, tidy
from plenodream.files.lock import LOCK, locked
from plenodream.geometry.formats import load_cameras, save_cameras
from plenodream.media.video import read_lossless, write_lossless, write_preview
from plenodream.memory.manifest import FILE, Entry, Manifest, dump_json, load_json, read_manifest, write_manifest
from plenodream.memory.windows import window_index
from plenodream.types import Cameras, View

_STALE = "stale"


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

    # Life of a scene

    @classmethod
    def create(cls, folder: str | Path, manifest: Manifest) -> Scene:
        """Start a scene in a new or empty folder. The manifest has no entries yet: `declare` adds them.

        Raises:
            ValueError: If the folder holds a scene or anything else, or a file has its name.
        """
        assert not manifest.entries, manifest.entries
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder}: is a file; expected a new or empty folder for the scene")
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / FILE).exists():
            raise ValueError(f"{folder}: holds a scene already; expected a new folder: open the scene to add views")
        # A killed `create` leaves the lock, an empty views/ and unfinished files.
        others = [p.name for p in folder.iterdir() if p.name not in (LOCK, "views") and TEMPORARY not in p.name]
        others += [f"views/{p.name}" for p in folder.glob("views/*")]
        if others:
            raise ValueError(f"{folder}: not empty, it holds {others[0]}; expected a new or empty folder for the scene")
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
        if not (folder / "views").is_dir():
            raise ValueError(f"{folder}: the folder views/ is missing; restore it, or render again into another folder")
        for entry in manifest.entries:
            if not (folder / "views" / entry.name / "cameras.json").is_file():
                raise ValueError(
                    f"{folder}: view {entry.name} has no cameras.json; restore views/{entry.name}, "
                    "or render again into another folder"
                )
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
                for folder in (self.folder, *self.folder.glob("views/*")):
                    tidy(folder)
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
        for entry in self.manifest.entries:
            if entry.name == name:
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
            if name in self.names():
                return
            folder = self._view_folder(name)
            folder.mkdir(exist_ok=True)
            path = folder / "cameras.json"
            temporary = temporary_name(path)
            try:
                save_cameras(temporary, cameras, self.manifest.fps)
                write_file(path, temporary.read_bytes())
            finally:
                temporary.unlink(missing_ok=True)
            write_manifest(self.folder, replace(self.manifest, entries=(*self.manifest.entries, entry)))
            self.manifest = read_manifest(self.folder)

    def check(self, name: str, kind: str, cameras: Cameras, trajectory: dict[str, Any] | None = None) -> None:
        """Refuse what `declare` refuses, and change nothing. Arguments and errors are those of `declare`."""
        entry = Entry(name, kind, trajectory)
        manifest = self.manifest
        expected = (torch.Size([manifest.frames]), manifest.height, manifest.width)
        if (cameras.shape, cameras.height, cameras.width) != expected:
            raise ValueError(
                f"view {name}: cameras of shape {tuple(cameras.shape)} for {cameras.width}x{cameras.height} pixels; "
                f"expected {manifest.frames} cameras for {manifest.width}x{manifest.height}"
            )
        cameras = cameras.to("cpu", torch.float32)
        folder, known = self._view_folder(name), name in self.names()
        if known or any(folder.glob("chunk-*")):
            stored = load_cameras(folder / "cameras.json", manifest.height, manifest.width)
            same = torch.equal(stored.camera_to_world, cameras.camera_to_world)
            same = same and torch.equal(stored.intrinsics, cameras.intrinsics)
            if not same or (known and dump_json(vars(self.entry(name))) != dump_json(vars(entry))):
                raise ValueError(
                    f"{self.folder}: view {name} exists with other cameras, kind or trajectory; "
                    "expected the same: choose another name"
                )

    def cameras(self, name: str, window: int | None = None) -> Cameras:
        """Cameras (float32) of a whole view, or of the frames of one window; padding repeats the last camera."""
        self.entry(name)
        manifest = self.manifest
        path = self._view_folder(name) / "cameras.json"
        cameras = load_cameras(path, manifest.height, manifest.width, manifest.frames)
        return cameras if window is None else cameras[window_index(manifest.windows[window], manifest.frames)]

    def has(self, name: str, window: int) -> bool:
        """Whether a window of a view is there and needs no rendering."""
        return self._state(name, window) == "ready"

    def outdated(self, name: str, window: int) -> bool:
        """Whether a window of a view is there but was marked by `invalidate`, and not made again since."""
        return self._state(name, window) == _STALE

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
    ) -> None:
        """Put a window in its place, whole or not at all; one that is there already is replaced.

        Args:
            name: A declared view.
            window: Number of the window.
            frames: All frames of the window, padding included.
            record: What it was generated from, as JSON: the same for the same render.
            timing: Seconds, memory: whatever differs from run to run.

        Raises:
            ValueError: Unknown view, or record and timing that are no JSON.
            OSError: Disk full, folder not writable; what was there before stays then.
        """
        self.entry(name)
        span = self.manifest.windows[window]
        assert frames.shape == (len(span), self.manifest.height, self.manifest.width, 3), frames.shape
        assert frames.dtype == torch.uint8, frames.dtype
        record_bytes, timing_bytes = dump_json(record), dump_json(timing)
        with self.lock(), new_folder(self._window_folder(name, window)) as folder:
            write_lossless(folder / "video.mkv", frames, self.manifest.fps)
            write_file(folder / "record.json", record_bytes)
            write_file(folder / "timing.json", timing_bytes)
            self.preview_path(name).unlink(missing_ok=True)

    def invalidate(self, name: str) -> None:
        """Mark all windows of a view for rendering again; each stays readable until `write` replaces it."""
        self.entry(name)
        with self.lock():
            for window in range(len(self.manifest.windows)):
                folder = self._window_folder(name, window)
                if folder.is_dir():
                    (folder / _STALE).touch()

    def read(self, name: str, window: int) -> View:
        """A window's frames, padding included, with their cameras.

        Raises:
            ValueError: Unknown view, window not rendered, or damaged on disk.
        """
        cameras = self.cameras(name, window)
        clip = self._checked(name, window, lambda folder: read_lossless(folder / "video.mkv"))
        expected = (len(cameras), cameras.height, cameras.width, 3)
        if tuple(clip.frames.shape) != expected:
            raise ValueError(
                f"{self.folder}: view {name}, window {window} holds frames of shape {tuple(clip.frames.shape)}; "
                f"expected {expected}: {self._way_out(name)}"
            )
        return View(clip.frames, cameras, self.manifest.fps)

    def record(self, name: str, window: int) -> dict[str, Any]:
        """What a window was generated from. Raises as `read` does."""
        return self._checked(name, window, lambda folder: load_json(folder / "record.json"))

    def timing(self, name: str, window: int) -> dict[str, Any]:
        """Seconds and memory that a window took. Raises as `read` does."""
        return self._checked(name, window, lambda folder: load_json(folder / "timing.json"))

    def frames(self, name: str) -> UInt8[Tensor, "frames height width 3"]:
        """A whole view: its windows without the frames they share with the window before, and without padding.

        Raises:
            ValueError: As `read` does, for any of its windows.
        """
        parts = [
            self.read(name, number).frames[window.clean : self.manifest.frames - window.start]
            for number, window in enumerate(self.manifest.windows)
        ]
        return torch.cat(parts)

    def preview_path(self, name: str) -> Path:
        """Where a view's preview is, or will be."""
        return self._view_folder(name) / "preview.mp4"

    def finish(self, name: str) -> None:
        """Write the preview of a complete view; nothing happens if it is up to date, or too early."""
        with self.lock():
            if self.complete(name) and not self.preview_path(name).is_file():
                write_preview(self.preview_path(name), self.frames(name), self.manifest.fps)

    # Inside

    def _view_folder(self, name: str) -> Path:
        return self.folder / "views" / name

    def _window_folder(self, name: str, window: int) -> Path:
        return self._view_folder(name) / f"chunk-{window:03d}"

    def _state(self, name: str, window: int) -> str:
        folder = self._window_folder(name, window)
        if name not in self.names() or not (folder / "video.mkv").is_file():
            return "missing"
        return _STALE if (folder / _STALE).exists() else "ready"

    def _checked(self, name: str, window: int, load):
        """What `load` finds in a window's folder; its errors say which view it is and what to do."""
        self.entry(name)
        folder = self._window_folder(name, window)
        if not folder.is_dir():
            raise ValueError(f"{self.folder}: view {name}, window {window} is not rendered yet; render it first")
        try:
            return load(folder)
        except ValueError as error:
            reason = str(error).replace(f"{folder}/", "", 1)
            raise ValueError(
                f"{self.folder}: view {name}, window {window} is damaged ({reason}); {self._way_out(name)}"
            ) from None

    def _way_out(self, name: str) -> str:
        """What to do about a damaged view; a merged one is rendered again with any of its inputs."""
        inputs = (self.entry(name).trajectory or {}).get("merge_of", ())
        views = [view for view in (name, *inputs) if view in self.names("view")]
        if views:
            return f"render it again with --force {views[0]}"
        given = "give its video again, " if self.entry(name).kind == "source" else ""
        return f"{given}restore {self._view_folder(name)} from a backup, or render again into another folder"
