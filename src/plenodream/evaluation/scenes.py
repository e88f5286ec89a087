"""Held-out scenes with exact depth and cameras, which no training run can draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plenodream.geometry.cameras import stack_cameras
from plenodream.geometry.visibility import seen_by_source
from plenodream.types import Cameras
from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import SceneFamily
from plenodream.worlds.raycast import render
from plenodream.worlds.world import sample_worlds, world_generator


@dataclass(frozen=True)
class HeldOut:
    """Scenes that no training run can draw.

    Attributes:
        rgb: True videos, 0..1; view 0 is the source.
        depth: Exact depth, metres.
        moving: What moves.
        cameras: Batch shape (scenes, views, frames).
        seen: Pixels of every view that the source sees at the same time.
        no_motion: The source's video if nothing in it moved from where it is in the first frame.
    """

    rgb: Float[Tensor, "scenes views frames height width 3"]
    depth: Float[Tensor, "scenes views frames height width"]
    moving: Bool[Tensor, "scenes views frames height width"]
    cameras: Cameras
    seen: Bool[Tensor, "scenes views frames height width"]
    no_motion: Float[Tensor, "scenes frames height width 3"]

    @property
    def anchor(self) -> Float[Tensor, "scenes 4 4"]:
        """The first camera of every source."""
        return self.cameras.camera_to_world[:, 0, 0]


def held_out(
    family: SceneFamily,
    scenes: int,
    views: int,
    frames: int,
    height: int,
    width: int,
    split: str = "validation",
    device: torch.device | str = "cpu",
    first: int = 0,
) -> HeldOut:
    """Scenes `first`, `first` + 1, ... of a split; a scene is the same whatever others are asked for with it.

    Raises:
        ValueError: Unknown split, or no scenes, views or frames.
    """
    if scenes < 1:
        raise ValueError(f"{scenes} scenes: expected at least 1")
    times = torch.linspace(0, 1, frames, device=device)
    parts: dict[str, list[Tensor]] = {name: [] for name in ("rgb", "depth", "moving", "seen", "no_motion")}
    paths = []
    for index in range(first, first + scenes):
        generator = world_generator(split, index)
        world = sample_worlds(family, 1, generator, device)
        cameras = sample_cameras(family, 1, views, frames, height, width, generator, device)
        rendered = render(world, cameras, times)
        parts["rgb"].append(rendered.rgb)
        parts["depth"].append(rendered.depth)
        parts["moving"].append(rendered.moving)
        parts["seen"].append(seen_by_source(rendered.depth, cameras, rendered.depth[:, :1], cameras[:, :1]))
        parts["no_motion"].append(render(world, cameras[:, :1], torch.zeros_like(times)).rgb[:, 0])
        paths.append(cameras[0])
    return HeldOut(cameras=stack_cameras(paths), **{name: torch.cat(values) for name, values in parts.items()})


def neighbour(index: Int[Tensor, "scenes"]) -> Int[Tensor, "scenes"]:
    """The scene that lends each its camera or its history as a control: 0 and 1, 2 and 3, ... lend each other theirs.

    So a scene's control does not depend on how many scenes are evaluated.
    """
    return index ^ 1
