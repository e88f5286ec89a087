"""Held-out scenes with exact depth and cameras, and how well sampled videos of them match the truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import SchedulerMixin
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.data.family import SceneFamily
from plenodream.data.paths import sample_cameras
from plenodream.data.render import render
from plenodream.data.synthetic import sample_worlds, world_generator
from plenodream.evaluation.exact_sync import MINIMUM_COVERAGE
from plenodream.evaluation.fidelity import SquaredError, squared_error
from plenodream.evaluation.sampler import ViewSampler, colours, noise_seeds
from plenodream.geometry.cameras import stack_cameras
from plenodream.geometry.visibility import seen_by_source
from plenodream.models.codec import SpaceToDepthCodec, signal_to_depth
from plenodream.models.denoiser import DenoiserMixin
from plenodream.sampling.denoise import SamplingConfig
from plenodream.types import Cameras


@dataclass(frozen=True)
class HeldOut:
    """Scenes that no training run can draw.

    Attributes:
        rgb: True videos, 0..1; view 0 is the source.
        depth: Exact depth, metres.
        moving: What moves.
        cameras: Batch shape (scenes, views, frames).
        seen: Pixels of every view that the source sees at the same time.
        stopped: The source's video if everything stood still where it is in the first frame.
    """

    rgb: Float[Tensor, "scenes views frames height width 3"]
    depth: Float[Tensor, "scenes views frames height width"]
    moving: Bool[Tensor, "scenes views frames height width"]
    cameras: Cameras
    seen: Bool[Tensor, "scenes views frames height width"]
    stopped: Float[Tensor, "scenes frames height width 3"]

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
    parts: dict[str, list[Tensor]] = {name: [] for name in ("rgb", "depth", "moving", "seen", "stopped")}
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
        parts["stopped"].append(render(world, cameras[:, :1], torch.zeros_like(times)).rgb[:, 0])
        paths.append(cameras[0])
    return HeldOut(cameras=stack_cameras(paths), **{name: torch.cat(values) for name, values in parts.items()})


def reconstruction_errors(
    video: Float[Tensor, "*scenes frames height width 3"],
    truth: Float[Tensor, "*scenes frames height width 3"],
    seen: Bool[Tensor, "*scenes frames height width"],
    moving: Bool[Tensor, "*scenes frames height width"],
) -> dict[str, SquaredError]:
    """Squared error on all pixels, on co-visible and hidden ones, and on co-visible ones that rest or move.

    The hidden pixels are not split: what moves there, nobody could know.
    """
    masks = {"all": None, "co-visible": seen, "hidden": ~seen, "static": seen & ~moving, "moving": seen & moving}
    return {name: squared_error(video, truth, mask) for name, mask in masks.items()}


def depth_error(
    signal: Float[Tensor, "scenes channels frames height width"], truth: Float[Tensor, "scenes frames height width"]
) -> Float[Tensor, "scenes"]:
    """Median over a video's pixels of |z - true z| / true z; NaN where the signal has no depth."""
    if signal.shape[1] < 4:
        return truth.new_full((len(truth),), torch.nan)
    return ((signal_to_depth(signal[:, 3]) - truth).abs() / truth).flatten(1).median(dim=1).values


@dataclass(frozen=True)
class Reconstruction:
    """PSNR in dB per scene and target view; NaN where less than 0.5 % of the pixels could be compared.

    Attributes:
        seen: Result, on pixels the source sees.
        hidden: Result, on pixels it does not see.
        moving: Result, on seen pixels that move.
        wrong_camera: Result with another scene's camera, on seen pixels.
        copied: The source itself as result, on seen pixels.
        depth: Median error of the depth, relative to the true one, of all pixels; NaN for a model without depth.
        videos: What was sampled.
    """

    seen: Float[Tensor, "scenes targets"]
    hidden: Float[Tensor, "scenes targets"]
    moving: Float[Tensor, "scenes targets"]
    wrong_camera: Float[Tensor, "scenes targets"]
    copied: Float[Tensor, "scenes targets"]
    depth: Float[Tensor, "scenes targets"]
    videos: Float[Tensor, "scenes targets frames height width 3"]


def score_reconstruction(
    model: DenoiserMixin,
    codec: SpaceToDepthCodec,
    scheduler: SchedulerMixin,
    sampling: SamplingConfig,
    data: HeldOut,
    seed: int = 0,
) -> Reconstruction:
    """Sample every target view of every scene from its source, with the right camera and with another scene's."""
    sampler = ViewSampler(model, codec, scheduler, sampling)
    scenes, targets = len(data.rgb), data.rgb.shape[1] - 1
    source = sampler.encode(data.rgb[:, 0], data.cameras[:, 0], data.anchor)
    index = torch.arange(scenes, device=data.rgb.device)[:, None]
    columns: dict[str, list[Tensor]] = {
        name: [] for name in ("seen", "hidden", "moving", "wrong_camera", "copied", "depth", "videos")
    }
    for target in range(1, targets + 1):
        cameras = data.cameras[:, target]
        seeds = noise_seeds(seed, f"target-{target}", 0, scenes)
        signal = sampler.sample_signal(source, index, cameras, data.anchor, seeds)
        video = colours(signal)
        others = index[:, 0].roll(1)
        wrong = sampler.sample(source, index, cameras[others], data.anchor, seeds)
        truth, seen, moving = data.rgb[:, target], data.seen[:, target], data.moving[:, target]
        right = reconstruction_errors(video, truth, seen, moving)
        scores = {
            "seen": right["co-visible"],
            "hidden": right["hidden"],
            "moving": right["moving"],
            "wrong_camera": squared_error(wrong, truth, seen),
            "copied": squared_error(data.rgb[:, 0], truth, seen),
        }
        for name, error in scores.items():
            columns[name].append(error.psnr(MINIMUM_COVERAGE))
        columns["depth"].append(depth_error(signal, data.depth[:, target]))
        columns["videos"].append(video)
    return Reconstruction(**{name: torch.stack(values, dim=1) for name, values in columns.items()})
