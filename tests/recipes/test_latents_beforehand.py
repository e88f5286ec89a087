"""Latents computed beforehand are those that training asks for, and all of them."""

from dataclasses import replace

import torch

from plenodream.data.synth import synthesize
from plenodream.models.codecs.wan import WanCodec
from plenodream.recipes.latents import EncodeWindows, latent_windows
from plenodream.recipes.run import configure
from plenodream.training.batches.disk import episode_batches
from plenodream.training.curriculum import Stage


class NeverAsked(WanCodec):
    """A codec that has nothing left to do."""

    def encode(self, x, return_dict=True):
        raise AssertionError("its latents should be in the cache")


def test_training_finds_all_latents_in_the_cache(tmp_path):
    synthesize(tmp_path / "data", scenes=2, views=2, frames=11, height=16, width=16)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = WanCodec(base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4).eval()
    codec.save_pretrained(tmp_path / "base" / "vae")
    clips = Stage(1.0, "disk", frames=5, batch=2, views=2)
    config = configure("basic", ("height=16", "width=16"), tmp_path / "data")
    config = replace(config, curriculum=replace(config.curriculum, stages=(clips,)))
    windows = list(latent_windows(config, 2, 11))
    assert windows == [(episode, start, 5) for episode in (0, 1) for start in (0, 5)]
    work = EncodeWindows(tmp_path / "data", tmp_path / "base", 16, 16, "cpu")
    assert [work(window) for window in windows] == [2] * 4
    ready = NeverAsked.from_pretrained(tmp_path / "base" / "vae")
    source = episode_batches(tmp_path / "data", [clips], 16, 16, workers=0, codec=ready)
    latents = torch.stack([source(clips, number).latents for number in range(6)])
    assert latents.shape == (6, 2, 2, 4, 2, 2, 2) and latents.std() > 0
