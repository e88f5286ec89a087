"""Context that waits in main memory or in eight bits."""

from __future__ import annotations

import torch

from plenodream.models.context import Context, ViewTokens
from plenodream.models.prefetch import Ahead


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
