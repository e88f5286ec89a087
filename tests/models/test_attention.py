"""The attention processors beside the stock ones, and the bookkeeping of a context cache."""

import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_cosmos import CosmosAttnProcessor2_0

from plenodream.models.attention import ContextCache, TextAttnProcessor


@pytest.mark.parametrize("words", [1, 3])
def test_text_attention_is_the_stock_one_for_any_number_of_words(words):
    torch.manual_seed(0)
    sizes = {"query_dim": 16, "cross_attention_dim": 6, "heads": 2, "dim_head": 8, "out_bias": True}
    attention = Attention(**sizes, qk_norm="rms_norm", processor=CosmosAttnProcessor2_0())
    hidden, text = torch.randn(2, 5, 16), torch.randn(2, words, 6)
    expected = attention(hidden, text)
    attention.set_processor(TextAttnProcessor())
    torch.testing.assert_close(attention(hidden, text), expected, rtol=0, atol=1e-6)


def test_a_masked_single_word_goes_the_stock_way():
    attention = Attention(query_dim=16, heads=2, dim_head=8, qk_norm="rms_norm", processor=TextAttnProcessor())
    hidden, text, mask = torch.randn(1, 5, 16), torch.randn(1, 1, 16), torch.tensor([[[[-torch.inf]]]])
    assert not attention(hidden, text).isnan().any()
    assert not torch.equal(attention(hidden, text, mask), attention(hidden, text))


def numbered_cache(first: int, views: int) -> ContextCache:
    """Keys that say which view and token they are of; values are their negatives."""
    keys = 10.0 * torch.arange(first, first + views).view(-1, 1, 1, 1) + torch.arange(2.0).view(1, 1, 2, 1)
    blocks = tuple(keys.expand(views, 3, 2, 4) + 100 * block for block in range(2))
    return ContextCache(blocks, tuple(-keys for keys in blocks))


def test_select_lays_the_named_views_end_to_end_for_every_entry_of_a_batch():
    chosen = numbered_cache(0, 4).select(torch.tensor([[2, 0], [3, 3]]))
    assert [keys.shape for keys in chosen.keys] == [(2, 3, 4, 4)] * 2
    assert chosen.keys[1][0, 0, :, 0].tolist() == [120, 121, 100, 101]
    assert chosen.keys[0][1, 2, :, 3].tolist() == [30, 31, 30, 31]
    assert all(torch.equal(value, -key) for key, value in zip(chosen.keys, chosen.values, strict=True))


def test_stack_holds_the_views_of_all_its_parts_in_order():
    stacked, whole = ContextCache.stack([numbered_cache(0, 1), numbered_cache(1, 3)]), numbered_cache(0, 4)
    for name in ("keys", "values"):
        assert all(torch.equal(a, b) for a, b in zip(getattr(stacked, name), getattr(whole, name), strict=True))
