"""Do two generated views agree on what the source does not show at the time? The paper's claim, with its controls."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.evaluation.metrics.fidelity import (
    MINIMUM_COVERAGE,
    mean_colour,
    sharpness_ratio,
    squared_error,
    variance_ratio,
)
from plenodream.evaluation.metrics.sync import Match, hsync, match_views, vsync
from plenodream.evaluation.sampler import ViewSampler, noise_seeds
from plenodream.evaluation.scenes import HeldOut, neighbour
from plenodream.geometry.visibility import lookup
from plenodream.models.context import Context
from plenodream.types import Cameras

# What view b is conditioned on, besides the source; view a always on the source alone.
CONDITIONS = ("retrieved history", "wrong history", "source twice", "independent")
# View b of the first condition against a view a that it was not shown.
UNSEEN = "unseen history"


@dataclass(frozen=True)
class Pairs:
    """Two target views of every scene that show much which the source does not.

    Attributes:
        a: Number of the view that is generated first.
        b: Number of the view that is generated second.
        match: Where a's pixels lie in b, and which of them are hidden from the source.
    """

    a: Int[Tensor, "scenes"]
    b: Int[Tensor, "scenes"]
    match: Match


def choose_pairs(data: HeldOut) -> Pairs:
    """Of all pairs of target views, in each scene the one with most pixels that both show and the source hides.

    Ours. Judged by the first, middle and last frame, from depth and cameras alone, so no model has a say in it.
    """
    views = data.rgb.shape[1]
    first, second = torch.tensor(list(combinations(range(1, views), 2)), device=data.rgb.device).T
    frames = torch.tensor([0, (data.rgb.shape[2] - 1) // 2, data.rgb.shape[2] - 1], device=data.rgb.device).unique()
    depth, cameras = data.depth[:, :, frames], data.cameras[:, :, frames]
    match = match_views(
        depth[:, first], cameras[:, first], depth[:, second], cameras[:, second], depth[:, :1], cameras[:, :1]
    )
    best = match.hidden.float().mean((-3, -2, -1)).argmax(dim=1)
    a, b = first[best], second[best]
    scene = torch.arange(len(best), device=best.device)
    match = match_views(
        data.depth[scene, a],
        data.cameras[scene, a],
        data.depth[scene, b],
        data.cameras[scene, b],
        data.depth[:, 0],
        data.cameras[:, 0],
        moving_a=data.moving[scene, a],
    )
    return Pairs(a, b, match)


def context_index(condition: str, scenes: int) -> Int[Tensor, "scenes context"]:
    """Entries of a bank that holds the scenes' sources, then their generated views a: what view b is conditioned on.

    Retrieved history is what rendering does. The controls have as much context but not that view: the source again, or
    view a of the neighbouring scene.
    """
    source = torch.arange(scenes)
    second = {
        "retrieved history": scenes + source,
        "wrong history": scenes + neighbour(source),
        "source twice": source,
    }
    return torch.stack([source, second[condition]] if condition in second else [source], dim=1)


@dataclass(frozen=True)
class SampledPairs:
    """Generated views.

    Attributes:
        a: View a, from the source alone.
        other_a: The same from other noise.
        b: By condition, view b from the source and what the condition adds; all from the same noise.
    """

    a: Float[Tensor, "scenes frames height width 3"]
    other_a: Float[Tensor, "scenes frames height width 3"]
    b: dict[str, Float[Tensor, "scenes frames height width 3"]]


def sample_pairs(sampler: ViewSampler, data: HeldOut, pairs: Pairs, seed: int, first: int) -> SampledPairs:
    """Sample both views of every scene's pair.

    Args:
        sampler: What samples.
        data: The scenes.
        pairs: Which views.
        seed: Of the noise.
        first: Number of the first scene in its split.
    """
    scenes = len(data.rgb)
    scene = torch.arange(scenes, device=data.rgb.device)
    cameras_a, cameras_b = data.cameras[scene, pairs.a], data.cameras[scene, pairs.b]
    bank = sampler.encode(data.rgb[:, 0], data.cameras[:, 0], data.anchor)

    def sample(index: Tensor, cameras: Cameras, view: str) -> Tensor:
        return sampler.sample(bank, index.to(scene), cameras, data.anchor, noise_seeds(seed, view, first, scenes))

    a = sample(scene[:, None], cameras_a, "a")
    bank = Context.stack([bank, sampler.encode(a, cameras_a, data.anchor)])
    b = {name: sample(context_index(name, scenes), cameras_b, "b") for name in CONDITIONS}
    return SampledPairs(a, sample(scene[:, None], cameras_a, "other a"), b)


def score_pairs(
    sampler: ViewSampler, data: HeldOut, pairs: Pairs, sampled: SampledPairs
) -> dict[str, dict[str, Float[Tensor, "scenes"]]]:
    """Agreement per row, column and scene, dB or a ratio; NaN where too few pixels could be compared.

    Rows: the true views through the codec (ceiling), view b under every condition against a, b with retrieved history
    against a view a that it was not shown, and instead of b the copied source and its mean colour (floors: what a
    agrees with by chance). Two blurred views agree easily. Hence the contrast and sharpness that b keeps on the same
    pixels, and its PSNR against the truth there; and the unseen history (ours): as b is the same video, its blur
    cancels, and what is left of the difference can only come from b having been shown a.
    """
    a, b = sampled.a, sampled.b
    scene = torch.arange(len(a), device=a.device)
    true_a, true_b = data.rgb[scene, pairs.a], data.rgb[scene, pairs.b]
    source = data.rgb[:, 0]
    rows = {"truth": (sampler.reconstruct(true_a), sampler.reconstruct(true_b))}
    rows |= {name: (a, video) for name, video in b.items()}
    rows |= {UNSEEN: (sampled.other_a, b["retrieved history"])}
    rows |= {"copy of source": (a, source)}
    rows |= {"mean colour": (a, mean_colour(source))}
    return {name: _columns(*videos, true_b, pairs.match) for name, videos in rows.items()}


def pair_coverage(pairs: Pairs) -> dict[str, Float[Tensor, "scenes"]]:
    """Share of view a's pixels behind every column of `score_pairs`."""
    match = pairs.match
    hidden, moving = match.hidden, match.moving
    assert moving is not None
    masks = {"hsync": hidden, "static": hidden & ~moving, "moving": hidden & moving, "vsync": match.seen}
    masks |= {name: hidden for name in ("tolerant", "b to truth", "variance", "sharpness")}
    return {name: mask.double().mean((-3, -2, -1)) for name, mask in masks.items()}


def _columns(a: Tensor, b: Tensor, true_b: Tensor, match: Match) -> dict[str, Tensor]:
    agreement, hidden = hsync(a, b, match), match.hidden
    assert agreement.static is not None and agreement.moving is not None
    found, truth = lookup(b, match.pixels), lookup(true_b, match.pixels)
    scores = {
        "hsync": agreement.all,
        "static": agreement.static,
        "moving": agreement.moving,
        "vsync": vsync(a, b, match).all,
        "tolerant": hsync(a, b, match, shift=1).all,
        "b to truth": squared_error(found, truth, hidden),
    }
    columns = {name: error.psnr(MINIMUM_COVERAGE) for name, error in scores.items()}
    enough = hidden.double().mean((-3, -2, -1)) >= MINIMUM_COVERAGE
    for name, ratio in (("variance", variance_ratio), ("sharpness", sharpness_ratio)):
        columns[name] = ratio(found, truth, hidden).masked_fill(~enough, torch.nan)
    return columns
