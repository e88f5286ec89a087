"""Captions as what a model is told in training: encoded once, kept on disk, at times left out for guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.models.checkpoint import open_checkpoint
from plenodream.models.cosmos.attention import TextProjection
from plenodream.models.text import TextSettings, text_settings, word_encoder


@dataclass(frozen=True)
class Captions:
    """What encodes the captions of a run.

    Attributes:
        settings: How the trained model is told words, to be kept beside its weights.
        encode: Texts to embeddings.
        dropout: How often a sample is told the empty text, which guidance then leads away from. Ours: the published
            training gives zeros there.
    """

    settings: TextSettings
    encode: Callable[[list[str]], list[Tensor]]
    dropout: float

    def tell(
        self, captions: Sequence[str], generator: torch.Generator, device: torch.device
    ) -> Float[Tensor, "batch words features"]:
        """Embeddings of some samples' captions, or of none in their place."""
        dropped = torch.rand(len(captions), generator=generator) < self.dropout
        told = ["" if drop else caption for drop, caption in zip(dropped, captions, strict=True)]
        return torch.cat(self.encode(told)).to(device)


def open_captions(folder: Path, dropout: float, frozen: bool, device: torch.device | str) -> Captions | None:
    """Captions for the weights in a pipeline's folder; None where none are ever told.

    Args:
        folder: Its encoder, or its base's, is taken.
        dropout: `ObjectiveConfig.caption_dropout`.
        frozen: Whether the network's projection of words stays as it is: embeddings are then kept projected.
        device: Where the encoder runs.

    Raises:
        ValueError: No encoder there.
    """
    if dropout >= 1:
        return None
    encode = word_encoder(folder, device, _projection(folder / "transformer") if frozen else None)
    if encode is None:
        raise ValueError(
            f"{folder}: this recipe is told captions, but there is no encoder for them; expected text_encoder and "
            "tokenizer in the folder or its base; --set objective.caption_dropout=1 trains without words"
        )
    settings = text_settings(folder)
    return Captions(replace(settings, base=settings.base or str(folder.resolve())), encode, dropout)


def _projection(network: Path) -> nn.Module | None:
    """The projection of words in a Cosmos network's folder, on its own."""
    stored = open_checkpoint(network)
    if "crossattn_proj.0.weight" not in stored:
        return None
    weight, bias = (stored.tensor(f"crossattn_proj.0.{name}") for name in ("weight", "bias"))
    with torch.device("meta"):
        projection = TextProjection(nn.Linear(weight.shape[1], weight.shape[0]), nn.GELU())
    projection.load_state_dict({"0.weight": weight, "0.bias": bias}, assign=True)
    return projection.requires_grad_(False)
