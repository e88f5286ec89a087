"""Depth from several looks, on a network that answers with what its context shows and an error of its own."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.own_depth import LOOKS, own_depth
from plenodream.types import View

ANCHOR = torch.eye(4)


@dataclass(frozen=True)
class Told(DiffusionGenerator):
    """Depth is 1 + red / 255, and wrong: too near on the left of the picture that it is given, whichever that is."""

    steps: list = field(default_factory=list)

    def encode(self, view: View, anchor: Tensor) -> View:
        return view

    def generate(self, targets, contexts, anchor, known, noise, fps, on_step=None) -> list[View]:
        (target,), (shown,) = targets, contexts
        assert torch.equal(target.camera_to_world, shown.cameras.camera_to_world)
        assert torch.equal(target.intrinsics, shown.cameras.intrinsics) and torch.equal(anchor[:3, 3], ANCHOR[:3, 3])
        self.steps.append(self.sampler.config.steps)
        inverse = 1 / (1 + shown.frames[..., 0] / 255) + torch.linspace(0.1, -0.1, target.width)
        return [View(shown.frames, target, fps, depth=1 / inverse)]


@pytest.fixture
def told(tiny_pipeline):
    generator = tiny_pipeline().generator()
    return Told(generator.sampler, generator.workings, generator.device, generator.identity)


def test_what_a_picture_and_its_mirror_image_are_mistaken_for_cancels(told, tiny_video):
    video = tiny_video()
    truth = 1 + video.frames[..., 0] / 255
    depth = own_depth(told, video, told.encode(video, ANCHOR), ANCHOR)
    assert torch.allclose(depth, truth, atol=1e-4)
    assert told.steps == [1] * 2 * LOOKS and told.sampler.config.steps > 1
    once = told.generate([video.cameras], [video], ANCHOR, [None], torch.Generator(), 12.0)[0]
    assert (once.depth - truth).abs().max() > 0.05


def test_networks_without_depth_and_generators_that_are_none(tiny_pipeline, tiny_video):
    generator, video = tiny_pipeline().generator(), tiny_video()
    assert own_depth(generator, video, generator.encode(video, ANCHOR), ANCHOR) is None

    class Same:
        """Says what it is given."""

        workings = replace(generator.workings, size=None)
        asked = 0

        def generate(self, targets, contexts, anchor, known, noise, fps):
            self.asked += 1
            return [View(video.frames, targets[0], fps, depth=torch.ones(video.frames.shape[:3]))]

    same = Same()
    assert torch.equal(own_depth(same, video, None, ANCHOR), torch.ones(video.frames.shape[:3])) and same.asked == 1
