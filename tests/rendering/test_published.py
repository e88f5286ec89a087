"""From a publisher's checkpoint to a scene and one more of its views: tiny random weights in published layouts."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_published import write_checkpoint, write_vae

from plenodream.memory.scene import Scene
from plenodream.models.convert import convert
from plenodream.rendering.fit import AS_IT_IS, Fit
from plenodream.rendering.load import load_pipeline
from plenodream.rendering.pipeline import PlenopticPipeline
from plenodream.rendering.prepare import scene_words
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
        with pytest.raises(ValueError, match="told what CLIP sees in the first frame: expected image_encoder"):
            load_pipeline(str(folder), "cpu")
        add_image_encoder(folder)
    pipeline = load_pipeline(str(folder), "cpu")
    video = tiny_video(5, height=32, width=48)
    scene = pipeline(video, ["arc-left", "tilt-up"], tmp_path / "scene")
    first = scene.frames("arc-left")
    assert first.float().std() > 1 and not torch.equal(first, scene.frames("tilt-up"))
    write_scene_page(scene)
    pipeline = load_pipeline(
        str(folder), "cpu", fit=Fit(offload="group", quantize="8bit")
    )  # another machine, so to say
    scene = pipeline(video, ["arc-left", "tilt-up", "zoom-out"], tmp_path / "scene")
    assert set(scene.names("view")) == {"arc-left", "tilt-up", "zoom-out"}
    assert torch.equal(scene.frames("arc-left"), first)


@pytest.fixture(scope="module")
def recammaster(tmp_path_factory):
    """A model's folder, and what it makes as it is."""
    return make_model("recammaster", tmp_path_factory.mktemp("recammaster"))


def rendered(folder, video, fit=AS_IT_IS):
    """Pixels of one view, and which model says that it made them."""
    pipeline = load_pipeline(str(folder), "cpu", fit=fit)
    return pipeline(video, ["arc-left"])["arc-left"].frames.float(), pipeline.fingerprint()


@pytest.fixture(scope="module")
def plain(recammaster, tiny_video):
    """What the model makes as it is."""
    return rendered(recammaster, tiny_video(5, height=32, width=48))


@pytest.mark.parametrize("offload", ["model", "group", "disk"])
def test_offload_changes_no_pixel_and_not_which_model_it_is(offload, recammaster, plain, tiny_video):
    frames, identity = rendered(recammaster, tiny_video(5, height=32, width=48), Fit(offload=offload))
    assert torch.equal(frames, plain[0]) and identity == plain[1]


@pytest.mark.parametrize(
    "fit",
    [Fit(quantize="8bit"), Fit(quantize="fp8"), Fit(quantize="4bit"), Fit(dtype="fp16"), Fit(dtype="bf16")],
    ids=lambda fit: fit.quantize or fit.dtype,
)
def test_fewer_bits_change_little_and_not_which_model_it_is(fit, recammaster, plain, tiny_video):
    frames, identity = rendered(recammaster, tiny_video(5, height=32, width=48), fit)
    difference = (frames - plain[0]).abs().mean() / plain[0].std()
    assert 0 < difference < (0.25 if fit.quantize == "4bit" else 0.1), difference
    assert identity == plain[1]


def test_tiles_are_used_where_they_are_asked_for(recammaster, plain, tiny_video):
    video = tiny_video(5, height=32, width=48)
    pipeline = load_pipeline(str(recammaster), "cpu", fit=Fit(tiling=True))
    assert pipeline.codec.use_tiling and pipeline.codec.use_slicing
    assert torch.equal(pipeline(video, ["arc-left"])["arc-left"].frames.float(), plain[0])  # smaller than a tile


def test_what_a_model_cannot_have_is_refused_in_one_line(recammaster):
    for fit, message in (
        (Fit(attention="flash_nowhere"), r"--attention flash_nowhere: expected one of .*native"),
        (Fit(attention="sage"), r"--attention sage: not usable here \(.*sageattention"),
        (Fit(attention="_native_cudnn"), r"--attention _native_cudnn: not usable here \(No viable backend"),
        (Fit(quantize="nf4"), "--quantize nf4 on cpu: bitsandbytes needs a CUDA GPU; expected 8bit or 4bit"),
        (Fit(context_cache="fp8"), "--context-cache fp8: this network keeps no keys and values; expected device or"),
        (Fit(context_cache="recompute"), "--context-cache recompute: this network keeps no keys and values"),
    ):
        with pytest.raises(ValueError, match=message):
            load_pipeline(str(recammaster), "cpu", fit=fit)
    with pytest.raises(ValueError, match="--tiling: SpaceToDepthCodec has no tiles"):
        load_pipeline("nano", "cpu", fit=Fit(tiling=True))
    for wrong, message in (
        ({"offload": "all"}, "--offload all: expected none, model, group, disk"),
        ({"quantize": "3bit"}, "--quantize 3bit: expected 8bit, 4bit, fp8, nf4"),
        ({"dtype": "int8"}, "--dtype int8: expected fp32, bf16, fp16"),
        ({"offload": "disk", "quantize": "fp8"}, "--offload disk with --quantize fp8"),
    ):
        with pytest.raises(ValueError, match=message):
            Fit(**wrong)


def test_a_scene_keeps_its_words(recammaster, tiny_video, tmp_path):
    video = tiny_video(5, height=32, width=48)
    pipeline = load_pipeline(str(recammaster), "cpu")
    pipeline.words = {"prompt": "a dog", "negative_prompt": None}
    scene = pipeline.prepare(tmp_path / "scene", video, ["arc-left"])
    assert scene_words(tmp_path / "scene") == {"prompt": "a dog"}
    pipeline.prepare(tmp_path / "scene", None, ["tilt-up"])
    pipeline.words = {"prompt": "a cat", "negative_prompt": None}
    with pytest.raises(ValueError, match=r"made with {'prompt': 'a dog'}, not {'prompt': 'a cat'}; expected the same"):
        pipeline.prepare(tmp_path / "scene", None, ["zoom-out"])
    assert Scene.open(scene.folder).names("view") == ["arc-left", "tilt-up"]


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
        load_pipeline(str(folder), "cpu")
    # What is loaded without words renders nothing, either.
    from_python = PlenopticPipeline.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"reads words and was given none: expected text.safetensors"):
        from_python(video, ["arc-left"])
