from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import tiny_config

from plenodream.models.codecs.depth import signal_to_depth
from plenodream.training.batches.batch import step_generator
from plenodream.training.batches.procedural import ProceduralBatches, synthetic_batch
from plenodream.training.curriculum import Stage
from plenodream.worlds.world import SPLITS

CLIPS = Stage(share=1, frames=3, batch=2, views=3)


def batch(stage=CLIPS, number=5, seed=0):
    return synthetic_batch(stage, number, 16, 24, seed, "cpu")


def test_a_batch_is_a_function_of_seed_and_number():
    assert torch.equal(batch().signal, batch().signal)
    assert not torch.equal(batch().signal, batch(number=6).signal)
    assert not torch.equal(batch().signal, batch(seed=1).signal)


def test_shapes_range_and_the_source_at_the_identity():
    clips = batch()
    assert clips.signal.shape == (2, 3, 3, 3, 16, 24) and clips.cameras.shape == (2, 3, 3)
    assert clips.signal.min() >= -1 and clips.signal.max() <= 1 and clips.signal.min() < 0
    torch.testing.assert_close(clips.cameras.camera_to_world[:, 0, 0], torch.eye(4).expand(2, 4, 4))


def test_single_frames_are_the_same_moment_in_all_views():
    """Where all cameras are at one place, the pictures of a scene with moving things agree."""
    stage = Stage(share=1, frames=1, batch=64, views=3)
    single = batch(stage)
    assert single.signal.shape == (64, 3, 3, 1, 16, 24)
    poses = single.cameras.camera_to_world[:, :, 0]
    intrinsics = single.cameras.intrinsics[:, :, 0]
    same = (poses[:, 0] - poses[:, 1]).abs().amax((1, 2)) + (intrinsics[:, 0] - intrinsics[:, 1]).abs().amax(1) < 1e-6
    assert same.any()
    torch.testing.assert_close(single.signal[same, 0], single.signal[same, 1])
    moved = (poses[:, 0] - torch.eye(4)).abs().amax((1, 2)) > 1e-3
    assert moved.any() and not moved.all()  # later moments of moving sources are among them


def test_training_never_draws_a_held_out_seed():
    seeds = [step_generator(s, n, p).initial_seed() for s in (0, 999) for n in (0, 10**6) for p in ("data", "noise")]
    assert len(set(seeds)) == len(seeds)
    assert all(SPLITS["train"][0] <= seed < SPLITS["train"][1] for seed in seeds)


def test_stages_from_disk_are_not_rendered():
    with pytest.raises(ValueError, match="--data"):
        batch(Stage(share=1, family="disk"))


def test_mixed_stages_draw_from_every_family_in_turn():
    families = [Stage(share=1, family=name, batch=1) for name in ("mild", "full")]
    for number in (4, 5):
        mixed = batch(Stage(share=1, family="mixed", batch=1), number).signal
        assert [torch.equal(mixed, batch(stage, number).signal) for stage in families] == [number == 4, number == 5]


def test_images_on_surfaces_change_colours_alone_and_are_remembered():
    generator = torch.Generator().manual_seed(0)
    textures = torch.rand(3, 3, 8, 8, generator=generator)
    config = tiny_config(height=16, width=24)
    source = ProceduralBatches(config, "cpu", textures)
    plain, textured = batch(seed=config.seed), source(CLIPS, 5)
    assert torch.equal(plain.cameras.camera_to_world, textured.cameras.camera_to_world)
    assert (plain.signal - textured.signal).abs().mean() > 0.05
    assert torch.equal(textured.signal, source(CLIPS, 5).signal)
    assert source.fingerprint() == ProceduralBatches(config, "cpu", textures).fingerprint() != "procedural"
    assert source.fingerprint() != ProceduralBatches(config, "cpu", textures.flip(0)).fingerprint()


def test_depth_is_the_fourth_channel_and_that_of_the_rendered_scene():
    plain = batch()
    deep = synthetic_batch(CLIPS, 5, 16, 24, 0, "cpu", depth=True)
    assert deep.signal.shape == (2, 3, 4, 3, 16, 24)
    assert torch.equal(deep.signal[:, :, :3], plain.signal)
    depth = signal_to_depth(deep.signal[:, :, 3])
    assert depth.min() > 0.3 and 3 < depth.median() < 9 and depth.max() < 20


def test_images_are_for_footage_alone_where_a_stage_has_some():
    images = torch.rand(3, 3, 64, 64)
    stage = replace(CLIPS, footage=0.5)
    square, shown = [], []
    for number in range(12):
        with_images, without = (synthetic_batch(stage, number, 16, 16, 0, "cpu", textures=t) for t in (images, None))
        fx, fy = with_images.cameras.intrinsics.unbind(-1)[:2]
        square.append(torch.equal(fx, fy))
        shown.append(not torch.equal(with_images.signal, without.signal))
    assert square == [not s for s in shown] and 0 < sum(square) < 12
