"""Training batches rendered on the fly: a step's number and the run's seed say everything about its data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.data.paths import sample_cameras
from plenodream.data.render import render
from plenodream.data.synthetic import FULL, MILD, sample_worlds, world_generator
from plenodream.training.config import Stage
from plenodream.types import Cameras

FAMILIES = {"mild": MILD, "full": FULL}


@dataclass(frozen=True)
class Batch:
    """Views of several scenes.

    Attributes:
        signal: Videos in [-1, 1].
        cameras: Batch shape (batch, views, frames); view 0 is the source.
    """

    signal: Float[Tensor, "batch views 3 frames height width"]
    cameras: Cameras


def synthetic_batch(stage: Stage, height: int, width: int, seed: int, step: int, device: torch.device | str) -> Batch:
    """The batch of one step.

    Single frames are taken at a random time of the event, the same for all views of a scene.

    Args:
        stage: Family, views, frames and batch size.
        height: Pixels.
        width: Pixels.
        seed: Of the run.
        step: Number of the step.
        device: Where to render.
    """
    generator = world_generator("train", 2 * (seed * 1_000_003 + step))
    family = FAMILIES[stage.family]
    worlds = sample_worlds(family, stage.batch, generator, device)
    cameras = sample_cameras(family, stage.batch, stage.views, max(stage.frames, 9), height, width, generator, device)
    times = torch.linspace(0, 1, max(stage.frames, 9), device=device).expand(stage.batch, 1, -1)
    if stage.frames == 1:
        frame = torch.randint(times.shape[-1], (stage.batch,), generator=generator).to(device)
        rows = torch.arange(stage.batch, device=device)
        # The rays stay anchored at the first frame of the source, which must therefore be frame 0 of the path too.
        cameras, times = cameras[rows, :, frame], times[rows, :, frame]
        cameras = Cameras(cameras.camera_to_world[:, :, None], cameras.intrinsics[:, :, None], height, width)
        times = times[..., None]
    rendered = render(worlds, cameras, times)
    return Batch(rendered.rgb.movedim(-1, 2) * 2 - 1, cameras)
