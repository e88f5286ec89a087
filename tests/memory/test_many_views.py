"""What is chosen of many views is what the plain algorithms choose, which count every point of every view."""

import math
from dataclasses import replace
from itertools import count

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plenodream.geometry.cameras import axis_rotation, intrinsics_from_fov, make_pose, rotation_matrix
from plenodream.geometry.frustum import inside_frustum, sample_frustum, scene_depth_range
from plenodream.memory import coverage, leading
from plenodream.memory.counting import Grid, apart, bound_shared, count_shared
from plenodream.memory.overlap import overlap
from plenodream.memory.retrieval import RetrievalConfig, retrieve
from plenodream.types import Cameras


def cameras_around(seed, views, frames, angle, distance, smooth=0.0):
    """Cameras of all kinds, every third one twice and every fifth one turned by whole degrees on the spot.

    `smooth`: they move by this part of it from frame to frame, with a lens that stays.
    """
    g = torch.Generator().manual_seed(seed)
    turn = angle * torch.randn(views, frames, 3, generator=g, dtype=torch.float64)
    centre = distance * torch.randn(views, frames, 3, generator=g, dtype=torch.float64)
    focal = 20 + 60 * torch.rand(views, frames, 2, generator=g, dtype=torch.float64)
    middle = torch.tensor([24.0, 16.0]) + 6 * torch.randn(views, frames, 2, generator=g, dtype=torch.float64)
    if smooth:
        (turn, centre), (focal, middle) = (
            (x[:, :1] + smooth * x.cumsum(dim=1) for x in (turn, centre)),
            (x[:, :1].expand_as(x) for x in (focal, middle)),
        )
    pose, lens = make_pose(rotation_matrix(turn), centre), torch.cat([focal, middle], dim=-1)
    for view in range(1, views):
        if view % 3 == 0:
            pose[view], lens[view] = pose[view // 2], lens[view // 2]
        elif view % 5 == 0:
            degrees = torch.full((frames,), 10.0 * view, dtype=torch.float64)
            pose[view] = make_pose(axis_rotation("y", degrees), torch.zeros(frames, 3, dtype=torch.float64))
            lens[view] = intrinsics_from_fov(60, 32, 48, torch.float64)
    return Cameras(pose, lens, 32, 48)


def plain_counts(target, views, grid):
    """Points of the target in each view, and of each view in the target, one pair of cameras at a time."""
    shape = (grid.near, grid.far, grid.columns, grid.rows, grid.planes)
    counts = torch.zeros(2, *views.shape, dtype=torch.float64)
    for view, frame in torch.cartesian_prod(*(torch.arange(n) for n in views.shape)).tolist():
        ours, theirs = target[frame], views[view, frame]
        counts[0, view, frame] = inside_frustum(sample_frustum(ours, *shape), theirs, grid.near, grid.far).sum()
        counts[1, view, frame] = inside_frustum(sample_frustum(theirs, *shape), ours, grid.near, grid.far).sum()
    return counts


def plain_best(scores, k, kept):
    order = sorted((n for n in range(len(scores)) if n not in kept), key=lambda n: (-scores[n], n))
    return (*kept, *order)[:k]


def plain_cover(target, views, grid, k, kept):
    seen, back = overlap(target, views, grid)
    fov = (seen.sum(dim=(1, 2)) + back).tolist()
    missing, chosen = torch.ones_like(seen[0]), []
    while len(chosen) < min(k, len(views)):
        gain = (seen & missing).sum(dim=(1, 2)).tolist()
        left = kept[len(chosen) : len(chosen) + 1] or [n for n in range(len(views)) if n not in chosen]
        chosen.append(max(left, key=lambda n: (gain[n], fov[n], -n)))
        missing = missing & ~seen[chosen[-1]]
    return tuple(chosen)


GRIDS = st.builds(
    Grid,
    near=st.sampled_from([0.0, 0.3, 0.99]),
    far=st.floats(1, 20),
    columns=st.integers(1, 8),
    rows=st.integers(1, 6),
    planes=st.integers(1, 10),
)


@given(
    seed=st.integers(0, 10_000), angle=st.floats(0, 1.5), distance=st.floats(0, 6), grid=GRIDS, cells=st.integers(1, 4)
)
@settings(max_examples=10, deadline=None)
def test_counts_are_those_of_points_and_bounds_are_not_below_them(seed, angle, distance, grid, cells):
    cameras = cameras_around(seed, 7, 2, angle, distance)
    target, views = cameras[0], cameras[1:]
    plain = plain_counts(target, views, grid)
    assert torch.equal(count_shared(target, views, grid), plain)
    assert bool((bound_shared(target, views, grid, (cells, cells)) >= plain).all())
    assert not bool((apart(target, views, grid.far) & (plain.sum(dim=0) > 0)).any())


@given(seed=st.integers(0, 10_000), angle=st.floats(0, 1.5), distance=st.floats(0, 6), grid=GRIDS)
@settings(max_examples=8, deadline=None)
def test_bounds_of_stretches_hold_in_each_of_their_frames(seed, angle, distance, grid):
    cameras = cameras_around(seed, 6, 11, angle, distance, smooth=0.1)
    target, views = cameras[0], cameras[1:]
    bounds, steady = leading.bound_stretches(target, views, grid)
    assert steady and bounds.shape == (5, 2)
    plain = count_shared(target, views, grid).sum(dim=0)
    assert bool((bounds[:, torch.arange(11) // leading.STRETCH] >= plain).all())
    turned = cameras_around(seed, 6, 11, angle, distance)
    assert leading.bound_stretches(turned[0], turned[1:], grid)[1] is False  # their lenses change


def test_bounds_of_stretches_tell_views_apart():
    """Of cameras that move little they are far from saying that all may be seen."""
    cameras = cameras_around(0, 40, 16, 1.0, 2.0, smooth=0.01)
    target, views, grid = cameras[0], cameras[1:], Grid(0.2, 10, 4, 3, 4)
    bounds = leading.bound_stretches(target, views, grid)[0].sum(dim=1)
    plain = count_shared(target, views, grid).sum(dim=(0, 2)) / leading.STRETCH
    assert bounds.mean() < 0.5 * 2 * 2 * grid.points and torch.corrcoef(torch.stack([bounds, plain]))[0, 1] > 0.7


def test_images_of_two_sizes_share_what_their_points_do():
    cameras = cameras_around(1, 6, 2, 0.5, 1.0)
    target, grid = replace(cameras[0], height=40, width=30), Grid(0.5, 6.0, 4, 6, 5)
    assert torch.equal(count_shared(target, cameras[1:], grid), plain_counts(target, cameras[1:], grid))


def test_a_sample_on_a_plane_is_left_to_the_plain_test():
    # A camera that looks along the target's axis: its far plane, tolerance and all, runs through the target's samples.
    pose = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    pose[1, 2, 3] = 0.5 - 2.0 * (1 + 1e-4)
    cameras = Cameras(pose[:, None], intrinsics_from_fov(60, 32, 48, torch.float64).repeat(2, 1, 1), 32, 48)
    grid = Grid(0.0, 2.0, 4, 4, 2)
    assert torch.equal(count_shared(cameras[0], cameras[1:], grid), plain_counts(cameras[0], cameras[1:], grid))


@given(
    seed=st.integers(0, 10_000),
    angle=st.floats(0, 1.5),
    distance=st.floats(0, 6),
    k=st.integers(1, 5),
    keep=st.booleans(),
    strategy=st.sampled_from(["fov", "visible", "coverage"]),
    smooth=st.sampled_from([0.0, 0.02]),
    few=st.sampled_from([0, 1000]),
    far=st.sampled_from([None, 1.0]),
)
@settings(max_examples=12, deadline=None)
def test_the_choice_of_many_is_the_plain_one(seed, angle, distance, k, keep, strategy, smooth, few, far):
    cameras = cameras_around(seed, 25, 9, angle, distance, smooth)
    target, views = cameras[0], cameras[1:]
    config = RetrievalConfig(strategy, k, None if far is None else 0.1, far, columns=4, rows=3, planes=4)
    grid = Grid(
        *(scene_depth_range(target, views) if far is None else (0.1, far)), config.columns, config.rows, config.planes
    )
    kept = [3] if keep else []
    depths = [3 * torch.rand(9, 4, 6, generator=torch.Generator().manual_seed(n)) if n % 2 else None for n in range(24)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leading, "ALL_COUNTED", 2)
        patch.setattr(leading, "_FEW", few)
        patch.setattr(leading, "_FIRST", 4)
        patch.setattr(leading, "_AT_ONCE", 2)
        patch.setattr(coverage, "ALL_COUNTED", 2)
        patch.setattr(coverage, "_AT_ONCE", 2)
        found = retrieve(target, views, config, kept=kept, depths=depths)
    if strategy == "coverage":
        assert found.chosen == plain_cover(target, views, grid, k, kept)
        return
    seen, back = overlap(target, views, grid, depths if strategy == "visible" else None)
    plain = ((seen.sum(dim=(1, 2)) + back).double() / (2 * grid.points * 9)).tolist()
    assert found.chosen == plain_best(plain, k, kept)
    assert all(score in (-math.inf, true) for score, true in zip(found.scores, plain, strict=True))
    assert all(found.scores[n] == plain[n] for n in found.chosen)


def test_most_of_many_views_are_never_counted(monkeypatch):
    cameras = cameras_around(0, 400, 8, 0.6, 2.0)
    counted = count()
    plain = leading.leading_counts(cameras[0], cameras[1:], Grid(0.2, 10, 4, 3, 4), 4, [0], lambda n: _note(n, counted))
    assert sum(number > -math.inf for number in plain) == next(counted)


def _note(numbers, counted):
    for _ in numbers:
        next(counted)
    return torch.zeros(len(numbers), dtype=torch.float64)
