"""Tensors of somebody's checkpoint, one at a time: safetensors or a pickle of tensors, whatever it is wrapped in."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
# What training programs lay around a network's names; of several the first is taken.
_PREFIXES = ("net_ema.", "net.", "pipe.dit.")
_WRAPPERS = ("state_dict", "model", "module")


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name; nothing is read before it is asked for, where the file's kind allows.

    Attributes:
        path: Where they are.
        shapes: Shape of every tensor by its name, less what a training program lays around it.
        tensor: Reads one.
        others: Names of what else is there, under another prefix.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    tensor: Callable[[str], Tensor] = field(repr=False)
    others: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.shapes


def open_checkpoint(path: Path) -> Checkpoint:
    """A file of tensors, or a folder of safetensors files.

    Pickles are read by torch's reader of tensors alone: one that holds code is refused, not run.

    Raises:
        ValueError: No such file, damaged, holding code or no tensors.
    """
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        found = "no safetensors files in this folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {found}; expected tensors ({', '.join(SUFFIXES)}), or a folder of safetensors files")
    read: dict[str, tuple[tuple[int, ...], Callable[[], Tensor]]] = {}
    for file in files:
        read |= _of_safetensors(file) if file.suffix == ".safetensors" else _of_pickle(file)
    if not read:
        raise ValueError(f"{path}: no tensors in it; expected a network's checkpoint")
    prefix = next((p for p in _PREFIXES if any(name.startswith(p) for name in read)), "")
    inside = {name.removeprefix(prefix): entry for name, entry in read.items() if name.startswith(prefix)}
    others = tuple(name for name in read if not name.startswith(prefix))
    return Checkpoint(path, {name: shape for name, (shape, _) in inside.items()}, lambda n: inside[n][1](), others)


def _of_safetensors(path: Path) -> dict[str, tuple[tuple[int, ...], Callable[[], Tensor]]]:
    try:
        file = safe_open(path, framework="pt")
        names = list(file.keys())
        shapes = [tuple(file.get_slice(name).get_shape()) for name in names]
        read = [lambda name=name: file.get_tensor(name) for name in names]
        return dict(zip(names, zip(shapes, read, strict=True), strict=True))
    except (OSError, SafetensorError):
        raise ValueError(f"{path}: damaged or cut off; expected a safetensors file: copy it again") from None


def _of_pickle(path: Path) -> dict[str, tuple[tuple[int, ...], Callable[[], Tensor]]]:
    content: Any = _unpickled(path)
    while isinstance(content, dict) and (inner := next((w for w in _WRAPPERS if _is_dict(content.get(w))), None)):
        content = content[inner]
    tensors = content.items() if isinstance(content, dict) else ()
    return {
        str(name): (tuple(tensor.shape), lambda tensor=tensor: tensor)
        for name, tensor in tensors
        if isinstance(tensor, Tensor)
    }


def _unpickled(path: Path) -> Any:
    """Mapped into memory where the file is of torch's newer kind: then a tensor is read when it is used."""
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error).lower() and "unsupported" not in str(error).lower():
            raise ValueError(f"{path}: damaged, or no checkpoint of torch; expected one: copy it again") from None
        raise ValueError(
            f"{path}: holds more than tensors, and code of it could run; expected a checkpoint that "
            "torch.load(weights_only=True) reads, or safetensors"
        ) from None
    except (RuntimeError, EOFError, KeyError, ValueError, OSError):
        raise ValueError(f"{path}: damaged or cut off; expected a checkpoint of torch: copy it again") from None


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)
