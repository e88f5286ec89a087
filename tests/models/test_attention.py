"""The text attention beside the stock one, and attention by the backend that a model was given."""

import pytest
import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _AttentionBackendRegistry,
    dispatch_attention_fn,
)
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_cosmos import CosmosAttnProcessor2_0

from plenodream.models import attention
from plenodream.models.context import ViewTokens
from plenodream.models.cosmos.attention import TextAttnProcessor


@pytest.mark.parametrize("words", [1, 3])
def test_text_attention_is_the_stock_one_for_any_number_of_words(words):
    torch.manual_seed(0)
    sizes = {"query_dim": 16, "cross_attention_dim": 6, "heads": 2, "dim_head": 8, "out_bias": True}
    attention = Attention(**sizes, qk_norm="rms_norm", processor=CosmosAttnProcessor2_0())
    hidden, text = torch.randn(2, 5, 16), torch.randn(2, words, 6)
    expected = attention(hidden, text)
    attention.set_processor(TextAttnProcessor())
    torch.testing.assert_close(attention(hidden, text), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_models_own_backend_is_used_and_another_models_is_not(tiny_denoiser, monkeypatch):
    asked = []

    def spy(query, key, value, backend=None):
        asked.append(backend)
        return dispatch_attention_fn(query, key, value)

    monkeypatch.setattr(attention, "dispatch_attention_fn", spy)
    chosen, other = tiny_denoiser(), tiny_denoiser()
    active = _AttentionBackendRegistry.get_active_backend()[0]
    try:
        chosen.set_attention_backend("_native_math")
    finally:
        _AttentionBackendRegistry.set_active_backend(active)  # diffusers sets it for everyone, too
    views = ViewTokens(torch.randn(1, 1, 4, 2, 2, 2), torch.randn(1, 1, 2, 2, 2, 24))
    for model, backend in ((chosen, AttentionBackendName("_native_math")), (other, None)):
        asked.clear()
        model.encode(views)
        assert asked == [backend] * 2
        words = torch.zeros(1, 3, 8)
        model.predict(views.latents, torch.ones(1), views.camera_tokens, model.encode(views), None, words)
        assert asked == [backend] * (2 + 2 + 4)  # cross-attention to words, too


@pytest.mark.parametrize("backend", ["native", "_native_flash", "_native_math"])
def test_the_backends_that_a_cpu_has_compute_the_same(backend):
    query, key, value = torch.randn(3, 1, 2, 5, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    expected = attention.attend(query, key, value)
    found = attention.attend(query, key, value, AttentionBackendName(backend))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
