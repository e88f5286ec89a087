"""What a step of training is given, and the randomness that says which: a batch's number and the run's seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.training.curriculum import Stage
from plenodream.types import Cameras
from plenodream.worlds.world import world_generator


@dataclass(frozen=True)
class Batch:
    """Views of several scenes.

    Attributes:
        signal: Videos as the codec takes them, with depth or without; None where `latents` are given.
        cameras: Batch shape (batch, views, frames), relative to the first camera of view 0, the source.
        context_signal: The videos as they are given as context, where that is not the truth (self-conditioning).
        latents: The videos as a pretrained codec has encoded them.
        captions: What each sample shows, in words; empty where nobody said; None: nobody said of any.
    """

    signal: Float[Tensor, "batch views channels frames height width"] | None
    cameras: Cameras
    context_signal: Float[Tensor, "batch views channels frames height width"] | None = None
    latents: Float[Tensor, "batch views channels frames height width"] | None = None
    captions: tuple[str, ...] | None = None


# What a run trains on: the stage and the number of the batch in, the batch out, always the same for the same number.
BatchSource = Callable[[Stage, int], Batch]


def step_generator(seed: int, number: int, purpose: str) -> torch.Generator:
    """Randomness of one step: `data` for its scenes, `noise` for all else. Never that of validation scenes."""
    return world_generator("train", 2 * (seed * 1_000_003 + number) + ("data", "noise").index(purpose))
