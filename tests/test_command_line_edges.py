"""What a command meets outside: closed streams, ASCII terminals, signals, pipes, names of bytes, hostile letters."""

import io
import os
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from plenodream import cli
from plenodream.geometry.formats import load_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.video import read_video, write_lossless
from plenodream.memory.scene import Scene
from plenodream.rendering.model import reprojection_model
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.renderer import AutoregressiveRenderer
from plenodream.rendering.request import make_request
from plenodream.rendering.source import still_cameras
from plenodream.rendering.travel import travel_cautions

CLOUD = ("--model", "reprojection", "--trajectory", "static")


@pytest.fixture
def clip(tmp_path) -> Path:
    frames = torch.randint(0, 256, (3, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_lossless(tmp_path / "clip.mkv", frames, 8.0)
    return tmp_path / "clip.mkv"


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["plenodream", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code or 0


@pytest.fixture
def command(monkeypatch):
    """Makes `plenodream do` a command that does something."""

    @dataclass(frozen=True)
    class Do:
        """Do it."""

    def make(action) -> None:
        def act(args) -> int:
            action()
            return 0

        monkeypatch.setattr("plenodream.cli.commands.commands", lambda: {"do": (Do, act)})

    return make


def test_what_a_terminal_cannot_show_is_replaced_and_loses_nothing(command, monkeypatch):
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, "ascii"))
    command(lambda: print("23.5 ± 0.2 dB"))
    assert run(monkeypatch, "do") == 0
    assert screen.getvalue() == b"23.5 ? 0.2 dB\n"


def test_nothing_echoed_is_a_terminals_command(command, monkeypatch, capsys):
    def fail():
        warnings.warn("no \x1b]0;title\x07 here", stacklevel=1)
        raise ValueError("a\x1b[31mb\n\x9bc: no such file")

    command(fail)
    assert run(monkeypatch, "do") == 2
    monkeypatch.undo()
    assert run(monkeypatch, "render", "x\x1b[2J.mp4", *CLOUD) == 2
    said = capsys.readouterr().err
    assert "a?[31mb ?c: no such file" in said and "x?[2J.mp4: no such file" in said
    assert all(letter.isprintable() or letter == "\n" for letter in said)


def test_paths_that_are_printed_are_harmless(monkeypatch, clip, tmp_path, capsys):
    out = tmp_path / "a\x1b[31mb"
    assert run(monkeypatch, "render", clip, *CLOUD, "--out", out) == 0
    assert run(monkeypatch, "page", out) == 0
    shown = capsys.readouterr()
    assert "a?[31mb" in shown.out and "a?[31mb" in shown.err and "\x1b" not in shown.out + shown.err


def test_an_unforeseen_error_is_one_line_and_with_debug_its_place(command, monkeypatch, capsys):
    command(lambda: {}["nothing"])
    assert run(monkeypatch, "do") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "unforeseen KeyError" in said and "--debug" in said
    assert run(monkeypatch, "do", "--debug") == 1
    said = capsys.readouterr().err
    assert "Traceback" in said and __file__ in said and said.splitlines()[-1].startswith("plenodream: unforeseen")


@pytest.mark.parametrize(
    ("cause", "code", "expected"),
    [
        ("operator torchvision::nms does not exist", 2, "torchvision does not fit torch"),
        ("no such symbol", 1, "Failed to import loaders, because of OSError: no such symbol"),
    ],
)
def test_what_a_library_wraps_is_named(command, monkeypatch, capsys, cause, code, expected):
    def fail() -> None:
        try:
            raise OSError(cause)
        except OSError as error:
            raise RuntimeError("Failed to import loaders") from error

    command(fail)
    assert run(monkeypatch, "do") == code
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_render_that_is_ended_by_a_signal_goes_on_later(monkeypatch, clip, tmp_path, capsys, kind):
    former = signal.getsignal(signal.SIGTERM)
    render, out = AutoregressiveRenderer.render_views, tmp_path / "scene"

    def ended(self, names, window):
        if names == ["tilt-up"]:
            os.kill(os.getpid(), kind)
        render(self, names, window)

    asked = ("render", clip, *CLOUD, "--trajectory", "tilt-up", "--out", out)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(AutoregressiveRenderer, "render_views", ended)
            assert run(monkeypatch, *asked) == 130
        assert "stopped; run the same command again to continue" in capsys.readouterr().err
        scene = Scene.open(out)
        assert scene.complete("static") and not scene.complete("tilt-up")
        assert (out / "index.html").is_file() and not list(out.rglob(".tmp-*"))
        assert run(monkeypatch, *asked) == 0, capsys.readouterr().err
        assert Scene.open(out).complete("tilt-up")
    finally:
        signal.signal(signal.SIGTERM, former)


INTERRUPTED = """
import signal, sys

library = sys.argv.pop(1)

class CtrlC:
    def find_spec(self, name, *_):
        if name == library:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from plenodream.cli import main
main()
"""


@pytest.mark.parametrize("library", ["tyro", "torch"])
def test_ctrl_c_during_imports_is_one_line(library, clip, tmp_path):
    out = tmp_path / "scene"
    words = [sys.executable, "-c", INTERRUPTED, library, "render", clip, *CLOUD, "--out", out]
    stopped = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert stopped.returncode == 130 and not stopped.stdout and not out.exists()
    assert stopped.stderr.count("\n") == 1 and stopped.stderr.startswith("plenodream: stopped; run the same command"), (
        stopped.stderr
    )


def test_closed_streams_ascii_locale_and_names_of_bytes(monkeypatch, clip, tmp_path):
    """One process for all: no stream is open, the locale is C without UTF-8, names are no text in it."""
    source, out = os.fsencode(clip.with_name("klöp.mkv")), os.fsencode(tmp_path / "sc\u00f6") + b"\xff"
    os.rename(clip, source)
    words = [os.fsencode(sys.executable), b"-m", b"plenodream", b"render", source, *map(os.fsencode, CLOUD)]
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    closing = [b"sh", b"-c", b'exec "$@" <&- >&- 2>&-', b"sh"]
    assert subprocess.run([*closing, *words, b"--out", out], env=plain, timeout=300).returncode == 0
    scene = Scene.open(os.fsdecode(out))
    assert torch.equal(scene.frames("static"), read_video(os.fsdecode(source)).frames)
    page = Path(os.fsdecode(out), "index.html").read_text("utf-8")
    assert "<h1>scö\ufffd</h1>" in page
    assert run(monkeypatch, "page", os.fsdecode(out)) == 0


@pytest.fixture
def pipe(tmp_path):
    """Makes named pipes out of which a content can be read once."""
    writers = []

    def make(name: str, content: bytes) -> Path:
        os.mkfifo(tmp_path / name)
        writer = threading.Thread(target=lambda: (tmp_path / name).write_bytes(content), daemon=True)
        writer.start()
        writers.append(writer)
        return tmp_path / name

    yield make
    for writer in writers:
        writer.join(timeout=10)
        assert not writer.is_alive()


def test_cameras_from_a_pipe_are_read_once(monkeypatch, clip, pipe, tmp_path):
    lines = "\n".join(f"1 0 0 {x} 0 1 0 0 0 0 1 0" for x in (0, 0.1, 0.2)).encode()
    (tmp_path / "path.txt").write_bytes(lines)
    files = (
        "--trajectory-file",
        pipe("a", lines),
        "--trajectory-file",
        pipe("b", lines),
        "--cameras",
        pipe("c", lines),
    )
    out = tmp_path / "scene"
    assert run(monkeypatch, "render", clip, *CLOUD, *files, "--out", out, "--quiet") == 0
    scene = Scene.open(out)
    assert scene.names() == ["source", "static", "a", "b"]
    expected = load_cameras(tmp_path / "path.txt", 16, 24, 3, scene.cameras("source").intrinsics[0])
    for name in ("source", "a", "b"):
        assert torch.equal(scene.cameras(name).camera_to_world, expected.camera_to_world)


def test_the_page_command_makes_what_is_missing_or_damaged(monkeypatch, clip, tmp_path, capsys):
    out = tmp_path / "scene"
    assert run(monkeypatch, "render", clip, *CLOUD, "--out", out, "--quiet") == 0
    whole = {path: path.read_bytes() for path in out.glob("*.*")}
    for name in ("index.html", "grid.mp4"):
        (out / name).unlink()
    (out / "static.mp4").write_bytes(whole[out / "static.mp4"][:300])
    capsys.readouterr()
    assert run(monkeypatch, "page", out) == 0
    assert capsys.readouterr().out == f"{out}/index.html\n"
    assert {path: path.read_bytes() for path in out.glob("*.*")} == whole
    assert run(monkeypatch, "page", out, "--single-file") == 0
    assert b"data:video/mp4;base64," in (out / "index.html").read_bytes()
    assert run(monkeypatch, "page", tmp_path / "none") == 2
    assert "no such folder; expected a scene" in capsys.readouterr().err


def test_a_render_says_before_its_first_view_how_many_there_will_be_and_how_long(monkeypatch, clip, tmp_path, capsys):
    def stopped(self, names, window):
        raise ValueError("here it would begin")

    words = ("--trajectory", "tilt-up", "--trajectory", "rotate-left")
    asked = ("render", clip, *CLOUD, *words, "--out", tmp_path / "scene")
    with monkeypatch.context() as patch:
        patch.setattr(AutoregressiveRenderer, "render_views", stopped)
        assert run(monkeypatch, *asked, "--k", 1, "--as-paper") == 2
    assert "3 views to render and 3 merged for them; about 1 s\n" in capsys.readouterr().err


def test_a_start_that_fails_leaves_nothing(monkeypatch, clip, tmp_path, capsys):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device", "video.mkv")

    mine = tmp_path / "mine"
    mine.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Scene, "write", full)
        for out in (tmp_path / "new" / "scene", mine):
            assert run(monkeypatch, "render", clip, *CLOUD, "--out", out) == 2
            assert "disk full" in capsys.readouterr().err
    assert not (tmp_path / "new").exists() and [path.name for path in mine.iterdir()] == [".lock"]
    # Other settings than those of the failed start are no obstacle.
    assert run(monkeypatch, "render", clip, *CLOUD, "--out", mine, "--k", 2, "--seed", 3, "--quiet") == 0


def test_cameras_that_go_farther_than_a_model_has_seen_are_said(tmp_path, tiny_video):
    source = still_cameras(3, 16, 16)
    near, far = (
        trajectory_cameras(t, source) for t in parse_trajectories(["truck-left:distance=1", "truck-left:distance=9"])
    )
    assert travel_cautions(source, {"near": near}, 4.0, reach=1.0) == []
    (line,) = travel_cautions(source, {"near": near, "far": far}, 4.0, reach=1.0)
    assert line.startswith("far goes 9 m from the source's first camera; the model has seen up to 4 m around a subject")
    assert travel_cautions(source, {"far": far}, 4.0, reach=None) == []
    assert travel_cautions(source, {"far": far}, 40.0, reach=1.0) == []
    poses = source.camera_to_world.clone()
    poses[-1, 0, 3] = 0.002
    (line,) = travel_cautions(replace(source, camera_to_world=poses), {}, 4.0, reach=1.0)
    assert "moves 2 mm in all: if its lengths are not metres, give --scale" in line
    model = replace(reprojection_model(), reach=1.0, needs_depth=False)
    with pytest.warns(UserWarning, match="static goes 9 m from the source's first camera"):
        prepare_scene(tmp_path / "scene", tiny_video(), make_request({"static": far}), model)
