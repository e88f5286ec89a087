"""Fewer steps: a student learns to go in one step where its teacher, of the same network, goes in several."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from jaxtyping import Float
from torch import Tensor

from plenodream.models.denoiser import Denoiser
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.denoise import schedule
from plenodream.sampling.view import sample_view
from plenodream.training.objective import ObjectiveConfig, Task, draw_noise, mean_square


@dataclass(frozen=True)
class DistillationConfig:
    """Whether a run distils the weights that it starts from, and how finely these are sampled.

    Attributes:
        teacher_steps: Steps of the teacher that one of the student's (`sampling.steps`) stands for; 0: no
            distillation.
        guidance: With which the teacher is sampled; the student needs none.
    """

    teacher_steps: int = 0
    guidance: float = 0.0

    def __post_init__(self) -> None:
        if self.teacher_steps < 0:
            raise ValueError(f"distillation.teacher_steps is {self.teacher_steps}: expected 0 (none) or more")
        if not 0 <= self.guidance < float("inf"):
            raise ValueError(f"distillation.guidance is {self.guidance}: expected a finite number, 0 or more")


@dataclass(frozen=True)
class Jumps:
    """Where a student shall go in one step, all steps of all targets one after the other.

    Attributes:
        x_t: Where it starts, on its teacher's way.
        t: Their times.
        velocity: The one that leads in one step to where the teacher comes in several.
    """

    x_t: Float[Tensor, "many channels frames height width"]
    t: Float[Tensor, "many"]
    velocity: Float[Tensor, "many channels frames height width"]


@torch.no_grad()
def teacher_jumps(
    teacher: Denoiser,
    task: Task,
    scheduler: SchedulerMixin,
    steps: int,
    config: DistillationConfig,
    generator: torch.Generator,
    negative: Float[Tensor, "1 words features"] | None = None,
) -> Jumps:
    """The teacher's way from noise, `steps` times `teacher_steps` steps long, cut into `steps` jumps.

    Args:
        teacher: Frozen.
        task: Targets and their context.
        scheduler: Which the student is sampled with: an Euler step goes along one velocity.
        steps: Of the student.
        config: Of the teacher.
        generator: Source of the noise, on the CPU.
        negative: Words that guidance leads away from; None: guidance, if any, is over cameras.
    """
    way: list[Tensor] = []
    every = config.teacher_steps
    sampling = SamplingConfig(steps * every, config.guidance)
    sample_view(
        teacher,
        scheduler,
        sampling,
        draw_noise(task.x_0, generator),
        task.rays,
        task.seen(teacher),
        text=task.words,
        negative=negative,
        clean=task.x_0,
        clean_frames=task.overlap,
        visited=way,
    )
    times = schedule(scheduler, sampling.steps).sigmas[::every].to(task.x_0)
    starts, ends = way[:-1:every], way[every::every]
    lengths = (times[:-1] - times[1:]).tolist()
    velocities = [(x - y) / length for x, y, length in zip(starts, ends, lengths, strict=True)]
    return Jumps(torch.cat(starts), times[:-1].repeat_interleave(len(task.x_0)), torch.cat(velocities))


def distillation_loss(
    model: Denoiser, task: Task, jumps: Jumps, config: ObjectiveConfig, depth_channels: int = 0
) -> Float[Tensor, ""]:
    """Progressive distillation: the mean square error of the student's velocity at all of its steps.

    It learns the map of its teacher, from each noise to one video, and not the mean over all that the data allow, which
    is what one step of the teacher gives. Nothing of the network changes, nor what it is told.

    Source: Salimans and Ho, Progressive Distillation for Fast Sampling of Diffusion Models (2022), section 3; starting
    points on the teacher's way instead of on that of the data are ours.

    Args:
        model: The student.
        task: Targets and their context.
        jumps: Of the teacher for the same.
        config: Weights.
        depth_channels: How many of the latents' channels, the last ones, are depth.
    """
    raw = task.predict(model, jumps.x_t, jumps.t)
    aim = jumps.velocity
    if model.config.prediction == "x0":
        aim = jumps.x_t - jumps.t.view(-1, 1, 1, 1, 1) * jumps.velocity
    every = torch.ones_like(aim, dtype=torch.bool)
    return mean_square(model, raw, aim, jumps.t, config, depth_channels, known=every, first=task.overlap)
