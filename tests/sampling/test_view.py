"""One view from its context: what each guidance branch is shown, and frames that are known."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from plenodream.models.context import ViewTokens
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.denoise import denoise
from plenodream.sampling.view import sample_view

SCHEDULER = FlowMatchEulerDiscreteScheduler(shift=3.0)
NOISE = torch.randn(2, 4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
RAYS = torch.randn(2, 3, 2, 2, 24, generator=torch.Generator().manual_seed(1))


class Recorder:
    """A denoiser that remembers what it was asked; its velocity is a sum of what it was shown."""

    def __init__(self):
        self.calls = []

    def begin(self):
        pass

    def branch(self, name):
        return nullcontext()

    def velocity(self, noisy, t, rays, context, clean_frames, text):
        self.calls.append(SimpleNamespace(rays=rays, context=context, clean_frames=clean_frames, text=text))
        words = 0.0 if text is None else text.mean()
        return torch.full_like(noisy, rays.mean().item() + float(words))


def sample(model, guidance=0.0, **arguments):
    return sample_view(model, SCHEDULER, SamplingConfig(2, guidance), NOISE, RAYS, "context", **arguments)


def test_without_guidance_only_the_condition_is_run():
    model = Recorder()
    sample(model)
    assert [torch.equal(call.rays[:, 0], RAYS) for call in model.calls] == [True, True]
    assert {call.text for call in model.calls} == {None}


def test_guidance_without_text_hides_the_camera_and_keeps_the_context():
    model = Recorder()
    result = sample(model, guidance=2.0)
    conditional, unconditional = model.calls[0::2], model.calls[1::2]
    assert all(torch.equal(call.rays[:, 0], RAYS) for call in conditional)
    assert all(not call.rays.any() for call in unconditional)
    assert {call.context for call in model.calls} == {"context"}
    torch.testing.assert_close(result, NOISE - 3 * RAYS.mean())


def test_guidance_with_text_hides_the_text_alone():
    model, text = Recorder(), torch.ones(2, 5, 8)
    sample(model, guidance=2.0, text=text)
    assert all(torch.equal(call.rays[:, 0], RAYS) for call in model.calls)
    assert [call.text is None for call in model.calls] == [False, True] * 2


def test_known_frames_are_kept_and_named_to_the_network():
    model, clean = Recorder(), torch.randn(NOISE.shape)
    result = sample(model, clean=clean, clean_frames=2)
    assert torch.equal(result[:, :, :2], clean[:, :, :2])
    assert not torch.equal(result[:, :, 2], clean[:, :, 2])
    assert all(call.clean_frames.tolist() == [[1, 1, 0]] * 2 for call in model.calls)


def test_no_known_frames_are_no_mask():
    model = Recorder()
    sample(model, clean=torch.randn(NOISE.shape), clean_frames=0)
    assert all(call.clean_frames is None for call in model.calls)


@pytest.mark.parametrize("mode", ["independent", "joint"])
@torch.no_grad()
def test_a_real_network_is_repeatable_and_minds_camera_context_and_guidance(tiny_denoiser, mode):
    model = tiny_denoiser(context_attention=mode)

    def context(seed):
        generator = torch.Generator().manual_seed(seed)
        latents = torch.randn(1, 2, 4, 3, 2, 2, generator=generator)
        views = ViewTokens(latents, torch.randn(1, 2, 3, 2, 2, 24, generator=generator))
        return model.encode(views)

    def result(seed=2, rays=RAYS, guidance=0.0):
        return sample_view(model, SCHEDULER, SamplingConfig(2, guidance), NOISE[:1], rays[:1], context(seed))

    first = result()
    assert torch.equal(result(), first)
    for other in (result(seed=3), result(rays=RAYS + 1), result(guidance=1.0)):
        assert (other - first).norm() > 1e-3 * first.norm()


@torch.no_grad()
def test_cameras_and_words_are_projected_once_a_video_and_the_velocity_is_that_of_doing_so_every_step(tiny_denoiser):
    layout, text = ("target", "context"), torch.ones(1, 2, 8)
    model = tiny_denoiser(context_attention="joint", layout=layout, context_timestep=0.1)
    seen = model.encode(ViewTokens(NOISE[:1, None], RAYS[1:, None]))
    projected, read = [], []
    for block in model.blocks:
        block.attn1.cam_encoder.register_forward_hook(lambda *_: projected.append(1))
        block.attn2.to_v.register_forward_hook(lambda *_: read.append(1))
    arguments = model, SCHEDULER, SamplingConfig(3, 1.0), NOISE[:1], RAYS[:1], seen
    found = sample_view(*arguments, text=text)
    assert len(projected) == len(model.blocks)  # both branches see the same cameras
    assert len(read) == 2 * len(model.blocks)  # and words of their own
    again = sample_view(*arguments[:4], RAYS[1:], seen, text=text)
    assert len(projected) == 2 * len(model.blocks) and not torch.equal(again, found)  # another video, other cameras

    def velocity(words):
        return lambda x, t: model.velocity(x[:, None], t, RAYS[:1, None], seen, None, words)[:, 0]

    expected = denoise(velocity(text), NOISE[:1], SCHEDULER, SamplingConfig(3, 1.0), velocity(None))
    assert torch.equal(found, expected) and len(projected) == 8 * len(model.blocks)
