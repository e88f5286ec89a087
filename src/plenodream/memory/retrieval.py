"""Which stored views to show the denoiser: Algorithm 1 of the paper, and alternatives behind the same interface."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from plenodream.geometry.cameras import rotation_vector
from plenodream.geometry.frustum import scene_depth_range, scene_scale
from plenodream.memory.counting import Grid, count_shared
from plenodream.memory.coverage import cover
from plenodream.memory.leading import leading_counts, part
from plenodream.memory.overlap import Depths, overlap
from plenodream.memory.strategies import RetrievalConfig
from plenodream.types import Cameras


@dataclass(frozen=True)
class Retrieval:
    """What was retrieved.

    Attributes:
        scores: One number per candidate, higher is better; the meaning is the strategy's. Minus infinity for a
            candidate that a bound rules out, so that it was never counted; none of up to `ALL_COUNTED` is.
        chosen: min(k, candidates) distinct indices of candidates, the kept ones first, then the best first.
        worth: What each candidate adds to those chosen before it, by which merging ranks them: its score, except with
            `coverage` (the share of points seen by it and by none before; 0 for what is not chosen).
    """

    scores: tuple[float, ...]
    chosen: tuple[int, ...]
    worth: tuple[float, ...]


@dataclass(frozen=True)
class Query:
    """What a strategy answers: the arguments of `retrieve`, checked, cameras on the CPU, the target's in float64."""

    target: Cameras
    candidates: Cameras
    config: RetrievalConfig
    generator: torch.Generator
    kept: Sequence[int]
    depths: Depths

    def best(self, scores: Sequence[float]) -> Retrieval:
        """The kept candidates, then those of the highest scores; ties stay in index order."""
        others = (n for n, score in enumerate(scores) if score > -math.inf and n not in self.kept)
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
    target, candidates = target.to("cpu", torch.float64), candidates.to("cpu")  # of many, few are ever used in full
    depths = depths or [None] * views
    return STRATEGIES[config.strategy](Query(target, candidates, config, generator, kept[: config.k], depths))


def _depth_range(target: Cameras, candidates: Cameras, config: RetrievalConfig) -> tuple[float, float]:
    near, far = scene_depth_range(target, candidates, subject_distance=config.subject_distance)
    if config.far is not None:
        near, far = near * config.far / far, config.far
    if config.near is not None:
        near = config.near
        far = far if config.far is not None else max(far, 2 * near)  # a derived end is never before a given start
    return near, far


def _grid(query: Query) -> Grid:
    config = query.config
    near, far = _depth_range(query.target, query.candidates, config)
    return Grid(near, far, config.columns, config.rows, config.planes)


def _by_count(query: Query, grid: Grid, count: Callable[[Tensor], Tensor]) -> Retrieval:
    """The views that share most; whole counts until the one division, so that equal overlaps are equal numbers."""
    counts = leading_counts(query.target, query.candidates, grid, query.config.k, query.kept, count)
    return query.best((counts / (2 * grid.points * len(query.target))).tolist())


def _fov(query: Query) -> Retrieval:
    """Algorithm 1, fields of view from the intrinsics: S_n = sum_f (n's points in the target + back) / (2 P F)."""
    grid = _grid(query)
    return _by_count(query, grid, lambda n: count_shared(query.target, part(query.candidates, n), grid).sum(dim=(0, 2)))


def _visible(query: Query) -> Retrieval:
    """Ours: `fov` without the points that a candidate cannot see, since its own depth says what stands before them."""
    grid = _grid(query)

    def count(numbers: Tensor) -> Tensor:
        candidates = part(query.candidates, numbers).to(torch.float64)
        seen, back = overlap(query.target, candidates, grid, [query.depths[n] for n in numbers.tolist()])
        return (seen.sum(dim=(1, 2)) + back).double()

    return _by_count(query, grid, count)


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
    found = cover(query.target, query.candidates, _grid(query), query.config.k, query.kept)
    worth = [0.0] * len(query.candidates)
    for number, added in zip(found.chosen, found.added, strict=True):
        worth[number] = added
    return Retrieval(found.seen, found.chosen, tuple(worth))


def _pose(query: Query) -> Retrieval:
    """Nearest pose: minus (distance of the centres in units of the scene's scale + angle in radians), frames' mean."""
    scale = scene_scale(query.target, query.candidates, subject_distance=query.config.subject_distance)
    ours, theirs = query.target.camera_to_world, query.candidates.camera_to_world.double()
    distance = (theirs[..., :3, 3] - ours[..., :3, 3]).norm(dim=-1) / scale
    angle = rotation_vector(ours[..., :3, :3].transpose(-1, -2) @ theirs[..., :3, :3]).norm(dim=-1)
    return query.best((-(distance + angle).mean(dim=-1)).tolist())


def _random(query: Query) -> Retrieval:
    """The paper's ablation: any views, by uniform random scores."""
    return query.best(torch.rand(len(query.candidates), generator=query.generator).tolist())


def _last(query: Query) -> Retrieval:
    """The newest views; the score is the index."""
    return query.best([float(n) for n in range(len(query.candidates))])


def _source(query: Query) -> Retrieval:
    """As networks of one context view were published: the source, which is stored first; of more the oldest."""
    return query.best([-float(n) for n in range(len(query.candidates))])


STRATEGIES: dict[str, Strategy] = {
    "fov": _fov,
    "fov-paper": _fov_paper,
    "visible": _visible,
    "coverage": _coverage,
    "pose": _pose,
    "random": _random,
    "last": _last,
    "source": _source,
}
