"""Which stored views to show the denoiser: Algorithm 1 of the paper, and alternatives behind the same interface."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from plenodream.geometry.cameras import project, rotation_vector
from plenodream.geometry.frustum import inside_frustum, sample_frustum, scene_depth_range, scene_scale
from plenodream.memory.strategies import RetrievalConfig
from plenodream.types import Cameras

HIDDEN = 1.1  # times a view's depth: what lies farther is hidden from it
POINTS_AT_ONCE = 2**19  # frustum points handled in one go, which bounds the memory of a retrieval from many views


@dataclass(frozen=True)
class Retrieval:
    """What was retrieved.

    Attributes:
        scores: One number per candidate, higher is better; the meaning is the strategy's.
        chosen: min(k, candidates) distinct indices of candidates, the kept ones first, then the best first.
        worth: What each candidate adds to those chosen before it, by which merging ranks them: its score, except with
            `coverage` (the share of points seen by it and by none before; 0 for what is not chosen).
    """

    scores: tuple[float, ...]
    chosen: tuple[int, ...]
    worth: tuple[float, ...]


# Depth of every candidate at any size, or None where it is not known.
Depths = Sequence[Tensor | None]


@dataclass(frozen=True)
class Query:
    """What a strategy answers: the arguments of `retrieve`, checked, cameras in float64 on the CPU."""

    target: Cameras
    candidates: Cameras
    config: RetrievalConfig
    generator: torch.Generator
    kept: Sequence[int]
    depths: Depths

    def best(self, scores: Sequence[float]) -> Retrieval:
        """The kept candidates, then those of the highest scores; ties stay in index order."""
        others = (n for n in range(len(scores)) if n not in self.kept)
        order = [*self.kept, *sorted(others, key=lambda n: -scores[n])]
        return Retrieval(tuple(scores), tuple(order[: self.config.k]), tuple(scores))


Strategy = Callable[[Query], Retrieval]


def retrieve(
    target: Cameras,
    candidates: Cameras,
    config: RetrievalConfig,
    generator: torch.Generator | None = None,
    kept: Sequence[int] = (),
    depths: Depths = (),
) -> Retrieval:
    """Choose the stored views that help most in generating a target view.

    The same arguments give the same answer, whatever the device: all is counted in float64 on the CPU, and ties go to
    the lower index. Repeating the source where there are fewer than k candidates is the caller's matter.

    Args:
        target: The cameras to generate, batch shape (frames,).
        candidates: The cameras of the stored views, batch shape (views, frames), same frames as the target.
        config: Strategy, number of views, frustums.
        generator: CPU generator of strategy `random`; None stands for a fresh one of seed 0.
        kept: Candidates that are chosen whatever their scores (the source), at most k.
        depths: Of strategy `visible`: depth (frames, rows, columns) of each candidate in metres, 0 where not known, at
            any size; None, or nothing at all, where there is none.

    Raises:
        ValueError: No candidates, other frame counts than the target's, or a derived depth range that is empty.
    """
    assert len(target.shape) == 1 and len(candidates.shape) == 2, (target.shape, candidates.shape)
    views, frames = candidates.shape
    if views == 0:
        raise ValueError("retrieval from 0 candidates: expected at least one stored view; add the source first")
    if frames != len(target):
        raise ValueError(
            f"retrieval of {frames}-frame candidates for a target of {len(target)} frames: expected equal frame "
            "counts; resample the cameras"
        )
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    target, candidates = (cameras.to("cpu", torch.float64) for cameras in (target, candidates))
    depths = depths or [None] * views
    return STRATEGIES[config.strategy](Query(target, candidates, config, generator, kept[: config.k], depths))


def overlap(
    target: Cameras, candidates: Cameras, config: RetrievalConfig, depths: Depths | None = None
) -> tuple[Bool[Tensor, "views frames points"], Int[Tensor, "views"]]:
    """What target and candidates see of each other, sampled.

    With depth, points that a candidate's own depth hides from it do not count, be they the target's or its own.

    Returns:
        Which of the target's frustum points each candidate contains, and how many of each candidate's points the target
        contains, summed over frames.
    """
    near, far = _depth_range(target, candidates, config)
    grid = (near, far, config.columns, config.rows, config.planes)
    target_points = sample_frustum(target, *grid)
    at_once = max(1, POINTS_AT_ONCE // target_points[..., 0].numel())
    seen, back = [], []
    for start in range(0, len(candidates), at_once):
        part = candidates[start : start + at_once]
        own_points = sample_frustum(part, *grid)
        inside, own = inside_frustum(target_points, part, near, far), inside_frustum(own_points, target, near, far)
        if depths is not None:
            inside = inside & _unhidden(target_points, part, depths[start : start + at_once])
            own = own & _unhidden(own_points, part, depths[start : start + at_once])
        seen.append(inside)
        back.append(own.sum(dim=(1, 2)))
    return torch.cat(seen), torch.cat(back)


def _unhidden(points: Tensor, cameras: Cameras, depths: Depths) -> Bool[Tensor, "views frames points"]:
    """Which world points no candidate's depth hides from it; what is not known hides nothing."""
    pixels, z = project(points, cameras)
    free = torch.ones_like(z, dtype=torch.bool)
    for view, depth in enumerate(depths):
        if depth is not None:
            rows, columns = depth.shape[1:]
            x, y = pixels[view, ..., 0] / cameras.width * columns, pixels[view, ..., 1] / cameras.height * rows
            index = y.long().clamp(0, rows - 1) * columns + x.long().clamp(0, columns - 1)
            found = depth.to(z).flatten(1).gather(1, index)
            free[view] = (found <= 0) | (z[view] <= HIDDEN * found)
    return free


def _depth_range(target: Cameras, candidates: Cameras, config: RetrievalConfig) -> tuple[float, float]:
    near, far = scene_depth_range(target, candidates, subject_distance=config.subject_distance)
    if config.far is not None:
        near, far = near * config.far / far, config.far
    if config.near is not None:
        near = config.near
        far = far if config.far is not None else max(far, 2 * near)  # a derived end is never before a given start
    return near, far


def _fov_score(seen: Bool[Tensor, "views frames points"], back: Int[Tensor, "views"]) -> list[float]:
    # Whole counts until the one division, so that equal overlaps are equal numbers.
    return ((seen.sum(dim=(1, 2)) + back).double() / (2 * seen[0].numel())).tolist()


def _fov(query: Query) -> Retrieval:
    """Algorithm 1, fields of view from the intrinsics: S_n = sum_f (n's points in the target + back) / (2 P F)."""
    return query.best(_fov_score(*overlap(query.target, query.candidates, query.config)))


def _visible(query: Query) -> Retrieval:
    """Ours: `fov` without the points that a candidate cannot see, since its own depth says what stands before them."""
    return query.best(_fov_score(*overlap(query.target, query.candidates, query.config, query.depths)))


def _fov_paper(query: Query) -> Retrieval:
    """Algorithm 1 with the numbers of the appendix: 90 x 60 degrees whatever the lens, 0 to 10 m, 8 x 6 points."""
    config = replace(query.config, near=0.0, far=10.0, columns=8, rows=6, planes=10)
    target, candidates = _paper_lens(query.target), _paper_lens(query.candidates)
    return _fov(replace(query, target=target, candidates=candidates, config=config))


def _paper_lens(cameras: Cameras) -> Cameras:
    half_width, half_height = cameras.width / 2, cameras.height / 2
    fx, fy = half_width / math.tan(math.radians(45)), half_height / math.tan(math.radians(30))
    lens = cameras.intrinsics.new_tensor([fx, fy, half_width, half_height])
    return replace(cameras, intrinsics=lens.expand_as(cameras.intrinsics))


def _coverage(query: Query) -> Retrieval:
    """Ours: greedily the set of views that together see most of the target's frustum points.

    Each pick adds the most points not seen yet; ties go to the higher `fov` score, then to the lower index. The set
    sees at least 1 - 1/e of what the best set of k sees (coverage is submodular). Scores: share of points seen alone.
    """
    config, candidates = query.config, query.candidates
    seen, back = overlap(query.target, candidates, config)
    fov = _fov_score(seen, back)
    missing = torch.ones_like(seen[0])
    worth, chosen = [0.0] * len(candidates), list[int]()
    while len(chosen) < min(config.k, len(candidates)):
        gain = (seen & missing).sum(dim=(1, 2)).tolist()
        left = query.kept[len(chosen) : len(chosen) + 1] or [n for n in range(len(candidates)) if n not in chosen]
        best = max(left, key=lambda n: (gain[n], fov[n], -n))
        chosen.append(best)
        worth[best] = gain[best] / missing.numel()
        missing &= ~seen[best]
    return Retrieval(tuple(seen.double().mean(dim=(1, 2)).tolist()), tuple(chosen), tuple(worth))


def _pose(query: Query) -> Retrieval:
    """Nearest pose: minus (distance of the centres in units of the scene's scale + angle in radians), frames' mean."""
    scale = scene_scale(query.target, query.candidates, subject_distance=query.config.subject_distance)
    ours, theirs = query.target.camera_to_world, query.candidates.camera_to_world
    distance = (theirs[..., :3, 3] - ours[..., :3, 3]).norm(dim=-1) / scale
    angle = rotation_vector(ours[..., :3, :3].transpose(-1, -2) @ theirs[..., :3, :3]).norm(dim=-1)
    return query.best((-(distance + angle).mean(dim=-1)).tolist())


def _random(query: Query) -> Retrieval:
    """The paper's ablation: any views, by uniform random scores."""
    return query.best(torch.rand(len(query.candidates), generator=query.generator).tolist())


def _last(query: Query) -> Retrieval:
    """The newest views; the score is the index."""
    return query.best([float(n) for n in range(len(query.candidates))])


STRATEGIES: dict[str, Strategy] = {
    "fov": _fov,
    "fov-paper": _fov_paper,
    "visible": _visible,
    "coverage": _coverage,
    "pose": _pose,
    "random": _random,
    "last": _last,
}
