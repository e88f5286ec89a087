"""Learned metrics of other people, each behind its own package: cvvdp, MEt3R, VBench's imaging quality.

None of them is imported before it is asked for; what is not installed, or has no weights, is `n/a (needs ...)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from plenodream.evaluation.metrics.metric import MEAN, Column, Score, Unavailable, needed
from plenodream.evaluation.shots import Shot, few_frames, pairs_of_videos
from plenodream.files.hashes import hash_file

_DISPLAY = "standard_4k"
_MET3R_SIDE, _IQ_SIDE = 256, 512


class Cvvdp:
    """ColorVideoVDP: how far a video differs visibly from the true one, in JOD (10: not at all; package `cvvdp`)."""

    name, version = "cvvdp", 1
    columns = (Column("cvvdp", "JOD", MEAN, "higher"),)

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {"estimator": f"cvvdp {_release('cvvdp')}, display {_DISPLAY}", "reduction": "mean over shots, scenes"}

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        if shot.truth is None:
            raise Unavailable("truth")
        scores = []
        for row, video in shot.videos.items():
            quality, _ = self._network.predict(video, shot.truth, dim_order="FHWC", frames_per_second=shot.fps)
            scores.append(Score("cvvdp", row, float(quality), 1.0))
        return scores

    @cached_property
    def _network(self) -> Any:
        package = needed("pycvvdp", "cvvdp and torchvision")
        return package.cvvdp(display_name=_DISPLAY, device=torch.device("cpu"), quiet=True)


class Met3r:
    """MEt3R between shots at equal times: distance of features that DUSt3R's points carry over (package `met3r`).

    It needs no cameras, and ignoring them pleases it; noise scores about as methods do. It fetches its networks.
    """

    name, version = "met3r", 1
    columns = (Column("met3r", "", MEAN, "lower", pairs=True, digits=3),)

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": f"met3r {_release('met3r')}: mast3r, dino16, featup, cosine",
            "frames": f"first, middle, last, squeezed to {_MET3R_SIDE}x{_MET3R_SIDE}",
            "reading": "ignoring the camera pleases it: copy is that row",
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        scores, frames = [], few_frames(shot)
        for a in earlier:
            for row, videos in pairs_of_videos(a, shot).items():
                squares = [_squeezed(video[frames], _MET3R_SIDE) * 2 - 1 for video in videos]
                with torch.no_grad():
                    found, *_ = self._network(images=torch.stack(squares, dim=1))
                scores.append(Score("met3r", row, float(found.double().sum()), len(frames), 1.0, a.sample.shot))
        return scores

    @cached_property
    def _network(self) -> Any:
        return needed("met3r", "met3r (github.com/mohammadasim98/met3r)").MEt3R(
            img_size=_MET3R_SIDE, use_norm=True, backbone="mast3r", feature_backbone="dino16",
            feature_backbone_weights="mhamilton723/FeatUp", upsampler="featup", distance="cosine", freeze=True,
        )  # fmt: skip


class ImagingQuality:
    """VBench's imaging quality: MUSIQ (SPAQ) of every frame, 0 to 100 (package `pyiqa`, for non-commercial use).

    Args:
        weights: MUSIQ's weights for SPAQ, which are not ours to ship.
    """

    name, version = "iq", 1
    columns = (Column("iq", "", MEAN, "higher", digits=1),)

    def __init__(self, weights: Path | None = None) -> None:
        self._weights = weights
        self._hash = hash_file(weights) if weights else None

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        size = f"made smaller where the longer side is over {_IQ_SIDE}"
        return {"estimator": f"pyiqa {_release('pyiqa')}: musiq-spaq", "weights": self._hash, "size": size}

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        scores = []
        for row, video in shot.videos.items():
            frames = video.float().movedim(-1, 1)
            factor = _IQ_SIDE / max(frames.shape[-2:])
            if factor < 1:
                frames = interpolate(frames, scale_factor=factor, mode="bilinear", antialias=True)
            with torch.no_grad():
                found = sum(float(self._network(frame[None])) for frame in frames)
            scores.append(Score("iq", row, found, len(frames)))
        return scores

    @cached_property
    def _network(self) -> Any:
        if self._weights is None:
            raise Unavailable("pyiqa, and MUSIQ's weights for SPAQ: --weights iq=FILE")
        package = needed("pyiqa", "pyiqa")
        return package.create_metric("musiq-spaq", device="cpu", pretrained_model_path=str(self._weights))


def _release(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _squeezed(frames: Float[Tensor, "frames height width 3"], side: int) -> Float[Tensor, "frames 3 side side"]:
    return interpolate(frames.float().movedim(-1, 1), (side, side), mode="bilinear", antialias=True)
