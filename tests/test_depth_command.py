"""`plenodream depth`, and a view given the depth it writes."""

from __future__ import annotations

import huggingface_hub
import numpy as np
import pytest
import torch

from plenodream.cli.depth import Depth, depth
from plenodream.estimate.depth import with_depth
from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.media.depth import DISPARITY, METRIC, RawDepth, load_depth
from plenodream.media.video import write_lossless
from plenodream.types import Cameras, View


@pytest.fixture
def clip(tmp_path):
    frames = torch.randint(0, 255, (3, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_lossless(tmp_path / "clip.mkv", frames, 8.0)
    return tmp_path / "clip.mkv"


def test_a_file_of_another_program_becomes_metres(clip, tmp_path, capsys):
    disparity = np.linspace(0, 1, 3 * 8 * 12, dtype=np.float32).reshape(3, 8, 12)
    np.savez(tmp_path / "crafter.npz", depth=disparity)
    assert depth(Depth(clip, file=tmp_path / "crafter.npz", out=tmp_path / "depth", subject_distance=2.0)) == 0
    assert "disparity of unknown scale and shift; the picture's middle taken to be 2 m" in capsys.readouterr().out
    raw = load_depth(tmp_path / "depth")
    assert raw.kind == METRIC and raw.values.shape == (3, 8, 12)
    assert abs(raw.values[1, 4, 6] - 2) < 0.15 and raw.values[0].mean() > raw.values[2].mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected either --model or --file"),
        ({"model": "a/b", "file": "x"}, "expected either --model or --file"),
        ({"model": "/nowhere/at/all"}, "depth model /nowhere/at/all: no such folder; expected one, or owner/name"),
        ({"model": "missing/"}, "depth model missing/: no such folder"),
        ({"model": "a", "depth_kind": METRIC}, "--depth-kind says what a file holds"),
        ({"file": "short.npz"}, "depth of 2 frames for a video of 3"),
        ({"file": "square.npz"}, r"depth maps of 8x8 for frames of 48x32"),
        ({"file": "short.npz", "subject_distance": 0.0}, "expected more than 0 m"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(clip, tmp_path, options, message):
    for name, shape in (("short", (2, 8, 12)), ("square", (3, 8, 8))):
        np.savez(tmp_path / f"{name}.npz", depth=np.ones(shape), unit="metres along z")
    given = {key: tmp_path / value if key == "file" else value for key, value in options.items()}
    with pytest.raises(ValueError, match=message):
        depth(Depth(clip, out=tmp_path / "depth", **given))
    assert not (tmp_path / "depth").exists()


def test_a_view_takes_small_depth_with_its_own_edges_and_picks_frames(clip):
    frames = torch.full((2, 32, 48, 3), 20, dtype=torch.uint8)
    frames[:, :, 20:] = 220
    cameras = Cameras(torch.eye(4).repeat(2, 1, 1), intrinsics_from_fov(60, 32, 48).repeat(2, 1), 32, 48)
    values = torch.where(torch.arange(6) < 3, 2.0, 5.0).expand(4, 4, 6)
    view, note = with_depth(View(frames, cameras, 8.0), RawDepth(values, METRIC, "a file: metres"), 4.0, index=(0, 3))
    assert (
        torch.allclose(view.depth[:, :, :20], torch.tensor(2.0)) and note == "depth: a file: metres; taken as they are"
    )
    assert torch.allclose(view.depth[:, :, 20:], torch.tensor(5.0))
    with pytest.raises(ValueError, match="depth of 4 frames for a video of 2"):
        with_depth(view, RawDepth(values, DISPARITY, "a file"), 4.0)


@pytest.mark.parametrize("network", ["refused", "offline"])
def test_a_model_of_the_hub_without_network_is_one_line(clip, tmp_path, monkeypatch, run, network):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", network == "offline")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    code, _, error = run("depth", clip, "--model", "a-stranger/depth", "--out", tmp_path / "depth")
    assert code == 2 and error.count("\n") == 1 and "Retrying" not in error
    assert "depth model a-stranger/depth: cannot be loaded" in error and "a hub that can be reached" in error
    assert not (tmp_path / "depth").exists()
