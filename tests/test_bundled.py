"""What ships in the package: a small model that loads, and a clip that is what it says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from plenodream.demo.clip import TRAJECTORIES, WORLD, clip_folder, make_clip, true_view
from plenodream.evaluation.report import EvalReport, format_report
from plenodream.geometry.formats import load_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.video import read_video
from plenodream.rendering.catalog import DEFAULT_MODEL, bundled_models
from plenodream.rendering.load import load_pipeline
from plenodream.worlds.family import FAMILIES


def test_nano_is_small_and_loads():
    folder = bundled_models()["nano"]
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 8e6
    pipeline = load_pipeline("nano", "cpu")
    assert sum(parameter.numel() for parameter in pipeline.transformer.parameters()) <= 3e6
    assert pipeline.config.height >= 48 and pipeline.config.width >= 48 and pipeline.config.frames >= 9
    assert pipeline.transformer.dtype == torch.float32


def test_nano_depth_is_as_small_and_knows_depth():
    for name in ("nano-depth", "nano-depth-2step"):
        folder = bundled_models()[name]
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 8e6
    codec = load_pipeline("nano-depth", "cpu").codec
    assert codec.depth_channels == 64 and codec.channels == 256


def test_the_default_model_knows_depth_and_mini_is_of_its_size():
    assert DEFAULT_MODEL == "nano-depth"
    folder = bundled_models()["mini"]
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 60e6
    pipeline = load_pipeline("mini", "cpu")
    assert 20e6 <= sum(parameter.numel() for parameter in pipeline.transformer.parameters()) <= 30e6
    assert pipeline.config.height >= 64 and pipeline.config.width >= 64 and pipeline.config.frames >= 9


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("nano", "nano"), ("nano-depth", "nano-depth"), ("nano-depth-2step",) * 2, ("mini", "mini-depth")],
)
def test_a_bundled_model_is_its_recipes(name, recipe):
    from plenodream.recipes import get_recipe
    from plenodream.training.build import build_model

    stored = load_pipeline(name, "cpu").transformer
    made = build_model(get_recipe(recipe))
    assert {name: p.shape for name, p in made.named_parameters()} == {
        name: p.shape for name, p in stored.named_parameters()
    }
    trained = json.loads((bundled_models()[name] / "training.json").read_text())["recipe"]
    written = dict(flat(json.loads(get_recipe(recipe).to_json())))
    # Recipes have gained fields since; those of its time are the same.
    assert {key for key, value in flat(trained) if written.get(key, value) != value} <= {"steps"}
    assert len(written.keys() & dict(flat(trained)).keys()) > 40


def flat(value, prefix=""):
    """Leaves of nested JSON under dotted names."""
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(entry, f"{prefix}.{key}")
    else:
        yield prefix.lstrip("."), value


@pytest.mark.parametrize("name", ["nano", "nano-depth", "nano-depth-2step", "mini"])
def test_scores_on_a_model_card_are_those_of_the_model(name):
    folder = bundled_models()[name]
    card = (folder / "README.md").read_text()
    for family in FAMILIES:
        report = _stored_report(folder / f"eval_{family}.json")
        assert format_report(report).strip() in card
        assert report.fingerprint == load_pipeline(name, "cpu").fingerprint()


def _stored_report(path: Path) -> EvalReport:
    content = json.loads(path.read_text())
    return EvalReport(**{f.name: content[f.name] for f in dataclasses.fields(EvalReport) if f.name != "gallery"})


def test_clip_is_rendered_from_its_world(tmp_path: Path):
    make_clip(tmp_path, WORLD, trajectories=("arc-left",), supersample=1)
    for name in ("source.mp4", "truth/arc-left.mp4"):
        fresh, stored = (read_video(folder / name).frames.float() for folder in (tmp_path, clip_folder()))
        assert fresh.shape == stored.shape
        assert (fresh - stored).abs().mean() < 3
    fresh, stored = (
        np.unpackbits(np.load(folder / "seen.npz")["arc-left"], axis=-1) for folder in (tmp_path, clip_folder())
    )
    assert 0.1 < stored.mean() < 0.9 and (fresh != stored).mean() < 0.005
    assert load_cameras(clip_folder() / "cameras.json", 288, 288, frames=9).camera_to_world.equal(
        torch.eye(4).repeat(9, 1, 1)
    )


def test_truth_of_every_trajectory():
    source = read_video(clip_folder() / "source.mp4", size=(48, 48)).frames
    for trajectory in parse_trajectories(TRAJECTORIES):
        truth = true_view(trajectory.name, 48, 48)
        assert truth is not None and truth.frames.shape == (9, 48, 48, 3)
        # The first camera is the source's own: it sees all, and shows the same; later the camera has moved on.
        assert truth.seen[0].float().mean() > 0.9
        assert 0.2 < truth.seen[-1].float().mean() < 0.9
        assert (truth.frames[0].float() - source[0].float()).abs().mean() < 2
        assert (truth.frames[-1].float() - source[-1].float()).abs().mean() > 5
    assert true_view("orbit", 48, 48) is None
