import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plenodream.geometry.cameras import axis_rotation, intrinsics_from_fov, make_pose, rotation_matrix, scale_poses
from plenodream.geometry.frustum import sample_frustum, scene_depth_range
from plenodream.memory import overlap as by_points
from plenodream.memory.counting import Grid
from plenodream.memory.overlap import overlap
from plenodream.memory.retrieval import STRATEGIES, RetrievalConfig, retrieve
from plenodream.types import Cameras


def random_views(seed, views, frames=3, angle=0.5, distance=1.0):
    """Cameras around one pose, so that their frustums overlap partly."""
    g = torch.Generator().manual_seed(seed)
    turn = angle * torch.randn(views, frames, 3, generator=g, dtype=torch.float64)
    centre = distance * torch.randn(views, frames, 3, generator=g, dtype=torch.float64)
    focal = 20 + 40 * torch.rand(views, frames, 1, generator=g, dtype=torch.float64)
    principal = torch.tensor([24.0, 16.0], dtype=torch.float64).expand(views, frames, 2)
    intrinsics = torch.cat([focal, focal, principal], dim=-1)
    return Cameras(make_pose(rotation_matrix(turn), centre), intrinsics, 32, 48)


def yawed(degrees, fov=60.0, frames=2):
    degrees = torch.as_tensor(degrees, dtype=torch.float64)
    rotation = axis_rotation("y", degrees)[..., None, :, :].expand(*degrees.shape, frames, 3, 3)
    poses = make_pose(rotation, torch.zeros(*degrees.shape, frames, 3, dtype=torch.float64))
    intrinsics = intrinsics_from_fov(fov, 32, 48, torch.float64).expand(*poses.shape[:-2], 4)
    return Cameras(poses, intrinsics, 32, 48)


def with_fov(cameras, degrees_wide, degrees_high):
    half = [math.tan(math.radians(d / 2)) for d in (degrees_wide, degrees_high)]
    lens = torch.tensor([24 / half[0], 16 / half[1], 24, 16], dtype=torch.float64)
    return replace(cameras, intrinsics=lens.expand_as(cameras.intrinsics))


def plain_scores(target, candidates, near, far, columns, rows, planes):
    """Algorithm 1 in plain Python: one view, frame and point at a time."""

    def points(pose, fx, fy, cx, cy):
        for plane, row, column in itertools.product(range(planes), range(rows), range(columns)):
            z = near + (far - near) * (plane + 0.5) / planes
            x = ((column + 0.5) / columns * target.width - cx) / fx * z
            y = ((row + 0.5) / rows * target.height - cy) / fy * z
            yield [pose[i][0] * x + pose[i][1] * y + pose[i][2] * z + pose[i][3] for i in range(3)]

    def contains(pose, fx, fy, cx, cy, point):
        offset = [point[i] - pose[i][3] for i in range(3)]
        x, y, z = (sum(pose[i][axis] * offset[i] for i in range(3)) for axis in range(3))
        if z <= 0 or not near * (1 - 1e-4) <= z <= far * (1 + 1e-4):
            return False
        u, v = (fx * x / z + cx) / target.width, (fy * y / z + cy) / target.height
        return -1e-4 <= u <= 1 + 1e-4 and -1e-4 <= v <= 1 + 1e-4

    def camera(cameras, *index):
        return cameras.camera_to_world[index].tolist(), *cameras.intrinsics[index].tolist()

    scores = []
    for n in range(len(candidates)):
        score = 0.0
        for f in range(len(target)):
            ours, theirs = camera(target, f), camera(candidates, n, f)
            hits = sum(contains(*ours, point) for point in points(*theirs))
            hits += sum(contains(*theirs, point) for point in points(*ours))
            score += hits / (2 * columns * rows * planes * len(target))
        scores.append(score)
    return scores


@given(seed=st.integers(0, 10_000), views=st.integers(1, 5), planes=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_fov_is_algorithm_1_by_plain_loops(seed, views, planes):
    cameras = random_views(seed, views + 1)
    target, candidates = cameras[0], cameras[1:]
    config = RetrievalConfig(near=0.3, far=6.0, columns=4, rows=3, planes=planes)
    plain = plain_scores(target, candidates, 0.3, 6.0, 4, 3, planes)
    assert retrieve(target, candidates, config).scores == pytest.approx(plain, abs=1e-6)


def test_fov_paper_is_algorithm_1_with_the_numbers_of_the_appendix():
    cameras = random_views(5, 4, frames=2)
    fixed = with_fov(cameras, 90, 60)
    plain = plain_scores(fixed[0], fixed[1:], 0.0, 10.0, 8, 6, 10)
    config = RetrievalConfig(strategy="fov-paper", near=1.0, far=2.0, columns=2, rows=2, planes=2)
    assert retrieve(cameras[0], cameras[1:], config).scores == pytest.approx(plain, abs=1e-6)


@given(seed=st.integers(0, 10_000), views=st.integers(1, 6))
@settings(max_examples=10, deadline=None)
def test_a_view_retrieves_itself_first(seed, views):
    cameras = random_views(seed, views, angle=1.0, frames=2)
    for strategy in ("fov", "fov-paper", "coverage", "pose"):
        for n in (0, views - 1):
            result = retrieve(cameras[n], cameras, RetrievalConfig(strategy=strategy, k=3))
            assert result.chosen[0] == n
            assert result.scores[n] == pytest.approx(0.0 if strategy == "pose" else 1.0, abs=1e-9)


@pytest.mark.parametrize("strategy", ["fov", "fov-paper", "coverage"])
def test_a_frustum_behind_scores_zero(strategy):
    result = retrieve(yawed(0.0), yawed([180.0, 0.0]), RetrievalConfig(strategy=strategy))
    assert result.scores == (0.0, 1.0)


@pytest.mark.parametrize("strategy", ["fov", "fov-paper", "coverage", "pose"])
def test_turning_away_never_scores_more(strategy):
    scores = retrieve(yawed(0.0), yawed(torch.arange(0, 181, 10)), RetrievalConfig(strategy=strategy)).scores
    assert all(a >= b for a, b in itertools.pairwise(scores))
    assert scores[0] > scores[3] > scores[6]


def test_stepping_aside_never_scores_more():
    target = yawed(0.0)
    poses = target.camera_to_world.repeat(9, 1, 1, 1)
    poses[..., 0, 3] = torch.arange(9, dtype=torch.float64)[:, None]
    candidates = replace(target, camera_to_world=poses, intrinsics=target.intrinsics.expand(9, -1, 4))
    scores = retrieve(target, candidates, RetrievalConfig(near=0.2, far=10.0)).scores
    assert all(a > b for a, b in itertools.pairwise(scores))


def test_a_wider_candidate_never_covers_less():
    target = yawed(15.0)
    covers = [
        retrieve(target, with_fov(yawed([0.0]), fov, fov), RetrievalConfig(strategy="coverage")).scores[0]
        for fov in range(20, 160, 10)
    ]
    assert all(a <= b for a, b in itertools.pairwise(covers))
    assert covers[0] < covers[-1]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_fov_is_symmetric(seed):
    cameras = random_views(seed, 2)
    for strategy in ("fov", "fov-paper"):
        config = RetrievalConfig(strategy=strategy)
        forth, back = retrieve(cameras[0], cameras[1:], config), retrieve(cameras[1], cameras[:1], config)
        assert forth.scores == pytest.approx(back.scores, abs=1e-12)


@given(seed=st.integers(0, 10_000), strategy=st.sampled_from(["fov", "fov-paper", "coverage", "pose"]))
@settings(max_examples=16, deadline=None)
def test_moving_the_world_changes_nothing(seed, strategy):
    cameras = random_views(seed, 5)
    move = random_views(seed + 1, 1, 1, angle=2.0, distance=20.0).camera_to_world[0, 0]
    moved = replace(cameras, camera_to_world=move @ cameras.camera_to_world)
    config = RetrievalConfig(strategy=strategy)
    before, after = retrieve(cameras[0], cameras[1:], config), retrieve(moved[0], moved[1:], config)
    assert before.scores == pytest.approx(after.scores, abs=1e-6)
    assert before.chosen == after.chosen


@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(0.01, 100),
    strategy=st.sampled_from(["fov", "coverage", "pose"]),
    derived=st.booleans(),
)
@settings(max_examples=16, deadline=None)
def test_other_units_change_nothing(seed, scale, strategy, derived):
    cameras = random_views(seed, 5)
    scaled = replace(cameras, camera_to_world=scale_poses(cameras.camera_to_world, scale))
    config = RetrievalConfig(strategy=strategy, near=None if derived else 0.5, far=None if derived else 8.0)
    other = replace(
        config,
        subject_distance=4.0 * scale,
        near=None if derived else 0.5 * scale,
        far=None if derived else 8.0 * scale,
    )
    before, after = retrieve(cameras[0], cameras[1:], config), retrieve(scaled[0], scaled[1:], other)
    assert before.scores == pytest.approx(after.scores, abs=1e-6)


def seen_by(target, candidates, config, chosen):
    near, far = scene_depth_range(target, candidates)
    seen, _ = overlap(target, candidates, Grid(near, far, config.columns, config.rows, config.planes))
    return seen[list(chosen)].any(dim=0).double().mean().item()


@given(seed=st.integers(0, 10_000), views=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_coverage_against_the_best_set_by_brute_force(seed, views):
    cameras = random_views(seed, views + 1, frames=2, angle=0.8)
    target, candidates = cameras[0], cameras[1:]
    previous = 0.0
    for k in range(1, views + 1):
        config = RetrievalConfig(strategy="coverage", k=k, planes=4)
        result = retrieve(target, candidates, config)
        greedy = seen_by(target, candidates, config, result.chosen)
        best = max(seen_by(target, candidates, config, c) for c in itertools.combinations(range(views), k))
        assert greedy >= (1 - 1 / math.e) * best - 1e-12
        assert greedy >= max(result.scores)
        assert greedy >= previous
        if k in (1, views):
            assert greedy == best
        previous = greedy


def test_coverage_prefers_what_is_missing_where_fov_repeats_itself():
    target, candidates = yawed(0.0), yawed([-10.0, -11.0, 24.0])
    fov = retrieve(target, candidates, RetrievalConfig(strategy="fov", k=2))
    coverage = retrieve(target, candidates, RetrievalConfig(strategy="coverage", k=2))
    assert set(fov.chosen) == {0, 1}
    assert set(coverage.chosen) == {0, 2}


def test_pose_is_the_closed_form():
    target, candidates = yawed(0.0), yawed([0.0, 90.0])
    candidates.camera_to_world[0, :, 2, 3] = 2.0
    result = retrieve(target, candidates, RetrievalConfig(strategy="pose", k=1))
    assert result.scores == pytest.approx((-2.0 / 4.0, -math.pi / 2))
    assert result.chosen == (0,)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_every_strategy_chooses_min_k_n_distinct_views_and_repeats_itself(strategy, k):
    cameras = random_views(7, 6)
    config = RetrievalConfig(strategy=strategy, k=k)
    first, again = (retrieve(cameras[0], cameras[1:], config, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == again
    assert len(first.scores) == 5
    assert len(first.chosen) == len(set(first.chosen)) == min(k, 5)
    assert set(first.chosen) <= set(range(5))
    if strategy != "coverage":
        assert [first.scores[n] for n in first.chosen] == sorted(first.scores, reverse=True)[:k]


@pytest.mark.parametrize("strategy", ["fov", "fov-paper", "coverage", "pose"])
def test_ties_go_to_the_lower_index(strategy):
    same = yawed([30.0, 5.0, 5.0, 5.0])
    assert retrieve(yawed(0.0), same, RetrievalConfig(strategy=strategy, k=1)).chosen == (1,)
    assert retrieve(same[1], same, RetrievalConfig(strategy=strategy, k=3)).chosen == (1, 2, 3)


def test_last_source_and_random():
    cameras = random_views(8, 21)
    target, candidates = cameras[0], cameras[1:]
    assert retrieve(target, candidates, RetrievalConfig(strategy="last", k=3)).chosen == (19, 18, 17)
    assert retrieve(target, candidates, RetrievalConfig(strategy="source", k=3)).chosen == (0, 1, 2)
    picks = {
        retrieve(target, candidates, RetrievalConfig(strategy="random", k=3), torch.Generator().manual_seed(s)).chosen
        for s in range(5)
    }
    assert len(picks) == 5
    default = retrieve(target, candidates, RetrievalConfig(strategy="random"))
    assert default == retrieve(target, candidates, RetrievalConfig(strategy="random"))


@pytest.mark.parametrize("strategy", ["fov", "coverage"])
def test_working_in_parts_changes_nothing(strategy, monkeypatch):
    cameras = random_views(9, 8)
    config = RetrievalConfig(strategy=strategy, k=4)
    whole = retrieve(cameras[0], cameras[1:], config)
    for size in (1, 3 * sample_frustum(cameras[0], 0, 1, 8, 6, 10)[..., 0].numel()):
        monkeypatch.setattr(by_points, "POINTS_AT_ONCE", size)
        assert retrieve(cameras[0], cameras[1:], config) == whole


def test_float32_cameras_score_alike():
    cameras = random_views(10, 6)
    single = cameras.to(torch.float32)
    double_scores = retrieve(cameras[0], cameras[1:], RetrievalConfig()).scores
    assert retrieve(single[0], single[1:], RetrievalConfig()).scores == pytest.approx(double_scores, abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "fovpaper"}, "did you mean 'fov-paper'"),
        ({"strategy": "FOV"}, "did you mean 'fov'"),
        ({"strategy": "?"}, "expected one of fov, "),
        ({"strategy": None}, "retrieval strategy None: expected one of fov, "),
        ({"strategy": 3}, "retrieval strategy 3: expected one of fov, "),
        ({"strategy": ["fov"]}, "retrieval strategy ['fov']: expected one of fov, "),
        ({"k": 0}, "k=0"),
        ({"k": 2.5}, "k=2.5 views: expected a whole number"),
        ({"rows": 2.5}, "8 x 2.5 x 10"),
        ({"planes": 0}, "8 x 6 x 0"),
        ({"near": 3.0, "far": 2.0}, "near < far"),
        ({"near": -1.0}, "near=-1 m: expected finite numbers, 0 <= near < far"),
        ({"near": float("nan")}, "near=nan"),
        ({"near": float("inf")}, "near=inf"),
        ({"far": float("inf")}, "far=inf"),
        ({"far": 0.0}, "far=0 m"),
        ({"subject_distance": 0.0}, "subject distance 0"),
    ],
)
def test_bad_configs_get_one_clear_line(arguments, message):
    with pytest.raises(ValueError) as error:
        RetrievalConfig(**arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_arguments_get_one_clear_line():
    cameras = random_views(11, 3)
    with pytest.raises(ValueError, match="0 candidates"):
        retrieve(cameras[0], cameras[:0], RetrievalConfig())
    with pytest.raises(ValueError, match="2-frame candidates for a target of 3"):
        retrieve(cameras[0], cameras[:, :2], RetrievalConfig())


def test_a_start_beyond_the_derived_end_moves_the_end():
    cameras = random_views(11, 3)
    scores = retrieve(cameras[0], cameras, RetrievalConfig(near=1000.0)).scores
    assert scores == retrieve(cameras[0], cameras, RetrievalConfig(near=1000.0, far=2000.0)).scores


def plain_unhidden(target, candidate, depth, near, far, config):
    """How many points of both frustums one candidate really shows, a point at a time."""
    rows, columns = depth.shape[1:]
    grid = (near, far, config.columns, config.rows, config.planes)
    count = 0
    for points, other in ((sample_frustum(target, *grid), candidate), (sample_frustum(candidate, *grid), target)):
        inside = by_points.inside_frustum(points, other, near, far)
        pixels, z = by_points.project(points, candidate)
        for frame, point in inside.nonzero().tolist():
            x, y = pixels[frame, point].tolist()
            row, column = min(int(y / 32 * rows), rows - 1), min(int(x / 48 * columns), columns - 1)
            found = depth[frame, row, column].item()
            count += found <= 0 or z[frame, point].item() <= by_points.HIDDEN * found
    return count


def test_visible_counts_what_no_depth_hides_and_is_fov_without_depth():
    views = random_views(3, 5, angle=0.2, distance=0.4)
    target, candidates = views[0], views[1:]
    config = RetrievalConfig(strategy="visible", k=2, near=0.5, far=6.0)
    fov = retrieve(target, candidates, replace(config, strategy="fov"))
    assert retrieve(target, candidates, config).scores == fov.scores
    depth = 0.5 + 5 * torch.rand(4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    depth[1, :, :4] = 0  # not known: hides nothing
    found = retrieve(target, candidates, config, depths=[depth[0], depth[1], None, depth[3]])
    samples = 2 * 3 * config.columns * config.rows * config.planes
    for view in (0, 1, 3):
        plain = plain_unhidden(target, candidates[view], depth[view], 0.5, 6.0, config)
        assert found.scores[view] == plain / samples < fov.scores[view]
    assert found.scores[2] == fov.scores[2]


def test_visible_prefers_the_view_that_no_wall_stands_before():
    target = yawed(0.0)
    candidates = yawed([5.0, 20.0])
    wall, free = torch.full((2, 4, 6), 0.6), torch.full((2, 4, 6), 50.0)
    for strategy, best in (("fov", 0), ("visible", 1)):
        config = RetrievalConfig(strategy=strategy, k=1)
        assert retrieve(target, candidates, config, depths=[wall, free]).chosen == (best,)
    kept = retrieve(target, candidates, RetrievalConfig(strategy="visible", k=1), kept=[0], depths=[wall, free])
    assert kept.chosen == (0,)
