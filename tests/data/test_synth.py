import errno
import json

import pytest
import torch
from PIL import Image

from plenodream.data import synth
from plenodream.data.dataset import EpisodeDataset, Window
from plenodream.data.discover import find_episodes
from plenodream.data.multicamvideo import open_multicamvideo
from plenodream.data.synth import synthesize
from plenodream.geometry.cameras import relative_poses
from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import FULL
from plenodream.worlds.raycast import render
from plenodream.worlds.world import sample_worlds, world_generator

SMALL = {"views": 3, "frames": 5, "height": 16, "width": 24}


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def truth(number, seed=0, split="train"):
    generator = world_generator(split, seed * 1_000_003 + number)
    worlds = sample_worlds(FULL, 1, generator)
    cameras = sample_cameras(FULL, 1, 3, 5, 16, 24, generator)
    return render(worlds, cameras, torch.linspace(0, 1, 5)), cameras


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("synth")
    synthesize(root, "full", scenes=3, **SMALL)
    return root


def test_episodes_give_back_what_was_rendered(root):
    episodes = find_episodes(root)
    assert len(episodes) == 3
    for episode in episodes:
        rendered, cameras = truth(int(episode.folder.name.removeprefix("scene")))
        assert episode.names == ("cam01", "cam02", "cam03") and (episode.frames, episode.fps) == (5, 15)
        for index, name in enumerate(episode.names):
            view = episode.view(name, 0, 5)
            assert torch.equal(view.cameras.camera_to_world, cameras.camera_to_world[0, index])
            assert torch.equal(view.cameras.intrinsics, cameras.intrinsics[0, index])
            assert (view.frames / 255 - rendered.rgb[0, index]).abs().max() <= 0.5 / 255 + 1e-6
            depth = rendered.depth[0, index]
            torch.testing.assert_close(episode.depth(name, 0, 5), depth, rtol=1e-3, atol=0)


def test_data_set_reads_them(root):
    dataset = EpisodeDataset(find_episodes(root), Window(views=3, frames=4, height=16, width=24))
    sample = dataset[0]
    rendered, cameras = truth(int(dataset.episodes[sample.episode].folder.name.removeprefix("scene")))
    views = [int(name.removeprefix("cam")) - 1 for name in sample.names]
    window = slice(sample.start, sample.start + 4)
    expected = (rendered.rgb[0, views, window] * 255).round().to(torch.uint8)
    assert torch.equal(sample.frames, expected)
    poses = cameras.camera_to_world[0, views, window]
    torch.testing.assert_close(sample.cameras.camera_to_world, relative_poses(poses, poses[0, 0]), atol=1e-5, rtol=0)


def test_readers_of_multicamvideo_find_poses_and_the_sources_lens(root):
    for episode in find_episodes(root):
        _, cameras = truth(int(episode.folder.name.removeprefix("scene")))
        other = open_multicamvideo(episode.folder).cameras()["cam02"]
        expected = relative_poses(cameras.camera_to_world[0, 1], cameras.camera_to_world[0, 0, 0])
        torch.testing.assert_close(other.camera_to_world.float(), expected, atol=1e-4, rtol=0)
        source = cameras.intrinsics[0, 0, 0, 0].item()
        assert abs(other.intrinsics[0, 0].item() - source) < 0.51 * 24 / 23.76


def test_going_on_makes_the_same_data_set_and_touches_no_finished_scene(root, tmp_path, monkeypatch):
    real, calls = synth.write_episode, []

    def dies_in_the_second(path, *args):
        calls.append(path)
        if len(calls) == 2:
            (path.parent / f".tmp-{path.name}-1" / "videos").mkdir(parents=True)  # as a killed process leaves it
            raise KeyboardInterrupt
        real(path, *args)

    monkeypatch.setattr(synth, "write_episode", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path, "full", scenes=2, **SMALL)
    finished = {path: path.stat().st_mtime_ns for path in calls[0].rglob("*")}
    assert len(find_episodes(tmp_path)) == 1
    done = []
    folders = synthesize(tmp_path, "full", scenes=3, progress=done.append, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in calls[0].rglob("*")} == finished
    assert len(calls) == 4 and done == [1, 2, 3] and all(folder.is_dir() for folder in folders)
    assert content(tmp_path) == content(root)


def test_a_data_set_too_large_leaves_no_folder(tmp_path, monkeypatch):
    def too_large(*args):
        raise MemoryError

    monkeypatch.setattr(synth, "render", too_large)
    with pytest.raises(MemoryError):
        synthesize(tmp_path / "a", "full", scenes=1, **SMALL)
    assert not (tmp_path / "a").exists()


def test_parts_join_to_one_data_set(root, tmp_path):
    synthesize(tmp_path, "full", scenes=1, first=2, **SMALL)
    synthesize(tmp_path, "full", scenes=2, **SMALL)
    assert content(tmp_path) == content(root)


def test_seeds_and_splits_share_no_scene(root, tmp_path):
    (ours,) = synthesize(tmp_path / "a", "full", scenes=1, **SMALL)
    (seed,) = synthesize(tmp_path / "b", "full", scenes=1, seed=1, **SMALL)
    (split,) = synthesize(tmp_path / "c", "full", scenes=1, split="validation", **SMALL)
    videos = [(path / "videos" / "cam01.mp4").read_bytes() for path in (ours, seed, split)]
    assert len(set(videos)) == 3
    assert split.relative_to(tmp_path / "c").parts[0] == "validation"


def test_images_on_surfaces_are_part_of_the_options(root, tmp_path):
    photos, data = tmp_path / "photos", tmp_path / "data"
    photos.mkdir()
    Image.effect_mandelbrot((64, 64), (-2, -1.5, 1, 1.5), 60).save(photos / "a.png")
    synthesize(data, "full", scenes=1, textures=photos, **SMALL)
    (episode,) = find_episodes(data)
    (plain,) = (e for e in find_episodes(root) if e.folder.name == episode.folder.name)
    ours, theirs = (e.view("cam02", 0, 5) for e in (episode, plain))
    assert torch.equal(ours.cameras.camera_to_world, theirs.cameras.camera_to_world)
    assert torch.equal(episode.depth("cam02", 0, 5), plain.depth("cam02", 0, 5))
    assert (ours.frames.float() - theirs.frames.float()).abs().mean() > 5

    assert len(synthesize(data, "full", scenes=2, textures=photos, **SMALL)) == 2
    assert "textures" not in json.loads((root / "synth.json").read_text())
    before = content(data)
    with pytest.raises(ValueError, match=r"a data set of textures=1 images .*, not None"):
        synthesize(data, "full", scenes=3, **SMALL)
    Image.new("RGB", (8, 8)).save(photos / "b.png")
    with pytest.raises(ValueError, match=r"a data set of textures=1 images .*, not 2 images"):
        synthesize(data, "full", scenes=3, textures=photos, **SMALL)
    with pytest.raises(ValueError, match="a data set of textures=None, not 2 images"):
        synthesize(root, "full", scenes=3, textures=photos, **SMALL)
    assert content(data) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "wild"}, "unknown family 'wild': expected one of mild, full"),
        ({"views": 1}, "views=1: expected at least 2"),
        ({"scenes": 0}, "scenes=0: expected at least 1"),
        ({"split": "test"}, "unknown split 'test'"),
        ({"seed": 5000}, "of split train: expected 0 to"),
        ({"fps": -1.0}, "frame rate -1"),
    ],
)
def test_impossible_options_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        synthesize(tmp_path / "new", **{"scenes": 1, **SMALL, **options})
    assert not list(tmp_path.iterdir())


def test_another_data_set_is_not_mixed_in(root):
    before = content(root)
    with pytest.raises(ValueError, match="a data set of frames=5, not 9; expected the same options"):
        synthesize(root, "full", scenes=1, **{**SMALL, "frames": 9})
    assert content(root) == before
    assert json.loads((root / "synth.json").read_text())["family"] == "full"


def test_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    real, calls = synth.write_episode, []

    def fills(path, *args):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *args)

    monkeypatch.setattr(synth, "write_episode", fills)
    with pytest.raises(ValueError, match=r"No space left on device\), 1 of 2 scenes are there; make room"):
        synthesize(tmp_path, scenes=2, **SMALL)
    assert len(find_episodes(tmp_path)) == 1
