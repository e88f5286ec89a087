"""Weights alone, from wherever they are."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from safetensors.torch import load_file
from torch import Tensor

from plenodream.files.documents import read_document


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
