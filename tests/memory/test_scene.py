"""The memory bank on disk: what goes in comes out, twice gives the same bytes, and no crash breaks it."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import forked
import pytest
import torch

from plenodream.files.atomic import TEMPORARY
from plenodream.files.lock import locked
from plenodream.geometry.cameras import axis_rotation, make_pose
from plenodream.geometry.formats import load_cameras
from plenodream.media.video import half_depth, read_video
from plenodream.memory.manifest import Manifest
from plenodream.memory.scene import Scene
from plenodream.memory.stored import StoredWindow
from plenodream.memory.windows import plan_windows
from plenodream.types import Cameras

HEIGHT, WIDTH, FRAMES, WINDOW, OVERLAP = 16, 24, 12, 5, 1


def create(folder: Path, frames: int = FRAMES) -> Scene:
    manifest = Manifest(
        model_name="nano",
        model_hash="abc",
        height=HEIGHT,
        width=WIDTH,
        fps=30000 / 1001,
        frames=frames,
        windows=tuple(plan_windows(frames, WINDOW, OVERLAP)),
        seed=3,
        settings={"k": 2, "strategy": "fov", "far": 10.1, "list": (1, 2)},
    )
    return Scene.create(folder, manifest)


def path_cameras(seed: int = 0, frames: int = FRAMES) -> Cameras:
    generator = torch.Generator().manual_seed(seed)
    angles = 40 * torch.rand(frames, generator=generator)
    poses = make_pose(axis_rotation("y", angles), torch.randn(frames, 3, generator=generator))
    intrinsics = torch.tensor([20.1, 20.3, 12, 8]) + torch.rand(frames, 4, generator=generator)
    return Cameras(poses, intrinsics, HEIGHT, WIDTH)


def video(seed: int = 0, frames: int = FRAMES) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=generator)


def write_view(scene: Scene, name: str, seed: int = 0, kind: str = "view") -> None:
    """Declare a view and write what is missing of it."""
    scene.declare(name, kind, path_cameras(seed), {"preset": name, "angle": 0.1 * seed})
    for number, window in enumerate(scene.manifest.windows):
        if not scene.has(name, number):
            record = {"seed": seed, "scores": {"source": 0.1, "b": 1 / 3}, "other": [1]}
            scene.write(name, number, video(seed)[window.start : window.stop], record, {"seconds": time.time()})
    scene.finish(name)


def content(folder: Path) -> dict[str, bytes]:
    """All bytes of a scene but those that may differ between runs."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("timing.json", ".lock")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def message(call, *args, **options) -> str:
    with pytest.raises(ValueError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def scene(tmp_path) -> Scene:
    return create(tmp_path / "scene")


def test_what_goes_in_comes_out(scene):
    write_view(scene, "source", 1, "source")
    write_view(scene, "arc-left", 2)
    write_view(scene, "merged-0", 3, "helper")
    again = Scene.open(scene.folder)
    assert again.manifest == scene.manifest
    assert again.manifest.fps == 30000 / 1001 and again.manifest.settings["list"] == [1, 2]
    assert again.names() == ["source", "arc-left", "merged-0"]
    assert again.names("view") == ["arc-left"] and again.names("helper") == ["merged-0"]
    assert again.entry("arc-left").trajectory == {"preset": "arc-left", "angle": 0.2}
    assert torch.equal(again.cameras("arc-left").camera_to_world, path_cameras(2).camera_to_world)
    assert torch.equal(again.cameras("arc-left").intrinsics, path_cameras(2).intrinsics)
    assert torch.equal(again.frames("arc-left"), video(2))
    for number, window in enumerate(again.manifest.windows):
        view = again.read("arc-left", number)
        assert torch.equal(view.frames, video(2)[window.start : window.stop]) and view.fps == 30000 / 1001
        assert torch.equal(view.cameras.intrinsics, path_cameras(2).intrinsics[window.start : window.stop])
        assert again.record("arc-left", number)["scores"] == {"source": 0.1, "b": 1 / 3}
        assert again.timing("arc-left", number)["seconds"] > 1e9
    preview = read_video(again.preview_path("arc-left"))
    assert preview.frames.shape[0] == FRAMES and preview.fps == 30000 / 1001


def test_depth_comes_back_as_half_precision_floats(scene):
    depth = torch.rand(FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 40 + 0.1
    depth[:, 0], depth[:, 1] = 0, 1e6
    scene.declare("a", "view", path_cameras())
    for number, window in enumerate(scene.manifest.windows):
        part = slice(window.start, window.stop)
        scene.write("a", number, video()[part], {}, {}, depth=depth[part])
        stored = scene.read("a", number).depth
        assert stored.dtype == torch.float32 and torch.equal(stored, half_depth(depth[part]).float())
        known = stored[:, 2:]
        assert ((known / depth[part, 2:] - 1).abs() <= 2**-11).all() and (stored[:, 0] == 0).all()
        assert (stored[:, 1] == 65504).all()
    scene.write("a", 0, video()[:WINDOW], {}, {})
    assert scene.read("a", 0).depth is None  # that of the frames before is not kept
    for bad in (-depth[:WINDOW], depth[:WINDOW] * float("nan")):
        assert "NaN or negative" in message(scene.write, "a", 1, video()[:WINDOW], {}, {}, bad)
    path = scene.folder / "views" / "a" / "chunk-001" / "depth.mkv"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "depth.mkv: damaged" in message(scene.read, "a", 1)


def test_finished_views_lie_at_the_top(scene):
    write_view(scene, "source", 1, "source")
    write_view(scene, "merged-0", 3, "helper")
    assert not (scene.folder / "grid.mp4").exists()  # there is nothing to show side by side yet
    write_view(scene, "arc-left", 2)
    tops = {path.name for path in scene.folder.iterdir()}
    assert tops == {*("scene.json", ".lock", "views", "cameras", "source.mp4", "arc-left.mp4", "grid.mp4")}
    assert scene.preview_path("merged-0") == scene.folder / "views" / "merged-0" / "preview.mp4"
    frames = read_video(scene.folder / "arc-left.mp4").frames
    assert frames.shape[0] == FRAMES
    grid = read_video(scene.folder / "grid.mp4")
    assert tuple(grid.frames.shape) == (FRAMES, frames.shape[1], 2 * frames.shape[2], 3)
    tail = grid.frames[:, frames.shape[1] // 2 :, frames.shape[2] :].float()  # beside the name
    assert (tail - frames[:, frames.shape[1] // 2 :].float()).abs().mean() < 6
    cameras = load_cameras(scene.folder / "cameras" / "arc-left.json", HEIGHT, WIDTH)
    assert torch.equal(cameras.camera_to_world, path_cameras(2).camera_to_world)
    scene.write("arc-left", 0, video(4)[:WINDOW], {}, {})
    assert not {"arc-left.mp4", "grid.mp4"} & {path.name for path in scene.folder.iterdir()}
    scene.finish("arc-left")
    assert (scene.folder / "arc-left.mp4").is_file() and (scene.folder / "grid.mp4").is_file()


def test_a_view_may_be_called_grid(scene):
    write_view(scene, "source", 1, "source")
    write_view(scene, "grid", 2)
    assert read_video(scene.folder / "grid.mp4").frames.shape[2] < 2 * 256


@pytest.mark.parametrize("damage", [b"", b"garbage" * 100, None])
def test_a_damaged_video_for_people_is_made_again(scene, damage):
    for name, kind in (("source", "source"), ("a", "view"), ("merged", "helper")):
        write_view(scene, name, 1, kind)
    before = content(scene.folder)
    paths = [scene.preview_path(name) for name in ("a", "merged")] + [scene.folder / "grid.mp4"]
    for path in paths:
        path.write_bytes(path.read_bytes()[:5000] if damage is None else damage)
    for name in scene.names():
        scene.finish(name)
    assert content(scene.folder) == before


def test_scenes_whose_videos_lay_in_their_folders_go_on(scene):
    write_view(scene, "source", 1, "source")
    write_view(scene, "a", 2)
    before = content(scene.folder)
    for name in ("source", "a"):
        os.rename(scene.folder / f"{name}.mp4", scene.folder / "views" / name / "preview.mp4")
    shutil.rmtree(scene.folder / "cameras")
    (scene.folder / "grid.mp4").unlink()
    assert all(scene.preview_path(name).is_file() for name in scene.names())
    for name in scene.names():
        scene.finish(name)
    assert content(scene.folder) == before


def test_cameras_are_parsed_once(scene, monkeypatch):
    import plenodream.memory.scene as module

    scene.declare("a", "view", path_cameras())
    calls, real = [], module.load_cameras
    monkeypatch.setattr(module, "load_cameras", lambda *args: calls.append(args) or real(*args))
    for window in (None, 0, 1, 0):
        scene.cameras("a", window)
    assert len(calls) == 1


def test_a_view_is_complete_when_all_its_windows_are(scene):
    scene.declare("a", "view", path_cameras())
    assert not scene.has("a", 0) and not scene.has("b", 0) and not scene.complete("b")
    windows = scene.manifest.windows
    assert len(windows) == 3
    for number, window in enumerate(windows):
        assert not scene.complete("a")
        scene.finish("a")
        assert not scene.preview_path("a").exists()
        scene.write("a", number, video()[window.start : window.stop], {}, {})
        assert [scene.has("a", n) for n in range(3)] == [n <= number for n in range(3)]
    assert scene.complete("a")
    scene.finish("a")
    assert scene.preview_path("a").is_file()


def test_padding_is_stored_and_trimmed(tmp_path):
    scene = create(tmp_path / "scene", frames=3)
    scene.declare("a", "view", path_cameras(frames=3))
    scene.write("a", 0, video(frames=WINDOW), {}, {})
    view = scene.read("a", 0)
    assert torch.equal(view.frames, video(frames=WINDOW)) and torch.equal(scene.frames("a"), video(frames=WINDOW)[:3])
    assert torch.equal(view.cameras.intrinsics, path_cameras(frames=3).intrinsics[[0, 1, 2, 2, 2]])


def test_stitching_keeps_the_earlier_window_where_two_overlap(scene):
    scene.declare("a", "view", path_cameras())
    for number in range(3):
        scene.write("a", number, torch.full((WINDOW, HEIGHT, WIDTH, 3), number, dtype=torch.uint8), {}, {})
    assert scene.frames("a")[:, 0, 0, 0].tolist() == [0] * 5 + [1] * 4 + [2] * 3


def test_declaring_again_changes_nothing_or_is_refused(scene):
    scene.declare("a", "view", path_cameras(), {"angles": (1, 2)})
    before = content(scene.folder)
    scene.declare("a", "view", path_cameras(), {"angles": [1, 2]})
    assert content(scene.folder) == before
    assert "exists" in message(scene.declare, "a", "view", path_cameras(1), {"angles": [1, 2]})
    assert "exists" in message(scene.declare, "a", "view", path_cameras(), {"angles": [1, 3]})
    assert "exists" in message(scene.declare, "a", "helper", path_cameras(), {"angles": [1, 2]})
    for name in ("../a", "", "a/b", ".a", "a" * 101, "a b"):
        assert "letters" in message(scene.declare, name, "view", path_cameras())
    assert "expected one of source, view, helper" in message(scene.declare, "b", "views", path_cameras())
    assert "expected 12 cameras" in message(scene.declare, "b", "view", path_cameras(frames=11))
    assert "'b'" in message(scene.cameras, "b") and content(scene.folder) == before


def test_two_equal_runs_have_equal_bytes(tmp_path):
    for name in ("a", "b"):
        scene = create(tmp_path / name)
        write_view(scene, "source", 1, "source")
        write_view(scene, "arc-left", 2)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert (tmp_path / "a" / ".lock").read_bytes() == b""


def test_force_keeps_the_old_result_until_the_new_one_is_there(scene):
    write_view(scene, "a", 1)
    scene.invalidate("a")
    assert not scene.has("a", 0) and not scene.complete("a")
    assert torch.equal(scene.frames("a"), video(1)) and scene.preview_path("a").exists()
    scene.write("a", 0, video(2)[:WINDOW], {"new": 1}, {})
    assert scene.has("a", 0) and not scene.has("a", 1)
    assert torch.equal(scene.read("a", 0).frames, video(2)[:WINDOW]) and scene.record("a", 0) == {"new": 1}
    assert not scene.preview_path("a").exists()
    for number, window in enumerate(scene.manifest.windows):
        scene.write("a", number, video(2)[window.start : window.stop], {}, {})
    scene.finish("a")
    assert scene.complete("a") and torch.equal(scene.frames("a"), video(2))
    assert {path.name for path in (scene.folder / "views" / "a").iterdir()} == {
        *("cameras.json", "chunk-000", "chunk-001", "chunk-002")
    }


def test_a_kill_between_the_two_renames_is_mended(scene):
    write_view(scene, "a", 1)
    view = scene.folder / "views" / "a"
    os.rename(view / "chunk-001", view / ".old-chunk-001")
    shutil.copytree(view / "chunk-000", view / f"{TEMPORARY}chunk-001-99")
    shutil.copytree(view / "chunk-000", view / ".old-chunk-002")
    (scene.folder / f"{TEMPORARY}scene.json-99").write_text("{")
    with scene.lock():
        assert torch.equal(scene.frames("a"), video(1))
    assert not [path for path in scene.folder.rglob(".*") if path.name != ".lock"]


def test_full_disk_keeps_what_was_there(scene, monkeypatch):
    write_view(scene, "a", 1)
    before = content(scene.folder)
    calls, fail_at = 0, [1]
    real = os.fsync

    def full(handle):
        nonlocal calls
        calls += 1
        if calls == fail_at[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    for fail_at[0] in range(1, 7):
        calls = 0
        with pytest.raises(OSError, match="No space left"):
            scene.write("a", 0, video(2)[:WINDOW], {}, {})
        assert content(scene.folder) == before
    for fail_at[0] in (1, 3):
        calls = 0
        with pytest.raises(OSError, match="No space left"):
            scene.declare("b", "view", path_cameras())
        assert Scene.open(scene.folder).names() == ["a"]
        assert not [path for path in scene.folder.rglob(f"{TEMPORARY}*")]


def test_records_must_be_json(scene):
    scene.declare("a", "view", path_cameras())
    with pytest.raises(ValueError):
        scene.write("a", 0, video()[:WINDOW], {"score": float("nan")}, {})
    assert not (scene.folder / "views" / "a" / "chunk-000").exists()


def test_one_line_for_what_is_no_scene(tmp_path, scene):
    write_view(scene, "a", 1)
    assert "no such folder" in message(Scene.open, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "not a scene" in message(Scene.open, tmp_path / "empty")
    good = (scene.folder / "scene.json").read_text()

    def with_manifest(text: str) -> str:
        (scene.folder / "scene.json").write_text(text)
        return message(Scene.open, scene.folder)

    for text in (
        "",
        good[: len(good) // 2],
        "[]",
        "\0" * 10,
        good.replace('"fps"', '"fqs"'),
        good.replace("16", '"x"'),
    ):
        assert "damaged" in with_manifest(text)
    assert "upgrade" in with_manifest(good.replace('"schema_version": 1', '"schema_version": 2'))
    assert "damaged" in with_manifest(good.replace('"schema_version": 1', '"schema_version": null'))
    assert "damaged" in with_manifest(good.replace('"name": "a"', '"name": "../a"'))
    changes = {"chunks": [[], [[0, -3, 0]], [[0, 2, 0]], [[3, 9, 0]], [[0, 9, 9]]], "fps": [0, -1], "height": [0]}
    entries, infinite = json.loads(good)["entries"], float("inf")
    changes |= {"frames": [0, 10**6, infinite], "entries": [entries * 2, [{**entries[0], "trajectory": 5}]]}
    changes |= {"seed": [infinite], "width": [infinite]}
    changes["chunks"] += [[[0, infinite, 0]], [[0, 9, float("nan")]]]
    for key, values in changes.items():
        for value in values:
            assert "damaged" in with_manifest(json.dumps({**json.loads(good), key: value})), (key, value)
    (scene.folder / "scene.json").write_text(good)
    (scene.folder / "views" / "a" / "cameras.json").rename(tmp_path / "cameras.json")
    assert "view a has no cameras.json" in message(Scene.open, scene.folder)
    (scene.folder / "views").rename(tmp_path / "views")
    assert "views/ is missing" in message(Scene.open, scene.folder)


def test_folders_that_a_scene_cannot_start_in(tmp_path, scene):
    assert "holds a scene already" in message(create, scene.folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    assert "letter.txt" in message(create, tmp_path / "other")
    assert os.listdir(tmp_path / "other") == ["letter.txt"]
    assert "is a file" in message(create, tmp_path / "other" / "letter.txt")
    (tmp_path / "killed" / "views").mkdir(parents=True)
    (tmp_path / "killed" / f"{TEMPORARY}scene.json-99").write_text("{")
    assert create(tmp_path / "killed").names() == []


def test_damaged_windows_name_the_view_and_the_way_out(scene):
    write_view(scene, "a", 1)
    folder = scene.folder / "views" / "a" / "chunk-001"
    whole = (folder / "video.mkv").read_bytes()
    (folder / "video.mkv").write_bytes(whole[: len(whole) // 2])
    (folder / "record.json").write_text('{"a":')
    (folder / "timing.json").unlink()
    for call in (scene.read, scene.record, scene.timing):
        text = message(call, "a", 1)
        assert "view a, window 1 is damaged" in text and "--force a" in text
    assert "window 1 is damaged" in message(scene.frames, "a")
    for name, kind, trajectory, way_out in (
        ("given", "source", None, "restore"),
        ("merged", "helper", {"merge_of": ["given", "a"]}, "--force a"),
    ):
        scene.declare(name, kind, path_cameras(), trajectory)
        scene.write(name, 0, video(1)[:WINDOW], {}, {})
        (scene.folder / "views" / name / "chunk-000" / "video.mkv").write_bytes(b"")
        assert way_out in message(scene.read, name, 0)
    shutil.rmtree(folder)
    assert "not rendered yet" in message(scene.read, "a", 1) and not scene.complete("a")
    assert torch.equal(scene.read("a", 0).frames, video(1)[:WINDOW])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("record", '{"context": "source"}', 'record.json: context: found "source", expected array'),
        ("record", '{"scores": {"a": []}}', "record.json: scores[...]: found another type, expected float"),
        ("timing", '{"seconds": "long"}', 'timing.json: seconds: found "long", expected float'),
        ("timing", "[" * 99999, "timing.json: found another type, expected object"),
    ],
)
def test_records_of_other_types_are_one_line(scene, name, content, words):
    write_view(scene, "a", 1)
    (scene.folder / "views" / "a" / "chunk-000" / f"{name}.json").write_text(content)
    assert f"({words})" in message(getattr(scene, name), "a", 0)


def hold(folder):
    with locked(folder):
        print("held", flush=True)
        time.sleep(60)


def test_a_second_process_is_told(scene, tmp_path):
    other, said = Scene.open(scene.folder), tmp_path / "said.txt"
    process = forked.start(hold, scene.folder, said=said)
    while not said.exists() or said.read_text() != "held\n":
        assert process.is_alive()
        time.sleep(0.002)
    assert f"is being rendered by process {process.pid}" in message(scene.declare, "a", "view", path_cameras())
    assert Scene.open(scene.folder).names() == []  # reading goes on
    process.kill()
    process.join()
    with scene.lock(), scene.lock():  # a killed owner does not block, and the lock nests
        assert (scene.folder / ".lock").read_text() == f"{os.getpid()}\n"
        assert f"process {os.getpid()}" in message(other.declare, "a", "view", path_cameras())
    other.declare("a", "view", path_cameras())
    scene.declare("b", "view", path_cameras())  # sees what the other one has added
    assert Scene.open(scene.folder).names() == ["a", "b"] == scene.names()


def render_for_ever(folder: Path) -> None:
    """What the killed processes do: make the scene if need be, write what is missing, then force it all again."""
    scene = Scene.open(folder) if (folder / "scene.json").exists() else create(folder)
    while True:
        for seed, name in enumerate(("source", "a", "b")):
            write_view(scene, name, seed)
            scene.invalidate(name)


def kill_again_and_again(folder: Path) -> None:
    """Runs in a process of its own: start a render, kill it at a random moment, look at what it left; repeat."""
    moments = random.Random(0)
    seen = 0
    for _ in range(8):
        if not (child := os.fork()):
            render_for_ever(folder)
        time.sleep(moments.uniform(0, 0.4))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL  # it did not end by an error of its own
        if not (folder / "scene.json").exists():
            continue
        with Scene.open(folder).lock() as scene:
            left = [*folder.rglob(f"{TEMPORARY}*"), *folder.rglob(".old-*")]
            assert not left, left
            for seed, name in enumerate(scene.names()):
                for number, window in enumerate(scene.manifest.windows):
                    if (folder / "views" / name / f"chunk-{number:03d}").exists():
                        assert torch.equal(scene.read(name, number).frames, video(seed)[window.start : window.stop])
                        assert scene.record(name, number)["seed"] == seed
                        seen += 1
    assert seen > 0


def test_kill_at_any_moment_leaves_a_scene_that_goes_on(tmp_path):
    process = forked.start(kill_again_and_again, tmp_path / "killed", said=tmp_path / "said.txt")
    process.join(60)
    assert process.exitcode == 0, (tmp_path / "said.txt").read_text()
    killed, undisturbed = Scene.open(tmp_path / "killed"), create(tmp_path / "undisturbed")
    for seed, name in enumerate(("source", "a", "b")):
        write_view(killed, name, seed)
        write_view(undisturbed, name, seed)
    assert content(killed.folder) == content(undisturbed.folder)


def test_views_that_a_restored_manifest_does_not_know(scene):
    old = (scene.folder / "scene.json").read_bytes()
    write_view(scene, "a", 1)
    (scene.folder / "scene.json").write_bytes(old)
    scene = Scene.open(scene.folder)
    assert scene.names() == []
    assert "other cameras" in message(scene.declare, "a", "view", path_cameras(2))
    scene.declare("a", "view", path_cameras(1))
    assert scene.complete("a")


def test_finishing_many_views_looks_at_each_a_few_times(tmp_path, monkeypatch):
    scene, views = create(tmp_path / "scene", frames=WINDOW), 12
    for number in range(views):
        scene.declare(f"v{number}", "view" if number else "source", path_cameras(number, WINDOW))
        scene.write(f"v{number}", 0, torch.zeros(WINDOW, HEIGHT, WIDTH, 3, dtype=torch.uint8), {}, {})
    looked, state = [], StoredWindow.state.fget
    monkeypatch.setattr(StoredWindow, "state", property(lambda window: looked.append(window) or state(window)))
    scene.finish(*scene.names())
    assert all((scene.folder / f"{name}.mp4").is_file() for name in [*scene.names(), "grid"])
    assert len(looked) <= 3 * views
    assert Scene.open(scene.folder).manifest == scene.manifest
