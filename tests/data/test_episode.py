import json

import av
import pytest
import torch
from episodes import grey_levels, make_cameras, make_view, write_video

from plenodream.data import episode as episode_module
from plenodream.data.episode import open_episode, open_folder, write_episode
from plenodream.geometry.cameras import project, relative_poses
from plenodream.geometry.formats import save_cameras
from plenodream.media.fit import fit_cameras, fit_frames
from plenodream.media.seek import UnreadableVideo, probe_video, read_window
from plenodream.types import View


@pytest.fixture
def views():
    return {"cam01": make_view(seed=1), "cam02": make_view(seed=2)}


def test_written_episode_reads_back_exactly(tmp_path, views):
    depth = {"cam02": torch.rand(6, 16, 24) * 20}
    depth["cam02"][0, 0, 0] = torch.inf
    write_episode(tmp_path / "scene", views, depth)
    episode = open_episode(tmp_path / "scene")
    assert (episode.names, episode.frames, episode.fps) == (("cam01", "cam02"), 6, 15.0)
    for name, view in views.items():
        read = episode.view(name, 0, 6)
        assert torch.equal(read.frames, view.frames)
        assert torch.equal(episode.cameras()[name].camera_to_world, view.cameras.camera_to_world)
        assert torch.equal(episode.cameras()[name].intrinsics, view.cameras.intrinsics)
    torch.testing.assert_close(episode.depth("cam02", 0, 4), depth["cam02"][:4], rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="no depth for 'cam01'"):
        episode.depth("cam01", 0, 1)
    with pytest.raises(ValueError, match="frames 4 to 7 wanted"):
        episode.depth("cam02", 4, 7)
    episode.depth_files["cam02"].write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"cam02\.safetensors: cannot be read"):
        episode.depth("cam02", 0, 1)


@pytest.mark.parametrize("size", [(15, 7), (16, 24)])
def test_odd_sizes_and_broadcast_rates_survive(tmp_path, size):
    view = make_view(height=size[0], width=size[1], fps=30000 / 1001)
    write_episode(tmp_path / "scene", {"a": view})
    read = open_episode(tmp_path / "scene").view("a", 1, 3)
    assert torch.equal(read.frames, view.frames[1:3]) and abs(read.fps - 29.97003) < 1e-4


def test_text_cameras_are_the_same_motion(tmp_path, views):
    from plenodream.geometry.formats.recammaster import load_unreal_poses

    write_episode(tmp_path / "scene", views)
    text = load_unreal_poses(tmp_path / "scene" / "cameras" / "camera_extrinsics.json")
    first = views["cam01"].cameras.camera_to_world[0]
    for name, view in views.items():
        torch.testing.assert_close(text[name], relative_poses(view.cameras.camera_to_world, first), rtol=0, atol=1e-7)


def test_view_decodes_only_its_window(tmp_path, views, monkeypatch):
    view = make_view(frames=40)
    write_episode(tmp_path / "scene", {"a": view})
    episode = open_episode(tmp_path / "scene")
    decoded, convert = [], episode_module.read_window

    def spy(*args):
        for frame in convert(*args):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(episode_module, "read_window", spy)
    read = episode.view("a", 33, 36)
    assert torch.equal(read.frames, view.frames[33:36]) and len(decoded) == 3
    assert torch.equal(read.cameras.camera_to_world, view.cameras.camera_to_world[33:36].float())


def test_fitted_view_and_cameras_agree(tmp_path, views):
    write_episode(tmp_path / "scene", views)
    read = open_episode(tmp_path / "scene").view("cam01", 2, 5, 8, 8)
    assert torch.equal(read.frames, fit_frames(views["cam01"].frames[2:5], 8, 8)[0])
    expected = fit_cameras(views["cam01"].cameras[2:5], 8, 8)
    torch.testing.assert_close(read.cameras.intrinsics, expected.intrinsics.float())
    # 24x16 scaled by half and cropped by 2 columns: what was at pixel (12, 8) is in the new middle.
    centre = views["cam01"].cameras[2:3]
    point = centre.camera_to_world[:, None, :3, 3] + 3 * centre.camera_to_world[:, None, :3, 2]
    assert project(point.float(), read.cameras[:1])[0][0, 0].tolist() == pytest.approx([4, 4], abs=1e-4)


@pytest.mark.parametrize("options", [{"g": "7", "bf": "3"}, {"g": "100", "bf": "0"}, {"g": "1"}])
def test_windows_of_lossy_video_are_frame_exact(tmp_path, options):
    write_video(tmp_path / "a.mp4", frames=30, **options)
    assert probe_video(tmp_path / "a.mp4").frames == 30
    for start, stop in [(0, 30), (6, 8), (7, 8), (13, 21), (29, 30)]:
        frames = torch.stack(list(read_window(tmp_path / "a.mp4", start, stop)))
        assert grey_levels(frames) == list(range(start, stop))


def test_windows_of_variable_rate_are_frame_exact(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"crf": "1", "g": "5"})
        stream.height, stream.width, stream.pix_fmt = 16, 24, "yuv420p"
        for index in range(20):
            image = torch.full((16, 24, 3), 10 + 5 * index, dtype=torch.uint8).numpy()
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = 3 + index + index**2 // 3  # late start, growing gaps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for start, stop in [(0, 20), (4, 9), (11, 12)]:
        assert grey_levels(torch.stack(list(read_window(path, start, stop)))) == list(range(start, stop))


def test_folder_of_videos_and_cameras(tmp_path):
    cameras = {name: make_cameras(6, 16, 24, seed) for seed, name in enumerate(["left", "right"])}
    for name, path in cameras.items():
        write_video(tmp_path / f"{name}.mp4")
        save_cameras(tmp_path / f"{name}.json", path)
    episode = open_folder(tmp_path)
    assert episode.names == ("left", "right")
    assert torch.equal(episode.cameras()["right"].camera_to_world, cameras["right"].camera_to_world)
    assert grey_levels(episode.view("left", 2, 4).frames) == [2, 3]


def test_bad_folders_are_named_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="no videos found"):
        open_folder(tmp_path)
    write_video(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"a\.mp4: missing cameras; expected .*a\.json"):
        open_folder(tmp_path)
    save_cameras(tmp_path / "a.json", make_cameras(5, 16, 24))
    with pytest.raises(ValueError, match="5 cameras but 6 frames in a"):
        open_folder(tmp_path)
    save_cameras(tmp_path / "a.json", make_cameras(6, 16, 24))
    save_cameras(tmp_path / "b.json", make_cameras(6, 16, 24))
    write_video(tmp_path / "b.mp4", frames=7)
    with pytest.raises(ValueError, match=r"different lengths \(a 6, b 7 frames\)"):
        open_folder(tmp_path)
    write_video(tmp_path / "b.mp4", fps=30)
    with pytest.raises(ValueError, match=r"different frame rates \(a 15, b 30\)"):
        open_folder(tmp_path)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableVideo, match=r"b\.mp4: cannot be decoded"):
        open_folder(tmp_path)


def test_left_handed_cameras_are_refused(tmp_path, views):
    write_episode(tmp_path / "scene", views)
    path = tmp_path / "scene" / "cameras" / "cam02.json"
    content = json.loads(path.read_text())
    for frame in content["frames"]:
        for row in frame["camera_to_world"]:
            row[0] = -row[0]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"cam02.*determinant -1"):
        open_episode(tmp_path / "scene")


def test_damaged_video_is_an_unreadable_one(tmp_path):
    write_video(tmp_path / "a.mp4", frames=30, height=64, width=64, g="1")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[:300] + bytes(len(data) // 2) + data[300 + len(data) // 2 :])
    with pytest.raises(UnreadableVideo, match=r"a\.mp4"):
        list(read_window(tmp_path / "a.mp4", 0, 10))


def test_wrong_windows_and_views_are_refused(tmp_path, views):
    write_episode(tmp_path / "scene", views)
    episode = open_episode(tmp_path / "scene")
    with pytest.raises(ValueError, match="no view 'cam09'; found cam01, cam02"):
        episode.view("cam09", 0, 1)
    with pytest.raises(ValueError, match="frames 4 to 7 wanted"):
        episode.view("cam01", 4, 7)
    with pytest.raises(UnreadableVideo, match="only 2 of the frames 4 to 7"):
        list(read_window(tmp_path / "scene" / "videos" / "cam01.mp4", 4, 8))


def test_writing_refuses_unsynchronized_views_and_existing_folders(tmp_path, views):
    with pytest.raises(ValueError, match="different lengths or rates"):
        write_episode(tmp_path / "scene", {"a": make_view(6), "b": make_view(5)})
    with pytest.raises(ValueError, match="no views"):
        write_episode(tmp_path / "scene", {})
    write_episode(tmp_path / "scene", views)
    with pytest.raises(ValueError, match="exists already"):
        write_episode(tmp_path / "scene", views)


def test_full_disk_leaves_nothing_behind(tmp_path, views, monkeypatch):
    written = []

    def full(path, data):
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(episode_module, "write_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_episode(tmp_path / "scene", views)
    assert len(written) == 2 and list(tmp_path.iterdir()) == []


def test_static_camera_stands_for_all_frames(tmp_path):
    write_video(tmp_path / "a.mp4")
    static = make_cameras(1, 16, 24)
    save_cameras(tmp_path / "a.json", static)
    view: View = open_folder(tmp_path).view("a", 1, 4)
    assert torch.equal(view.cameras.camera_to_world, static.camera_to_world.expand(3, 4, 4).float())


@pytest.mark.parametrize(("first", "shown"), [(0, 6), (4, 5), (12, 8)])
def test_frames_that_a_trim_hides_are_not_counted(tmp_path, trim, first, shown):
    write_video(tmp_path / "a.mp4", frames=24, fps=24)
    (tmp_path / "a.mp4").write_bytes(trim(tmp_path / "a.mp4", first, shown))
    assert probe_video(tmp_path / "a.mp4").frames == shown
    frames = torch.stack(list(read_window(tmp_path / "a.mp4", 0, shown)))
    assert grey_levels(frames) == list(range(first, first + shown))
