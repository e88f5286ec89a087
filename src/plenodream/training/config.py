"""What a training run is made of: a recipe returns this, and it is saved beside every checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plenodream.models.codecs.wan import WanCodec
from plenodream.sampling.config import SamplingConfig
from plenodream.training.curriculum import Curriculum, SecondStage, one_of
from plenodream.training.distillation import DistillationConfig
from plenodream.training.objective import ObjectiveConfig

CODECS = ("space-to-depth", "wan")
PRECISIONS = ("auto", "fp32", "bf16")
TRAINABLE = ("all", "attention")
SCHEDULERS = ("euler", "unipc")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW or Muon with warm-up, constant rate, and a linear decay over the last part of the budget.

    Attributes:
        learning_rate: Peak rate.
        muon: Size of Muon's updates of the matrices within blocks, as their entries' mean square root over the rate;
            AdamW's are near 0.2, 0 leaves those matrices to it too.
        weight_decay: Of matrices.
        warmup_steps: Linear warm-up at the beginning, also of a run that starts from given weights.
        warmup_share: The warm-up ends at this part of the budget at the latest.
        decay_share: Part of the budget, at its end, over which the rate falls to zero.
        clip: Largest gradient norm.
        ema_decay: Of the averaged weights, which are those that are evaluated and kept.
        spike_factor: A step whose loss is this many times the running mean is left out, as is one that is not finite.
    """

    learning_rate: float = 1e-3
    muon: float = 0.0
    weight_decay: float = 0.01
    warmup_steps: int = 200
    warmup_share: float = 0.05
    decay_share: float = 0.25
    clip: float = 1.0
    ema_decay: float = 0.998
    spike_factor: float = 4.0

    def __post_init__(self) -> None:
        for name in ("weight_decay", "warmup_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"optimizer.{name} is {getattr(self, name)}: expected 0 or more")
        for name in ("warmup_share", "decay_share", "ema_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"optimizer.{name} is {getattr(self, name)}: expected 0 to 1")
        if not 0 <= self.muon < math.inf:
            raise ValueError(f"optimizer.muon is {self.muon}: expected 0 (AdamW) or more, such as 0.2")
        for name in ("learning_rate", "clip", "spike_factor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"optimizer.{name} is {getattr(self, name)}: expected a finite number, more than 0")


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run.

    Attributes:
        name: Of the recipe.
        model: Arguments of the denoiser's class.
        height: Of the training videos, pixels.
        width: Of the training videos, pixels.
        curriculum: What is trained on when.
        codec: `space-to-depth`, or `wan` (a pretrained VAE).
        patch: Side in pixels of the space-to-depth codec.
        depth: Whether the space-to-depth codec, and so the model, has depth beside colours.
        source_view: Name of the source among the views of an episode; any of them if None.
        second: How it goes on with contexts that the model made.
        objective: Loss.
        distillation: Of the weights that the run starts from into ones that need fewer steps.
        optimizer: Optimiser.
        sampling: How the model is sampled, for held-out scores and where it is used.
        scheduler: What it is sampled with: `euler` or `unipc`.
        steps: Budget in steps, where no minutes are given.
        seed: Of weights, data and noise. Step n of a run draws from (seed, n) alone, so a resumed run sees the same.
        validate_every: Steps between held-out scores, sample sheets and checkpoints.
        trainable: `all` weights, or `attention`: self-attention and camera projections alone, for pretrained backbones.
        precision: `bf16` autocast, `fp32`, or `auto`: the first on a GPU, the second on a CPU.
        compile: Compile what gains by torch.compile: the turning of queries and keys, and on a GPU the renderer.
        gradient_checkpointing: Compute activations again in the backward pass instead of keeping them.
    """

    name: str
    model: dict[str, Any]
    height: int
    width: int
    curriculum: Curriculum
    codec: str = "space-to-depth"
    patch: int = 8
    depth: bool = False
    source_view: str | None = None
    second: SecondStage = field(default_factory=SecondStage)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    scheduler: str = "euler"
    steps: int = 20000
    seed: int = 0
    validate_every: int = 1000
    trainable: str = "all"
    precision: str = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        one_of("codec", self.codec, CODECS)
        one_of("trainable", self.trainable, TRAINABLE)
        one_of("precision", self.precision, PRECISIONS)
        one_of("scheduler", self.scheduler, SCHEDULERS)
        if self.sampling.guidance and self.guided_by is None:
            raise ValueError(
                f"sampling.guidance is {self.sampling.guidance:g}, but the model does not train with and without "
                "words: expected 0, or objective.caption_dropout between 0 and 1"
            )
        if self.depth and self.codec != "space-to-depth":
            raise ValueError(f"depth with codec {self.codec}: expected space-to-depth, or depth=False")
        if self.patch < 1:
            raise ValueError(f"patch is {self.patch}: expected at least 1 pixel")
        if self.distillation.teacher_steps and (self.scheduler != "euler" or self.sampling.guidance):
            raise ValueError("a distilled model goes by single steps, unguided: scheduler=euler, sampling.guidance=0")
        _, side, _ = self.latent_cell
        if min(self.height, self.width) < 1 or self.height % side or self.width % side:
            raise ValueError(f"videos of {self.width}x{self.height}: expected multiples of the codec's {side} pixels")
        if self.steps < 1 or self.validate_every < 1:
            raise ValueError(f"{self.steps} steps, validated every {self.validate_every}: expected at least 1 of each")
        if not 0 <= self.seed < 1000:
            raise ValueError(f"seed {self.seed}: expected 0 to 999")

    @property
    def latent_cell(self) -> tuple[int, int, int]:
        """Frames and pixels (each way) under one cell of the codec's latents, and its channels."""
        if self.codec == "wan":
            return WanCodec.temporal_factor, WanCodec.spatial_factor, WanCodec.published_channels
        return 1, self.patch, (3 + self.depth) * self.patch**2

    @property
    def guided_by(self) -> str | None:
        """What the model trains without at times, which guidance is over: `text`; None: nothing."""
        return "text" if 0 < self.objective.caption_dropout < 1 else None

    @property
    def frames(self) -> int:
        """Frames of the longest clips."""
        return max(stage.frames for stage in self.curriculum.stages)

    def to_json(self) -> str:
        """As text, to be kept beside the weights."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)


@dataclass(frozen=True)
class RunOptions:
    """How one run of a recipe is carried out; none of it changes what is learned from a step.

    Attributes:
        out: Folder of the run: `checkpoint`, `model` (the best averaged weights), `log.jsonl`, sheets.
        minutes: Budget in minutes instead of the recipe's steps; a resumed run keeps its own if None.
        resume: Go on from the checkpoint in `out`.
        init_from: Start from these weights (not the optimiser's state): a file, a model's folder, a checkpoint.
        device: Where to train: `cpu`, `cuda`.
        context_parallel: Processes (of those torchrun started) that share one sequence.
        shard_mb: Largest size of a file of `model`, megabytes.
        stop_after: Stop after this many steps of this run, as an interruption would.
        quiet: No progress bar.
        tensorboard: Log for TensorBoard, too.
    """

    out: Path
    minutes: float | None = None
    resume: bool = False
    init_from: Path | None = None
    device: str = "cpu"
    context_parallel: int = 1
    shard_mb: float | None = None
    stop_after: int | None = None
    quiet: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ValueError(f"{self.minutes:g} minutes: expected a finite number, more than 0")
        if self.shard_mb is not None and not self.shard_mb > 0:
            raise ValueError(f"shards of {self.shard_mb:g} MB: expected more than 0")
        if self.resume and self.init_from is not None:
            raise ValueError("--resume goes on with the run's own weights: leave --init-from out")
