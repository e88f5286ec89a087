"""Do the videos look, as a set, like true ones? Distances between features of videos, by two kinds of features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from plenodream.evaluation.metrics.distances import frechet_distance, kernel_distance
from plenodream.evaluation.metrics.metric import MEAN, Column, Score, Unavailable
from plenodream.evaluation.shots import Shot
from plenodream.files.hashes import hash_file

_QUANTILES = (0.5, 0.8, 0.95)
# Of fewer videos the spread of their features is chance, and distances in units of it can have any size.
FEWEST = 8


class Distribution:
    """Distances by plain statistics of colours, edges and changes: a stand-in that needs no weights, and no FVD."""

    name, version = "distribution", 1
    columns: tuple[Column, ...] = ()
    fewest = FEWEST

    @property
    def set_columns(self) -> tuple[Column, ...]:
        """Frechet and kernel distance, named after their features."""
        return (Column("fd_stats_v1", "", MEAN, "lower"), Column("kd_stats_v1", "", MEAN, "lower"))

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": "stats_v1: mean and spread of colours, quantiles of differences across, down, in time",
            "scale": "features divided by their spread over the true videos",
            "fd": "covariance over N; biased upwards below some hundred videos",
            "kd": "unbiased cubic MMD^2",
            "interval": "jackknife over scenes",
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """Nothing of a single shot; see `features`."""
        if shot.truth is None:
            raise Unavailable("truth")
        return []

    def features(self, shot: Shot) -> dict[str, list[float]]:
        """See `SetMetric`."""
        return {row: [round(x, 9) for x in video_statistics(video).tolist()] for row, video in shot.videos.items()}

    def score_set(
        self, column: str, made: Float[Tensor, "samples width"], truth: Float[Tensor, "samples width"]
    ) -> float:
        """See `SetMetric`."""
        centre, spread = truth.mean(0), truth.std(0).clamp(min=1e-9)
        made, truth = (made - centre) / spread, (truth - centre) / spread
        return frechet_distance(made, truth) if column.startswith("fd") else kernel_distance(made, truth)


def video_statistics(video: Float[Tensor, "frames height width 3"]) -> Float[Tensor, "features"]:
    """Ours: at full, half and quarter size mean and spread of every channel, and quantiles of absolute differences."""
    found = []
    for factor in (1, 2, 4):
        scaled = avg_pool2d(video.movedim(-1, 1), factor).double()
        found += [scaled.mean((0, 2, 3)), scaled.std((0, 2, 3))]
        for dim in (0, 2, 3):
            found.append(_quantiles(scaled.diff(dim=dim).abs()))
    return torch.cat(found)


def _quantiles(values: Float[Tensor, "..."]) -> Float[Tensor, "quantiles"]:
    """By NumPy: torch's own takes no more than 16 million numbers, which a real video has."""
    found = np.quantile(values.numpy(), _QUANTILES) if values.numel() else np.zeros(len(_QUANTILES))
    return torch.from_numpy(found).double()


class Fvd:
    """FVD by the protocol of StyleGAN-V: its I3D as TorchScript, which the user gives."""

    name, version = "fvd", 1
    columns: tuple[Column, ...] = ()
    fewest = FEWEST

    def __init__(self, weights: Path | None = None) -> None:
        self._weights, self._network = weights, None
        self._hash = hash_file(weights) if weights else None

    @property
    def set_columns(self) -> tuple[Column, ...]:
        """Frechet and kernel distance of its logits."""
        return (Column("fvd_i3d_styleganv", "", MEAN, "lower"), Column("kvd_i3d_styleganv", "", MEAN, "lower"))

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": "I3D, rescaled and resized to 224x224 without aspect, 400 logits",
            "weights": self._hash,
            "fvd": "covariance over N",
            "kvd": "unbiased cubic MMD^2",
            "interval": "jackknife over scenes",
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """Nothing of a single shot; see `features`."""
        if self._weights is None:
            raise Unavailable("the I3D TorchScript of StyleGAN-V: --weights fvd=FILE")
        if shot.truth is None:
            raise Unavailable("truth")
        return []

    def features(self, shot: Shot) -> dict[str, list[float]]:
        """See `SetMetric`."""
        if self._network is None:
            self._network = torch.jit.load(str(self._weights), map_location="cpu").eval()
        found = {}
        for row, video in shot.videos.items():
            pixels = (video * 255).round().movedim(-1, 0)[None]
            with torch.no_grad():
                logits = self._network(pixels, rescale=True, resize=True, return_features=True)
            found[row] = logits[0].double().tolist()
        return found

    def score_set(
        self, column: str, made: Float[Tensor, "samples width"], truth: Float[Tensor, "samples width"]
    ) -> float:
        """See `SetMetric`."""
        return frechet_distance(made, truth) if column.startswith("fvd") else kernel_distance(made, truth)
