import itertools
from dataclasses import replace

import pytest
import torch
from episodes import make_view

from plenodream.data.dataset import EpisodeDataset, EpisodeLoader, Window
from plenodream.data.discover import find_episodes
from plenodream.data.episode import write_episode
from plenodream.geometry.cameras import relative_poses

WINDOW = Window(views=2, frames=3, height=8, width=8)
EPISODES = 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for index in range(EPISODES):
        views = {f"cam0{view}": make_view(seed=10 * index + view) for view in range(3)}
        write_episode(root / f"scene{index}", views)
    return root


@pytest.fixture
def dataset(root):
    return EpisodeDataset(find_episodes(root), WINDOW, seed=7)


def take(loader, count):
    return list(itertools.islice(iter(loader), count))


def chosen(batches):
    return [(sample.episode, sample.names, sample.start) for batch in batches for sample in batch.samples]


def same(left, right):
    return all(
        torch.equal(a.frames, b.frames) and torch.equal(a.cameras.camera_to_world, b.cameras.camera_to_world)
        for a, b in zip(left, right, strict=True)
    ) and chosen(left) == chosen(right)


def test_sample_is_what_the_episode_holds(dataset):
    sample = dataset[3]
    episode, stop = dataset.episodes[sample.episode], sample.start + 3
    views = [episode.view(name, sample.start, stop, 8, 8) for name in sample.names]
    assert len(set(sample.names)) == 2
    assert torch.equal(sample.frames, torch.stack([view.frames for view in views]))
    reference = episode.cameras()[sample.names[0]].camera_to_world[sample.start]
    for index, (name, view) in enumerate(zip(sample.names, views, strict=True)):
        poses = relative_poses(episode.cameras()[name].camera_to_world[sample.start : stop], reference)
        torch.testing.assert_close(sample.cameras.camera_to_world[index], poses.float())
        torch.testing.assert_close(sample.cameras.intrinsics[index], view.cameras.intrinsics)
    torch.testing.assert_close(sample.cameras.camera_to_world[0, 0], torch.eye(4))
    assert sample.frames.dtype == torch.uint8 and sample.cameras.shape == (2, 3)


def test_the_source_is_the_view_of_that_name(root):
    named = EpisodeDataset(find_episodes(root), replace(WINDOW, views=3, source="cam01"), seed=7)
    samples = [named[index] for index in range(12)]
    assert {sample.names[0] for sample in samples} == {"cam01"}
    assert {sample.names[1:] for sample in samples} == {("cam00", "cam02"), ("cam02", "cam00")}
    with pytest.raises(ValueError, match="no view 'head'; expected it as source"):
        EpisodeDataset(find_episodes(root), replace(WINDOW, source="head"))


def test_every_epoch_is_another_permutation(dataset):
    epochs = [[dataset[EPISODES * epoch + i].episode for i in range(EPISODES)] for epoch in range(4)]
    assert all(sorted(epoch) == list(range(EPISODES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    windows = {(dataset[i].names, dataset[i].start) for i in range(20)}
    assert len(windows) > 8  # views and windows vary: 6 ordered pairs times 4 starts


def test_order_is_a_function_of_the_seed(dataset, root):
    again = EpisodeDataset(find_episodes(root), WINDOW, seed=7)
    other = EpisodeDataset(find_episodes(root), WINDOW, seed=8)
    batches = take(EpisodeLoader(dataset, 2), 5)
    assert same(batches, take(EpisodeLoader(again, 2), 5))
    assert chosen(batches) != chosen(take(EpisodeLoader(other, 2), 5))


def test_worker_processes_change_nothing(dataset):
    assert same(take(EpisodeLoader(dataset, 2, workers=2), 4), take(EpisodeLoader(dataset, 2), 4))


def test_batches_stack_samples(dataset):
    (batch,) = take(EpisodeLoader(dataset, 3), 1)
    assert batch.frames.shape == (3, 2, 3, 8, 8, 3) and batch.cameras.shape == (3, 2, 3)
    assert torch.equal(batch.frames[1], dataset[1].frames)
    assert torch.equal(batch.cameras.intrinsics[2], dataset[2].cameras.intrinsics)


def test_ranks_share_the_stream_without_meeting(dataset):
    single = chosen(take(EpisodeLoader(dataset, 1), 12))
    ranks = [chosen(take(EpisodeLoader(dataset, 1, rank=rank, world_size=3), 4)) for rank in range(3)]
    assert [ranks[index % 3][index // 3] for index in range(12)] == single


@pytest.mark.parametrize(("stop", "workers"), [(1, 0), (3, 0), (4, 0), (3, 2)])
def test_the_stream_goes_on_exactly_from_a_position_in_mid_epoch(dataset, root, stop, workers):
    full = take(EpisodeLoader(dataset, 2, workers=workers), 7)
    loader = EpisodeLoader(dataset, 2, workers=workers)
    take(loader, stop)
    assert loader.position == 2 * stop
    resumed = EpisodeLoader(EpisodeDataset(find_episodes(root), WINDOW, seed=7), 2)
    resumed.position = loader.position
    assert same(take(resumed, 7 - stop), full[stop:])


def test_going_on_with_another_number_of_ranks_misses_and_repeats_nothing(dataset):
    single = chosen(take(EpisodeLoader(dataset, 1), 14))
    pair = [EpisodeLoader(dataset, 1, rank=rank, world_size=2) for rank in range(2)]
    for loader in pair:
        take(loader, 4)
    assert pair[0].position == pair[1].position
    triple = [EpisodeLoader(dataset, 1, rank=rank, world_size=3) for rank in range(3)]
    for loader in triple:
        loader.position = pair[0].position
    rest = [chosen(take(loader, 2)) for loader in triple]
    assert [rest[index % 3][index // 3] for index in range(6)] == single[8:]


def test_windows_start_on_a_grid_and_pixels_can_be_left_out(dataset):
    sparse = EpisodeDataset(dataset.episodes, Window(2, 3, 8, 8, start_step=3, pixels=False), seed=7)
    assert {sparse[i].start for i in range(20)} == {0, 3}
    (batch,) = take(EpisodeLoader(sparse, 2), 1)
    assert batch.frames is None and batch.cameras.shape == (2, 2, 3)


def test_too_few_views_or_frames_are_refused(dataset):
    with pytest.raises(ValueError, match=r"scene0: 3 views; expected 4"):
        EpisodeDataset(dataset.episodes, Window(4, 3, 8, 8))
    with pytest.raises(ValueError, match=r"scene0: 6 frames; expected at least 9"):
        EpisodeDataset(dataset.episodes, Window(2, 9, 8, 8))
    with pytest.raises(ValueError, match="no episodes to train on"):
        EpisodeDataset([], WINDOW)


@pytest.mark.parametrize(("damage", "workers"), [("cut", 0), ("gone", 0), ("no cameras", 0), ("cut", 2)])
def test_a_file_that_breaks_in_mid_run_is_skipped_and_counted(tmp_path, caplog, damage, workers):
    for index in range(3):
        write_episode(tmp_path / f"scene{index}", {"a": make_view(seed=index), "b": make_view(seed=index + 9)})
    dataset = EpisodeDataset(find_episodes(tmp_path), WINDOW, seed=1)
    expected = take(EpisodeLoader(dataset, 1), 9)
    video = tmp_path / "scene1" / "videos" / "a.mp4"
    broken = tmp_path / "scene1" / "cameras" / "b.json" if damage == "no cameras" else video
    if damage == "cut":
        video.write_bytes(video.read_bytes()[:1000])
    else:
        broken.unlink()
    loader = EpisodeLoader(dataset, 1, workers=workers)
    batches = take(loader, 9)
    assert len(batches) == 9 and all(batch.samples[0].episode != 1 for batch in batches)
    for before, after in zip(expected, batches, strict=True):  # the others stay where they were
        assert before.samples[0].episode == 1 or same([before], [after])
    assert sum(loader.skipped.values()) >= 3
    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(loader.skipped)
    assert all(broken.name in record.message and "scene1" in record.message for record in caplog.records)
    again = take(EpisodeLoader(dataset, 1), 9)
    assert same(batches, again)  # replacements are deterministic too


def test_when_all_is_unreadable_the_run_says_so(tmp_path):
    write_episode(tmp_path / "scene", {"a": make_view(), "b": make_view()})
    dataset = EpisodeDataset(find_episodes(tmp_path), WINDOW)
    (tmp_path / "scene" / "videos" / "a.mp4").unlink()
    with pytest.raises(ValueError, match=r"16 episodes in a row cannot be read; check the disk .*a\.mp4"):
        dataset[0]
