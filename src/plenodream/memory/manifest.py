"""What a scene is: the content of its scene.json, read and written."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plenodream.files.atomic import write_file
from plenodream.media.rate import exact_rate
from plenodream.memory.windows import Window

FILE = "scene.json"
SCHEMA_VERSION = 1
KINDS = ("source", "view", "helper")
MAX_NAME = 100  # characters of a view's name
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._=+,-]{{0,{MAX_NAME - 1}}}")


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
        if not _NAME.fullmatch(self.name):
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
        names = [entry.name for entry in self.entries]
        if len(set(names)) < len(names):
            raise ValueError("two views of one name: expected every name once")


def dump_json(content: Any) -> bytes:
    """JSON as the scene keeps it: the same content gives the same bytes, floats come back exactly.

    Raises:
        ValueError: NaN or infinite numbers, which JSON has not.
    """
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def load_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file.

    Raises:
        ValueError: Missing, not JSON, not an object.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: not valid JSON") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return content


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace a scene's manifest, whole or not at all."""
    content = asdict(manifest)
    content["schema_version"] = SCHEMA_VERSION
    content["model"] = {"name": content.pop("model_name"), "hash": content.pop("model_hash")}
    content["chunks"] = [[window.start, window.stop, window.clean] for window in manifest.windows]
    write_file(folder / FILE, dump_json(content))


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
    damaged = f"{path}: damaged ({{}}); restore it from a backup, or render the scene again into another folder"
    try:
        content = load_json(path)
    except ValueError as error:
        raise ValueError(damaged.format(str(error).removeprefix(f"{path}: "))) from None
    version = content.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(
            f"{path}: schema version {version}; this plenodream reads up to {SCHEMA_VERSION}: upgrade plenodream"
        )
    try:
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema version {version!r}, expected {SCHEMA_VERSION}")
        manifest = Manifest(
            model_name=content["model"]["name"],
            model_hash=content["model"]["hash"],
            height=int(content["height"]),
            width=int(content["width"]),
            fps=float(content["fps"]),
            frames=int(content["frames"]),
            windows=tuple(Window(*(int(number) for number in window)) for window in content["chunks"]),
            seed=int(content["seed"]),
            settings=dict(content["settings"]),
            entries=tuple(Entry(entry["name"], entry["kind"], entry["trajectory"]) for entry in content["entries"]),
        )
    except KeyError as error:
        raise ValueError(damaged.format(f"no {error.args[0]!r} in it")) from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:  # Overflow: an infinite whole number
        raise ValueError(damaged.format(error)) from None
    return manifest
