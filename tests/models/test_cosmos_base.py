"""Starting from a stock network."""

import pytest
import torch
from diffusers import CosmosTransformer3DModel

from plenodream.models.cosmos.base import from_base

STOCK = {
    "in_channels": 5,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 2,
    "mlp_ratio": 2.0,
    "text_embed_dim": 8,
    "adaln_lora_dim": 8,
    "patch_size": (1, 2, 2),
    "rope_scale": (1.0, 3.0, 3.0),
    "extra_pos_embed_type": None,
}


def stock_network(**changes):
    torch.manual_seed(0)
    return CosmosTransformer3DModel(**(STOCK | changes)).eval()


@pytest.mark.parametrize("padding", [True, False])
def test_a_stock_network_becomes_ours_with_the_cameras_alone_new(padding):
    base = stock_network(concat_padding_mask=padding)
    ours = from_base(base, context_attention="joint", camera_numbers=24)
    assert ours.config.in_channels == 5 + padding
    assert not ours.config.concat_padding_mask
    assert ours.config.context_attention == "joint"
    assert ours.config.rope_scale == (1.0, 3.0, 3.0)
    state, stock = ours.state_dict(), base.state_dict()
    new = set(state) - set(stock)
    assert new == {f"transformer_blocks.{n}.attn1.cam_encoder.weight" for n in range(2)}
    assert all(not state[key].any() for key in new)
    assert all(torch.equal(state[key], stock[key]) for key in stock)


@torch.no_grad()
def test_it_computes_what_the_stock_network_computes():
    base = stock_network(concat_padding_mask=False)
    ours = from_base(base, camera_numbers=24)
    latents, t, rays = torch.randn(1, 4, 3, 4, 6), torch.tensor([0.3]), torch.randn(1, 3, 2, 3, 24)
    mask = torch.tensor([[1.0, 0.0, 0.0]])
    stacked = torch.cat([latents, mask.view(1, 1, 3, 1, 1).expand(1, 1, 3, 4, 6)], dim=1)
    expected = base(stacked, t, torch.zeros(1, 1, 8), return_dict=False)[0]
    result, _ = ours.run(latents, t, rays, mask, None)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_precision_follows_the_base():
    ours = from_base(stock_network(concat_padding_mask=True).to(torch.bfloat16), camera_numbers=24)
    assert {tensor.dtype for tensor in ours.state_dict().values()} == {torch.bfloat16}


def test_a_base_without_the_condition_mask_is_refused():
    with pytest.raises(ValueError, match="4 input and 4 output channels: expected one more in than out"):
        from_base(stock_network(in_channels=4))
