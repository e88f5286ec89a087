"""Training batches rendered on the fly: a step's number and the run's seed say everything about its data."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.models.codecs.depth import depth_to_signal
from plenodream.training.batches.batch import Batch, step_generator
from plenodream.training.config import TrainConfig
from plenodream.training.curriculum import MIXED, Stage
from plenodream.types import Cameras
from plenodream.worlds.cameras import Footage, sample_cameras
from plenodream.worlds.family import FAMILIES
from plenodream.worlds.raycast import render
from plenodream.worlds.textures import textures_fingerprint
from plenodream.worlds.world import sample_worlds

# Single frames are taken from paths of this many.
_PATH_FRAMES = 9


def synthetic_batch(
    stage: Stage,
    number: int,
    height: int,
    width: int,
    seed: int,
    device: torch.device | str,
    renderer=render,
    textures: Float[Tensor, "images 3 size size"] | None = None,
    depth: bool = False,
) -> Batch:
    """One batch of procedural scenes.

    Single frames are taken at a random time of the event, the same for all views of a scene.

    Args:
        stage: Family, views, frames and batch size.
        number: Of the batch.
        height: Pixels.
        width: Pixels.
        seed: Of the run.
        device: Where to render.
        renderer: `worlds.raycast.render`, or the same compiled.
        textures: Images that a share of the surfaces shows.
        depth: Whether the signal has depth.

    Raises:
        ValueError: A stage that trains on something else.
    """
    if stage.family not in (*FAMILIES, MIXED):
        raise ValueError(f"scenes of family {stage.family!r}: expected {' or '.join(FAMILIES)}, or a folder by --data")
    generator = step_generator(seed, number, "data")
    name = tuple(FAMILIES)[number % len(FAMILIES)] if stage.family == MIXED else stage.family
    family, frames = FAMILIES[name], max(stage.frames, _PATH_FRAMES) if stage.frames == 1 else stage.frames
    footage = None
    if stage.footage:
        footage = Footage() if torch.rand((), generator=generator) < stage.footage else None
        textures = None if footage is None else textures
    worlds = sample_worlds(family, stage.batch, generator, device, textures)
    cameras = sample_cameras(family, stage.batch, stage.views, frames, height, width, generator, device, footage)
    times = torch.linspace(0, 1, frames, device=device).expand(stage.batch, 1, -1)
    if stage.frames == 1:
        frame = torch.randint(frames, (stage.batch,), generator=generator).to(device)
        rows = torch.arange(stage.batch, device=device)
        # The rays stay anchored at the first frame of the source's path: the identity.
        poses, intrinsics = cameras.camera_to_world[rows, :, frame], cameras.intrinsics[rows, :, frame]
        cameras = Cameras(poses[:, :, None], intrinsics[:, :, None], height, width)
        times = times[rows, :, frame][..., None]
    rendered = renderer(worlds, cameras, times)
    signal = rendered.rgb.movedim(-1, 2) * 2 - 1
    if depth:
        signal = torch.cat([signal, depth_to_signal(rendered.depth)[:, :, None]], dim=2)
    return Batch(signal, cameras)


class ProceduralBatches:
    """A `BatchSource` of procedural scenes.

    Args:
        config: Recipe of the run.
        device: Where to render.
        textures: Images that a share of the surfaces shows; a checkpoint remembers them.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device | str,
        textures: Float[Tensor, "images 3 size size"] | None = None,
    ) -> None:
        self._fingerprint = "procedural" + (f", {textures_fingerprint(textures)}" if textures is not None else "")
        self._render = partial(
            synthetic_batch,
            height=config.height,
            width=config.width,
            seed=config.seed,
            device=device,
            renderer=torch.compile(render) if config.compile and torch.device(device).type != "cpu" else render,
            textures=None if textures is None else textures.to(device),
            depth=config.depth,
        )

    def __call__(self, stage: Stage, number: int) -> Batch:
        """Batch `number`, the same for the same number."""
        return self._render(stage, number)

    def fingerprint(self) -> str:
        """Changes with the images: kept in a checkpoint, compared on resume."""
        return self._fingerprint
