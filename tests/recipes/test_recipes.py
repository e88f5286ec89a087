from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image

from plenodream.files.lock import locked
from plenodream.models.cosmos.scheduler import CosmosUniPCScheduler
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.recipes import RECIPES, get_recipe
from plenodream.recipes.run import configure, train
from plenodream.recipes.validation import SCORES, make_validation
from plenodream.training.build import build_model, set_trainable
from plenodream.training.config import RunOptions
from plenodream.training.export import make_scheduler
from plenodream.training.objective import draw_context

SMALL = [
    "height=16", "width=16", "model.num_layers=1", "model.num_attention_heads=1", "sampling.steps=2", "steps=4",
    *[
        f"curriculum.stages.{number}.{change}"
        for number, stage in enumerate(get_recipe("nano").curriculum.stages)
        for change in ("batch=1", f"frames={min(stage.frames, 2)}")
    ],
]  # fmt: skip


def parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in CosmosCameraTransformer(**get_recipe(name).model).parameters())


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_named_after_themselves_and_are_json(name):
    assert json.loads(get_recipe(name).to_json())["name"] == name.removesuffix("-cpu")


def test_sizes():
    assert parameters("nano") <= 3_000_000
    assert 20_000_000 <= parameters("mini") <= 30_000_000
    assert parameters("basic") > 1_900_000_000
    nano = get_recipe("nano")
    assert nano.height >= 48 and nano.frames >= 9
    mini = get_recipe("mini")
    assert mini.height >= 64 and mini.frames == 9


def test_the_paper_s_recipe():
    basic = get_recipe("basic")
    spans = [(s.max_context, s.share * basic.steps) for s in basic.curriculum.stages]
    assert spans == [(1, 10_000), (2, 4_000), (3, 1_000), (4, 1_000)]
    assert [basic.curriculum.at(step / basic.steps)[1].max_context for step in (0, 9_999, 10_000, 14_000, 15_999)] == [
        1, 1, 2, 3, 4,
    ]  # fmt: skip
    assert (basic.height, basic.width, basic.frames) == (432, 768, 81)
    small = replace(basic, model=basic.model | {"num_layers": 1, "num_attention_heads": 1, "text_embed_dim": 16,
                    "crossattn_proj_in_channels": 16, "encoder_hidden_states_channels": 16})  # fmt: skip
    model = build_model(small)
    set_trainable(model, basic.trainable)
    trained = {name.split(".", 2)[2] for name, p in model.named_parameters() if p.requires_grad}
    parts = ("cam_encoder", "norm_k", "norm_q", "to_k", "to_out.0", "to_q", "to_v")
    assert trained == {f"attn1.{part}.weight" for part in parts}


def test_no_recipe_samples_at_a_guidance_that_it_does_not_train():
    for name in RECIPES:
        config = get_recipe(name)
        assert not config.sampling.guidance or config.guided_by
    assert (get_recipe("basic").objective.caption_dropout, get_recipe("basic").sampling.guidance) == (0.2, 7)
    with pytest.raises(ValueError, match=r"sampling.guidance is 7, but the model does not train with and"):
        configure("basic", ["objective.caption_dropout=1"], data="somewhere")


def test_the_paper_s_overlap_scheduler_and_second_stage():
    basic = configure("basic", contexts=Path("contexts"))
    (stage,) = basic.curriculum.stages
    assert (basic.steps, stage.self_conditioning, stage.targets) == (2_000, 1.0, 1)
    assert basic.objective.overlap_in_loss and not get_recipe("nano").objective.overlap_in_loss
    scheduler = make_scheduler(basic)
    assert isinstance(scheduler, CosmosUniPCScheduler)
    assert scheduler.config.flow_shift == 5 and scheduler.config.use_flow_sigmas
    assert isinstance(make_scheduler(get_recipe("nano")), FlowMatchEulerDiscreteScheduler)


def test_agibot_goes_from_head_to_grippers():
    config = configure("agibot", data="somewhere")
    (stage,) = config.curriculum.stages
    assert (config.source_view, config.steps, stage.views, stage.max_context) == ("head", 15_000, 3, 2)
    assert list(stage.target_views) == [2]  # one gripper, from the head alone or from the other one, too
    sizes = (stage.min_context, stage.max_context)
    drawn = [draw_context(1, 3, range(2, 3), k, torch.Generator(), stage.source_context) for k in sizes]
    assert [table.flatten().tolist() for table in drawn] == [[0], [0, 1]]


@pytest.mark.parametrize(("name", "words"), [("nanno", "did you mean 'nano'"), ("xyz", "expected one of nano")])
def test_unknown_recipes_get_a_suggestion(name, words):
    with pytest.raises(ValueError, match=words):
        get_recipe(name)


def test_data_on_disk_is_asked_for_and_used():
    with pytest.raises(ValueError, match="--data"):
        configure("basic")
    stages = configure("nano", data="somewhere").curriculum.stages
    assert {stage.family for stage in stages} == {"disk"}
    assert {stage.family for stage in configure("nano").curriculum.stages} == {"mild"}


def test_a_run_from_name_to_model(tmp_path):
    scores = train("nano", RunOptions(tmp_path / "run", quiet=True), SMALL)
    assert set(scores) <= set(SCORES) and 0 < scores["seen"] < 40
    assert sorted(path.name for path in (tmp_path / "run" / "sheets").iterdir()) == ["0000000.png", "0000004.png"]
    assert (tmp_path / "run" / "model" / "model_index.json").exists()
    with pytest.raises(ValueError, match="no weights there"):
        train("nano", RunOptions(tmp_path / "other", init_from=tmp_path / "nothing", quiet=True), SMALL)


def test_a_second_start_on_one_folder_is_refused(tmp_path):
    before = {"checkpoint": "whole", ".old-photos": "mine", ".tmp-notes": "mine"}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with locked(tmp_path, "trained"):
        for resume in (False, True):
            with pytest.raises(ValueError, match=r"is being trained by process .*wait for it or end it, then repeat"):
                train("nano", RunOptions(tmp_path, quiet=True, resume=resume), SMALL)
    with pytest.raises(ValueError, match="holds a run already"):
        train("nano", RunOptions(tmp_path, quiet=True), SMALL)
    assert {name: (tmp_path / name).read_text() for name in before} == before


def test_a_refused_run_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="TensorBoard is not installed"):
        train("nano", RunOptions(tmp_path / "runs" / "a", quiet=True, tensorboard=True), SMALL)
    assert not (tmp_path / "runs").exists()


def test_a_run_with_images_resumes_with_the_same_ones_alone(tmp_path):
    photos, others = tmp_path / "photos", tmp_path / "others"
    for folder, colour in ((photos, "red"), (others, "blue")):
        folder.mkdir()
        Image.new("RGB", (8, 8), colour).save(folder / "a.png")

    def run(out="run", **arguments):
        options = RunOptions(tmp_path / out, quiet=True, stop_after=1, resume=(tmp_path / out).exists())
        return train("nano", options, SMALL, **arguments)

    # Held-out scenes have no images: what is not trained yet scores the same.
    (first,) = {run(textures=photos)["copied"], run("plain")["copied"]}
    assert 0 < first < 40
    run(textures=photos)
    for arguments in ({"textures": others}, {}):
        with pytest.raises(ValueError, match="trained on other data"):
            run(**arguments)
    with pytest.raises(ValueError, match="trained on other data"):
        run("plain", textures=photos)
    with pytest.raises(ValueError, match="leave --data and --contexts out"):
        run("new", textures=photos, data=tmp_path)
    with pytest.raises(ValueError, match="leave --data out, or --contexts"):
        run("new", contexts=photos, data=tmp_path)


def test_contexts_need_no_other_data():
    """The paper's recipe trains on videos from disk; its second stage on the contexts made of them."""
    (stage,) = configure("basic", contexts=Path("contexts")).curriculum.stages
    assert stage.self_conditioning > 0 and stage.max_context == 4
    with pytest.raises(ValueError, match="expected --data"):
        configure("basic")


def test_validation_is_the_same_for_the_same_weights(tmp_path):
    config = configure("nano", SMALL)
    validate = make_validation(config, scenes=2, views=2)
    model = build_model(config).eval()
    assert validate(model, tmp_path, 1) == validate(model, tmp_path, 2)
    assert make_validation(get_recipe("basic")) is None
