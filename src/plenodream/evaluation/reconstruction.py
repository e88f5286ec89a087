"""Held-out scores of a model against the truth: sampled videos of procedural scenes with exact depth and cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import SchedulerMixin
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.data.paths import sample_cameras
from plenodream.data.render import render
from plenodream.data.synthetic import SceneFamily, sample_worlds, world_generator
from plenodream.evaluation.exact_sync import seen_by_source
from plenodream.evaluation.fidelity import copy_source, psnr
from plenodream.models.camera_encoder import camera_tokens
from plenodream.models.codec import SpaceToDepthCodec
from plenodream.models.denoiser import DenoiserMixin, ViewTokens
from plenodream.sampling.denoise import SamplingConfig
from plenodream.sampling.view import sample_view
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
    """

    rgb: Float[Tensor, "scenes views frames height width 3"]
    depth: Float[Tensor, "scenes views frames height width"]
    moving: Bool[Tensor, "scenes views frames height width"]
    cameras: Cameras
    seen: Bool[Tensor, "scenes views frames height width"]


def held_out(
    family: SceneFamily,
    scenes: int,
    views: int,
    frames: int,
    height: int,
    width: int,
    split: str = "validation",
    device: torch.device | str = "cpu",
) -> HeldOut:
    """Fixed scenes of a split, the same for the same arguments."""
    generator = world_generator(split, 0)
    worlds = sample_worlds(family, scenes, generator, device)
    cameras = sample_cameras(family, scenes, views, frames, height, width, generator, device)
    rendered = render(worlds, cameras, torch.linspace(0, 1, frames, device=device))
    seen = seen_by_source(rendered.depth, cameras, rendered.depth[:, :1], cameras[:, :1])
    return HeldOut(rendered.rgb, rendered.depth, rendered.moving, cameras, seen)


@torch.no_grad()
def sample_from_source(
    model: DenoiserMixin,
    codec: SpaceToDepthCodec,
    scheduler: SchedulerMixin,
    sampling: SamplingConfig,
    data: HeldOut,
    target: int,
    seed: int,
    cameras: Cameras | None = None,
) -> Float[Tensor, "scenes frames height width 3"]:
    """Sampled videos of one target view of every scene, conditioned on the source alone.

    Args:
        model: The denoiser.
        codec: Its codec.
        scheduler: Its scheduler.
        sampling: Steps and guidance.
        data: The scenes.
        target: Index of the view.
        seed: Of the noise.
        cameras: Cameras to render along instead of the true ones (batch shape (scenes, frames)).
    """
    cameras = data.cameras[:, target] if cameras is None else cameras
    anchor = data.cameras.camera_to_world[:, 0, 0]
    patch = model.config.patch_size[1] * codec.spatial_factor
    source = codec.encode(data.rgb[:, 0].movedim(-1, 1) * 2 - 1)
    rays = camera_tokens(data.cameras[:, 0], anchor, patch, codec.temporal_factor)
    views = ViewTokens(source[:, None], rays[:, None])
    context, index = views, None
    if model.config.context_attention == "independent":
        context, index = model.encode_context(views), torch.arange(len(source), device=source.device)[:, None]
    noise = torch.randn(source.shape, generator=torch.Generator().manual_seed(seed)).to(source)
    rays = camera_tokens(cameras, anchor, patch, codec.temporal_factor)
    latents = sample_view(model, scheduler, sampling, noise, rays, context, index)
    return (codec.decode(latents).movedim(1, -1) + 1).clamp(0, 2) / 2


@dataclass(frozen=True)
class Reconstruction:
    """PSNR in dB per scene and target view; NaN where nothing is compared.

    Attributes:
        seen: Result, on pixels the source sees.
        hidden: Result, on pixels it does not see.
        moving: Result, on seen pixels that move.
        wrong_camera: Result with another scene's camera, on seen pixels.
        copied: The source itself as result, on seen pixels.
        videos: What was sampled.
    """

    seen: Float[Tensor, "scenes targets"]
    hidden: Float[Tensor, "scenes targets"]
    moving: Float[Tensor, "scenes targets"]
    wrong_camera: Float[Tensor, "scenes targets"]
    copied: Float[Tensor, "scenes targets"]
    videos: Float[Tensor, "scenes targets frames height width 3"]


def score_reconstruction(
    model: DenoiserMixin,
    codec: SpaceToDepthCodec,
    scheduler: SchedulerMixin,
    sampling: SamplingConfig,
    data: HeldOut,
    seed: int = 0,
) -> Reconstruction:
    """Sample every target view of every scene from its source, with the right camera and with the next scene's."""
    columns: dict[str, list[Tensor]] = {name: [] for name in ("seen", "hidden", "moving", "wrong_camera", "copied")}
    videos = []
    for target in range(1, data.rgb.shape[1]):
        truth, seen, moving = data.rgb[:, target], data.seen[:, target], data.moving[:, target]
        args = (model, codec, scheduler, sampling, data, target, seed + target)
        video = sample_from_source(*args)
        others = torch.roll(torch.arange(len(truth)), 1)
        wrong = sample_from_source(*args, cameras=data.cameras[others, target])
        columns["seen"].append(psnr(video, truth, seen))
        columns["hidden"].append(psnr(video, truth, ~seen))
        columns["moving"].append(psnr(video, truth, seen & moving))
        columns["wrong_camera"].append(psnr(wrong, truth, seen))
        columns["copied"].append(psnr(copy_source(data.rgb[:, 0], *truth.shape[2:4]), truth, seen))
        videos.append(video)
    return Reconstruction(**{name: torch.stack(x, dim=1) for name, x in columns.items()}, videos=torch.stack(videos, 1))
