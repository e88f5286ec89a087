"""MultiCamVideo in parts of a compressed archive, as shards: the same episodes, samples and latents."""

import itertools
import tarfile

import pytest
import torch
from episodes import make_cameras, write_video

from plenodream.cli.shards import Shards
from plenodream.cli.shards import shards as shards_command
from plenodream.data.dataset import EpisodeDataset, EpisodeLoader, Window
from plenodream.data.discover import find_episodes
from plenodream.data.latents import cached_latents
from plenodream.data.shards import in_order, write_shards
from plenodream.geometry.formats.recammaster import save_unreal_poses

SCENES, FRAMES, SIZE = 5, 6, 32


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Scenes of two lenses, as they lie on disk once unpacked."""
    root = tmp_path_factory.mktemp("unpacked")
    for number in range(SCENES):
        folder = root / "train" / ("f24_aperture5" if number % 2 else "f50_aperture2.4") / f"scene{number}"
        for name in ("cam01", "cam02"):
            write_video(folder / "videos" / f"{name}.mp4", FRAMES, SIZE, SIZE)
        (folder / "cameras").mkdir()
        seeds = {"cam01": 2 * number, "cam02": 2 * number + 1}
        poses = {name: make_cameras(FRAMES, SIZE, SIZE, seed).camera_to_world for name, seed in seeds.items()}
        save_unreal_poses(folder / "cameras" / "camera_extrinsics.json", poses)
    return root


@pytest.fixture(scope="module")
def parts(unpacked, tmp_path_factory):
    """The same as published: one compressed archive, cut into twelve parts at any byte."""
    folder = tmp_path_factory.mktemp("published")
    with tarfile.open(folder / "whole", "w:gz") as tar:
        tar.add(unpacked / "train", "train")
    data = (folder / "whole").read_bytes()
    cuts = torch.linspace(0, len(data), 13).long().tolist()
    (folder / "whole").unlink()
    for number, (start, stop) in enumerate(itertools.pairwise(cuts), start=1):
        (folder / f"MultiCamVideo-Dataset.part{number}").write_bytes(data[start:stop])
    return in_order(list(folder.iterdir()))


@pytest.fixture(scope="module")
def shards(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards")
    assert write_shards(parts, out, scenes=2) == SCENES
    assert sorted(path.name for path in out.iterdir()) == [f"shard-{n:06d}.tar" for n in range(3)]
    return out


def test_parts_are_taken_by_their_numbers(parts):
    assert [path.name.removeprefix("MultiCamVideo-Dataset.part") for path in parts] == [str(n) for n in range(1, 13)]


def test_shards_hold_the_same_episodes(unpacked, shards):
    plain = {episode.name.removeprefix("train/"): episode for episode in find_episodes(unpacked)}
    packed = {episode.name: episode for episode in find_episodes(shards)}
    assert plain.keys() == packed.keys() and len(packed) == SCENES
    for name, episode in packed.items():
        for view in ("cam01", "cam02"):
            expected, found = plain[name].view(view, 2, 5), episode.view(view, 2, 5)
            assert torch.equal(found.frames, expected.frames)
            assert torch.equal(found.cameras.intrinsics, expected.cameras.intrinsics)
            assert torch.equal(found.cameras.camera_to_world, expected.cameras.camera_to_world)


def test_a_run_goes_on_in_the_middle_of_an_epoch_with_other_workers(shards):
    def stream(position, batches, workers, size, ranks=1):
        loaders = []
        for rank in range(ranks):
            dataset = EpisodeDataset(find_episodes(shards), Window(2, 3, 16, 16), seed=3)
            loaders.append(EpisodeLoader(dataset, size, workers, rank, ranks))
            loaders[-1].position = position
        rounds = zip(*(itertools.islice(iter(loader), batches) for loader in loaders), strict=True)
        found = []
        for turn in rounds:
            for place, batch in itertools.product(range(size), turn):
                sample = batch.samples[place]
                found.append((sample.episode, sample.start, sample.names, batch.frames[place]))
        return found

    whole = stream(0, 4, workers=0, size=2)  # eight samples of five episodes: into the second epoch
    for later in (stream(3, 2, workers=1, size=2), stream(3, 2, workers=0, size=1, ranks=2)):
        for (*expected, pixels), (*found, others) in zip(whole[3:], later, strict=False):
            assert found == expected and torch.equal(others, pixels)
        assert len(later) == 4


def test_latents_are_kept_beside_the_shard(shards):
    episode, calls = find_episodes(shards)[0], []

    def encode(pixels):
        calls.append(len(pixels))
        return pixels.float().mean((1, 2))

    first, again = (cached_latents(episode, "codec", encode, "cam01", 0, 3, 16, 16) for _ in range(2))
    assert torch.equal(first, again) and calls == [3]
    assert len(list(shards.glob("shard-000000.cache/**/*.safetensors"))) == 1


def test_a_missing_part_is_said_and_leaves_no_shard_behind_that_is_not_whole(parts, tmp_path):
    with pytest.raises(ValueError, match=r"part1 to .*part11: .*; expected all parts of a tar archive") as caught:
        write_shards(parts[:-1], tmp_path / "out", scenes=2)
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert write_shards(parts, tmp_path / "out", scenes=2) == SCENES, "with all parts the same command goes on"


def test_a_damaged_shard_is_named(tmp_path):
    (tmp_path / "shard-000000.tar").write_bytes(b"no archive at all" * 100)
    with pytest.raises(ValueError, match=r"shard-000000\.tar: cannot be read .*expected a plain tar archive"):
        find_episodes(tmp_path)


def test_the_command_makes_shards_of_parts(parts, tmp_path):
    assert shards_command(Shards(tuple(parts), tmp_path / "out", quiet=True)) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shard-000000.tar"]
    with pytest.raises(ValueError, match="--scenes 0: expected at least 1"):
        shards_command(Shards(tuple(parts), tmp_path / "out", scenes=0))
