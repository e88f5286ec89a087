"""The way of a call past stock forwards that know nothing of it, here Wan's, whose rope takes the latents alone."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from plenodream.models.call import AttentionCall, calling, current_call

TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 8,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 3,
}


class Rope(torch.nn.Module):
    """Stock positions, returned with the call that is under way."""

    def __init__(self, stock):
        super().__init__()
        self.stock = stock

    def forward(self, hidden_states):
        return current_call(), self.stock(hidden_states)


class Processor(WanAttnProcessor):
    """Stock attention that notes which call it was given, and adds what the call says."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        call, positions = rotary_emb
        self.seen.append(call)
        hidden_states = hidden_states + call.camera_tokens
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, positions)


class ToyWan(WanTransformer3DModel):
    """The least that a backbone of ours is."""

    def __init__(self, **config):
        super().__init__(**config)
        self.seen: list[AttentionCall] = []
        self.rope = Rope(self.rope)
        for block in self.blocks:
            block.attn1.set_processor(Processor(self.seen))

    def run(self, call, *inputs):
        with calling(call):
            return self(*inputs, return_dict=False)[0]


@pytest.fixture
def networks():
    torch.manual_seed(0)
    stock, toy = WanTransformer3DModel(**TINY), ToyWan(**TINY)
    toy.load_state_dict(stock.state_dict())
    return stock, toy


INPUTS = torch.randn(1, 4, 2, 4, 4), torch.tensor([500.0]), torch.randn(1, 5, 8)


@torch.no_grad()
def test_the_call_reaches_every_block_and_the_stock_forward_computes_what_it_did(networks):
    stock, toy = networks
    call = AttentionCall(torch.zeros(1, 8, 24))
    assert torch.equal(toy.run(call, *INPUTS), stock(*INPUTS, return_dict=False)[0])
    assert toy.seen == [call] * TINY["num_layers"]
    other = AttentionCall(torch.ones(1, 8, 24))
    assert not torch.allclose(toy.run(other, *INPUTS), toy.run(call, *INPUTS))


def test_recomputation_under_checkpointing_is_given_the_same_call_after_it_is_over(networks):
    _, toy = networks
    rays = torch.randn(1, 8, 24).requires_grad_()
    (expected,) = torch.autograd.grad(toy.run(AttentionCall(rays), *INPUTS).square().sum(), rays)
    toy.enable_gradient_checkpointing()
    first, second = AttentionCall(rays), AttentionCall(rays * 2)
    output = toy.run(first, *INPUTS)
    toy.run(second, *INPUTS)
    toy.seen.clear()
    (again,) = torch.autograd.grad(output.square().sum(), rays)
    assert toy.seen and all(call is first for call in toy.seen)
    torch.testing.assert_close(again, expected, rtol=1e-5, atol=1e-6)


def test_there_is_no_call_outside_of_one(networks):
    _, toy = networks
    with pytest.raises(LookupError):
        toy(*INPUTS)
