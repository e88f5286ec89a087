"""Context that waits in main memory or in eight bits."""

from __future__ import annotations

import pytest
import torch

from plenodream.models.context import Context, ViewTokens
from plenodream.models.prefetch import Ahead

PROJECTED = {
    "use_crossattn_projection": True,
    "crossattn_proj_in_channels": 6,
    "encoder_hidden_states_channels": 8,
    "text_embed_dim": 8,
}


@torch.no_grad()
def test_context_in_main_memory_is_exact_and_in_eight_bits_close(tiny_denoiser):
    model = tiny_denoiser(num_layers=2)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 3, model.config.out_channels, 2, 2, 2, generator=generator)
    rays = torch.randn(1, 3, 2, 2, 2, 24, generator=generator)
    parts = [model.encode(ViewTokens(latents[:, n : n + 1], rays[:, n : n + 1])) for n in (1, 2)]
    arguments = latents[:, :1], torch.tensor([0.5]), rays[:, :1]
    plain = model.predict(*arguments, Context.stack(parts))
    moved = model.predict(*arguments, Context.stack([part.put_away(True, False) for part in parts]))
    assert torch.equal(moved, plain)
    small = Context.stack([part.put_away(False, True) for part in parts])
    assert all(kept.dtype == torch.float8_e4m3fn for kept in small.kept)
    index = torch.tensor([[1, 0]])
    for context in (small, small.select(index)):
        difference = (model.predict(*arguments, context) - plain).abs().mean() / plain.std()
        assert 0 < difference < 0.03
    nothing = model.predict(*arguments, Context.stack(parts[:1]))
    assert (nothing - plain).abs().mean() / plain.std() > 0.1  # context counts here


@torch.no_grad()
@pytest.mark.parametrize("config", [{}, {"text_embed_dim": 0}, PROJECTED], ids=["words", "none", "projected"])
def test_context_that_is_read_anew_in_every_pass_gives_what_kept_keys_and_values_give(tiny_denoiser, config):
    model = tiny_denoiser(num_layers=2, **config)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 5, model.config.out_channels, 2, 2, 2, generator=generator)
    rays = torch.randn(1, 5, 2, 2, 2, 24, generator=generator)
    text = torch.randn(1, 4, model.text_width, generator=generator) if model.text_width else None
    given = ViewTokens(latents[:, 2:], rays[:, 2:])
    index = torch.tensor([[0, 1], [2, 0]])
    targets = latents[0, :2, None], torch.tensor([0.5, 0.8]), rays[0, :2, None]
    for clean in (None, torch.tensor([[1.0, 0.0], [1.0, 0.0]])):
        kept, anew = (
            model.predict(*targets, model.encode(given, recomputed).select(index), clean, text)
            for recomputed in (False, True)
        )
        torch.testing.assert_close(anew, kept, rtol=1e-5, atol=1e-5)
    parts = [model.encode(ViewTokens(latents[:, n : n + 1], rays[:, n : n + 1]), True) for n in (2, 3)]
    one = tuple(x[:1] for x in targets)
    if text is not None and model.word_projection is not None:
        text = model.word_projection(text)
    kept = model.predict(*one, model.encode(given).select(index[:1]), None, text)
    torch.testing.assert_close(model.predict(*one, Context.stack(parts), None, text), kept, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("index", [None, torch.tensor([[2, 0, 2], [1, 2, 0]])], ids=["all", "some"])
def test_views_that_wait_elsewhere_are_fetched_once_each(index):
    kept = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    context = Context((kept,), index)
    assert torch.equal(context._fetched(kept, 2, kept.device), context.chosen(kept, 2))


def test_the_next_block_is_fetched_while_one_computes():
    order = []

    def read(block):
        order.append(block)
        return torch.full((1,), block), torch.full((1,), -block)

    ahead = Ahead(read, 3, torch.device("cpu"))
    for block in range(3):
        key, value = ahead.take(block)
        assert (key.item(), value.item()) == (block, -block)
        assert order == list(range(min(block + 2, 3)))
    assert ahead.take(0)[0].item() == 0  # another pass
