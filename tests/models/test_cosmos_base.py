"""A stock Cosmos network of diffusers as what our fine-tuning starts from."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_published import write_stock_cosmos

from plenodream.models.convert import convert, to_published
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.formats import FORMATS
from plenodream.rendering.load import load_pipeline


@pytest.mark.parametrize("padding", [True, False])
def test_a_stock_network_becomes_ours_with_the_cameras_alone_new(padding, tmp_path):
    base = write_stock_cosmos(tmp_path / "base", concat_padding_mask=padding)
    made = convert(tmp_path / "base", tmp_path / "model")
    stock = base.state_dict()
    assert (made.format, made.taken, made.from_base, made.fresh) == ("cosmos-base", len(stock), 0, 2)
    assert made.left_out == ()
    ours = CosmosCameraTransformer.from_pretrained(tmp_path / "model" / "transformer")
    assert ours.config.in_channels == 17 + padding and not ours.config.concat_padding_mask
    assert (ours.config.context_attention, ours.config.layout.count("context")) == ("joint", 4)
    assert list(ours.config.rope_scale) == [1.0, 2.0, 2.0]  # as its config says
    state = ours.state_dict()
    new = set(state) - set(stock)
    assert new == {f"transformer_blocks.{n}.attn1.cam_encoder.weight" for n in range(2)}
    assert all(not state[key].any() for key in new)
    assert all(torch.equal(state[key], stock[key]) for key in stock)
    words = json.loads((tmp_path / "model" / "text.json").read_text())
    assert words["words"] == "reason1" and words["base"] == str(tmp_path / "base")
    assert "new, zero until they are trained: 2 camera projections" in (tmp_path / "model" / "README.md").read_text()
    assert load_pipeline(str(tmp_path / "model"), "cpu").own_sampling().guidance == 7


@torch.no_grad()
def test_it_computes_what_the_stock_network_computes(tmp_path):
    base = write_stock_cosmos(tmp_path / "base", concat_padding_mask=False)
    convert(tmp_path / "base", tmp_path / "model")
    ours = CosmosCameraTransformer.from_pretrained(tmp_path / "model" / "transformer").eval()
    latents, t, rays = torch.randn(1, 16, 3, 4, 6), torch.tensor([0.3]), torch.randn(1, 3, 2, 3, 1536)
    mask, text = torch.tensor([[1.0, 0.0, 0.0]]), torch.randn(1, 5, 32)
    stacked = torch.cat([latents, mask.view(1, 1, 3, 1, 1).expand(1, 1, 3, 4, 6)], dim=1)
    expected = base(stacked, t, text, return_dict=False)[0]
    for words in (text, ours.word_projection(text)):
        result, _ = ours.run(latents, t, rays, mask, words)
        torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_the_publishers_own_file_of_the_base_converts_as_well(tmp_path):
    write_stock_cosmos(tmp_path / "base", concat_padding_mask=True)
    convert(tmp_path / "base", tmp_path / "model")
    to_published(tmp_path / "model", tmp_path / "published.safetensors", "cosmos-base")
    assert "blocks.0.adaln_modulation_self_attn.1.weight" in load_file(tmp_path / "published.safetensors")
    made = convert(tmp_path / "published.safetensors", tmp_path / "again", "cosmos-base", vae=tmp_path / "base" / "vae")
    assert made.fresh == 0  # what we wrote has cameras


def test_a_config_that_denies_the_weights_and_a_network_without_the_mask_are_refused(tmp_path):
    write_stock_cosmos(tmp_path / "base", concat_padding_mask=True)
    config = tmp_path / "base" / "transformer" / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"num_layers": 3}))
    with pytest.raises(ValueError, match=r"config.json says num_layers 3, the weights are of 2; copy it again"):
        convert(tmp_path / "base", tmp_path / "model")
    write_stock_cosmos(tmp_path / "images", concat_padding_mask=False, in_channels=16)
    with pytest.raises(ValueError, match=r"in_channels is 16: expected 17 or 18"):
        convert(tmp_path / "images", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_published_guidance_is_what_a_converted_model_is_sampled_with():
    for name in ("recammaster", "redirector", "cosmos", "plenoptic", "cosmos-base"):
        settings = FORMATS[name].settings
        assert settings["guided_by"] == "text" and settings["guidance"] in (4.0, 7.0)
