"""Depth from several looks, by a network that answers with what its context shows and an error of its own."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.own_depth import LOOKS, own_depth, with_own_depth
from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
from plenodream.types import View

ANCHOR = torch.eye(4)


@dataclass(frozen=True)
class Told(DiffusionGenerator):
    """Depth is 1 + red / 255; what lies left of the picture that it is given, mirrored or not, is seen too near."""

    steps: list = field(default_factory=list)
    error: float = 0.1

    def encode(self, view: View, anchor: Tensor) -> View:
        return view

    def generate(self, targets, contexts, anchor, known, noise, fps, on_step=None) -> list[View]:
        (target,), (shown,) = targets, contexts
        assert torch.equal(target.camera_to_world, shown.cameras.camera_to_world)
        assert torch.equal(target.intrinsics, shown.cameras.intrinsics)
        self.steps.append(self.sampler.config.steps)
        inverse = 1 / (1 + shown.frames[..., 0] / 255) + self.error * torch.linspace(1, -1, target.width)
        return [View(shown.frames, target, fps, depth=1 / inverse)]


@pytest.fixture
def told(tiny_pipeline):
    generator = tiny_pipeline().generator()
    sampler = replace(generator.sampler, codec=SpaceToDepthCodec(8, depth=True))
    return Told(sampler, generator.workings, generator.device, generator.identity)


def test_what_a_picture_and_its_mirror_image_are_mistaken_for_cancels(told, tiny_video):
    video = tiny_video()
    truth = 1 + video.frames[..., 0] / 255
    depth = own_depth(told, video, video, ANCHOR)
    assert torch.allclose(depth, truth, atol=1e-4)
    assert told.steps == [1] * 2 * LOOKS and told.sampler.config.steps > 1
    once = told.generate([video.cameras], [video], ANCHOR, [None], torch.Generator(), 12.0)[0]
    assert (once.depth - truth).abs().max() > 0.05


def test_what_was_made_keeps_its_colours_and_what_is_unknown_stays_unknown(told, tiny_video):
    told = replace(told, error=0.0)
    shown = tiny_video()
    truth = 1 + shown.frames[..., 0] / 255
    made = replace(shown, frames=shown.frames // 2, depth=torch.ones_like(truth))
    (seen,) = with_own_depth(told, [made], [shown], ANCHOR, [None], torch.Generator())
    assert torch.equal(seen.frames, made.frames) and torch.allclose(seen.depth, truth)
    assert told.steps == [1] * LOOKS
    (seen,) = with_own_depth(replace(told, error=float("inf")), [made], [shown], ANCHOR, [None], torch.Generator())
    assert bool((seen.depth == 0).all())


def test_a_network_without_depth_has_none_and_what_is_no_network_is_asked_once(tiny_pipeline, tiny_video):
    generator, video = tiny_pipeline().generator(), tiny_video()
    assert own_depth(generator, video, generator.encode(video, ANCHOR), ANCHOR) is None
    assert with_own_depth(generator, [video], [], ANCHOR, [None], torch.Generator()) == [video]

    class Same:
        """Says what it is given."""

        workings = replace(generator.workings, size=None)
        asked = 0

        def generate(self, targets, contexts, anchor, known, noise, fps, on_step=None):
            self.asked += 1
            return [View(video.frames, targets[0], fps, depth=torch.ones(video.frames.shape[:3]))]

    same = Same()
    assert torch.equal(own_depth(same, video, video, ANCHOR), torch.ones(video.frames.shape[:3]))  # pyright: ignore
    assert same.asked == 1
