"""A checkpoint is gone on from with the recipe that it was made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plenodream.files.documents import parse_document, read_document

RECIPE = "recipe.json"


def check_recipe(folder: Path, recipe: str, todo: str) -> None:
    """Refuse a checkpoint whose config is not the present one.

    Args:
        folder: The checkpoint's folder.
        recipe: The present config as JSON.
        todo: What the user can do where the stored one is damaged.

    Raises:
        ValueError: Naming the fields that differ, or that the config cannot be read.
    """
    stored = dict(_flat(read_document(folder / RECIPE, dict[str, Any], todo)))
    present = dict(_flat(parse_document(recipe, dict[str, Any], "the present recipe")))
    names = sorted(name for name in stored.keys() | present.keys() if stored.get(name) != present.get(name))
    if names:
        some = ", ".join(f"{name} is {stored.get(name)} there, {present.get(name)} now" for name in names[:2])
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        raise ValueError(
            f"{folder}: checkpoint of another recipe ({some}{more}); expected the same config; "
            "use --init-from to take its weights only"
        )


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested JSON under dotted names."""
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, entry in items:
            yield from _flat(entry, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
