"""How well sampled videos of held-out scenes match the truth, while a model trains."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import SchedulerMixin
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE, SquaredError, squared_error
from plenodream.evaluation.sampler import ViewSampler, colours, noise_seeds
from plenodream.evaluation.scenes import HeldOut, neighbour
from plenodream.models.codecs.depth import signal_to_depth
from plenodream.models.codecs.protocol import Codec
from plenodream.models.denoiser import Denoiser
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.sampler import Sampler


def reconstruction_errors(
    video: Float[Tensor, "*scenes frames height width 3"],
    truth: Float[Tensor, "*scenes frames height width 3"],
    seen: Bool[Tensor, "*scenes frames height width"],
    moving: Bool[Tensor, "*scenes frames height width"],
) -> dict[str, SquaredError]:
    """Squared error on all pixels, on seen and hidden ones, and on seen ones that are static or move.

    The hidden pixels are not split: what moves there, nobody could know.
    """
    masks = {"all": None, "seen": seen, "hidden": ~seen, "static": seen & ~moving, "moving": seen & moving}
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
    model: Denoiser,
    codec: Codec,
    scheduler: SchedulerMixin,
    sampling: SamplingConfig,
    data: HeldOut,
    seed: int = 0,
) -> Reconstruction:
    """Sample every target view of every scene from its source, with the right camera and with its neighbour's.

    Scenes come in pairs (`neighbour`).
    """
    sampler = ViewSampler(Sampler(model, codec, scheduler, sampling))
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
        others = neighbour(index[:, 0])
        wrong = sampler.sample(source, index, cameras[others], data.anchor, seeds)
        truth, seen, moving = data.rgb[:, target], data.seen[:, target], data.moving[:, target]
        right = reconstruction_errors(video, truth, seen, moving)
        scores = {
            "seen": right["seen"],
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
