"""The loss of one batch: every view of a sample is a target, its context the clean views beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.flow import interpolate, sample_timesteps, velocity
from plenodream.models.context import Context, ViewTokens
from plenodream.models.denoiser import Denoiser


@dataclass(frozen=True)
class ObjectiveConfig:
    """What a training step asks of the denoiser.

    Attributes:
        shift: Bias of the training times to high noise (`flow.timesteps`).
        x0_floor: Smallest t in the weight 1 / t^2 that a velocity loss puts on an x0 output.
        overlap_probability: How often a clip's first frames are given clean, as in a later window of a long video.
        overlap_frames: Most latent frames that are then clean; every such step draws from 1 to this number.
        overlap_in_loss: Whether these frames have a part in the loss, as in the paper.
        caption_dropout: How often a sample is not told its caption: what guidance over text needs. 1: never any.
        depth_weight: Of the loss of depth beside that of colours, where the codec has depth.
        hidden_depth: How often the depth of a context view is not given, as it is with footage.
    """

    shift: float = 4.0
    x0_floor: float = 0.4
    overlap_probability: float = 0.0
    overlap_frames: int = 0
    overlap_in_loss: bool = False
    caption_dropout: float = 1.0
    depth_weight: float = 0.5
    hidden_depth: float = 0.5

    def __post_init__(self) -> None:
        for name in ("shift", "x0_floor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"objective.{name} is {getattr(self, name)}: expected a finite number, more than 0")
        for name in ("overlap_probability", "caption_dropout", "hidden_depth"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"objective.{name} is {getattr(self, name)}: expected a probability, 0 to 1")
        if not self.depth_weight >= 0:
            raise ValueError(f"objective.depth_weight is {self.depth_weight}: expected 0 or more")
        if self.overlap_frames < 0:
            raise ValueError(f"objective.overlap_frames is {self.overlap_frames}: expected 0 or more")


def draw_context(
    batch: int, views: int, targets: range, k: int, generator: torch.Generator, source: bool = False
) -> Int[Tensor, "batch targets k"]:
    """For every target a random set of k other views, all different.

    Args:
        batch: Samples.
        views: Views that may serve as context: 0 .. views - 1.
        targets: The views that are targets; a target is never its own context.
        k: Context size; at most the other views there are.
        generator: Source of randomness (CPU).
        source: The source (view 0) comes first, always, and also where it is the target.
    """
    assert k <= views - any(target < views for target in targets), "a target would become its own context"
    order = torch.rand(batch, len(targets), views, generator=generator)
    own = torch.tensor(list(targets))[:, None] == torch.arange(views)
    order = order.masked_fill(own, -1)
    if source:
        order[..., 0] = 1
    return order.topk(k, dim=-1).indices


def draw_size(least: int, most: int, shares: tuple[float, ...] | None, generator: torch.Generator) -> int:
    """How many context views this step's targets are given: `least` to `most`, with these weights or equally often."""
    if shares is None:
        return int(torch.randint(least, most + 1, (), generator=generator))
    return least + int(torch.multinomial(torch.tensor(shares), 1, generator=generator))


def fill_context(context: Int[Tensor, "batch targets k"], slots: int | None) -> Int[Tensor, "batch targets slots"]:
    """Repeat the source (view 0) until a joint sequence's context slots are full, as the paper does.

    Raises:
        ValueError: More context views than slots.
    """
    if slots is None:
        return context
    k = context.shape[-1]
    if k > slots:
        raise ValueError(f"context of {k} views for {slots} context slots: lower curriculum.max_context by {k - slots}")
    return torch.nn.functional.pad(context, (0, slots - k))


def draw_overlap(frames: int, config: ObjectiveConfig, generator: torch.Generator) -> int:
    """How many leading frames of this step's targets are clean: none, or 1 to `overlap_frames`, never all."""
    most = min(config.overlap_frames, frames - 1)
    chance, number = torch.rand(2, generator=generator).tolist()
    return 1 + int(number * most) if most > 0 and chance < config.overlap_probability else 0


def hide_depth(
    latents: Float[Tensor, "batch views channels frames height width"],
    depth_channels: int,
    probability: float,
    generator: torch.Generator,
) -> Float[Tensor, "batch views channels frames height width"]:
    """Latents of context views of which some have lost their depth: its channels, the last ones, are 0 (not known)."""
    hidden = torch.rand(latents.shape[:2], generator=generator) < probability
    colours = torch.arange(latents.shape[2], device=latents.device) < latents.shape[2] - depth_channels
    kept = colours | ~hidden[..., None].to(latents.device)
    return latents * kept[..., None, None, None]


def draw_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise, drawn where `like` lives, by a generator seeded from the given one (on the CPU)."""
    seed = int(torch.randint(2**31, (), generator=generator))
    local = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=local, device=like.device, dtype=like.dtype)


@dataclass(frozen=True)
class Task:
    """The targets of a step, those of all samples one after the other, and what a network is given for them.

    Attributes:
        x_0: Their true latents.
        rays: Their cameras.
        overlap: How many of their leading frames are given clean.
        given: The clean views that are context, of all samples.
        index: Which of these each target reads.
        words: What each is told; None: nothing.
    """

    x_0: Float[Tensor, "count channels frames height width"]
    rays: Float[Tensor, "count frames rows columns numbers"]
    overlap: int
    given: ViewTokens
    index: Int[Tensor, "count k"]
    words: Float[Tensor, "count words features"] | None

    def keep(self, x_t: Float[Tensor, "count channels frames height width"]) -> Tensor:
        """x_t with the frames in it that are given clean."""
        if not self.overlap:
            return x_t
        return torch.where(self._clean().view(1, 1, -1, 1, 1) > 0, self.x_0, x_t)

    def seen(self, model: Denoiser) -> Context:
        """What each target reads, every view encoded once."""
        return model.encode(self.given).select(self.index)

    def predict(self, model: Denoiser, x_t: Float[Tensor, "many ..."], t: Float[Tensor, "many"]) -> Tensor:
        """Raw prediction for noisy targets, all of them once or several times; their context is encoded once."""
        times = len(x_t) // len(self.x_0)
        seen = model.encode(self.given).select(self.index.repeat(times, 1))
        words = None if self.words is None else self.words.repeat(times, 1, 1)
        clean = self._clean().expand(len(x_t), -1) if self.overlap else None
        return model.predict(x_t[:, None], t, self.rays.repeat(times, 1, 1, 1, 1)[:, None], seen, clean, words)[:, 0]

    def _clean(self) -> Float[Tensor, "1 frames"]:
        frames = torch.arange(self.x_0.shape[2], device=self.x_0.device)
        return (frames < self.overlap).to(self.x_0)[None]


def draw_task(
    latents: Float[Tensor, "batch views channels frames height width"],
    camera_tokens: Float[Tensor, "batch views frames rows columns numbers"],
    context: Int[Tensor, "batch targets k"],
    targets: range,
    config: ObjectiveConfig,
    generator: torch.Generator,
    context_latents: Float[Tensor, "batch views channels frames height width"] | None = None,
    depth_channels: int = 0,
    text: Float[Tensor, "batch words features"] | None = None,
    slots: int | None = None,
) -> Task:
    """Every view of a sample as a target, its context the clean views beside it.

    Args:
        latents: True latents of all views.
        camera_tokens: Rays of all views relative to the source.
        context: Which views each target is given.
        targets: The views that are targets.
        config: Probabilities.
        generator: Source of randomness, on the CPU.
        context_latents: What the views look like as context; the true latents if None.
        depth_channels: How many of the latents' channels, the last ones, are depth.
        text: What each sample's targets are told in words; None: nothing.
        slots: `Denoiser.context_slots`.
    """
    x_0 = latents[:, targets.start : targets.stop].flatten(0, 1)
    rays = camera_tokens[:, targets.start : targets.stop].flatten(0, 1)
    overlap = draw_overlap(x_0.shape[2], config, generator)
    given = latents if context_latents is None else context_latents
    if depth_channels:
        given = hide_depth(given, depth_channels, config.hidden_depth, generator)
    # Each clean view that some target is given is encoded once, and all targets are run against them.
    context = fill_context(context, slots)
    shared = int(context.max()) + 1
    index = (context + torch.arange(len(latents)).view(-1, 1, 1) * shared).flatten(0, 1)
    index = index.to(x_0.device)  # before the pass, as a copy waits for all that is queued
    words = None if text is None else text.repeat_interleave(len(targets), 0)
    views = ViewTokens(given[:, :shared], camera_tokens[:, :shared])
    return Task(x_0, rays, overlap, views, index, words)


def training_loss(
    model: Denoiser, task: Task, config: ObjectiveConfig, generator: torch.Generator, depth_channels: int = 0
) -> Float[Tensor, ""]:
    """Flow-matching loss with teacher forcing: clean copies of the context views, noisy copies of the targets.

    In independent mode the clean copies are run once and shared by all targets; in joint mode every target is run
    with its own context in one sequence. The loss is that of the velocity; where the network predicts x0 its weight
    1 / t^2 is capped at 1 / x0_floor^2. Frames given clean have a part in it if `overlap_in_loss` says so. Depth has a
    mean of its own, over the latents that are known (not 0); depth that is not known has no part in any.

    Args:
        model: The denoiser.
        task: Targets and their context.
        config: Weights and the times' shift.
        generator: Source of noise and times, on the CPU whatever the model's device.
        depth_channels: How many of the latents' channels, the last ones, are depth.
    """
    x_0 = task.x_0
    t = sample_timesteps(len(x_0), config.shift, generator).to(x_0)
    eps = draw_noise(x_0, generator)
    raw = task.predict(model, task.keep(interpolate(x_0, eps, t)), t)
    aim = x_0 if model.config.prediction == "x0" else velocity(x_0, eps)
    first = 0 if config.overlap_in_loss else task.overlap
    return mean_square(model, raw, aim, t, config, depth_channels, known=x_0 != 0, first=first)


def mean_square(
    model: Denoiser,
    raw: Float[Tensor, "count channels frames height width"],
    aim: Float[Tensor, "count channels frames height width"],
    t: Float[Tensor, "count"],
    config: ObjectiveConfig,
    depth_channels: int,
    known: Tensor,
    first: int,
) -> Float[Tensor, ""]:
    """Mean square error of a velocity, by its network's raw prediction.

    Args:
        model: The denoiser.
        raw: Its prediction.
        aim: What that should be.
        t: Where on the path.
        config: Weights.
        depth_channels: How many of the channels, the last ones, are depth; it has a mean of its own.
        known: Of the shape of `aim`: the depth that counts.
        first: Frames before this one do not count.
    """
    error = raw.float() - aim
    if model.config.prediction == "x0":
        error = error / t.clamp(min=config.x0_floor).view(-1, 1, 1, 1, 1)
    square = error[:, :, first:].square()
    if not depth_channels:
        return square.mean()
    known = known[:, -depth_channels:, first:]
    depth = (square[:, -depth_channels:] * known).sum() / known.sum().clamp(min=1)
    return square[:, :-depth_channels].mean() + config.depth_weight * depth
