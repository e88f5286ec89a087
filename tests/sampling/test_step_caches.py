"""Caches of diffusers that shorten steps: on our blocks, apart by branch of guidance, forgotten between videos."""

from __future__ import annotations

import pytest
import torch
from diffusers.hooks import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig
from torch import nn

from plenodream.models.context import ViewTokens
from plenodream.rendering.fitting import TAYLOR_MODULES
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.view import sample_view

STEPS = 6


@pytest.fixture
def sampled(tiny_pipeline):
    """Samples a video with a network's cache as asked for; gives it, and how often the last block ran."""
    pipeline = tiny_pipeline(guidance=1.0, num_layers=3)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 192, 3, 2, 2, generator=generator)
    rays = torch.randn(1, 3, 2, 2, 384, generator=generator)

    def sample(config, videos=1):
        network = pipeline.transformer
        runs = []
        handle = network.blocks[-1].attn1.register_forward_hook(lambda *_: runs.append(1))
        if config is not None:
            network.enable_cache(config)
        try:
            with torch.no_grad():
                for _ in range(videos):
                    runs.clear()
                    context = network.encode(ViewTokens(noise[:, None], rays[:, None]))
                    config = SamplingConfig(STEPS, 1.0)
                    video = sample_view(network, pipeline.scheduler, config, noise, rays, context)
        finally:
            handle.remove()
            if network.is_cache_enabled:
                network.disable_cache()
        return video, len(runs)

    return sample


def test_first_block_cache_skips_what_changes_little_and_nothing_at_threshold_zero(sampled):
    plain, all_runs = sampled(None)
    assert all_runs == 1 + 2 * STEPS  # the context, then both branches of every step
    exact, runs = sampled(FirstBlockCacheConfig(threshold=0.0))
    assert runs == all_runs and torch.equal(exact, plain)
    skipped, runs = sampled(FirstBlockCacheConfig(threshold=10.0))
    assert runs == 1 + 2  # each branch computes its first step, so they do not share what is cached
    assert not torch.equal(skipped, plain)


@pytest.mark.parametrize(
    "config", [FirstBlockCacheConfig(threshold=10.0), TaylorSeerCacheConfig(3, 1, cache_identifiers=TAYLOR_MODULES)]
)
def test_another_video_begins_anew(sampled, config):
    once, _ = sampled(config)
    again, _ = sampled(config, videos=2)
    assert torch.equal(once, again)


def test_taylorseer_foresees_attention(sampled):
    plain, _ = sampled(None)
    foreseen, _ = sampled(TaylorSeerCacheConfig(3, 1, cache_identifiers=TAYLOR_MODULES))
    assert not torch.equal(foreseen, plain) and torch.isfinite(foreseen).all()


def test_magcache_skips_by_the_ratios_that_it_is_given(sampled):
    plain, all_runs = sampled(None)
    ratios = torch.ones(STEPS)
    config = MagCacheConfig(mag_ratios=ratios, num_inference_steps=STEPS, threshold=1.0, retention_ratio=0.2)
    skipped, runs = sampled(config)
    assert runs < all_runs and not torch.equal(skipped, plain)


def test_backends_and_compiled_blocks_are_diffusers_own(tiny_pipeline):
    network = tiny_pipeline().transformer
    network.set_attention_backend("native")
    assert network.blocks[0].attn1.processor._attention_backend is not None
    assert network._repeated_blocks == ("CosmosTransformerBlock",)
    assert type(network.blocks[0]).__name__ in network._repeated_blocks and isinstance(network.blocks, nn.ModuleList)
