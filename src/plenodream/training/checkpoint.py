"""Checkpoints: whole or not there at all, and exact to resume from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from plenodream.files.documents import parse_document, read_document
from plenodream.files.folders import new_folder, tidy

STATE, WEIGHTS, RECIPE = "state.pt", "weights.safetensors", "recipe.json"


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, flushed to disk and put at `folder` when it is full; what was there before stays until then.

    Raises:
        ValueError: The disk is full or not writable; the old folder is untouched.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    tidy(folder.parent, folders=[folder.name])
    try:
        with new_folder(folder) as fresh:
            yield fresh
            for path in (path for path in fresh.rglob("*") if path.is_file()):
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
    # Neither torch's nor safetensors' writer says OSError when the disk is full.
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = " ".join(str(_root(error)).split())[:160]
        kept = ", then --resume: the one before is still there, whole" if folder.exists() else ", then start again"
        raise ValueError(f"{folder}: cannot be written ({reason}); free some space{kept}") from error


def save_checkpoint(folder: Path, state: dict[str, Any], average: dict[str, Tensor], recipe: str) -> None:
    """Write a checkpoint beside the old one, then put it in its place.

    Args:
        folder: The checkpoint's folder; a crash at any moment leaves the old or the new one there, whole.
        state: All that exact resume needs (tensors, numbers, strings).
        average: Averaged weights, readable on their own.
        recipe: The run's config as JSON.

    Raises:
        ValueError: The disk is full or not writable; the old checkpoint is untouched.
    """
    with whole_folder(folder) as fresh:
        with open(fresh / STATE, "wb") as file:  # given a path, torch does not say what went wrong
            torch.save(state, file)
        save_file({name: tensor.contiguous() for name, tensor in average.items()}, fresh / WEIGHTS)
        (fresh / RECIPE).write_text(recipe)


def load_checkpoint(folder: Path, recipe: str) -> dict[str, Any]:
    """State of a run to resume.

    Raises:
        ValueError: No checkpoint there, a damaged one, or one of another recipe.
    """
    tidy(folder.parent, folders=[folder.name])
    if not (folder / STATE).exists():
        raise ValueError(f"{folder}: no checkpoint to resume; expected {STATE} there; leave --resume out to start anew")
    check_recipe(folder, recipe)
    try:
        state = torch.load(folder / STATE, weights_only=True, map_location="cpu")
        missing = {"model", "optimizer", "average", "step"} - set(state)
        if missing:
            raise ValueError(f"no {min(missing)} in it")
        return state
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{folder / STATE}: damaged checkpoint ({reason}); use --init-from {folder / WEIGHTS}"
        ) from error


def check_recipe(folder: Path, recipe: str) -> None:
    """Refuse a checkpoint whose config is not the present one.

    Raises:
        ValueError: Naming the fields that differ, or that the config cannot be read.
    """
    todo = f"use --init-from {folder / WEIGHTS}"
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


class _Index(TypedDict):
    weight_map: dict[str, str]


def load_weights(path: Path) -> dict[str, Tensor]:
    """Weights alone: a safetensors file, a folder of shards of one, a checkpoint's folder, or a pipeline's folder.

    Raises:
        ValueError: Nothing to read there, or not all of the shards.
    """
    folder = path / "transformer" if (path / "transformer").is_dir() else path
    files = [folder] if folder.is_file() else sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{path}: no weights; expected a .safetensors file or a folder with such files")
    for index in folder.glob("*.safetensors.index.json"):
        shards = read_document(index, _Index, "copy the folder again")["weight_map"].values()
        if missing := set(shards) - {file.name for file in files}:
            raise ValueError(f"{folder}: {len(missing)} shards missing, e.g. {min(missing)}; copy the folder again")
    weights: dict[str, Tensor] = {}
    for file in files:
        try:
            weights.update(load_file(file))
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            raise ValueError(f"{file}: not readable as safetensors ({reason}); copy it again") from error
    return weights


def _root(error: BaseException) -> BaseException:
    """The operating system's error behind a writer's, where there is one."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__context__
    return found or error


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested JSON under dotted names."""
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, entry in items:
            yield from _flat(entry, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
