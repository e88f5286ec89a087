"""What a training run is made of: a recipe returns this, and it is saved beside every checkpoint."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from plenodream.training.objective import ObjectiveConfig


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum.

    Attributes:
        share: Part of the whole budget (steps or minutes); the shares of all stages add up to 1.
        family: Difficulty of the procedural scenes: `mild` or `full`.
        frames: Frames of a clip; 1 trains on single frames of view pairs.
        batch: Scenes a step.
        views: Views of a scene, the source among them.
        min_context: Fewest context views of a target.
        max_context: Most context views; every step draws one number between the two.
        any_context: Contexts are random other views; otherwise the source alone.
    """

    share: float
    family: str = "mild"
    frames: int = 1
    batch: int = 8
    views: int = 4
    min_context: int = 1
    max_context: int = 1
    any_context: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.min_context <= self.max_context < self.views:
            raise ValueError(
                f"context of {self.min_context} to {self.max_context} views out of {self.views} views: expected "
                "1 <= min_context <= max_context < views"
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with warm-up, constant rate, and a linear decay over the last part of the budget.

    Attributes:
        learning_rate: Peak rate.
        weight_decay: Of matrices.
        warmup_steps: Linear warm-up, at every start and restart.
        decay_share: Part of the budget, at its end, over which the rate falls to zero.
        clip: Largest gradient norm.
        ema_decay: Of the averaged weights, which are those that are evaluated and kept.
        spike_factor: A step whose loss is this many times the running mean is left out, as is one that is not finite.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 200
    decay_share: float = 0.25
    clip: float = 1.0
    ema_decay: float = 0.998
    spike_factor: float = 4.0


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run.

    Attributes:
        name: Of the recipe.
        model: Arguments of the denoiser's class.
        patch: Side in pixels of the space-to-depth codec.
        height: Of the training videos, pixels.
        width: Of the training videos, pixels.
        stages: The curriculum, in order.
        objective: Loss.
        optimizer: Optimiser.
        steps: Budget in steps, where no minutes are given.
        seed: Of weights, data and noise. Step n of a run draws from (seed, n) alone, so a resumed run sees the same.
        validate_every: Steps between held-out scores, sample sheets and checkpoints.
    """

    name: str
    model: dict[str, Any]
    patch: int
    height: int
    width: int
    stages: tuple[Stage, ...]
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    steps: int = 20000
    seed: int = 0
    validate_every: int = 1000

    def __post_init__(self) -> None:
        total = sum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"stage shares add up to {total:g}; expected 1")

    def stage_at(self, progress: float) -> Stage:
        """The stage at a point of the budget, 0 to 1."""
        end = 0.0
        for stage in self.stages:
            end += stage.share
            if progress < end:
                return stage
        return self.stages[-1]

    def to_json(self) -> str:
        """As text, to be kept beside the weights."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)
