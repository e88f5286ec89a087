"""Publishers' checkpoints to our folders and back: every tensor used or named, nothing half-written."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_published import network, published, write_checkpoint, write_vae

from plenodream.models.convert import convert, to_published
from plenodream.models.model_folder import write_shards
from plenodream.models.registry import CODECS, DENOISERS

NAMES = ("recammaster", "redirector", "cosmos", "plenoptic")


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_becomes_the_network_it_was_and_goes_back(name, tmp_path):
    source, base = write_checkpoint(name, tmp_path)
    format_name = "auto" if name != "plenoptic" else name  # the sibling has the same tensors
    made = convert(source, tmp_path / "model", format_name, base, write_vae(tmp_path))
    assert made.format == name and (made.from_base > 0) == (name == "redirector")
    home = "Wan-AI/Wan2.1-T2V" if name.startswith("re") else "nvidia/Cosmos"
    assert made.missing[0].startswith(f"text_encoder (of {home}") and made.missing[1].startswith("tokenizer (of ")
    assert [part.split()[0] for part in made.missing[2:]] == ["image_encoder"] * (name == "redirector")
    folder = tmp_path / "model"
    index = json.loads((folder / "model_index.json").read_text())
    loaded = DENOISERS[index["transformer"][1]].from_pretrained(folder / "transformer")
    expected = network(name)
    for key, value in expected.config.items():
        assert key.startswith("_") or json.dumps(loaded.config[key]) == json.dumps(value), key
    for key, tensor in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    codec = CODECS[index["codec"][1]].from_pretrained(folder / "codec").state_dict()
    assert all(torch.equal(codec[key], tensor) for key, tensor in network("wan-vae").state_dict().items())
    to_published(folder, tmp_path / "back.safetensors", "auto")
    back, sent = load_file(tmp_path / "back.safetensors"), published(name, expected)
    assert back.keys() == sent.keys() and all(torch.equal(back[key], sent[key]) for key in sent)


def test_what_is_left_out_is_named(tmp_path):
    source, _ = write_checkpoint("cosmos", tmp_path)
    made = convert(source, tmp_path / "model", "auto", None, write_vae(tmp_path))
    assert set(made.left_out) == {"net.x_embedder.proj.1.weight", "pos_embedder.seq"}
    card = (tmp_path / "model" / "README.md").read_text()
    assert "pos_embedder.seq" in card and "sha256 of x_ema_bf16.pt: " in card and "NVIDIA" in card


def test_shards_are_of_bounded_size_and_diffusers_reads_them(tmp_path):
    expected, alive = network("recammaster"), []

    def reader(tensor):
        def read():
            alive.append(tensor.numel() * 4)
            return tensor.clone()

        return read

    expected.save_config(tmp_path)
    read = {name: reader(tensor) for name, tensor in expected.state_dict().items()}
    largest = max(tensor.numel() * 4 for tensor in expected.state_dict().values())
    write_shards(tmp_path, read, "diffusion_pytorch_model", most=largest)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 3 and all(file.stat().st_size < 1.2 * largest for file in files)
    loaded = type(expected).from_pretrained(tmp_path)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in expected.state_dict().items())


class Code:
    def __reduce__(self):
        return print, ("run",)


def _truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bad_checkpoint(case, folder):
    """A file that no network comes of."""
    source, _ = write_checkpoint("recammaster", folder)
    weights = published("recammaster", network("recammaster"))
    if case == "truncated":
        _truncated(source)
    elif case == "cut safetensors":
        source = folder / "x.safetensors"
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, source)
        _truncated(source)
    elif case == "code":
        source.write_bytes(pickle.dumps({"state_dict": Code()}, protocol=2))
    elif case == "text":
        source.write_text("not a checkpoint")
    elif case == "foreign":
        torch.save({"layer.weight": torch.ones(1)}, source)
    elif case == "half":
        torch.save({key: tensor for key, tensor in weights.items() if "ffn" not in key}, source)
    elif case == "unknown tensor":
        torch.save(weights | {"blocks.0.extra.weight": torch.ones(1)}, source)
    elif case == "wrong shape":
        torch.save(weights | {"blocks.1.ffn.0.bias": torch.ones(7)}, source)
    elif case == "missing":
        source = folder / "nothing.ckpt"
    elif case == "empty folder":
        source = folder / "empty"
        source.mkdir()
    return source


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("truncated", "x.ckpt: damaged"),
        ("cut safetensors", "x.safetensors: damaged or cut off"),
        ("code", "x.ckpt: holds more than tensors, and code of it could run"),
        ("text", "x.ckpt: (damaged|holds)"),
        ("foreign", r"no known network \(layer.weight, …\); expected one of recammaster"),
        ("half", "holds a part of a recammaster network, .* is missing; expected --base"),
        ("unknown tensor", "blocks.0.extra.weight is in no recammaster checkpoint"),
        ("wrong shape", r"blocks.1.ffn.0.bias is \(7,\); expected \(32,\)"),
        ("missing", "nothing.ckpt: no such file; expected tensors"),
        ("empty folder", "empty: no safetensors files in this folder; expected tensors"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line_and_nothing_is_written(case, expected, tmp_path, capfd):
    source, vae = bad_checkpoint(case, tmp_path), write_vae(tmp_path)
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=expected) as refusal:
        convert(source, tmp_path / "model", "auto", None, vae)
    assert "\n" not in str(refusal.value)
    assert set(tmp_path.iterdir()) == before
    assert "run" not in capfd.readouterr().out


def test_what_was_trained_alone_needs_its_base_and_the_right_one(tmp_path):
    source, base = write_checkpoint("redirector", tmp_path)
    vae = write_vae(tmp_path)
    with pytest.raises(ValueError, match=r"expected --base with the rest .*Control-Camera"):
        convert(source, tmp_path / "model", "auto", None, vae)
    assert base is not None
    with pytest.raises(ValueError, match=r"with the rest .*, which .*step20000.safetensors does not hold"):
        convert(source, tmp_path / "model", "auto", source, vae)
    wrong = load_file(base / "diffusion_pytorch_model.safetensors")
    wrong["blocks.0.self_attn.q.bias"] = torch.ones(5)
    save_file(wrong, base / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=r"to_q.bias is \(5,\), the checkpoint's \(128,\); expected its base"):
        convert(source, tmp_path / "model", "auto", base, vae)
    assert not (tmp_path / "model").exists()


def test_the_way_back_is_that_of_the_network(tmp_path):
    source, _ = write_checkpoint("recammaster", tmp_path)
    convert(source, tmp_path / "model", vae=write_vae(tmp_path))
    for wrong in ("redirector", "cosmos", "x"):
        with pytest.raises(ValueError, match=f"a ReCamMasterTransformer is no {wrong} network; expected --format rec"):
            to_published(tmp_path / "model", tmp_path / "back.safetensors", wrong)
    assert not (tmp_path / "back.safetensors").exists()
    to_published(tmp_path / "model", tmp_path / "vae.safetensors", "wan-vae")
    assert load_file(tmp_path / "vae.safetensors").keys() == published("wan-vae", network("wan-vae")).keys()


def test_a_codec_is_needed_and_a_used_folder_refused(tmp_path):
    source, _ = write_checkpoint("recammaster", tmp_path)
    with pytest.raises(ValueError, match=r"no codec for recammaster: expected --vae Wan2.1_VAE.pth"):
        convert(source, tmp_path / "model")
    with pytest.raises(ValueError, match=r"nothing.pth: no such file or folder; expected Wan2.1_VAE.pth"):
        convert(source, tmp_path / "model", vae=tmp_path / "nothing.pth")
    with pytest.raises(ValueError, match="holds something already"):
        convert(source, tmp_path)
    with pytest.raises(ValueError, match="format 'x': expected auto or one of recammaster"):
        convert(source, tmp_path / "model", "x")


def test_a_text_encoder_becomes_a_folder_of_transformers(tmp_path):
    torch.manual_seed(0)
    block = {
        "norm1.weight": (8,),
        "norm2.weight": (8,),
        "pos_embedding.embedding.weight": (4, 2),
        **{f"attn.{part}.weight": (8, 8) for part in "qkvo"},
        "ffn.gate.0.weight": (16, 8),
        "ffn.fc1.weight": (16, 8),
        "ffn.fc2.weight": (8, 16),
    }
    shapes = {"token_embedding.weight": (11, 8), "norm.weight": (8,)}
    shapes |= {f"blocks.{n}.{name}": shape for n in range(2) for name, shape in block.items()}
    torch.save({name: torch.randn(shape) for name, shape in shapes.items()}, tmp_path / "t5.pth")
    made = convert(tmp_path / "t5.pth", tmp_path / "text")
    assert made.format == "umt5" and made.taken == len(shapes)
    config = json.loads((tmp_path / "text" / "config.json").read_text())
    assert (config["d_model"], config["d_ff"], config["num_heads"], config["num_layers"]) == (8, 16, 2, 2)
    weights = load_file(tmp_path / "text" / "model.safetensors")
    assert weights["encoder.block.1.layer.1.DenseReluDense.wi_0.weight"].shape == (16, 8)
