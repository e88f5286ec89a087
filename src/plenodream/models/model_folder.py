"""A model's folder as `convert` writes it: weights in files of bounded size, config, scheduler, index, words, card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import __version__ as diffusers_version
from safetensors.torch import save_file
from torch import Tensor

from plenodream.files.hashes import hash_file
from plenodream.models.checkpoint import Checkpoint
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.formats import Format
from plenodream.models.text import SETTINGS

_SHARD = 2 << 30  # bytes of a weights file, which is what is held in memory at a time
_WEIGHTS = {"text_encoder": "model"}


@dataclass(frozen=True)
class Weights:
    """Tensors by our names, and the config of the network that they fill."""

    config: dict[str, Any]
    read: dict[str, Callable[[], Tensor]]
    taken: int
    fresh: int
    left_out: tuple[str, ...]


def write_part(folder: Path, known: Format, weights: Weights) -> None:
    """Weights in files of bounded size, and the config."""
    folder.mkdir(exist_ok=True)
    if known.network is not None:
        with torch.device("meta"):
            network: Any = known.network(**weights.config)
        network.save_config(str(folder))
    else:
        (folder / "config.json").write_text(json.dumps(weights.config, indent=2) + "\n")
    write_shards(folder, weights.read, _WEIGHTS.get(known.part, "diffusion_pytorch_model"))


def write_shards(folder: Path, read: Mapping[str, Callable[[], Tensor]], stem: str, most: int = _SHARD) -> None:
    """Tensors in safetensors files of at most `most` bytes (but one tensor at least), as diffusers reads them."""
    files: list[Path] = []
    places: dict[str, int] = {}
    held: dict[str, Tensor] = {}
    total = size = 0

    def write() -> None:
        files.append(folder / f"part{len(files)}")
        save_file(held, files[-1], metadata={"format": "pt"})
        held.clear()

    for name, tensor_of in read.items():
        tensor = tensor_of().contiguous()
        number = tensor.numel() * tensor.element_size()
        if held and size + number > most:
            write()
            size = 0
        held[name], places[name] = tensor, len(files)
        size, total = size + number, total + number
    write()
    if len(files) == 1:
        files[0].rename(folder / f"{stem}.safetensors")
        return
    names = [f"{stem}-{number:05d}-of-{len(files):05d}.safetensors" for number in range(1, len(files) + 1)]
    for file, name in zip(files, names, strict=True):
        file.rename(folder / name)
    index = {"metadata": {"total_size": total}, "weight_map": {name: names[place] for name, place in places.items()}}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_model(folder: Path, known: Format, name: str) -> None:
    """The scheduler and the index that make parts a model."""
    assert known.scheduler is not None and known.network is not None
    scheduler = known.scheduler()
    scheduler.save_pretrained(str(folder / "scheduler"))
    library = type(scheduler).__module__.partition(".")[0]
    index = {
        "_class_name": "PlenopticPipeline",
        "_diffusers_version": diffusers_version,
        "transformer": ["plenodream", known.network.__name__],
        "codec": ["plenodream", WanCodec.__name__],
        "scheduler": [library, type(scheduler).__name__],
        **known.settings,
        "model_name": name,
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_words(folder: Path, known: Format, base: Path | None) -> None:
    """How the model is told words: by encoders beside its weights or, where they are not, in its base."""
    words = replace(known.words, base=None if base is None else str(base.resolve()))
    (folder / SETTINGS).write_text(json.dumps(asdict(words), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def card(checkpoint: Checkpoint, known: Format, weights: Weights) -> str:
    base = len(weights.read) - weights.taken - weights.fresh
    lines = [
        f"# {known.name}",
        "",
        f"- weights: {known.source}, converted by `plenodream convert`; only names changed",
        f"- licence: {known.licence or 'see the publisher'}",
        f"- tensors: {weights.taken} of the checkpoint, {base} of its base {known.base}".rstrip(),
        *([f"- new, zero until they are trained: {weights.fresh} camera projections"] if weights.fresh else []),
        f"- left out: {', '.join(sorted(weights.left_out)) or 'nothing'}",
        *(f"- sha256 of {file.name}: {hash_file(file)}" for file in _files(checkpoint.path)),
    ]
    return "\n".join(lines) + "\n"


def _files(path: Path) -> Iterable[Path]:
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
