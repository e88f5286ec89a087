import itertools
import math
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plenodream.geometry.cameras import horizontal_fov, intrinsics_from_fov, make_pose, rotation_matrix, stack_cameras
from plenodream.geometry.frustum import inside_frustum, sample_frustum
from plenodream.geometry.rig import Rig, rig_poses
from plenodream.memory.manifest import Entry
from plenodream.memory.merge import MAX_FOV, condense, merge_cameras, merge_names, merged_name
from plenodream.memory.retrieval import RetrievalConfig, retrieve
from plenodream.types import Cameras

FRAMES = 12


def rig_path(frames=FRAMES, fov=55.0, **ends):
    """A camera that eases from the anchor to the end values of a rig, 4 m in front of its subject."""
    zeros = dict.fromkeys(("azimuth", "elevation", "right", "up", "forward", "pan", "tilt"), 0.0)
    values = zeros | {"radius": 4.0, "focal": 1.0}
    start = values | {}
    t = torch.linspace(0, 1, frames, dtype=torch.float64)
    rig = Rig(**{name: start[name] + (ends.get(name, start[name]) - start[name]) * t for name in values})
    lens = intrinsics_from_fov(fov, 32, 48, torch.float64).repeat(frames, 1)
    lens[:, :2] *= rig.focal[:, None]
    return Cameras(rig_poses(rig, 4.0), lens, 32, 48)


def random_paths(seed, views, frames=FRAMES, wild=False):
    """Preset-like paths; wild ones may look any way."""
    g = torch.Generator().manual_seed(seed)
    reach = {"azimuth": 40, "elevation": 20, "right": 1, "up": 1, "forward": 1, "pan": 25, "tilt": 15}
    paths = []
    for _ in range(views):
        draw = (2 * torch.rand(len(reach), generator=g) - 1).tolist()
        ends = {name: size * (4 if wild else 1) * d for (name, size), d in zip(reach.items(), draw, strict=True)}
        ends["elevation"] = max(-80.0, min(80.0, ends["elevation"]))
        ends["focal"] = 0.7 + 0.8 * torch.rand((), generator=g).item()
        paths.append(rig_path(frames, **ends))
    return stack_cameras(paths)


def share_inside(cameras, points):
    """Share of the points (frames, points, 3) that a path has in its images."""
    return inside_frustum(points, cameras, 0.0, math.inf).double().mean().item()


def union_points(cameras, grid=(9, 7, 6)):
    return sample_frustum(cameras, 0.2, 10.0, *grid).transpose(0, 1).flatten(1, 2)


def difference(values, order):
    return values.diff(n=order, dim=-2).norm(dim=-1).max().item()


def test_identical_cameras_merge_into_themselves():
    path = rig_path(azimuth=30.0, up=0.5, pan=10.0)
    for count in (1, 2, 3):
        merged = merge_cameras(stack_cameras([path] * count))
        assert torch.allclose(merged.camera_to_world, path.camera_to_world, atol=1e-9)
        assert torch.allclose(merged.intrinsics, path.intrinsics, rtol=1e-9)


def test_a_changing_focal_length_merges_into_nearly_itself():
    path = rig_path(focal=1.5)
    merged = merge_cameras(stack_cameras([path, path]))
    assert (merged.intrinsics[:, :2] <= path.intrinsics[:, :2] + 1e-9).all()
    assert torch.allclose(merged.intrinsics, path.intrinsics, rtol=0.1)


def test_two_pans_merge_into_the_middle_with_their_union_of_angles():
    left, right = rig_path(pan=-20.0, fov=40.0), rig_path(pan=20.0, fov=40.0)
    merged = merge_cameras(stack_cameras([left, right]))
    assert torch.allclose(merged.camera_to_world, rig_path(fov=40.0).camera_to_world, atol=1e-9)
    fov = horizontal_fov(merged)
    assert (fov >= torch.linspace(40, 80, FRAMES, dtype=torch.float64) - 1e-6).all()
    assert fov[-1].item() == pytest.approx(80.0, abs=8.0)
    assert share_inside(merged, union_points(stack_cameras([left, right]))) == 1.0


@pytest.mark.parametrize("wild", [False, True])
@given(seed=st.integers(0, 10_000), views=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_a_merge_sees_no_less_than_its_best_input(wild, seed, views):
    cameras = random_paths(seed, views, wild=wild)
    points = union_points(cameras)
    best = max(share_inside(cameras[n], points) for n in range(views))
    assert share_inside(merge_cameras(cameras), points) >= best - 0.02


def test_merges_of_presets_see_nearly_all():
    shares = []
    for seed in range(20):
        cameras = random_paths(seed, 3)
        shares.append(share_inside(merge_cameras(cameras), union_points(cameras)))
    assert sum(shares) / len(shares) > 0.9


@given(seed=st.integers(0, 10_000), views=st.integers(1, 4), wild=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_merge_is_a_smooth_camera_of_the_same_size(seed, views, wild):
    cameras = random_paths(seed, views, frames=24, wild=wild)
    merged = merge_cameras(cameras)
    assert (merged.shape, merged.height, merged.width) == ((24,), 32, 48)
    assert torch.isfinite(merged.camera_to_world).all()
    rotation = merged.camera_to_world[:, :3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3).double().expand(24, 3, 3), atol=1e-9)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(24).double())
    assert torch.allclose(merged.intrinsics[:, 2:], torch.tensor([24.0, 16.0]).double())
    assert torch.allclose(merged.intrinsics[:, 0], merged.intrinsics[:, 1])
    assert (horizontal_fov(merged) <= max(MAX_FOV, horizontal_fov(cameras).max().item()) + 1e-6).all()


@given(seed=st.integers(0, 10_000), views=st.integers(1, 4), wild=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_merge_moves_no_more_abruptly_than_its_inputs(seed, views, wild):
    cameras = random_paths(seed, views, frames=24, wild=wild)
    merged = merge_cameras(cameras)
    spin = difference(cameras.camera_to_world[..., :3, 2], 1)
    for column in (0, 2, 3):
        mine, theirs = merged.camera_to_world[..., :3, column], cameras.camera_to_world[..., :3, column]
        speed, bend = difference(theirs, 1), difference(theirs, 2)
        # Averaging unit axes may double their speed (MIN_AGREEMENT), standing back adds the turn of the spread.
        spread = (cameras.camera_to_world[..., :3, 3].std(dim=0, correction=0)).norm(dim=-1).max().item()
        assert difference(mine, 1) <= 2 * speed + (2 * spin * spread if column == 3 else 0) + 1e-9
        if not wild:
            assert difference(mine, 2) <= 3 * bend + 0.1 * speed + 1e-9
    assert merged.intrinsics[:, 0].log().diff(n=2).abs().max() < 0.1


@given(seed=st.integers(0, 10_000), views=st.integers(1, 4), wild=st.booleans())
@settings(max_examples=10, deadline=None)
def test_moving_the_world_moves_the_merge(seed, views, wild):
    cameras = random_paths(seed, views, wild=wild)
    g = torch.Generator().manual_seed(seed)
    turn, shift = (torch.randn(3, generator=g, dtype=torch.float64) for _ in range(2))
    move = make_pose(rotation_matrix(turn), 10 * shift)
    moved = merge_cameras(replace(cameras, camera_to_world=move @ cameras.camera_to_world))
    merged = merge_cameras(cameras)
    assert torch.allclose(moved.camera_to_world, move @ merged.camera_to_world, atol=1e-6)
    assert torch.allclose(moved.intrinsics, merged.intrinsics, atol=1e-6)


def test_inputs_side_by_side_are_seen_from_behind():
    far_apart, close = (stack_cameras([rig_path(right=-x), rig_path(right=x)]) for x in (2.0, 0.1))
    depth = merge_cameras(far_apart).camera_to_world[:, 2, 3]
    assert depth[0] == 0
    assert depth[-1] <= -1.0
    assert (depth.diff() <= 0).all()
    assert torch.equal(merge_cameras(close).camera_to_world[:, :3, 3], torch.zeros(FRAMES, 3).double())
    assert share_inside(merge_cameras(far_apart), union_points(far_apart)) > 0.9


def test_level_inputs_make_a_level_merge():
    paths = [rig_path(pan=30.0, tilt=15.0), rig_path(azimuth=-30.0, elevation=20.0), rig_path(pan=-10.0, up=1.0)]
    right = merge_cameras(stack_cameras(paths)).camera_to_world[:, :3, 0]
    assert right[:, 1].abs().max() < 1e-9


def test_opposite_inputs_fall_back_to_one_of_them():
    front, back = rig_path(), rig_path(azimuth=180.0)
    merged = merge_cameras(stack_cameras([front, back]))
    options = torch.stack([front.camera_to_world, back.camera_to_world])
    assert (options - merged.camera_to_world).abs().amax(dim=(1, 2, 3)).min() == 0


def test_an_input_wider_than_the_limit_or_off_centre_is_not_cut():
    wide = rig_path(fov=130.0)
    off_centre = replace(wide, intrinsics=wide.intrinsics + torch.tensor([20.0, 20, 9, -5]).double())
    for path in (wide, off_centre):
        merged = merge_cameras(stack_cameras([path, path]))
        assert share_inside(merged, union_points(path[None])) == 1.0


def test_single_frames_merge_and_dtype_is_kept():
    cameras = random_paths(1, 3, frames=2)[:, :1].to(torch.float32)
    merged = merge_cameras(cameras)
    assert merged.shape == (1,)
    assert merged.camera_to_world.dtype == merged.intrinsics.dtype == torch.float32


def fov_score(target, candidates):
    return retrieve(target, candidates, RetrievalConfig(columns=4, rows=3, planes=3)).scores


def named_paths(seed, count, frames=3):
    return {f"view-{n:02d}": path for n, path in enumerate(random_paths(seed, count, frames=frames))}


@given(seed=st.integers(0, 10_000), count=st.integers(1, 9), k=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_condense_ends_with_k_views_and_deletes_what_it_merged(seed, count, k):
    candidates = named_paths(seed, count)
    target = random_paths(seed + 1, 1, frames=3)[0]
    rendered = []
    result = condense(target, candidates, k, fov_score, rendered.append)
    assert list(result.steps) == rendered
    assert len(result.names) == len(result.scores) == min(k, count)
    left, views = set(candidates), dict(candidates)
    for step in result.steps:
        size = max(2, min(len(left) - k + 1, k))
        assert len(step.inputs) == size
        assert set(step.inputs) <= left
        assert set(step.context) <= set(step.inputs)
        assert len(step.context) == min(k, size)
        assert step.name == merged_name(step.inputs)
        left = left - set(step.inputs) | {step.name}
        fits = fov_score(step.cameras, stack_cameras([views[n] for n in step.inputs]))
        assert list(step.scores) == pytest.approx(list(fits))
        views[step.name] = step.cameras
    assert set(result.names) == left
    assert list(result.scores) == sorted(result.scores, reverse=True)
    if count <= k:
        assert not result.steps
    elif k == 1:
        assert len(result.steps) == count - 1
    else:
        assert len(result.steps) == math.ceil((count - k) / (k - 1))


@given(seed=st.integers(0, 10_000), count=st.integers(2, 7), k=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_condense_agrees_with_a_plain_version(seed, count, k):
    candidates = named_paths(seed, count)
    target = random_paths(seed + 1, 1, frames=3)[0]

    # Depth ranges derive from all cameras together, so fix them to score one view at a time.
    fixed = RetrievalConfig(near=0.2, far=10.0, columns=4, rows=3, planes=3)

    def score(one, others):
        return retrieve(one, others, fixed).scores

    left, merges = dict(candidates), []
    while len(left) > k:
        scores = {name: score(target, left[name][None])[0] for name in left}
        ascending = sorted(reversed(left), key=scores.__getitem__)  # of equal ones the later is less similar
        merged = sorted(ascending[: max(2, min(len(left) - k + 1, k))])
        cameras = merge_cameras(stack_cameras([left[n] for n in merged]))
        for n in merged:
            del left[n]
        left[merged_name(merged)] = cameras
        merges.append(tuple(merged))
    result = condense(target, candidates, k, score, lambda step: None)
    assert [step.inputs for step in result.steps] == merges
    assert set(result.names) == set(left)


def test_the_merged_view_competes_and_the_context_is_nearest_to_it():
    target = rig_path()
    candidates = {
        "ahead": rig_path(pan=2.0),
        "far-left": rig_path(pan=-60.0),
        "left": rig_path(pan=-50.0),
    }
    one = condense(target, candidates, 1, fov_score, lambda step: None)
    assert [step.inputs for step in one.steps] == [("far-left", "left"), ("ahead", one.steps[0].name)]
    assert all(len(step.context) == 1 for step in one.steps)
    two = condense(target, candidates, 2, fov_score, lambda step: None)
    assert two.names == ("ahead", two.steps[0].name)
    assert two.steps[0].context == tuple(
        sorted(two.steps[0].inputs, key=lambda n: -fov_score(two.steps[0].cameras, candidates[n][None])[0])
    )


def test_the_same_merge_has_the_same_name_and_cameras_for_every_target_and_order():
    candidates = named_paths(2, 2)
    backwards = dict(reversed(candidates.items()))
    targets = random_paths(3, 2, frames=3)
    first = condense(targets[0], candidates, 1, fov_score, lambda step: None).steps[0]
    second = condense(targets[1], backwards, 1, fov_score, lambda step: None).steps[0]
    assert first.name == second.name
    assert torch.equal(first.cameras.camera_to_world, second.cameras.camera_to_world)
    assert torch.equal(first.cameras.intrinsics, second.cameras.intrinsics)


def test_names_of_merges():
    assert merged_name(["tilt-up", "arc-left"]) == merged_name(["arc-left", "tilt-up"]) == "arc-left+tilt-up"
    again = merged_name(["arc-left+tilt-up", "zoom-out"])
    assert re.fullmatch(r"arc-left\+tilt-up\+zoom-out-[0-9a-f]{8}", again)  # not what all three at once would be
    more = merged_name([again, "dolly-in"])
    assert re.fullmatch(r"arc-left\+tilt-up\+zoom-out\+dolly-in-[0-9a-f]{8}", more) and more != again
    names = {merged_name(pair) for pair in itertools.combinations("abcdefgh", 2)}
    names |= {merged_name(pair) for pair in [("a+b", "c"), ("a", "b+c"), ("a+b+c", "d"), ("a", "b+c+d")]}
    names |= {merged_name(["a", "b"], taken=["a+b"])}
    assert len(names) == 28 + 5
    many = merged_name([f"truck-left-{number}" for number in range(6)])
    assert re.fullmatch(r"truck-left-0\+truck-left-1\+more-[0-9a-f]{8}", many)


def test_a_scene_keeps_the_names_of_the_merges_it_has():
    old = Entry("merge-a-0123abcd", "helper", {"merge_of": ["a", "b"]})
    called = merge_names([Entry("a", "view"), Entry("a+c", "view"), old])
    assert called(["b", "a"]) == "merge-a-0123abcd" and called(["b", "c"]) == "b+c"
    assert called(["a", "c"]) not in ("a+c", "b+c")


def test_names_of_merges_of_long_names_are_names_of_views_too():
    long = "a" * 100
    names = [merged_name([long, "b"]), merged_name([long, "c"]), merged_name([long[:99], "b"])]
    names += [merged_name([names[0], "z"]), merged_name([merged_name([names[0], "z"]), names[1]])]
    assert len(set(names)) == 5 and max(len(name) for name in names) == 48
    for name in names:
        assert Entry(name, "helper").name.startswith("aaa")


def test_bad_input_gets_one_clear_line():
    candidates = named_paths(4, 2)
    target = candidates["view-00"]
    with pytest.raises(ValueError, match="k=0"):
        condense(target, candidates, 0, fov_score, lambda step: None)
    with pytest.raises(ValueError, match="no candidates"):
        condense(target, {}, 1, fov_score, lambda step: None)
    with pytest.raises(ValueError, match="resample"):
        condense(target, candidates | {"short": target[:2]}, 1, fov_score, lambda step: None)
    merged = merged_name(["view-00", "view-01"])
    ahead = {merged: target}
    with pytest.raises(ValueError, match="leave merged views out"):
        condense(target, candidates | ahead, 2, lambda t, c: [0.0, 0.0, 1.0][: len(c)], lambda step: None)
