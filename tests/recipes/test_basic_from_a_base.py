"""The paper's recipe at a size for tests, from a tiny stock network of diffusers, with captions."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_published import write_stock_cosmos

from plenodream.data.synth import synthesize
from plenodream.models.convert import convert
from plenodream.recipes import run
from plenodream.training import captions as training_captions
from plenodream.training.captions import Captions, open_captions
from plenodream.training.config import RunOptions

SMALL = (
    "height=16", "width=32", "validate_every=100", "steps=2",
    *(f"curriculum.stages.{n}.frames=5" for n in range(4)),
    *(f"model.{name}" for name in ("num_attention_heads=2", "attention_head_dim=24", "num_layers=2",
      "text_embed_dim=16", "adaln_lora_dim=8", "crossattn_proj_in_channels=32", "encoder_hidden_states_channels=16",
      "rope_scale=1.0 2.0 2.0")),
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A converted stock network."""
    folder = tmp_path_factory.mktemp("base")
    write_stock_cosmos(folder / "stock", concat_padding_mask=True)
    convert(folder / "stock", folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two episodes with a caption each."""
    root = tmp_path_factory.mktemp("data")
    synthesize(root, scenes=2, views=5, frames=5, height=16, width=32)
    for number, folder in enumerate(sorted(path.parent for path in root.rglob("videos"))):
        (folder / "caption.txt").write_text(f"room {number}\n")
    return root


def fake_encoder(folder, device, projection):
    """Words as the language model would give them, through the network's own projection."""

    def encode(texts):
        return [projection(torch.full((1, 3, 32), float(len(text)))) for text in texts]

    return encode


def test_basic_starts_from_a_converted_base_and_only_attention_and_cameras_move(base, data, tmp_path, monkeypatch):
    told = []

    def watched(*args):
        encode = fake_encoder(*args)
        return lambda texts: told.extend(texts) or encode(texts)

    monkeypatch.setattr(training_captions, "word_encoder", watched)
    run.train("basic", RunOptions(tmp_path / "run", init_from=base, quiet=True), SMALL, data=data)
    before = load_file(base / "transformer" / "diffusion_pytorch_model.safetensors")
    (shard,) = (tmp_path / "run" / "checkpoint" / "shards").iterdir()
    stored = load_file(shard)
    state = {name.removeprefix("model."): stored[name] for name in stored if name.startswith("model.")}
    assert state.keys() == before.keys()
    moved = {name for name in before if not torch.equal(before[name], state[name])}
    assert moved and all(".attn1." in name for name in moved)
    assert sum("cam_encoder" in name for name in moved) == 2
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert len(losses) == 2 and all(0 < loss < 10 for loss in losses)
    assert len(told) == 2 and set(told) <= {"room 0", "room 1", ""}
    model = tmp_path / "run" / "model"
    index, words = (json.loads((model / name).read_text()) for name in ("model_index.json", "text.json"))
    assert (index["guided_by"], index["guidance"], words["words"]) == ("text", 7.0, "reason1")


def test_captions_are_left_out_as_often_as_is_asked_for():
    captions = Captions(None, lambda texts: [torch.full((1, 1, 1), float(len(text))) for text in texts], 0.2)
    told = captions.tell(["abc"] * 2000, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert told.unique().tolist() == [0, 3]
    assert 0.17 < (told == 0).float().mean() < 0.23


def test_words_without_an_encoder_are_refused_before_anything_is_written(base, data, tmp_path):
    with pytest.raises(ValueError, match=r"told captions, but there is no encoder .*caption_dropout=1 trains without"):
        run.train("basic", RunOptions(tmp_path / "run", init_from=base, quiet=True), SMALL, data=data)
    assert not (tmp_path / "run" / "checkpoint").exists()
    assert open_captions(base, 1.0, True, "cpu") is None
