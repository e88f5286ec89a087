"""From a publisher's checkpoint to a scene and one more of its views: tiny random weights in published layouts."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_published import write_checkpoint, write_vae

from plenodream.models.convert import convert
from plenodream.rendering.load import load_pipeline
from plenodream.viewer.scene_page import write_scene_page


def make_model(name, tmp_path):
    """A model's folder as `convert` makes it, set to a size that a test can wait for."""
    source, base = write_checkpoint(name, tmp_path)
    folder = tmp_path / name
    convert(source, folder, "plenoptic" if name == "plenoptic" else "auto", base, write_vae(tmp_path))
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    assert index["frames"] in (81, 93) and index["steps"] in (35, 50)
    path.write_text(json.dumps(index | {"height": 32, "width": 48, "frames": 5, "steps": 2, "overlap": 0}))
    torch.manual_seed(1)
    features = 32 if name in ("cosmos", "plenoptic") else 16
    save_file(
        {"prompt": torch.randn(1, 3, features), "negative": torch.randn(1, 2, features)}, folder / "text.safetensors"
    )
    return folder


def add_image_encoder(folder):
    """A tiny CLIP with as many patches as the published one."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPVisionConfig(**sizes, image_size=32, patch_size=2)
    transformers.CLIPVisionModel(config).save_pretrained(folder / "image_encoder")


@pytest.mark.parametrize("name", ["recammaster", "redirector", "cosmos", "plenoptic"])
def test_a_converted_checkpoint_renders_a_scene_and_one_more_view(name, tmp_path, tiny_video):
    folder = make_model(name, tmp_path)
    if name == "redirector":
        add_image_encoder(folder)
    pipeline = load_pipeline(str(folder), "cpu")
    video = tiny_video(5, height=32, width=48)
    scene = pipeline(video, ["arc-left", "tilt-up"], tmp_path / "scene")
    first = scene.frames("arc-left")
    assert first.float().std() > 1 and not torch.equal(first, scene.frames("tilt-up"))
    write_scene_page(scene)
    pipeline = load_pipeline(str(folder), "cpu")
    scene = pipeline(video, ["arc-left", "tilt-up", "zoom-out"], tmp_path / "scene")
    assert set(scene.names("view")) == {"arc-left", "tilt-up", "zoom-out"}
    assert torch.equal(scene.frames("arc-left"), first)


def test_words_are_told_and_a_network_that_reads_them_needs_them(tmp_path, tiny_video):
    folder, video = make_model("recammaster", tmp_path), tiny_video(5, height=32, width=48)
    one = load_pipeline(str(folder), "cpu")(video, ["arc-left"], tmp_path / "one").frames("arc-left")
    save_file({"prompt": torch.ones(1, 3, 16), "negative": torch.zeros(1, 2, 16)}, folder / "text.safetensors")
    other = load_pipeline(str(folder), "cpu")(video, ["arc-left"], tmp_path / "other").frames("arc-left")
    assert not torch.equal(one, other)
    (folder / "text.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"text.safetensors: damaged"):
        load_pipeline(str(folder), "cpu")
    (folder / "text.safetensors").unlink()
    with pytest.raises(ValueError, match=r"reads words and was given none: expected text.safetensors"):
        load_pipeline(str(folder), "cpu")(video, ["arc-left"], tmp_path / "none")
