"""The core of `plenodream eval`: sampled videos of fixed held-out scenes, measured where the truth is exactly known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.evaluation.agreement import CONDITIONS, choose_pairs, pair_coverage, sample_pairs, score_pairs
from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE, mean_colour, sharpness_ratio, variance_ratio
from plenodream.evaluation.reconstruction import reconstruction_errors
from plenodream.evaluation.report import COVERAGE, EvalReport
from plenodream.evaluation.sampler import ViewSampler, noise_seeds
from plenodream.evaluation.scenes import HeldOut, held_out, neighbour
from plenodream.geometry.visibility import warp
from plenodream.models.context import Context
from plenodream.rendering.pipeline import PlenopticPipeline
from plenodream.sampling.config import SamplingConfig
from plenodream.worlds.family import scene_family

# Target views drawn per scene; the first of them are reconstructed, and of all the best pair is compared.
VIEWS, TARGETS = 5, 2
# Scenes in memory and in one batch; even, since neighbours lend each other a wrong camera and a wrong history.
GROUP = 8
# Scenes whose frames are kept for the sheet.
SHOWN = 6
# Videos sampled per scene: targets with the right camera, a wrong one, a source without motion; view a twice; view b
# under every condition.
_VIDEOS = 3 * TARGETS + 2 + len(CONDITIONS)
# A row that exists on seen pixels alone, and the columns for which that is not enough.
WARPED, UNKNOWN = "warped source", ("all", "hidden", "variance", "sharpness")

Rows = dict[str, dict[str, Float[Tensor, "scenes"]]]


def evaluate(
    pipeline: PlenopticPipeline,
    family: str = "mild",
    scenes: int = 16,
    split: str = "benchmark",
    seed: int = 0,
    sampling: SamplingConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EvalReport:
    """Measure a model on the first scenes of a split, at the size and length it was made for.

    More scenes are the same ones and further ones. Every video is sampled, none predicted in one step. What a view is
    shown of another is given, not retrieved: `benchmark` measures what rendering does.

    Args:
        pipeline: The model, on any device.
        family: `mild` or `full`.
        scenes: How many; even.
        split: `benchmark` for numbers that are reported, `validation` while developing.
        seed: Of the sampling noise; the scenes do not depend on it.
        sampling: Steps and guidance; the model's own if None.
        progress: Called with sampling steps done and their total.

    Raises:
        ValueError: Unknown family or split, or a number of scenes that is odd or below 2.
    """
    variety = scene_family(family)
    _check_even(scenes)
    config = pipeline.config
    sampling = sampling or pipeline.own_sampling()
    groups = range(0, scenes, GROUP)
    on_step = _counter(len(groups) * _VIDEOS * sampling.steps, progress)
    sampler = ViewSampler(pipeline.generator(sampling).sampler, on_step)
    size = (config.frames, config.height, config.width)
    results: dict[str, list[Rows]] = defaultdict(list)
    gallery: dict[str, list[Tensor]] = defaultdict(list)
    for first in groups:
        data = held_out(variety, min(GROUP, scenes - first), 1 + VIEWS, *size, split, pipeline.device, first)
        fidelity, shown = _fidelity(sampler, data, seed, first)
        agreement, more = _agreement(sampler, data, seed, first)
        results["fidelity"].append(fidelity)
        results["agreement"].append(agreement)
        for name, videos in (shown | more).items():
            gallery[name].append(videos[: max(0, SHOWN - first)].cpu())
    return EvalReport(
        config.model_name,
        pipeline.fingerprint(),
        family,
        split,
        seed,
        scenes,
        *size,
        steps=sampling.steps,
        guidance=sampling.guidance,
        values={table: _join(parts) for table, parts in results.items()},
        gallery={name: torch.cat(videos) for name, videos in gallery.items()},
    )


def _check_even(scenes: int) -> None:
    if scenes < 2 or scenes % 2:
        raise ValueError(
            f"{scenes} scenes: expected an even number of at least 2, since neighbours lend each other a wrong camera; "
            f"try {max(2, scenes + scenes % 2)}"
        )


def _counter(total: int, progress: Callable[[int, int], None] | None) -> Callable[[int], None]:
    """What to call after every step, so that `progress` hears how many there have been."""
    done = 0

    def on_step(_: int) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return on_step


def _agreement(sampler: ViewSampler, data: HeldOut, seed: int, first: int) -> tuple[Rows, dict[str, Tensor]]:
    """Two views of every scene against each other, and what is shown of them."""
    pairs = choose_pairs(data)
    sampled = sample_pairs(sampler, data, pairs, seed, first)
    rows = score_pairs(sampler, data, pairs, sampled) | {COVERAGE: pair_coverage(pairs)}
    scene = torch.arange(len(data.rgb), device=data.rgb.device)
    return rows, {
        "true view a": data.rgb[scene, pairs.a],
        "view a": sampled.a,
        "true view b": data.rgb[scene, pairs.b],
        "b independent": sampled.b["independent"],
        "b retrieved": sampled.b["retrieved history"],
    }


def _targets(values: Tensor) -> Tensor:
    """The target views' frames end to end, so that errors are pooled per scene."""
    return values[:, 1 : TARGETS + 1].flatten(1, 2)


def _fidelity(sampler: ViewSampler, data: HeldOut, seed: int, first: int) -> tuple[Rows, dict[str, Tensor]]:
    """Target views against the truth, and what is shown of them."""
    truth, seen, moving = _targets(data.rgb), _targets(data.seen), _targets(data.moving)
    videos = _fidelity_videos(sampler, data, seed, first)
    rows: Rows = {}
    for name, video in videos.items():
        errors = reconstruction_errors(video, truth, seen, moving)
        rows[name] = {column: error.psnr(MINIMUM_COVERAGE) for column, error in errors.items()}
        rows[name] |= {"variance": variance_ratio(video, truth), "sharpness": sharpness_ratio(video, truth)}
    # Where the source sees nothing there is nothing to warp.
    rows[WARPED] |= {column: torch.full_like(seen[:, 0, 0, 0], torch.nan, dtype=torch.double) for column in UNKNOWN}
    rows[COVERAGE] = {column: error.coverage for column, error in errors.items()}
    rows[COVERAGE] |= {column: torch.ones_like(rows[COVERAGE]["all"]) for column in ("variance", "sharpness")}
    frames = data.rgb.shape[2]
    shown = {"source": data.rgb[:, 0], "truth": truth[:, :frames]}
    return rows, shown | {name: videos[name][:, :frames] for name in ("sampled", "wrong camera")}


def _fidelity_videos(sampler: ViewSampler, data: HeldOut, seed: int, first: int) -> dict[str, Tensor]:
    """What is held against the truth.

    Besides the floors there are two controls of the model itself: the neighbouring scene's camera, and a source in
    which nothing moves (if it does as well on moving pixels, the model does not render motion).
    """
    scenes, targets = len(data.rgb), range(1, TARGETS + 1)
    scene = torch.arange(scenes, device=data.rgb.device)
    source = data.rgb[:, 0]
    bank = sampler.encode(source, data.cameras[:, 0], data.anchor)
    bank = Context.stack([bank, sampler.encode(data.no_motion, data.cameras[:, 0], data.anchor)])

    def sample(entry: Int[Tensor, "scenes"], owner: Int[Tensor, "scenes"]) -> Tensor:
        each = [
            (data.cameras[owner, target], data.anchor, noise_seeds(seed, f"target-{target}", first, scenes))
            for target in targets
        ]
        return torch.cat([sampler.sample(bank, entry[:, None], *rest) for rest in each], dim=1)

    cameras = data.cameras[:, 1 : TARGETS + 1]
    return {
        "truth": torch.cat([sampler.reconstruct(data.rgb[:, target]) for target in targets], dim=1),
        WARPED: warp(data.rgb[:, :1], data.depth[:, 1 : TARGETS + 1], cameras, data.cameras[:, :1]).flatten(1, 2),
        "sampled": sample(scene, scene),
        "wrong camera": sample(scene, neighbour(scene)),
        "no motion": sample(scene + scenes, scene),
        "copy of source": source.repeat(1, TARGETS, 1, 1, 1),
        "mean colour": mean_colour(source).repeat(1, TARGETS, 1, 1, 1),
    }


def _join(parts: list[Rows]) -> dict[str, dict[str, tuple[float | None, ...]]]:
    """Numbers of all groups, scene by scene, without the last digits, which differ from machine to machine."""

    def numbers(row: str, column: str) -> tuple[float | None, ...]:
        values = torch.cat([part[row][column] for part in parts]).tolist()
        return tuple(None if value != value else round(value, 4) for value in values)

    return {row: {column: numbers(row, column) for column in parts[0][row]} for row in parts[0]}
