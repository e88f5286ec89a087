"""One network carried by several processes that torchrun started: the first renders, the others follow its passes.

Sequences are shared (`models.sequences`): every process computes a part of each pass. Only the first one knows of
scenes; it tells the others what it encodes and generates.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.distributed as dist
from torch import Tensor

from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.models.sequences import check_sharing, share_sequences
from plenodream.sampling.config import SamplingConfig
from plenodream.types import Cameras, View

if TYPE_CHECKING:
    from plenodream.rendering.pipeline import PlenopticPipeline

_PATIENCE = timedelta(hours=12)  # the others wait while the first one writes, or nothing is to be done


@dataclass(frozen=True)
class Team:
    """Processes that carry one network.

    Attributes:
        rank: Number of this one; 0 renders.
        size: How many.
        passes: What they exchange tokens through.
        words: What the first one tells the others through.
    """

    rank: int
    size: int
    passes: Any
    words: Any

    def tell(self, message: Any) -> None:
        """From the first process to all others."""
        dist.broadcast_object_list([message], src=0, group=self.words)

    def hear(self) -> Any:
        """What the first process tells."""
        box = [None]
        dist.broadcast_object_list(box, src=0, group=self.words)
        return box[0]


def join_team(device: str) -> tuple[Team, str]:
    """The processes of torchrun, and this one's device."""
    if torch.device(device).type == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    if not dist.is_initialized():
        dist.init_process_group(backend, timeout=_PATIENCE)
    words = dist.new_group(backend="gloo", timeout=_PATIENCE)
    return Team(dist.get_rank(), dist.get_world_size(), dist.group.WORLD, words), device


def leave_team(team: Team) -> None:
    """The first process lets the others go."""
    if team.rank == 0:
        team.tell(None)
    dist.destroy_process_group()


def share_pipeline(pipeline: PlenopticPipeline, team: Team) -> None:
    """Let a team carry a pipeline's network; `pipeline.generator` then leads the others.

    Raises:
        ValueError: Their number does not divide it.
    """
    network, config = pipeline.transformer, pipeline.config
    frames, side = pipeline.codec.latent_frames(config.frames), pipeline.codec.spatial_factor
    rows, columns = (n // side // network.config.patch_size[1] for n in (config.height, config.width))
    slots = 0 if network.keeps_keys else network.context_slots or 1
    grid = (frames * (network.targets + slots), rows, columns)
    check_sharing(network.config.num_attention_heads, [grid], team.size)
    share_sequences(network, team.passes)
    pipeline.team = team


class Held:
    """Context of a view that all processes hold their part of."""

    def __init__(self, number: int, context: Any) -> None:
        self.number, self.context = number, context


@dataclass(frozen=True)
class LeadingGenerator(DiffusionGenerator):
    """The first process's generator: what it does the others do with it.

    Attributes:
        tell: Tells them.
        asked: What they make their generator of: sampling, and the subject's distance.
        alive: Contexts that are still needed here.
    """

    tell: Callable[[Any], None] = print
    asked: tuple[SamplingConfig, float | None] | None = None
    alive: weakref.WeakValueDictionary[int, Held] = field(default_factory=weakref.WeakValueDictionary)

    def in_steps(self, steps: int) -> Self:
        """See `DiffusionGenerator`; the others are told."""
        assert self.asked is not None
        made = super().in_steps(steps)
        return replace(made, asked=(made.sampler.config, self.asked[1]))

    def encode(self, view: View, anchor: Tensor) -> Held:
        """See `Generator`."""
        number = max(self.alive, default=0) + 1
        self.tell((self.asked, list(self.alive), "encode", (number, view, anchor)))
        held = Held(number, super().encode(view, anchor))
        self.alive[number] = held
        return held

    def generate(
        self,
        targets: Sequence[Cameras],
        contexts: Sequence[Held],
        anchor: Tensor,
        known: Sequence[View | None],
        noise: torch.Generator,
        fps: float,
        on_step: Callable[[int], None] | None = None,
    ) -> list[View]:
        """See `Generator`."""
        numbers = [held.number for held in contexts]
        told = (list(targets), numbers, anchor, list(known), noise.get_state(), fps)
        self.tell((self.asked, list(self.alive), "generate", told))
        return super().generate(targets, [held.context for held in contexts], anchor, known, noise, fps, on_step)


def follow(pipeline: PlenopticPipeline, team: Team) -> None:
    """Do what the first process does, until it says that it is done."""
    held: dict[int, Any] = {}
    while (message := team.hear()) is not None:
        asked, alive, what, told = message
        generator = pipeline.generator(*asked)
        held = {number: context for number, context in held.items() if number in alive}
        if what == "encode":
            number, view, anchor = told
            held[number] = generator.encode(view, anchor)
            continue
        targets, numbers, anchor, known, state, fps = told
        noise = torch.Generator()
        noise.set_state(state)
        try:
            generator.generate(targets, [held[number] for number in numbers], anchor, known, noise, fps)
        except ValueError:
            continue  # the first process says the same, to the user
