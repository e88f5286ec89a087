"""Which models there are, by name, without loading any."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from plenodream.memory.manifest import FILE, read_manifest
from plenodream.words import suggestion

DEFAULT_MODEL = "nano-depth"
REPROJECTION = "reprojection"  # the point cloud, which is no network and has no folder


def bundled_models() -> dict[str, Path]:
    """Folders of the models in the package, by name."""
    root = Path(str(files("plenodream"))) / "bundled"
    return {folder.name: folder for folder in sorted(root.glob("*")) if (folder / "model_index.json").is_file()}


def model_for(folder: Path) -> str:
    """The model to use where none is named: that of the scene in a folder if it is a bundled one, else the default."""
    if (folder / FILE).is_file() and (name := read_manifest(folder).model_name) in known_models():
        return name
    return DEFAULT_MODEL


def known_models() -> tuple[str, ...]:
    """What can be named without a folder or a hub."""
    return (*bundled_models(), REPROJECTION)


def find_model(model: str) -> Path | None:
    """The folder of a bundled model or of one on disk; None for `owner/name` on a hub, and for the point cloud.

    Raises:
        ValueError: Neither of them; a mistyped path is not asked for on a hub.
    """
    folder = bundled_models().get(model, Path(model))
    if model == REPROJECTION:
        return None
    if folder.is_dir():
        return folder
    if model.count("/") == 1 and not model.startswith((".", "/")) and not Path(model.partition("/")[0]).is_dir():
        return None
    raise ValueError(
        f"no model {model!r}: {suggestion(model, known_models())} (or a model's folder, or owner/name on the hub)"
    )
