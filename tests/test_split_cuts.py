"""Clips with cuts: a scene for every shot, and cameras of every shot."""

from __future__ import annotations

import json

import pytest
import torch

from plenodream.media.video import read_video, write_lossless
from plenodream.memory.scene import Scene
from plenodream.rendering import load


@pytest.fixture
def clip(tmp_path):
    """Shots of 4, 3 and 5 frames, each a picture that stands still."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 5, 6, generator=generator)
    pictures = (torch.nn.functional.interpolate(coarse, size=(40, 48), mode="bilinear") * 255).byte().movedim(1, -1)
    frames = torch.cat([picture.expand(count, -1, -1, -1) for picture, count in zip(pictures, (4, 3, 5), strict=True)])
    write_lossless(tmp_path / "clip.mkv", frames, 8.0)
    return tmp_path / "clip.mkv"


def test_every_shot_becomes_a_scene_of_its_own_of_one_model(run, clip, tmp_path, monkeypatch):
    loaded, plain = [], load.load_model
    monkeypatch.setattr(load, "load_model", lambda *asked: loaded.append(asked) or plain(*asked))
    words = ("render", clip, "--model", "reprojection", "--trajectory", "rotate-left:angle=5", "--split-cuts")
    code, _, err = run(*words, "--start", 1, "--out", tmp_path / "scenes")
    assert code == 0 and "3 shots, cuts at frame 4, 7: a scene for each" in err
    assert len(loaded) == 1
    frames = read_video(clip).frames
    for number, (begin, end) in enumerate(((1, 4), (4, 7), (7, 12)), start=1):
        scene = Scene.open(tmp_path / f"scenes/shot-{number}")
        assert torch.equal(scene.frames("source"), frames[begin:end]) and len(scene.names("view")) == 1
    code, out, _ = run(*words, "--frames", 4, "--json", "--out", tmp_path / "one")  # a part without a cut
    assert code == 0 and json.loads(out)["scene"] == str(tmp_path / "one")


def test_shots_of_one_frame_are_left_out_and_said(run, clip, tmp_path):
    words = ("render", clip, "--model", "reprojection", "--trajectory", "rotate-left:angle=5", "--split-cuts")
    code, _, err = run(*words, "--start", 3, "--out", tmp_path / "scenes")
    assert code == 0 and "1 of less than 2 frames left out" in err and not (tmp_path / "scenes/shot-1").exists()
    code, out, err = run("render", "--split-cuts", "--trajectory", "static", "--out", tmp_path / "scenes/shot-2")
    assert (code, out) == (2, "") and "--split-cuts without a video" in err and err.count("\n") == 1


def test_every_shot_is_planned_and_no_team_is_asked_to_render_them(run, clip, tmp_path, monkeypatch):
    words = ("render", clip, "--model", "reprojection", "--trajectory", "rotate-left:angle=5", "--split-cuts")
    assert run(*words, "--dry-run", "--out", tmp_path / "scenes")[0] == 0
    assert sorted(p.name for p in (tmp_path / "scenes").iterdir()) == [f"shot-{n}-plan" for n in (1, 2, 3)]
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = run(*words, "--out", tmp_path / "others")
    assert code == 2 and "--split-cuts under torchrun" in err and not (tmp_path / "others").exists()


def test_cameras_of_every_shot_come_in_one_file(run, clip, tmp_path):
    pytest.importorskip("pycolmap")
    code, out, err = run("cameras", clip, "--out", tmp_path / "cams.json")
    assert (code, out) == (2, "") and "3 shots: cuts at frame 4, 7" in err and "--split-cuts" in err
    assert not (tmp_path / "cams.json").exists()
    noise = torch.randint(0, 255, (2, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    large = torch.nn.functional.interpolate(noise.movedim(-1, 1).float(), scale_factor=4).byte().movedim(1, -1)
    write_lossless(tmp_path / "two.mkv", large.repeat_interleave(4, dim=0), 8.0)
    code, out, err = run("cameras", tmp_path / "two.mkv", "--split-cuts", "--fov", 50, "--out", tmp_path / "two.json")
    assert code == 0 and "shot 2, frames 4 to 7: the camera stands still" in out
    assert len(json.loads((tmp_path / "two.json").read_text())["frames"]) == 8
