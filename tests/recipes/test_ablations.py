"""The ablations at the least size: trained, rendered, scored, and gone on with where they stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from plenodream.evaluation.benchmarks.basic import BASIC
from plenodream.recipes import ablations as module
from plenodream.recipes import get_recipe
from plenodream.recipes.ablations import VARIANTS, Ablations, run_ablations
from plenodream.recipes.pico import pico
from plenodream.training.batches.contexts import generate_chained_views
from plenodream.training.build import build_model
from plenodream.types import Cameras

TINY = replace(BASIC["basic-mini"], frames=3, sizes=((16, 16),))


def test_variants_differ_in_what_they_say_alone():
    base = Ablations(None)  # type: ignore[arg-type]
    configs = {name: base.config(variant, 1) for name, variant in VARIANTS.items()}
    full = configs["full"]
    assert full.steps == pico().steps and full.second.steps == full.steps // 5 and full.seed == 1
    assert configs["no-self-conditioning"] == replace(full, steps=full.steps + full.second.steps, validate_every=3600)
    for name in ("chain-2", "chain-4"):
        assert configs[name] == full
    assert {stage.max_context for stage in configs["no-progressive"].curriculum.stages} == {3}
    assert not any(stage.source_context for stage in configs["random-context"].curriculum.stages)
    assert configs["overlap-in-loss"].objective == replace(full.objective, overlap_in_loss=True)
    assert configs["alone"].curriculum.largest_context == 1
    for name in ("pico", "agibot-pico"):
        config = get_recipe(name)
        assert sum(weight.numel() for weight in build_model(config).parameters()) < 1e6
    for name, start in (("agibot-pico", "pico"), ("agibot-nano", "nano")):
        config = get_recipe(name)
        assert config.source_view == "head" and config.model == get_recipe(start).model  # so its weights fit
        assert all(stage.family == "disk" and stage.views == 3 for stage in config.curriculum.stages)
        assert [stage.max_context for stage in config.curriculum.stages] == [1, 2, 2]


def test_a_run_goes_through_all_steps_and_does_nothing_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "get_benchmark", lambda name: TINY)
    monkeypatch.setattr(module, "pico", lambda: small)
    small = pico()
    stages = tuple(replace(s, frames=min(s.frames, 3), batch=1) for s in small.curriculum.stages)
    small = replace(small, curriculum=replace(small.curriculum, stages=stages), height=16, width=16)
    chosen = Ablations(tmp_path, seeds=1, scenes=2, shots=2, steps=2, variants=("full", "chain-2"))
    reports = run_ablations(chosen, quiet=True)
    assert [report.name for report in reports] == ["full", "chain-2"]
    psnr = [report.number("psnr.all") for report in reports]
    assert all(number is not None and number.samples == 4 for number in psnr)
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert runs == ["progressive-s0", "progressive-s0-chain1", "progressive-s0-chain2"]
    notes = [json.loads((tmp_path / "runs" / run / "model" / "training.json").read_text()) for run in runs]
    assert [note["steps"] for note in notes] == [2, 1, 1]  # what is scored is the end of the run
    steps = [json.loads((tmp_path / "runs" / run / "checkpoint" / "recipe.json").read_text())["steps"] for run in runs]
    assert steps == [2, 1, 1]
    manifests = [json.loads(path.read_text()) for path in sorted((tmp_path / "contexts").glob("*/contexts.json"))]
    assert ["chain" in content for content in manifests] == [False, True]
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    again = run_ablations(chosen, quiet=True)
    assert again == reports and stamps == {path: path.stat().st_mtime_ns for path in stamps}
    with pytest.raises(ValueError, match="ablations of other steps"):
        run_ablations(replace(chosen, steps=3), quiet=True)


def test_chained_contexts_see_what_was_made_and_true_views_begin_every_chain():
    shown = []

    class Sampler:
        def encode(self, signal, cameras, anchor):
            assert len(signal) == len(cameras)
            return signal  # of what is read alone

        def noise(self, cameras, generator):
            return torch.zeros(1, 1, 1, 1, 1)

        def sample(self, context, cameras, anchor, noise):
            shown.append(context[:, 0, 0, 0, 0].tolist())
            return torch.full_like(context[:1], 0.5)

    views = torch.linspace(-1, 1, 6)[:, None, None, None, None].expand(6, 3, 2, 4, 4)  # -1, -0.6, -0.2, 0.2, 0.6, 1
    poses = torch.eye(4).expand(1, 6, 2, 4, 4)
    scene = SimpleNamespace(signal=views[None].clone(), cameras=Cameras(poses, torch.ones(1, 6, 2, 4), 4, 4))
    made = generate_chained_views(Sampler(), scene, 2, 3, torch.Generator().manual_seed(0))
    assert made.shape == (5, 2, 4, 4, 3)
    source, generated = -1.0, 0.5
    assert shown[0] == [source] and shown[1] == [source, generated] and shown[3] == [source, generated]
    # The second chain begins from true views alone: those made before are true again.
    assert shown[2][0] == source and {round(value, 1) for value in shown[2][1:]} == {-0.6, -0.2}
    assert generated not in shown[4]
