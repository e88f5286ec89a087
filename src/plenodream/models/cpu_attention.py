"""Attention for training in bf16 on CPUs: torch's own forward pass, and a backward pass made of matrix products."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Scores that are held at a time: so many stay in a core's cache.
_SCORES = 1 << 20


class CpuAttention(torch.autograd.Function):
    """Softmax attention. On CPUs with bf16 matrix units its backward pass takes a third to half of stock's time. Ours.

    The backward pass of `scaled_dot_product_attention` on a CPU leaves those units idle. Here it is five products
    (Dao et al., FlashAttention, equations of section 3.1), in bf16 and therefore to its precision.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "batch heads tokens width"],
        key: Float[Tensor, "batch heads others width"],
        value: Float[Tensor, "batch heads others width"],
    ) -> Float[Tensor, "batch heads tokens width"]:
        """As `scaled_dot_product_attention`."""
        attended, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)[:2]
        ctx.save_for_backward(query, key, value, attended, log_sum)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Gradients of query, key and value."""
        query, key, value, attended, log_sum = ctx.saved_tensors
        shape, scale = query.shape, query.shape[-1] ** -0.5
        query, key, value, attended, gradient = (
            x.reshape(-1, *x.shape[2:]) for x in (query * scale, key, value, attended, gradient)
        )
        exact = log_sum.reshape(-1, shape[2], 1)
        log_sum = exact.to(query)
        rounded = (log_sum - exact).exp()  # by how much every weight of a row comes out too small
        delta = ((gradient * attended).sum(-1, keepdim=True, dtype=torch.float32) * rounded).to(query)
        gradient = (gradient * rounded).to(query)
        d_query, d_key, d_value = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        some = max(1, _SCORES // (query.shape[1] * key.shape[1]))
        for start in range(0, len(query), some):
            part = slice(start, start + some)
            q, k, g = query[part], key[part], gradient[part]
            p = torch.baddbmm(log_sum[part], q, k.mT, beta=-1).exp_()
            d_scores = torch.baddbmm(delta[part], g, value[part].mT, beta=-1).mul_(p)
            torch.bmm(p.mT, g, out=d_value[part])
            torch.bmm(d_scores, k, out=d_query[part])
            torch.bmm(d_scores.mT, q, out=d_key[part])
        return tuple(x.unflatten(0, shape[:2]) for x in (d_query.mul_(scale), d_key, d_value))  # type: ignore[return-value]
