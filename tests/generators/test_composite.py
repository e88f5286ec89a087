"""The composite, on a generator that really works small: true renders of a known world at a fifth of the size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from plenodream.evaluation.metrics.fidelity import psnr
from plenodream.evaluation.scenes import held_out
from plenodream.generators.composite import Composite
from plenodream.generators.protocol import Workings
from plenodream.geometry.cameras import resize_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import make_trajectory
from plenodream.media.fit import stretch_depth, stretch_frames
from plenodream.types import Cameras, View
from plenodream.worlds.family import scene_family
from plenodream.worlds.raycast import render
from plenodream.worlds.world import Worlds, sample_worlds, world_generator

SIDE, SCENE = 20, 4


@dataclass(frozen=True)
class TrueSmall:
    """Renders the world itself, small, and stretches that; with or without depth, in a scale of its own."""

    world: Worlds
    depth: bool = True
    scale: float = 1.0

    @property
    def workings(self) -> Workings:
        return Workings(size=(SIDE, SIDE), frames=None, steps=3)

    def fingerprint(self) -> str:
        return "true-small"

    def encode(self, view: View, anchor: torch.Tensor) -> torch.Tensor:
        return view.cameras.camera_to_world

    def generate(self, targets, contexts, anchor, known, noise, fps, on_step=None) -> list[View]:
        assert all(isinstance(context, torch.Tensor) for context in contexts)
        return [self._view(target, fps) for target in targets]

    def _view(self, target: Cameras, fps: float) -> View:
        seen = render(self.world, resize_cameras(target, SIDE, SIDE)[None, None], torch.linspace(0, 1, 2), 2)
        frames = stretch_frames((seen.rgb[0, 0] * 255).round().to(torch.uint8), target.height, target.width)
        depth = stretch_depth(seen.depth[0, 0] * self.scale, target.height, target.width) if self.depth else None
        return View(frames, target, fps, depth=depth)


@pytest.fixture(scope="module")
def scene():
    return held_out(scene_family("mild"), 1, 3, 2, 96, 128, first=SCENE)


@pytest.fixture(scope="module")
def world():
    return sample_worlds(scene_family("mild"), 1, world_generator("validation", SCENE))


def source_of(scene, depth: bool = False) -> View:
    pixels = (scene.rgb[0, 0] * 255).round().to(torch.uint8)
    return View(pixels, scene.cameras[0, 0], 15.0, depth=scene.depth[0, 0] if depth else None)


def make(generator, target: Cameras, *views: View, known: View | None = None) -> View:
    anchor = views[0].cameras.camera_to_world[0]
    contexts = [generator.encode(view, anchor) for view in views]
    (made,) = generator.generate([target], contexts, anchor, [known], torch.Generator(), 15.0)
    return made


def score(view: View, scene, number: int) -> float:
    return psnr(view.frames.float() / 255, scene.rgb[0, number], scene.seen[0, number]).item()


@pytest.mark.parametrize(("given", "gain"), [(False, 0.3), (True, 2.0)])
def test_detail_is_carried_by_predicted_and_by_given_depth(scene, world, given, gain):
    small = TrueSmall(world)
    alone = make(small, scene.cameras[0, 1], source_of(scene))
    both = make(Composite(small), scene.cameras[0, 1], source_of(scene, given))
    assert score(both, scene, 1) > score(alone, scene, 1) + gain
    hidden = ~scene.seen[0, 1]
    apart = (both.frames.float() - alone.frames.float()).abs().mean(-1)
    assert apart[hidden].mean() < 0.5 * apart[scene.seen[0, 1]].mean() + 3  # nothing else is known there


def test_the_source_comes_back_and_turns_are_as_sharp_as_it_without_any_depth(scene, world):
    source = source_of(scene)
    blind = Composite(TrueSmall(world, depth=False))
    assert torch.equal(make(blind, source.cameras, source).frames, source.frames)
    cameras = source.cameras[torch.zeros(2, dtype=torch.long)]
    target = trajectory_cameras(make_trajectory("rotate-left"), cameras)
    still, truth = (render(world, c[None, None], torch.linspace(0, 1, 2), 2).rgb[0, 0] for c in (cameras, target))
    made = make(blind, target, View((still * 255).round().to(torch.uint8), cameras, 15.0))
    assert made.depth is None
    inside = torch.zeros(2, 96, 128, dtype=torch.bool)
    inside[:, :, 64:] = True  # the rest turns out of the source's picture
    assert psnr(made.frames.float() / 255, truth, inside) > 34
    alone = make(blind.small, target, source)
    assert torch.equal(made.frames[1, :, :20], alone.frames[1, :, :20])


def test_what_disagrees_is_the_small_one_s_own(scene, world):
    source = source_of(scene)
    wrong = replace(source, frames=torch.where(source.frames < 128, 255, 0).to(torch.uint8))
    small = TrueSmall(world)
    alone = make(small, scene.cameras[0, 1], wrong)
    made = make(Composite(small), scene.cameras[0, 1], wrong)
    same = (made.frames.float() - alone.frames.float()).abs().mean(-1) < 2
    assert same[1].float().mean() > 0.95  # frame 0 stands where the source does, and takes its pixels untested


def test_depth_of_another_scale_is_brought_to_the_views(scene, world):
    made = make(Composite(TrueSmall(world, scale=1.7)), scene.cameras[0, 1], source_of(scene, depth=True))
    added = made.depth > 0
    assert 0.01 < added.float().mean() < 0.6
    assert (made.depth / scene.depth[0, 1] - 1)[added].abs().median() < 0.1


def test_later_views_read_what_was_added_and_known_frames_stay(scene, world):
    source, composite = source_of(scene, depth=True), Composite(TrueSmall(world))
    first = make(composite, scene.cameras[0, 1], source)
    tinted = replace(first, frames=torch.where((first.depth > 0)[..., None], first.frames // 2 + 60, first.frames))
    plain, read = (make(composite, scene.cameras[0, 2], source, view) for view in (first, tinted))
    assert (plain.frames != read.frames).any() and (plain.frames == read.frames).float().mean() > 0.5
    assert composite.workings.size is None and composite.workings.steps == 3
    made = make(composite, scene.cameras[0, 1], source, known=tinted[:1])
    assert torch.equal(made.frames[0], tinted.frames[0]) and torch.equal(made.depth[0], tinted.depth[0])
    assert torch.equal(made.frames[1:], first.frames[1:]) and torch.equal(made.depth[1:], first.depth[1:])
    assert composite.fingerprint() == "composite-4-true-small"
