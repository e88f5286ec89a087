"""Averaged weights as a model's folder: what `plenodream render --model` and `--init-from` read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SchedulerMixin
from torch import nn

from plenodream.files.documents import read_document
from plenodream.models.codecs.protocol import Codec
from plenodream.models.cosmos.scheduler import cosmos_scheduler
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.text import SETTINGS, TextSettings
from plenodream.rendering.pipeline import PlenopticPipeline
from plenodream.training.checkpoint.folder import whole_folder
from plenodream.training.config import TrainConfig

NOTES = "training.json"


def make_scheduler(config: TrainConfig) -> SchedulerMixin:
    """The flow scheduler of a recipe's model, with the shift the model was trained with."""
    shift = config.objective.shift
    if config.scheduler == "unipc":
        return cosmos_scheduler(shift)
    return FlowMatchEulerDiscreteScheduler(shift=shift)


def save_model(
    folder: Path,
    config: TrainConfig,
    model: CosmosCameraTransformer,
    codec: Codec,
    notes: dict,
    shard_mb: float | None = None,
    dtype: torch.dtype = torch.bfloat16,
    words: TextSettings | None = None,
) -> None:
    """Write a model's folder in place of the one that is there.

    Args:
        folder: Where; a crash leaves the old or the new one there, whole.
        config: The recipe: size, length and sampling that suit the model.
        model: The denoiser, averaged weights; its dtype is changed.
        codec: Its codec.
        notes: What else is to be known of the training (`training.json`), for instance `batches`: how many it has seen.
        shard_mb: Largest size of a weights file, megabytes; one file if None.
        dtype: Of the stored weights.
        words: How the model is told words, if it is.

    Raises:
        ValueError: The disk is full; the old folder is untouched.
    """
    overlap = min(config.objective.overlap_frames, codec.latent_frames(config.frames) - 1)
    # The class's own `to` warns of modules that this network never has.
    parts: tuple[Any, Any] = (nn.Module.to(model, dtype), codec)
    pipeline = PlenopticPipeline(
        *parts,
        make_scheduler(config),
        height=config.height,
        width=config.width,
        frames=config.frames,
        # The last frames of one window are the first of the next; the codec sees them as whole latent frames.
        overlap=max(0, (overlap - 1) * codec.temporal_factor + 1),
        steps=config.sampling.steps,
        guidance=config.sampling.guidance,
        guided_by=config.guided_by,
        context_views=config.curriculum.largest_context,
        model_name=config.name,
    )
    size = "1000GB" if shard_mb is None else f"{int(shard_mb * 1000)}KB"
    with whole_folder(folder) as fresh:
        pipeline.save_pretrained(str(fresh), max_shard_size=size)
        if words is not None:
            (fresh / SETTINGS).write_text(json.dumps(asdict(words), indent=2, ensure_ascii=False) + "\n")
        content = {**notes, "recipe": asdict(config)}
        (fresh / NOTES).write_text(json.dumps(content, indent=2) + "\n")


class _Notes(TypedDict, total=False):
    batches: int


def quality(scores: Mapping[str, float]) -> float:
    """What the best model is chosen by, in dB: PSNR on what the source shows, and the error of depth, if it has any.

    Weights of colours that have just grown depth show the best colours and know no depth. Ours.
    """
    depth = scores.get("depth", 1.0)
    return scores.get("seen", float("-inf")) - 20 * math.log10(max(depth, 1e-6))


def batches_seen(path: Path) -> int:
    """How many batches a model's weights have been trained on, as far as its folder says: new data begin there.

    Raises:
        ValueError: The folder's notes are damaged.
    """
    notes = path / NOTES
    if not notes.is_file():
        return 0
    return read_document(notes, _Notes, "copy the model's folder again").get("batches", 0)
