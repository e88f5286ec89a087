import pytest
import torch
from episodes import make_cameras, make_view, write_agibot, write_video

from plenodream.data.discover import find_episodes
from plenodream.data.episode import write_episode
from plenodream.geometry.formats import save_cameras
from plenodream.geometry.formats.recammaster import save_unreal_poses


def test_every_layout_is_found_in_one_tree(tmp_path):
    (tmp_path / "ours").mkdir()
    for index in (2, 1):
        write_episode(tmp_path / "ours" / f"scene{index}", {"a": make_view(), "b": make_view(seed=1)})
    write_video(tmp_path / "multi" / "f24_aperture5" / "scene7" / "videos" / "cam01.mp4")
    cameras = tmp_path / "multi" / "f24_aperture5" / "scene7" / "cameras"
    cameras.mkdir()
    save_unreal_poses(cameras / "camera_extrinsics.json", {"cam01": torch.eye(4).expand(6, 4, 4)})
    write_agibot(tmp_path / "robot", "327", "12", {"head": make_cameras(6, 16, 24)})
    write_video(tmp_path / "plain" / "left.mp4")
    save_cameras(tmp_path / "plain" / "left.json", make_cameras(6, 16, 24))
    (tmp_path / ".hidden").mkdir()
    write_video(tmp_path / ".hidden" / "no.mp4")
    found = {episode.name: episode.names for episode in find_episodes(tmp_path)}
    assert found == {
        "multi/f24_aperture5/scene7": ("cam01",),
        "ours/scene1": ("a", "b"),
        "ours/scene2": ("a", "b"),
        "plain": ("left",),
        "327/12": ("head",),
    }
    assert [episode.name for episode in find_episodes(tmp_path / "ours" / "scene2")] == ["scene2"]


def test_nothing_to_find_is_said(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        find_episodes(tmp_path / "nowhere")
    (tmp_path / "sub").mkdir()
    with pytest.raises(ValueError, match="no episodes found; expected ours, MultiCamVideo"):
        find_episodes(tmp_path)


@pytest.mark.parametrize("removed", ["cam01.json", "*.json", "cameras"])
def test_scene_without_cameras_is_refused(tmp_path, removed):
    write_episode(tmp_path / "scene1", {"cam01": make_view(), "cam02": make_view()})
    folder = tmp_path / "scene1" / "cameras"
    for path in folder.glob("*" if removed == "cameras" else removed):
        path.unlink()
    if removed == "cameras":
        folder.rmdir()
    with pytest.raises(ValueError, match=r"scene1.*: missing cameras"):
        find_episodes(tmp_path)


def test_bad_episodes_stop_a_run_or_are_left_out(tmp_path, caplog):
    for index in range(3):
        write_episode(tmp_path / f"scene{index}", {"a": make_view(), "b": make_view(seed=1)})
    write_video(tmp_path / "scene1" / "videos" / "b.mp4", frames=5)
    (tmp_path / "scene2" / "videos" / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"scene1: videos of different lengths \(a 6, b 5 .*and 1 more"):
        find_episodes(tmp_path)
    assert [episode.name for episode in find_episodes(tmp_path, skip_bad=True)] == ["scene0"]
    assert [record.message.split(":")[0] for record in caplog.records] == ["left out", "left out"]
    write_video(tmp_path / "scene0" / "videos" / "b.mp4", frames=5)
    with pytest.raises(ValueError, match="none of 3 episodes usable"):
        find_episodes(tmp_path, skip_bad=True)


def test_links_in_a_circle_and_hidden_files_are_passed_over(tmp_path):
    write_episode(tmp_path / "data" / "scene", {"a": make_view(), "b": make_view(seed=1)})
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "scene" / "videos" / "._a.mp4").write_bytes(b"not a video")
    (episode,) = find_episodes(tmp_path / "data")
    assert episode.names == ("a", "b")


def test_cameras_that_cannot_be_opened_are_left_out(tmp_path, caplog):
    for name in ("good", "bad"):
        write_episode(tmp_path / name, {"a": make_view(), "b": make_view(seed=1)})
    path = tmp_path / "bad" / "cameras" / "a.json"
    path.unlink()
    path.symlink_to(path)
    assert [episode.name for episode in find_episodes(tmp_path, skip_bad=True)] == ["good"]
