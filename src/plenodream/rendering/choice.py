"""Which stored views a new one is generated from, by name: retrieval (Algorithm 1), then merging (Algorithm 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from plenodream.geometry.cameras import stack_cameras
from plenodream.memory.merge import MergeStep, condense
from plenodream.memory.retrieval import Retrieval, retrieve
from plenodream.memory.strategies import SIMILARITIES
from plenodream.memory.windows import Window, window_index
from plenodream.rendering.request import SOURCE
from plenodream.rendering.settings import RenderSettings
from plenodream.types import Cameras


@dataclass(frozen=True)
class Choice:
    """The context of one window of a view.

    Attributes:
        scores: Score of each chosen view; the source first where it is kept, then the best first.
        candidates: Scores of the stored views; of many, only those that came close are counted (`Retrieval`).
        merged: Names of the views merged for it, and of what they were merged from.
    """

    scores: dict[str, float]
    candidates: dict[str, float]
    merged: dict[str, list[str]]


def choose_context(
    target: Cameras,
    stored: Mapping[str, Cameras],
    window: Window,
    settings: RenderSettings,
    generator: torch.Generator,
    render: Callable[[MergeStep], None],
    depths: Mapping[str, Tensor | None] | None = None,
    name: Callable[[Sequence[str]], str] | None = None,
) -> Choice:
    """Choose the context of a view in a window.

    Args:
        target: Its cameras, of the whole video: merged views are made along whole paths. Of views that are made
            together those of all, one after another: what is stored is compared with each, the mean counts (ours).
        stored: Cameras of the stored views, of the whole video too; the source among them.
        window: The window, whose cameras alone are compared.
        settings: Strategy, k, candidates, whether the source is kept.
        generator: Of strategy `random`.
        render: Called for every merged view, in order; it must be there when this returns.
        depths: Depth of the stored views in the window, for strategy `visible` (`retrieve`).
        name: Gives merged views their names (`condense`).
    """
    names, config, frames = list(stored), settings.retrieval, len(next(iter(stored.values())))
    index, kept = window_index(window, frames), [SOURCE] if settings.keep_source and SOURCE in stored else []

    def ranked(trajectory: Cameras, views: Mapping[str, Cameras], k: int) -> Retrieval:
        starts = range(0, len(trajectory), frames)
        cameras = stack_cameras([views[name] for name in views])[:, index * len(starts)]
        fixed = [number for number, name in enumerate(views) if name in kept]
        found = [None if depths is None else depths.get(name) for name in views]
        known = [None if depth is None else depth.repeat(len(starts), 1, 1) for depth in found]
        moments = [start + frame for start in starts for frame in index]
        return retrieve(trajectory[moments], cameras, replace(config, k=k), generator, fixed, known)

    merging = config.strategy in SIMILARITIES and settings.candidates > config.k > len(kept)
    best = ranked(target, stored, settings.candidates if merging else config.k)
    candidates = {name: score for name, score in zip(names, best.scores, strict=True) if score > -math.inf}
    chosen = [names[number] for number in best.chosen]
    if not merging or len(chosen) <= config.k:
        return Choice({name: candidates[name] for name in chosen}, candidates, {})

    fixed = {name: stored[name] for name in kept}

    def worth(trajectory: Cameras, views: Cameras) -> tuple[float, ...]:
        others = {str(number): views[number] for number in range(len(views))}
        return ranked(trajectory, fixed | others, len(fixed) + len(others)).worth[len(fixed) :]

    # In the order of the memory: ties go to the earlier view.
    compete = {name: stored[name] for name in names if name in chosen and name not in kept}
    left = condense(target, compete, config.k - len(kept), worth, render, config.subject_distance, name)
    scores = {name: candidates[name] for name in kept} | dict(zip(left.names, left.scores, strict=True))
    return Choice(scores, candidates, {step.name: list(step.inputs) for step in left.steps})
