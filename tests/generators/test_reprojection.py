"""The point cloud as a generator, on rendered scenes whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from plenodream.evaluation.metrics.fidelity import psnr
from plenodream.evaluation.metrics.sync import hsync, match_views
from plenodream.evaluation.scenes import held_out
from plenodream.generators.motion import key_frames, moving_pixels
from plenodream.generators.reprojection import Reprojection
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import make_trajectory
from plenodream.types import Cameras, View
from plenodream.worlds.family import scene_family


@pytest.fixture(scope="module")
def scene():
    return held_out(scene_family("mild"), 1, 4, 3, 64, 64, first=2)


def true_view(scene, view: int, depth: bool = True) -> View:
    pixels = (scene.rgb[0, view] * 255).round().to(torch.uint8)
    return View(pixels, scene.cameras[0, view], 15.0, depth=scene.depth[0, view] if depth else None)


def make(generator: Reprojection, target: Cameras, *views: View, known: View | None = None) -> View:
    anchor = views[0].cameras.camera_to_world[0]
    contexts = [generator.encode(view, anchor) for view in views]
    (made,) = generator.generate([target], contexts, anchor, [known], torch.Generator(), 15.0)
    return made


def unit(view: View) -> torch.Tensor:
    return view.frames.float() / 255


@pytest.mark.parametrize("depth", [True, False])
def test_the_source_s_own_cameras_give_the_source_back(scene, depth):
    source = true_view(scene, 0, depth)
    assert torch.equal(make(Reprojection(), source.cameras, source).frames, source.frames)


def test_turns_and_zooms_need_no_depth(scene):
    source = true_view(scene, 0, depth=False)
    still = replace(source, cameras=source.cameras[torch.zeros(3, dtype=torch.long)])
    for name in ("rotate-left", "tilt-up", "focal"):
        made = make(Reprojection(), trajectory_cameras(make_trajectory(name), still.cameras), still)
        assert made.depth is None and bool((made.frames[0] == source.frames[0]).all()) == (name != "focal")
    with pytest.raises(ValueError, match=r"frame 1: the camera stands 0\.\d+ m from every view, and none .* has depth"):
        make(Reprojection(), trajectory_cameras(make_trajectory("truck-left"), still.cameras), still)


def test_what_the_source_saw_is_right_and_the_rest_is_filled(scene):
    source = true_view(scene, 0)
    made = make(Reprojection(), scene.cameras[0, 1], source)
    assert psnr(unit(made), scene.rgb[0, 1], scene.seen[0, 1]) > 30
    added = made.depth > 0
    assert 0.01 < added.float().mean() < 0.5 and (added & ~scene.seen[0, 1]).sum() > 0.7 * added.sum()
    assert (made.depth / scene.depth[0, 1] - 1)[added].abs().median() < 0.3


def test_views_that_are_read_again_agree_where_the_source_saw_nothing(scene):
    source, a, b = true_view(scene, 0), 1, 3
    first = make(Reprojection(), scene.cameras[0, a], source)
    cut = make(Reprojection(), scene.cameras[0, b], source)
    joined = make(Reprojection(), scene.cameras[0, b], source, first)
    numbers = [(scene.depth[0, view], scene.cameras[0, view]) for view in (a, b, 0)]
    match = match_views(*(value for pair in numbers for value in pair))
    assert match.hidden.float().mean() > 0.01
    apart, together = (hsync(unit(first), unit(view), match).all.psnr().item() for view in (cut, joined))
    assert together > apart + 1
    seen = scene.seen[0, b]
    assert psnr(unit(joined), scene.rgb[0, b], seen) > psnr(unit(cut), scene.rgb[0, b], seen) - 0.5


def test_without_update_one_view_is_read_and_nothing_is_added(scene):
    generator, source = Reprojection(update=False), true_view(scene, 0)
    assert generator.workings.most == 1
    alone = make(generator, scene.cameras[0, 1], source)
    assert alone.depth is None
    other = replace(source, frames=255 - source.frames, cameras=scene.cameras[0, 2])
    assert torch.equal(make(generator, scene.cameras[0, 1], source, other).frames, alone.frames)
    assert generator.fingerprint() != Reprojection().fingerprint()


def test_known_frames_stay_and_the_rest_follows(scene):
    source, target = true_view(scene, 0), scene.cameras[0, 1]
    whole = make(Reprojection(), target, source)
    tinted = replace(whole[:1], frames=whole.frames[:1] // 2)
    made = make(Reprojection(), target, source, known=tinted)
    assert torch.equal(made.frames[:1], tinted.frames) and len(made) == 3


def test_what_rests_is_taken_from_other_moments_and_what_moves_is_not():
    # A wall, before which a square stands at first and is away for most of the time; another one moves on.
    frames, size = 6, (48, 48)
    pixels = torch.full((frames, *size, 3), 90, dtype=torch.uint8)
    pixels[:, ::2] = 140
    depth = torch.full((frames, *size), 4.0)
    for frame in range(frames):
        if frame < 2:
            pixels[frame, 16:32, 8:20], depth[frame, 16:32, 8:20] = 0, 2.0
        left = 30 + 2 * frame
        pixels[frame, 16:32, left : left + 6], depth[frame, 16:32, left : left + 6] = 255, 2.0
    poses, intrinsics = torch.eye(4).repeat(frames, 1, 1), torch.tensor([48.0, 48, 24, 24]).repeat(frames, 1)
    source = View(pixels, Cameras(poses, intrinsics, *size), 8.0, depth=depth)
    moving = moving_pixels(source, key_frames(frames, 4))
    assert bool(moving[4, 20:28, 39:43].all()) and not bool(moving[:, :8].any())
    right = poses.clone()
    right[:, 0, 3] = 0.25
    made = make(Reprojection(), Cameras(right, intrinsics, *size), source)
    # Behind the square the wall's stripes, as seen when it was away; a fill alone would have blurred them.
    hidden = made.frames[0, 17:31, 15:19, 0]
    assert bool(((hidden == 90) | (hidden == 140)).all()) and len(hidden.unique()) == 2
    for frame in range(frames):  # what moves stands where it is at the moment, six pixels to the left, and nowhere else
        white = (made.frames[frame, ..., 0] > 200).any(0).nonzero()[:, 0].tolist()
        assert white == list(range(24 + 2 * frame, 30 + 2 * frame))


@pytest.mark.parametrize(("frames", "most"), [(1, 4), (3, 4), (9, 4), (100, 4)])
def test_key_frames_are_spread(frames, most):
    moments = key_frames(frames, most)
    assert len(moments) == min(frames, most) == len(set(moments))
    assert min(moments) >= 0 and max(moments) < frames


def test_nothing_is_filled_from_before_a_cut():
    # Three red frames, then three of another shot; the camera turns away from the source's picture.
    frames, size = 6, (32, 32)
    pixels = torch.zeros(frames, *size, 3, dtype=torch.uint8)
    pixels[:3, ..., 0], pixels[3:, ..., 2] = 200, 200
    poses, intrinsics = torch.eye(4).repeat(frames, 1, 1), torch.tensor([30.0, 30, 16, 16]).repeat(frames, 1)
    source = View(pixels, Cameras(poses, intrinsics, *size), 8.0)
    target = trajectory_cameras(make_trajectory("rotate-left", {"angle": 40.0}), source.cameras)
    made = make(Reprojection(), target, source)
    assert bool((made.frames[:3, ..., 2] < 10).all()) and bool((made.frames[3:, ..., 0] < 10).all())
