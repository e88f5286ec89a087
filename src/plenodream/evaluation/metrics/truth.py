"""The videos against the truth: PSNR, SSIM, and what blur costs them, on the pixels that the source saw or did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from plenodream.evaluation.metrics.fidelity import (
    MINIMUM_COVERAGE,
    colour_variance,
    edge_energy,
    pool,
)
from plenodream.evaluation.metrics.metric import DECIBELS, MEAN, Column, Score, Unavailable
from plenodream.evaluation.metrics.similarity import ssim_map
from plenodream.evaluation.shots import Shot

MASKS = ("all", "seen", "hidden", "static", "moving")


class Fidelity:
    """How near a shot is to its true video. Masks need true depth, and for static and moving a motion mask."""

    name, version = "fidelity", 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """PSNR, SSIM, sharpness and variance ratio on every mask."""
        kinds = (
            ("psnr", "dB", DECIBELS, "higher", 2),
            ("ssim", "", MEAN, "higher", 3),
            ("sharpness", "", MEAN, "one", 2),
            ("variance", "", MEAN, "one", 2),
        )
        return tuple(
            Column(f"{kind}.{mask}", unit, pooling, better, MINIMUM_COVERAGE, digits=digits)
            for kind, unit, pooling, better, digits in kinds
            for mask in MASKS
        )

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": "true depth and cameras",
            "masks": "seen: the source shows the point at the same time; static, moving: of the seen pixels",
            "ssim": "gaussian 11 pixels, sigma 1.5, range 1, whole pictures, mirrored border",
            "ratios": "sharpness: squared neighbour differences; variance: about the mean colour; over the truth's",
            "reduction": "sums pooled per scene, then the mean over scenes",
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        truth = shot.truth
        if truth is None:
            raise Unavailable("truth")
        masks, truth = _masks(shot), truth.double()
        videos, chosen = torch.stack(list(shot.videos.values())).double(), torch.stack(list(masks.values()))
        kinds: dict[str, tuple[Tensor, Tensor]] = {}  # totals and counts, (videos, masks)
        for kind, values in (("psnr", (videos - truth).square().mean(-1)), ("ssim", ssim_map(videos, truth))):
            sums = pool(values[:, None], chosen)
            kinds[kind] = sums.total, sums.count
        for kind, measure in (("sharpness", edge_energy), ("variance", colour_variance)):
            found = measure(videos[:, None], chosen)
            kinds[kind] = found, measure(truth, chosen).expand_as(found)
        return [
            _score(f"{kind}.{mask}", row, total[r, m], count[r, m], sums.coverage[r, m])
            for r, row in enumerate(shot.videos)
            for m, mask in enumerate(masks)
            for kind, (total, count) in kinds.items()
        ]


def _masks(shot: Shot) -> dict[str, Bool[Tensor, "frames height width"]]:
    masks = {"all": torch.ones(shot.frames.shape[:-1], dtype=torch.bool)}
    if shot.seen is not None:
        masks |= {"seen": shot.seen, "hidden": ~shot.seen}
        if shot.moving is not None:
            masks |= {"static": shot.seen & ~shot.moving, "moving": shot.seen & shot.moving}
    return masks


def _score(column: str, row: str, total: Tensor, count: Tensor, share: Tensor) -> Score:
    # An empty mask has no variance: nothing is counted.
    empty = not float(count) > 0
    return Score(column, row, 0.0 if empty else float(total), 0.0 if empty else float(count), float(share))
