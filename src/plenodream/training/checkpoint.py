"""Checkpoints: whole or not there at all, and exact to resume from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

STATE, WEIGHTS, RECIPE = "state.pt", "weights.safetensors", "recipe.json"


def save_checkpoint(folder: Path, state: dict[str, Any], average: dict[str, Tensor], recipe: str) -> None:
    """Write a checkpoint beside the old one, then put it in its place.

    Args:
        folder: The checkpoint's folder; a crash at any moment leaves the old or the new one there, whole.
        state: All that exact resume needs (tensors, numbers, strings).
        average: Averaged weights, readable on their own.
        recipe: The run's config as JSON.

    Raises:
        OSError: The disk is full or not writable; the old checkpoint is untouched.
    """
    fresh, old = folder.with_name(folder.name + ".writing"), folder.with_name(folder.name + ".old")
    recover(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        torch.save(state, fresh / STATE)
        save_file({name: tensor.contiguous() for name, tensor in average.items()}, fresh / WEIGHTS)
        (fresh / RECIPE).write_text(recipe)
        for name in (STATE, WEIGHTS, RECIPE):
            with open(fresh / name, "rb") as file:
                os.fsync(file.fileno())
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put the old checkpoint back if a crash came between its removal and the new one's arrival."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        old.rename(folder)


def load_checkpoint(folder: Path, recipe: str) -> dict[str, Any]:
    """State of a run to resume.

    Raises:
        ValueError: No checkpoint there, a damaged one, or one of another recipe.
    """
    recover(folder)
    if not (folder / STATE).exists():
        raise ValueError(f"{folder}: no checkpoint to resume; expected {STATE} there; leave --resume out to start anew")
    if (folder / RECIPE).read_text() != recipe:
        raise ValueError(
            f"{folder}: checkpoint of another recipe; expected the same config as now (compare {folder / RECIPE}); "
            "use --init-from to take its weights only"
        )
    try:
        return torch.load(folder / STATE, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ValueError(
            f"{folder / STATE}: damaged checkpoint ({error}); use --init-from {folder / WEIGHTS}"
        ) from error


def load_weights(path: Path) -> dict[str, Tensor]:
    """Weights alone: a safetensors file, a folder of shards of one, or a checkpoint's folder.

    Raises:
        ValueError: Nothing to read there.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{path}: no weights; expected a .safetensors file or a folder with such files")
    weights: dict[str, Tensor] = {}
    for file in files:
        try:
            weights.update(load_file(file))
        except Exception as error:
            raise ValueError(f"{file}: not readable as safetensors ({error})") from error
    return weights
