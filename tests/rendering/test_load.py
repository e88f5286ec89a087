"""Models found and loaded: what comes back is what was saved, and every kind of damage is one line."""

import json
import shutil

import pytest
import torch
from diffusers import UniPCMultistepScheduler

from plenodream.models.codecs.wan import WanCodec
from plenodream.rendering import load
from plenodream.rendering.catalog import DEFAULT_MODEL, bundled_models, model_for
from plenodream.rendering.load import hollow_model, load_pipeline
from plenodream.rendering.pipeline import PlenopticPipeline

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def saved(tiny_pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    tiny_pipeline(seed=3, guidance=0.5, overlap=2).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_saved_pipeline_comes_back_exactly(saved, tiny_pipeline):
    loaded, original = load_pipeline(str(saved), "cpu"), tiny_pipeline(seed=3, guidance=0.5, overlap=2)
    assert isinstance(loaded, PlenopticPipeline)
    assert loaded.fingerprint() == original.fingerprint()
    assert loaded.default_settings() == original.default_settings()
    for name in ("height", "width", "frames", "overlap", "steps", "guidance", "context_views", "model_name"):
        assert loaded.config[name] == original.config[name], name
    assert loaded.scheduler.config.shift == 3.0
    state = loaded.transformer.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in original.transformer.state_dict().items())
    assert loaded.device.type == "cpu"


@pytest.mark.parametrize("load", [lambda folder: load_pipeline(folder, "cpu"), PlenopticPipeline.from_pretrained])
def test_loading_is_quiet(saved, capfd, load):
    load(str(saved))
    assert capfd.readouterr() == ("", "")


def test_a_pipeline_on_the_wan_codec_comes_back_too(tiny_denoiser, tmp_path, capfd):
    codec = WanCodec(base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.5] * 4, latents_std=[2.0] * 4)
    scheduler = UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=5.0)
    pipeline = PlenopticPipeline(tiny_denoiser(camera_numbers=6 * 64), codec, scheduler)
    pipeline.save_pretrained(tmp_path)
    loaded = load_pipeline(str(tmp_path), "cpu")
    assert isinstance(loaded.codec, WanCodec)
    assert isinstance(loaded.scheduler, UniPCMultistepScheduler)
    assert loaded.fingerprint() == pipeline.fingerprint()
    assert capfd.readouterr().err == ""


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
    "index is no JSON": (lambda f: (f / "model_index.json").write_text("{"), "not valid JSON"),
    "index is a list": (lambda f: (f / "model_index.json").write_text("[]"), "found .., expected object"),
    "index of another pipeline": (
        lambda f: edit(f / "model_index.json", _class_name="WanPipeline"),
        "describes a WanPipeline; expected a PlenopticPipeline",
    ),
    "unknown network": (
        lambda f: edit(f / "model_index.json", transformer=["plenodream", "Nope"]),
        "transformer is .*Nope",
    ),
    "no codec": (lambda f: edit(f / "model_index.json", codec=[None, None]), "codec is .*None"),
    "no weights": (lambda f: (f / "transformer" / WEIGHTS).unlink(), "transformer: no weights"),
    "no codec weights": (lambda f: (f / "codec" / WEIGHTS).unlink(), "codec: no weights"),
    "weights cut off": (lambda f: cut(f / "transformer" / WEIGHTS), "damaged or cut off"),
    "codec weights empty": (lambda f: (f / "codec" / WEIGHTS).write_bytes(b""), "damaged or cut off"),
    "no config": (lambda f: (f / "transformer" / "config.json").unlink(), "config.json: missing or damaged"),
    "config is no JSON": (lambda f: (f / "codec" / "config.json").write_text("{"), "config.json: missing or damaged"),
    "config of another type": (
        lambda f: edit(f / "transformer" / "config.json", num_layers="x"),
        "config.json: missing or damaged",
    ),
    "missing keys": (
        lambda f: edit(f / "transformer" / "config.json", num_layers=3),
        "21 tensors missing in the weights, e.g. transformer_blocks.2.attn1.cam_encoder.weight",
    ),
    "keys too many": (lambda f: edit(f / "transformer" / "config.json", num_layers=1), "21 tensors unknown"),
    "other shapes": (lambda f: edit(f / "transformer" / "config.json", adaln_lora_dim=9), "size mismatch"),
    "half a pixel": (lambda f: edit(f / "model_index.json", height=16.5), "height is 16.5"),
    "no frames": (lambda f: edit(f / "model_index.json", frames=0), "frames is 0"),
    "odd size": (lambda f: edit(f / "model_index.json", width=17), "expected multiples of 8 pixels"),
    "all overlap": (lambda f: edit(f / "model_index.json", overlap=3), "less overlap than frames"),
    "guidance in words": (lambda f: edit(f / "model_index.json", guidance="x"), "guidance is 'x'; expected a number"),
    "guidance that is none": (lambda f: edit(f / "model_index.json", guidance=float("nan")), "not valid JSON"),
    "another codec": (
        lambda f: edit(f / "codec" / "config.json", patch=4),
        "out_channels is 192: expected 48, to fit the codec",
    ),
    "half a codec": (lambda f: edit(f / "codec" / "config.json", patch=8.0), "patch is 8.0: expected a whole number"),
    "a layout of nothing": (
        lambda f: edit(f / "transformer" / "config.json", layout=None),
        "layout is None: expected a list of context, context., target, with a target",
    ),
    "an unknown slot": (
        lambda f: edit(f / "transformer" / "config.json", layout=["target", ["past"]]),
        "layout is .*past",
    ),
    "no target": (lambda f: edit(f / "transformer" / "config.json", layout=["context*"]), "with a target"),
    "no flow": (
        lambda f: edit(f / "model_index.json", scheduler=["diffusers", "DDIMScheduler"]),
        "scheduler is .*DDIM",
    ),
    "a scheduler from elsewhere": (
        lambda f: edit(f / "model_index.json", scheduler=["antigravity", "UniPCMultistepScheduler"]),
        "scheduler is .*antigravity.*expected one of diffusers.Flow",
    ),
    "a network from elsewhere": (
        lambda f: edit(f / "model_index.json", transformer=["antigravity", "CosmosCameraTransformer"]),
        "transformer is .*antigravity.*expected one of plenodream",
    ),
    "far too many frames": (lambda f: edit(f / "model_index.json", frames=10**9), "frames is 1000000000; expected"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_folder_is_refused_in_one_line(copy, damage, message):
    damage(copy)
    with pytest.raises(ValueError, match=message) as error:
        load_pipeline(str(copy), "cpu")
    assert type(error.value) is ValueError
    assert "\n" not in str(error.value)
    assert str(copy) in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera_numbers": 6 * 16}, "camera_numbers is 96: expected 384"),
        ({"in_channels": 192}, "in_channels is 192: expected 193 or 194"),
    ],
)
def test_a_transformer_of_another_codec_is_refused(tiny_pipeline, tmp_path, changes, message):
    tiny_pipeline(**changes).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_pipeline(str(tmp_path), "cpu")


def test_a_model_of_a_hub_is_checked_like_a_folder(copy, monkeypatch):
    monkeypatch.setattr(PlenopticPipeline, "download", lambda name, **_: {"owner/name": str(copy)}[name])
    assert load_pipeline("owner/name", "cpu").config.model_name == "tiny"
    edit(copy / "transformer" / "config.json", num_layers=3)
    with pytest.raises(ValueError, match="21 tensors missing in the weights"):
        load_pipeline("owner/name", "cpu")


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    def away(name, **_):
        raise TimeoutError("no\nanswer")

    monkeypatch.setattr(PlenopticPipeline, "download", away)
    with pytest.raises(ValueError, match=r"downloaded \(no answer\); expected .* nano, nano-depth, nano-depth-2step$"):
        load_pipeline("owner/name", "cpu")


@pytest.mark.parametrize("name", ["nona", "nanodepth", "/not/there", "a/b/c", "./owner/name", "runs/taste"])
def test_an_unknown_name_is_refused_without_asking_a_hub(name, monkeypatch, tmp_path):
    said = r"did you mean 'nano-depth'\? \(or a model's folder" if name == "nanodepth" else "expected one of mini"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for ask in ("from_pretrained", "download"):
        monkeypatch.setattr(PlenopticPipeline, ask, lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(ValueError, match=f"no model '{name}': {said}"):
        load_pipeline(name, "cpu")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a model, it has no model_index"):
        load_pipeline(str(tmp_path), "cpu")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a training run's folder, not a model; expected the model in it: .*model$"):
        load_pipeline(str(tmp_path), "cpu")


@pytest.mark.parametrize("device", ["tpu9", "cuda:x", "cpu:7", "meta", "", "cuda:99"])
def test_an_unknown_device_is_refused(saved, device):
    with pytest.raises(ValueError, match=f"device '{device}': not available here; expected cpu"):
        load_pipeline(str(saved), device)


def test_the_sizes_of_a_model_are_read_without_its_weights(copy, monkeypatch, tmp_path):
    (copy / "transformer" / WEIGHTS).unlink()
    index = json.loads((copy / "model_index.json").read_text())
    fewer = {name: index[name] for name in index if name not in ("steps", "frames", "height")}
    (copy / "model_index.json").write_text(json.dumps(fewer))
    monkeypatch.setattr(load, "local_folder", lambda name, patterns: {("owner/name", "*.json"): copy}[name, *patterns])
    for name in (str(copy), "owner/name"):
        network, _, found = hollow_model(name)
        assert next(network.parameters()).is_meta
        assert (found["steps"], found["frames"], found["height"]) == (35, 93, 432)
    for change, message in (
        ({"frames": "x"}, "frames is 'x'; expected a whole number"),
        ({"frames": 3, "codec": {"a": "b"}}, "its codec is {'a': 'b'}; expected one of"),
    ):
        edit(copy / "model_index.json", **change)
        with pytest.raises(ValueError, match=message):
            hollow_model(str(copy))
    edit(copy / "model_index.json", codec=index["codec"])
    edit(copy / "transformer" / "config.json", num_layers="x")
    wrong = tmp_path / "none"
    wrong.mkdir()
    for name, message in (
        (str(copy), "config.json: missing or damaged"),
        (str(wrong), "not a model, it has no model_index.json"),
        ("nona", "no model 'nona': expected one of mini"),
        ("reprojection", "reprojection has no network"),
    ):
        with pytest.raises(ValueError, match=message):
            hollow_model(name)


def test_bundled_models_can_be_loaded_by_name():
    for name, folder in bundled_models().items():
        assert (folder / "model_index.json").is_file()
        assert load_pipeline(name, "cpu").config.model_name == name


def test_without_a_name_a_scenes_own_bundled_model_is_used(tiny_pipeline, tiny_video, tmp_path):
    assert model_for(tmp_path) == DEFAULT_MODEL
    scene = tiny_pipeline().prepare(tmp_path / "scene", tiny_video())
    assert model_for(scene.folder) == DEFAULT_MODEL
    manifest = scene.folder / "scene.json"
    for name in bundled_models():
        manifest.write_text(manifest.read_text().replace('"tiny"', f'"{name}"'))
        assert model_for(scene.folder) == name
        manifest.write_text(manifest.read_text().replace(f'"{name}"', '"tiny"'))


def test_the_folder_of_a_run_names_its_model(tmp_path):
    (tmp_path / "run" / "model").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"run: not a model, .*; expected .*run/model, the model of this run"):
        load_pipeline(str(tmp_path / "run"))
