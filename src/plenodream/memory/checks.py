"""Where a scene may start, what makes a folder one, which cameras a view may have, what to do about damage."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import torch

from plenodream.files.folders import LOCK, unfinished_name
from plenodream.memory.manifest import FILE, Entry, Manifest
from plenodream.types import Cameras


def check_free(folder: Path) -> None:
    """Refuse a folder that a scene cannot start in.

    Raises:
        ValueError: It holds a scene or anything else, or a file has its name.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; expected a new or empty folder for the scene")
    if not folder.exists():
        return
    if (folder / FILE).exists():
        raise ValueError(f"{folder}: holds a scene already; expected a new folder: open the scene to add views")
    # A killed start leaves the lock, an empty views/ and unfinished files.
    ours = (LOCK, "views")
    others = [p.name for p in folder.iterdir() if p.name not in ours and unfinished_name(p.name) != FILE]
    others += [f"views/{p.name}" for p in folder.glob("views/*")]
    if others:
        raise ValueError(f"{folder}: not empty, it holds {others[0]}; expected a new or empty folder for the scene")


def check_readable(folder: Path, manifest: Manifest) -> None:
    """Refuse a scene without its views' cameras.

    Raises:
        ValueError: No views folder, or a view without cameras.
    """
    if not (folder / "views").is_dir():
        raise ValueError(f"{folder}: the folder views/ is missing; restore it, or render again into another folder")
    views = os.path.join(folder, "views")
    for entry in manifest.entries:
        if not os.path.isfile(f"{views}/{entry.name}/cameras.json"):
            raise ValueError(
                f"{folder}: view {entry.name} has no cameras.json; restore views/{entry.name}, "
                "or render again into another folder"
            )


def check_fit(manifest: Manifest, name: str, cameras: Cameras) -> None:
    """Refuse cameras that are not one for each frame of the scene, of its size.

    Raises:
        ValueError: Another number of them or another size.
    """
    expected = (torch.Size([manifest.frames]), manifest.height, manifest.width)
    if (cameras.shape, cameras.height, cameras.width) != expected:
        raise ValueError(
            f"view {name}: cameras of shape {tuple(cameras.shape)} for {cameras.width}x{cameras.height} pixels; "
            f"expected {manifest.frames} cameras for {manifest.width}x{manifest.height}"
        )


def way_out(entry: Entry, views: Collection[str], folder: Path) -> str:
    """What to do about a damaged view; a merged one is rendered again with any of its inputs.

    Args:
        entry: The view's.
        views: Names of the views that can be rendered again.
        folder: The view's.
    """
    for name in (entry.name, *(entry.trajectory or {}).get("merge_of", ())):
        if name in views:
            return f"render it again with --force {name}"
    given = "give its video again, " if entry.kind == "source" else ""
    return f"{given}restore {folder} from a backup, or render again into another folder"
