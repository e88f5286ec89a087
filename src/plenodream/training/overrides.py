"""Changed fields of a recipe, read by tyro: `curriculum.max_context=1` on nested frozen dataclasses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro
from tyro._errors import on_parse_error  # tyro's one way to say what is wrong other than in a drawn box

from plenodream.words import suggestion

_Config = TypeVar("_Config")


def apply_overrides(config: _Config, changes: Sequence[str]) -> _Config:
    """A config with some fields changed; each dataclass is built, and so checked, once with all of its changes.

    Args:
        config: A frozen dataclass; its fields may be dataclasses, tuples of them (by number:
            `curriculum.stages.0.batch`) and dictionaries (known keys only: `model.num_layers`).
        changes: Texts `name.of.field=value` as tyro reads them: `3e-4`, `True`, `None`, `velocity`, and for a tuple its
            entries with blanks between, `1 2 2`. Of two for one field the last counts.

    Raises:
        ValueError: No such field (with the nearest one), or a value of another type.
    """
    words = []
    for change in changes:
        name, equals, value = (part.strip() for part in change.partition("="))
        if not equals or not name:
            raise ValueError(f"--set {change}: expected name.of.field=value")
        _check_name(config, name)
        words += [f"--{name}", *value.split()]

    def refuse(event: Any) -> None:
        raise ValueError(_reason(event, changes))

    with on_parse_error(refuse):
        return tyro.cli(type(config), args=words, default=config, config=(tyro.conf.FlagConversionOff,), add_help=False)


def _check_name(config: Any, name: str) -> None:
    """Refuse a name that no single field has."""
    node, path = dataclasses.asdict(config), []
    for part in name.split("."):
        if not isinstance(node, dict):
            raise ValueError(f"--set {name}: {'.'.join(path)} is a plain value; expected {'.'.join(path)}=value")
        if part not in node:
            of = f" of {'.'.join(path)}" if path else ""
            raise ValueError(f"--set {name}: no such field{of}; {suggestion(part, node)}")
        node = node[part]
        if isinstance(node, tuple) and any(isinstance(entry, dict) for entry in node):
            node = {str(number): entry for number, entry in enumerate(node)}
        path.append(part)
    if isinstance(node, dict):
        raise ValueError(f"--set {name}: {name} has fields; set one of them: {', '.join(node)}")


def _reason(event: Any, changes: Sequence[str]) -> str:
    """What is wrong, by tyro's event: one value, or several that do not fit together."""
    if argument := getattr(event, "argument", None):
        name = argument.display_name().lstrip("-").replace("-", "_")
        change = next(change for change in changes if change.partition("=")[0].strip() == name)
        wanted = re.sub("[|,]", " or ", re.sub("[{}]", "", argument.lowered.metavar))
        return f"--set {change}: expected {wanted}"
    if tokens := getattr(event, "tokens", None):
        return f"--set: {' '.join(tokens)} is too much; expected one value for one field"
    return str(event.message)
