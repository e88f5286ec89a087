import json

import pytest
import torch
from episodes import grey_levels, make_cameras, write_agibot, write_video

from plenodream.data.agibot import agibot_folders, is_agibot, open_agibot
from plenodream.types import Cameras


def fixed_lens(cameras: Cameras) -> Cameras:
    return Cameras(
        cameras.camera_to_world, cameras.intrinsics[:1].expand(len(cameras), 4), cameras.height, cameras.width
    )


@pytest.fixture
def cameras():
    names = ["head", "hand_left", "hand_right"]
    return {name: fixed_lens(make_cameras(6, 24, 32, seed)) for seed, name in enumerate(names)}


def test_episode_reads_back_the_cameras_it_was_made_from(tmp_path, cameras):
    videos = write_agibot(tmp_path, "327", "648642", cameras)
    assert is_agibot(tmp_path) and not is_agibot(videos)
    episode = open_agibot(videos)
    assert (episode.name, episode.fps) == ("327/648642", 30)
    assert episode.names == ("hand_left", "hand_right", "head")
    for name, expected in cameras.items():
        read = episode.cameras()[name]
        assert torch.equal(read.camera_to_world, expected.camera_to_world)
        torch.testing.assert_close(read.intrinsics, expected.intrinsics)
    assert grey_levels(episode.view("head", 3, 5).frames) == [3, 4]


def test_all_episodes_are_found(tmp_path, cameras):
    for task, episode in [("327", "648650"), ("1000", "1"), ("327", "64865")]:
        write_agibot(tmp_path, task, episode, {"head": cameras["head"]})
    found = [folder.parts[-3:-1] for folder in agibot_folders(tmp_path)]
    assert set(found) == {("327", "64865"), ("327", "648650"), ("1000", "1")} and len(found) == 3


def test_missing_and_wrong_cameras_are_named(tmp_path, cameras):
    videos = write_agibot(tmp_path, "327", "1", cameras)
    folder = tmp_path / "parameters" / "327" / "1" / "parameters" / "camera"
    path = folder / "hand_left_extrinsic_params_aligned.json"
    good = json.loads(path.read_text())
    path.write_text(json.dumps(good[:4]))
    with pytest.raises(ValueError, match="4 cameras but 6 frames in hand_left"):
        open_agibot(videos)
    path.write_text(json.dumps([{"extrinsic": {"rotation_matrix": [[1, 0, 0]]}}]))
    with pytest.raises(ValueError, match=r"aligned\.json: \[0\]\.extrinsic.* expected array"):
        open_agibot(videos)
    path.write_text("[NaN]")
    with pytest.raises(ValueError, match=r"aligned\.json: not valid JSON \(NaN or infinite numbers\)"):
        open_agibot(videos)
    path.unlink()
    with pytest.raises(ValueError, match=r"hand_left_extrinsic_params_aligned.json: missing cameras"):
        open_agibot(videos)


def test_videos_of_different_lengths_are_refused(tmp_path, cameras):
    videos = write_agibot(tmp_path, "327", "1", cameras)
    write_video(videos / "head_color.mp4", 7, 24, 32, fps=30)
    with pytest.raises(ValueError, match="hand_left 6, hand_right 6, head 7 frames"):
        open_agibot(videos)
