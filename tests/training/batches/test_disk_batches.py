import itertools
import json
import shutil
from dataclasses import replace

import pytest
import torch
from tiny import tiny_config

from plenodream.data.dataset import EpisodeDataset, Window
from plenodream.data.discover import find_episodes
from plenodream.data.episode import decode_fitted
from plenodream.data.synth import synthesize
from plenodream.models.codecs.protocol import to_signal
from plenodream.models.codecs.wan import WanCodec
from plenodream.training import trainer
from plenodream.training.batches.disk import episode_batches
from plenodream.training.config import RunOptions
from plenodream.training.curriculum import Curriculum, Stage
from plenodream.training.trainer import Trainer

PAIRS = Stage(0.5, "disk", frames=1, batch=2, views=2)
CLIPS = Stage(0.5, "disk", frames=3, batch=1, views=3, max_context=2, any_context=True)
EPISODES = 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    synthesize(root, scenes=EPISODES, views=3, frames=5, height=16, width=24)
    return root


def batches(root, seed=0, workers=0, rank=0, world_size=1):
    return episode_batches(root, [PAIRS, CLIPS], 16, 16, seed, workers=workers, rank=rank, world_size=world_size)


def same(left, right):
    tensors = ((b.signal, b.cameras.camera_to_world, b.cameras.intrinsics) for b in (left, right))
    return all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


def test_batch_holds_the_data_sets_samples_as_the_trainer_takes_them(root):
    source = batches(root, seed=3)
    dataset = EpisodeDataset(find_episodes(root), Window(views=3, frames=3, height=16, width=16), seed=3)
    for number in (0, 1, 2):
        batch, sample = source(CLIPS, number), dataset[number]
        assert batch.signal.shape == (1, 3, 3, 3, 16, 16) and batch.cameras.shape == (1, 3, 3)
        assert torch.equal(batch.signal[0], to_signal(sample.frames))
        assert torch.equal(batch.cameras.camera_to_world[0], sample.cameras.camera_to_world)
        # Rays are anchored at the source's first camera, which must be the identity.
        torch.testing.assert_close(batch.cameras.camera_to_world[0, 0, 0], torch.eye(4))
        assert batch.context_signal is None
        # 24 wide became 16 wide by a crop: the lens stays, the middle moves.
        assert batch.cameras.intrinsics[0, 0, 0, 2] == 8
    assert batch.signal.min() >= -1 and batch.signal.max() <= 1 and batch.signal.std() > 0.05


def test_views_and_frames_are_those_of_the_stage(root):
    source = batches(root)
    assert source(PAIRS, 0).signal.shape == (2, 2, 3, 1, 16, 16)
    assert source(CLIPS, 1).signal.shape == (1, 3, 3, 3, 16, 16)


@pytest.mark.parametrize(("workers", "begins"), [(0, (1, 3, 5)), (1, (5,))])
def test_a_batch_is_a_function_of_its_number(root, workers, begins):
    """So a run that resumes in the middle of an epoch, or of a stage, goes on with the same data."""
    plan = [(PAIRS, n) for n in range(4)] + [(CLIPS, n) for n in range(4, 8)]
    first = batches(root)
    whole = [first(*step) for step in plan]
    assert not same(whole[0], whole[1])
    for begin in begins:
        resumed = batches(root, workers=workers)
        rest = [resumed(*step) for step in plan[begin:]]
        resumed.close()
        assert all(same(a, b) for a, b in zip(whole[begin:], rest, strict=True))
    assert not same(whole[4], batches(root, seed=1)(*plan[4]))


def chosen(source, numbers):
    return [(s.episode, s.names, s.start) for n in numbers for s in source.load(CLIPS, n).samples]


def test_an_epoch_has_every_episode_once(root):
    source = batches(root)
    for epoch in range(2):
        numbers = range(EPISODES * epoch, EPISODES * (epoch + 1))
        assert sorted(episode for episode, _, _ in chosen(source, numbers)) == list(range(EPISODES))


def test_ranks_share_the_stream_without_meeting(root):
    alone = chosen(batches(root), range(6))
    pair = [chosen(batches(root, rank=rank, world_size=2), range(rank, 6, 2)) for rank in range(2)]
    assert [pair[n % 2][n // 2] for n in range(6)] == alone


def test_an_unreadable_video_costs_one_warning(tmp_path, caplog):
    folders = synthesize(tmp_path, scenes=3, views=3, frames=5, height=16, width=16)
    source = episode_batches(tmp_path, [CLIPS], 16, 16, workers=0)
    video = folders[1] / "videos" / "cam02.mp4"
    video.write_bytes(video.read_bytes()[:200])
    got = [source(CLIPS, n) for n in range(6)]
    assert len(got) == 6 and not any(episode == 1 for episode, _, _ in chosen(source, range(6)))
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 1 and str(video) in warnings[0]  # also after the loader was started anew
    # At the start of a run the broken one is left out, by one warning too.
    caplog.clear()
    again = episode_batches(tmp_path, [CLIPS], 16, 16, workers=0)
    assert len(caplog.records) == 1 and len({episode for episode, _, _ in chosen(again, range(8))}) == 2


def test_the_fingerprint_tells_other_data(root, tmp_path):
    assert batches(root).fingerprint() == batches(root).fingerprint()
    synthesize(tmp_path, scenes=1, views=3, frames=5, height=16, width=24)
    others = [batches(root, seed=1), batches(tmp_path), episode_batches(root, [CLIPS], 16, 16, workers=0)]
    prints = [source.fingerprint() for source in (batches(root), *others)]
    assert all(a != b for a, b in itertools.combinations(prints, 2))


def test_data_that_do_not_suffice_are_refused_before_the_run(root, tmp_path):
    with pytest.raises(ValueError, match=r"5 frames; expected at least 9"):
        episode_batches(root, [PAIRS, Stage(1, "disk", frames=9, views=3)], 16, 16)
    with pytest.raises(ValueError, match=r"3 views; expected 4 per sample"):
        episode_batches(root, [Stage(1, "disk", views=4)], 16, 16)
    with pytest.raises(ValueError, match="no episodes found"):
        episode_batches(tmp_path, [PAIRS], 16, 16)


def test_a_recipe_trains_on_a_folder_and_resumes_in_mid_epoch(root, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "product_rate", lambda dtype, device: 1e12)
    stages = tuple(replace(stage, batch=1) for stage in (PAIRS, CLIPS))
    config = tiny_config(curriculum=Curriculum(stages), steps=6, validate_every=3)

    def run(out, **options):
        batches = episode_batches(root, config.curriculum.stages, 16, 16, config.seed, workers=0)
        Trainer(config, RunOptions(tmp_path / out, quiet=True, **options), None, batches).run()
        lines = map(json.loads, (tmp_path / out / "log.jsonl").read_text().splitlines())
        return [line["loss"] for line in lines if "loss" in line]

    whole = run("whole")
    run("parts", stop_after=2)
    run("parts", resume=True, stop_after=2)
    assert len(whole) == 6 and run("parts", resume=True) == whole
    synthesize(tmp_path / "data", scenes=1, views=3, frames=5, height=16, width=16)
    batches = episode_batches(tmp_path / "data", stages, 16, 16, config.seed, workers=0)
    with pytest.raises(ValueError, match="trained on other data"):
        Trainer(config, RunOptions(tmp_path / "parts", quiet=True, resume=True), None, batches)


class CountingCodec(WanCodec):
    """A tiny Wan VAE that counts its calls."""

    calls = 0

    def encode(self, x, return_dict=True):
        self.calls += 1
        return super().encode(x, return_dict)


def test_latents_of_a_pretrained_codec_are_computed_once(root, tmp_path):
    shutil.copytree(root, tmp_path / "data")
    clips = Stage(1.0, "disk", frames=5, batch=2, views=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = CountingCodec(base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    source = episode_batches(tmp_path / "data", [clips], 16, 16, workers=0, codec=codec.eval())
    batch = source(clips, 0)
    assert batch.signal is None and batch.latents.shape == (2, 2, 4, 2, 2, 2) and codec.calls == 4
    sample = source.load(clips, 0).samples[1]
    video = find_episodes(tmp_path / "data")[sample.episode].videos[sample.names[1]]
    pixels = to_signal(decode_fitted(video, sample.start, sample.start + 5, 16, 16))[None]
    with torch.no_grad():
        torch.testing.assert_close(batch.latents[1, 1], WanCodec.encode(codec, pixels)[0])
    again = episode_batches(tmp_path / "data", [clips], 16, 16, workers=0, codec=codec)
    assert torch.equal(again(clips, 0).latents, batch.latents) and codec.calls == 4
    other = CountingCodec(base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.5] * 4, latents_std=[1.0] * 4).eval()
    other.load_state_dict(codec.state_dict())
    changed = episode_batches(tmp_path / "data", [clips], 16, 16, workers=0, codec=other)
    assert not torch.equal(changed(clips, 0).latents, batch.latents) and other.calls == 4


def test_a_video_that_becomes_unreadable_is_replaced_where_latents_are_computed_too(tmp_path, caplog):
    folders = synthesize(tmp_path, scenes=3, views=2, frames=5, height=16, width=16)
    clips = Stage(1.0, "disk", frames=5, batch=1, views=2)
    codec = CountingCodec(base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4).eval()
    source = episode_batches(tmp_path, [clips], 16, 16, workers=0, codec=codec)
    video = folders[1] / "videos" / "cam02.mp4"
    video.write_bytes(video.read_bytes()[:200])
    got = [source(clips, number) for number in range(3)]
    assert len([record for record in caplog.records if str(video) in record.message]) == 1
    whole = episode_batches(tmp_path, [clips], 16, 16, workers=0, codec=codec)  # leaves the broken episode out
    known = torch.cat([whole(clips, number).cameras.camera_to_world for number in range(8)])
    for batch in got:
        assert batch.latents.shape == (1, 2, 4, 2, 2, 2)
        poses = batch.cameras.camera_to_world
        assert min((poses - other).abs().max() for other in known) < 1e-5  # cameras of the episode that took its place
