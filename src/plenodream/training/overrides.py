"""Changed fields of a recipe: `curriculum.max_context=1` on nested frozen dataclasses."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

from plenodream.words import suggestion


def apply_overrides(config: Any, changes: Sequence[str]) -> Any:
    """A config with some fields changed; each dataclass is built, and so checked, once with all of its changes.

    Args:
        config: A frozen dataclass; its fields may be dataclasses, tuples of them (by number:
            `curriculum.stages.0.batch`) and dictionaries (known keys only: `model.num_layers`).
        changes: Texts `name.of.field=value`; values are numbers, true / false, none, words, or JSON lists.

    Raises:
        ValueError: No such field (with the nearest one), or a value of another type.
    """
    tree: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--set {change}: expected name.of.field=value")
        node, keys = tree, name.strip().split(".")
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ValueError(f"--set {change}: contradicts an earlier --set of {key}; leave one of them out")
        if keys[-1] in node:
            raise ValueError(f"--set {change}: the field is set twice; leave one of them out")
        node[keys[-1]] = text.strip()
    return _apply(config, type(config), tree, "")


def _apply(value: Any, hint: Any, change: Any, path: str) -> Any:
    if isinstance(change, str):
        return _convert(value, hint, change, path)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        old = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **_children(old, hints, change, path))
    if isinstance(value, dict):
        return value | _children(value, {}, change, path)
    if isinstance(value, tuple):
        old = {str(index): entry for index, entry in enumerate(value)}
        new = _children(old, {}, change, path)
        return tuple((old | new).values())
    raise ValueError(f"--set {path}.{next(iter(change))}: {path} is a plain value; expected {path}=value")


def _children(old: dict[str, Any], hints: dict[str, Any], change: dict[str, Any], path: str) -> dict[str, Any]:
    new = {}
    for key, entry in change.items():
        full = f"{path}.{key}" if path else key
        if key not in old:
            raise ValueError(f"--set {full}: no such field{f' of {path}' if path else ''}; {suggestion(key, old)}")
        new[key] = _apply(old[key], hints.get(key, type(old[key])), entry, full)
    return new


def _convert(value: Any, hint: Any, text: str, path: str) -> Any:
    """Text to the type of a field; where a dictionary says nothing, to the type of the present value."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(None) in options and text.lower() == "none":
        return None
    for option in options:
        if option is type(None):
            continue
        if dataclasses.is_dataclass(option) or option is dict or typing.get_origin(option) is dict:
            fields = () if isinstance(value, dict) else dataclasses.fields(typing.cast(Any, option))
            known = value if isinstance(value, dict) else [field.name for field in fields]
            raise ValueError(f"--set {path}={text}: {path} has fields; set one of them: {', '.join(known)}")
        try:
            if option is bool:
                return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
            if option in (int, float, str):
                number = option(text)
                if number in (math.inf, -math.inf) or number != number:
                    continue
                return number
            if option is tuple or typing.get_origin(option) is tuple:
                return _tuple(value, text)
        except (KeyError, ValueError):
            continue
    wanted = " or ".join("none" if o is type(None) else getattr(o, "__name__", str(o)) for o in options)
    if bool in options:
        wanted = wanted.replace("bool", "true or false")
    raise ValueError(f"--set {path}={text}: expected {wanted}, as in {path}={value}")


def _tuple(old: tuple, text: str) -> tuple:
    """A JSON list whose entries have the type of the present ones."""
    entries = json.loads(text)
    if not isinstance(entries, list) or any(dataclasses.is_dataclass(entry) for entry in old):
        raise ValueError(text)
    kind = type(old[0]) if old else str
    if any(not isinstance(entry, (int, float) if kind is float else kind) for entry in entries):
        raise ValueError(text)
    return tuple(kind(entry) for entry in entries)
