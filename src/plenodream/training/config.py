"""What a training run is made of: a recipe returns this, and it is saved beside every checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from plenodream.models.codecs.wan import WanCodec
from plenodream.sampling.config import SamplingConfig
from plenodream.training.objective import ObjectiveConfig
from plenodream.worlds.family import FAMILIES as SCENE_FAMILIES

CODECS = ("space-to-depth", "wan")
PRECISIONS = ("auto", "fp32", "bf16")
TRAINABLE = ("all", "attention")
SCHEDULERS = ("euler", "unipc")
MIXED = "mixed"
FAMILIES = (*SCENE_FAMILIES, MIXED, "disk")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: expected one of {', '.join(choices)}")


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum.

    Attributes:
        share: Part of the whole budget (steps or minutes); the shares of all stages add up to 1.
        family: Where scenes come from: procedural `mild` or `full`, `mixed` (the one and the other in turn), or `disk`
            (a folder of episodes).
        frames: Frames of a clip; 1 trains on single frames of view pairs.
        batch: Scenes a step.
        views: Views of a scene, the source among them.
        min_context: Fewest context views of a target.
        max_context: Most context views; every step draws one number between the two.
        any_context: Contexts are random other views; otherwise the source alone.
        context_shares: Weights of the context sizes, from the fewest views to the most; all alike if None.
        source_context: The source is always among the context; random views join it. Only with `any_context`.
        targets: How many of the views are targets, counted from the last; all but the source if None, and the source,
            too, if they are all (with `source_context`: a model with depth learns that of the source from it).
        footage: Share of the steps whose cameras are those of real footage (`worlds.cameras.Footage`); images, where
            the run has some, are on the surfaces of these steps alone.
        self_conditioning: Probability that a context view is one that the model generated (stage 2 of the paper); such
            stages take their scenes from a folder of generated contexts.
    """

    share: float
    family: str = "mild"
    frames: int = 1
    batch: int = 8
    views: int = 4
    min_context: int = 1
    max_context: int = 1
    any_context: bool = False
    context_shares: tuple[float, ...] | None = None
    source_context: bool = False
    targets: int | None = None
    footage: float = 0.0
    self_conditioning: float = 0.0

    def __post_init__(self) -> None:
        _one_of("family", self.family, FAMILIES)
        if not 0 <= self.footage <= 1:
            raise ValueError(f"footage is {self.footage}: expected a share, 0 to 1")
        if self.source_context and not self.any_context:
            raise ValueError("source_context with the source as only context: expected any_context=true")
        if not self.share > 0:
            raise ValueError(f"stage with a share of {self.share:g}: expected more than 0")
        if self.frames < 1 or self.batch < 1:
            raise ValueError(f"stage of {self.batch} scenes of {self.frames} frames: expected at least 1 of each")
        if not 1 <= self.min_context <= self.max_context < self.views:
            raise ValueError(
                f"context of {self.min_context} to {self.max_context} views out of {self.views} views: expected "
                "1 <= min_context <= max_context < views"
            )
        if self.max_context > 1 and not self.any_context:
            raise ValueError(
                f"context of up to {self.max_context} views, but of the source alone: expected any_context=true"
            )
        most = self.views if self.source_context else self.views - 1
        if self.targets is not None and not 1 <= self.targets <= most:
            raise ValueError(f"{self.targets} targets out of {self.views} views: expected 1 to {most}")
        shares, sizes = self.context_shares, self.max_context - self.min_context + 1
        if shares is not None and (len(shares) != sizes or min(shares) < 0 or sum(shares) <= 0):
            raise ValueError(f"context_shares {list(shares)}: expected {sizes} weights, one a context size")
        if not 0 <= self.self_conditioning <= 1:
            raise ValueError(f"self_conditioning is {self.self_conditioning}: expected a probability, 0 to 1")
        if self.self_conditioning and not self.any_context:
            raise ValueError("self_conditioning with the source as only context: expected any_context=true")
        if self.self_conditioning and self.targets != 1:
            # A generated view was made from views before it (`training.contexts`): only the last is in none of them.
            raise ValueError("self_conditioning with targets that generated views were made from: expected targets=1")

    @property
    def target_views(self) -> range:
        """Numbers of the views that are targets."""
        return range(self.views - (self.targets or self.views - 1), self.views)


@dataclass(frozen=True)
class SecondStage:
    """Self-conditioning of a recipe whose own stages have none (the paper's stage 2): its last stage, for a while.

    Attributes:
        steps: Budget in steps; the recipe's own if None.
        probability: For every context view, to be a generated one.
    """

    steps: int | None = None
    probability: float = 0.5

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"second.steps is {self.steps}: expected at least 1")
        if not 0 < self.probability <= 1:
            raise ValueError(f"second.probability is {self.probability}: expected a probability, more than 0, up to 1")


@dataclass(frozen=True)
class Curriculum:
    """The stages of a run, in order, and the part of them that this run goes through.

    Attributes:
        stages: One after another.
        max_context: Limit on the context size of every stage; no limit but the stages' own if None.
        start: Where this run begins, 0 to 1: an instalment begins where the one before ended.
        end: Where it ends.
    """

    stages: tuple[Stage, ...]
    max_context: int | None = None
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        total = sum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"stage shares add up to {total:g}; expected 1")
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(f"curriculum from {self.start:g} to {self.end:g}: expected 0 <= start < end <= 1")
        if self.max_context is not None and self.max_context < 1:
            raise ValueError(f"curriculum.max_context is {self.max_context}: expected at least 1")

    def at(self, progress: float) -> tuple[int, Stage]:
        """Number of the stage at a point of the run's budget (0 to 1), and the stage."""
        position, end = self.start + progress * (self.end - self.start), 0.0
        number = len(self.stages) - 1
        for index, stage in enumerate(self.stages):
            end += stage.share
            if position < end - 1e-9:
                number = index
                break
        stage = self.stages[number]
        if self.max_context is not None:
            low, high = (min(k, self.max_context) for k in (stage.min_context, stage.max_context))
            shares = stage.context_shares if stage.context_shares is None else stage.context_shares[: high - low + 1]
            stage = replace(stage, min_context=low, max_context=high, context_shares=shares)
        return number, stage

    @property
    def largest_context(self) -> int:
        """The most context views any stage trains with."""
        limit = self.max_context or max(stage.max_context for stage in self.stages)
        return min(limit, max(stage.max_context for stage in self.stages))


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
            if not getattr(self, name) > 0:
                raise ValueError(f"optimizer.{name} is {getattr(self, name)}: expected more than 0")


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
        _one_of("codec", self.codec, CODECS)
        _one_of("trainable", self.trainable, TRAINABLE)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("scheduler", self.scheduler, SCHEDULERS)
        if self.sampling.guidance and not self.objective.camera_dropout:
            raise ValueError(
                f"sampling.guidance is {self.sampling.guidance:g}, but the model never trains without its cameras: "
                "expected 0, or objective.camera_dropout of more"
            )
        if self.depth and self.codec != "space-to-depth":
            raise ValueError(f"depth with codec {self.codec}: expected space-to-depth, or depth=false")
        if self.patch < 1:
            raise ValueError(f"patch is {self.patch}: expected at least 1 pixel")
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
