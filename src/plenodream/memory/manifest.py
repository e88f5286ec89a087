"""What a scene is: the content of its scene.json, read and written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

from plenodream.files.atomic import write_file
from plenodream.files.documents import dump_document, read_document
from plenodream.media.rate import exact_rate
from plenodream.memory.windows import Window

FILE = "scene.json"
SCHEMA_VERSION = 1
KINDS = ("source", "view", "helper")
MAX_NAME = 100  # characters of a view's name
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._=+,-]{{0,{MAX_NAME - 1}}}")


@dataclass(frozen=True)
class Entry:
    """One video of the scene.

    Attributes:
        name: Unique; the name of its folder.
        kind: "source" (given), "view" (asked for) or "helper" (rendered for others, Algorithm 2).
        trajectory: How its cameras were made, as JSON; None for cameras from elsewhere.
    """

    name: str
    kind: str
    trajectory: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"view name {self.name!r}: expected up to {MAX_NAME} letters, digits and . _ = + , - "
                "that start with a letter or digit"
            )
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} of view {self.name}: expected one of {', '.join(KINDS)}")
        if not isinstance(self.trajectory, dict | None):
            raise ValueError(f"trajectory {self.trajectory!r} of view {self.name}: expected an object or null")


@dataclass(frozen=True)
class Manifest:
    """The facts that hold for all views of a scene, and the list of views.

    Attributes:
        model_name: Model that renders the scene.
        model_hash: Hash of its weights and config.
        height: Height of all videos in pixels.
        width: Their width.
        fps: Their frames per second.
        frames: Frames of every whole view; padding is not counted.
        windows: Windows that each view is stored in.
        seed: Seed of the whole render.
        settings: Render settings, any JSON.
        entries: Views in the order they were declared in.
    """

    model_name: str
    model_hash: str
    height: int
    width: int
    fps: float
    frames: int
    windows: tuple[Window, ...]
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.frames) < 1:
            raise ValueError(f"{self.frames} frames of {self.width}x{self.height}: expected at least 1 each way")
        exact_rate(self.fps)
        ends = [0, *(window.stop for window in self.windows)]
        starts = [*(window.start for window in self.windows), self.frames]
        joined = all(start <= end for start, end in zip(starts, ends, strict=True)) and all(
            0 <= window.start < window.stop and 0 <= window.clean < len(window) for window in self.windows
        )
        if not joined:
            raise ValueError(f"windows that do not cover {self.frames} frames: expected them from first to last")
        if len(self.by_name) < len(self.entries):
            raise ValueError("two views of one name: expected every name once")

    @cached_property
    def by_name(self) -> dict[str, Entry]:
        """The entries, found by name."""
        return {entry.name: entry for entry in self.entries}


class _Model(TypedDict):
    name: str
    hash: str


class _Content(TypedDict):
    """A manifest's file."""

    model: _Model
    height: int
    width: int
    fps: float
    frames: int
    chunks: list[tuple[int, int, int]]
    seed: int
    settings: dict[str, Any]
    entries: list[Entry]


class _Version(TypedDict, total=False):
    schema_version: int


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace a scene's manifest, whole or not at all."""
    same = ("height", "width", "fps", "frames", "seed", "settings")
    content: dict[str, Any] = {name: getattr(manifest, name) for name in same}
    content["schema_version"] = SCHEMA_VERSION
    content["model"] = {"name": manifest.model_name, "hash": manifest.model_hash}
    content["chunks"] = [[window.start, window.stop, window.clean] for window in manifest.windows]
    content["entries"] = [vars(entry) for entry in manifest.entries]
    write_file(folder / FILE, dump_document(content))


def read_manifest(folder: Path) -> Manifest:
    """Read and check a scene's manifest.

    Raises:
        ValueError: Not a scene folder, damaged, or written by a newer version.
    """
    path = folder / FILE
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected a scene (a folder with {FILE})")
    if not path.is_file():
        raise ValueError(f"{folder}: not a scene, it has no {FILE}; give the folder that `plenodream render` wrote")
    with _damage_said(path):
        version = read_document(path, _Version).get("schema_version", 0)
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"{path}: schema version {version}; this plenodream reads up to {SCHEMA_VERSION}: upgrade plenodream"
        )
    with _damage_said(path):
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema version {version}, expected {SCHEMA_VERSION}")
        content = read_document(path, _Content)
        return Manifest(
            content["model"]["name"],
            content["model"]["hash"],
            content["height"],
            content["width"],
            content["fps"],
            content["frames"],
            tuple(Window(*window) for window in content["chunks"]),
            content["seed"],
            content["settings"],
            tuple(content["entries"]),
        )


@contextmanager
def _damage_said(path: Path) -> Iterator[None]:
    """What is wrong in a manifest, with what can be done about it."""
    try:
        yield
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(
            f"{path}: damaged ({reason}); restore it from a backup, or render the scene again into another folder"
        ) from None
