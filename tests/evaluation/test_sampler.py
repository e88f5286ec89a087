from __future__ import annotations

import pytest
import torch

from plenodream.evaluation.sampler import ViewSampler, noise_seeds
from plenodream.evaluation.scenes import held_out
from plenodream.models.context import Context, ViewTokens
from plenodream.models.rays import camera_tokens
from plenodream.sampling.view import sample_view
from plenodream.worlds.family import MILD

JOINT_SLOTS = {"context_attention": "joint", "layout": ("context", "target", "context"), "context_timestep": 0.0}


@pytest.fixture(scope="module")
def data():
    return held_out(MILD, 3, 3, 3, 16, 16)


def make(pipeline, **changes) -> ViewSampler:
    return ViewSampler(pipeline.generator().sampler, **changes)


def bank_of(sampler, data):
    source = sampler.encode(data.rgb[:, 0], data.cameras[:, 0], data.anchor)
    return Context.stack([source, sampler.encode(data.rgb[:, 1], data.cameras[:, 1], data.anchor)])


@pytest.mark.parametrize(
    "config", [{}, {"context_attention": "joint"}, JOINT_SLOTS], ids=["independent", "joint", "slots"]
)
def test_batched_clips_are_those_sampled_one_by_one_without_a_bank(tiny_pipeline, data, config):
    pipeline = tiny_pipeline(**config)
    sampler = make(pipeline)
    # Each scene its source and another scene's view: entries 3, 4, 5 are the views 1 of scenes 0, 1, 2.
    index, seeds = torch.tensor([[0, 4], [1, 3], [2, 5]]), [5, 6, 7]
    videos = sampler.sample(bank_of(sampler, data), index, data.cameras[:, 2], data.anchor, seeds)
    assert videos.shape == (3, 3, 16, 16, 3)
    for scene, (entry, seed) in enumerate(zip((1, 0, 2), seeds, strict=True)):
        latents, rays = [], []
        for owner, view in ((scene, 0), (entry, 1)):
            latents.append(pipeline.codec.encode(data.rgb[owner, view].movedim(-1, 0)[None] * 2 - 1))
            anchor = data.cameras.camera_to_world[owner, 0, 0]
            rays.append(camera_tokens(data.cameras[owner, view], anchor, 8)[None])
        context = pipeline.transformer.encode(ViewTokens(torch.stack(latents, dim=1), torch.stack(rays, dim=1)))
        noise = torch.randn(192, 3, 2, 2, generator=torch.Generator().manual_seed(seed))[None]
        target = camera_tokens(data.cameras[scene, 2], data.anchor[scene], 8)[None]
        with torch.no_grad():
            expected = sample_view(
                pipeline.transformer, pipeline.scheduler, sampler.sampler.config, noise, target, context
            )
        picture = (pipeline.codec.decode(expected)[0].movedim(0, -1) + 1).clamp(0, 2) / 2
        torch.testing.assert_close(videos[scene], picture, atol=1e-5, rtol=0)


def test_fixed_slots_are_filled_with_the_source(tiny_pipeline, data):
    sampler = make(tiny_pipeline(**JOINT_SLOTS))
    bank = bank_of(sampler, data)
    args = data.cameras[:, 2], data.anchor, [1, 2, 3]
    source = torch.arange(3)
    alone, twice = (sampler.sample(bank, index, *args) for index in (source[:, None], torch.stack([source] * 2, dim=1)))
    other = sampler.sample(bank, torch.stack([source, source + 3], dim=1), *args)
    assert torch.equal(alone, twice) and not torch.equal(alone, other)


def test_a_bank_keeps_the_order_of_its_views(tiny_pipeline, data):
    sampler = make(tiny_pipeline())
    bank = bank_of(sampler, data)
    alone = sampler.encode(data.rgb[1:2, 1], data.cameras[1:2, 1], data.anchor[1:2])
    torch.testing.assert_close(bank.kept[2][4], alone.kept[2][0], atol=1e-5, rtol=1e-5)


def test_steps_are_reported_and_the_codec_is_the_ceiling(tiny_pipeline, data):
    seen: list[int] = []
    sampler = make(tiny_pipeline(), on_step=seen.append)
    bank = bank_of(sampler, data)
    sampler.sample(bank, torch.arange(3)[:, None], data.cameras[:, 1], data.anchor, [0, 0, 0])
    assert seen == [1, 2]
    torch.testing.assert_close(sampler.reconstruct(data.rgb[:, 1]), data.rgb[:, 1])


def test_noise_depends_on_seed_purpose_and_scene_alone():
    assert noise_seeds(0, "a", 0, 8)[3:6] == noise_seeds(0, "a", 3, 3)
    every = noise_seeds(0, "a", 0, 8) + noise_seeds(0, "b", 0, 8) + noise_seeds(1, "a", 0, 8)
    assert len(set(every)) == len(every)
