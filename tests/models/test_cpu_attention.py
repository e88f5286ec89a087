"""The backward pass of training attention on CPUs against that of torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from plenodream.models import cpu_attention
from plenodream.models.cpu_attention import CpuAttention


def tensors(dtype: torch.dtype, others: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((3, 2, 10, 16), (3, 2, others, 16), (3, 2, others, 16), (3, 2, 10, 16))
    return [torch.randn(size, generator=generator).to(dtype).requires_grad_() for size in sizes]


@pytest.mark.parametrize("others", [10, 25])
@pytest.mark.parametrize("scores", [1, 500, 1 << 20])
def test_it_is_softmax_attention_in_parts_of_any_size(others, scores, monkeypatch):
    monkeypatch.setattr(cpu_attention, "_SCORES", scores)
    *inputs, gradient = tensors(torch.float32, others)
    expected = scaled_dot_product_attention(*inputs)
    ours = CpuAttention.apply(*inputs)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(expected, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_bf16_gradients_are_right_to_their_precision():
    *inputs, gradient = tensors(torch.bfloat16, 25)
    wide = [x.detach().float().requires_grad_() for x in inputs]
    exact = torch.autograd.grad(scaled_dot_product_attention(*wide), wide, gradient.float())
    for a, b in zip(torch.autograd.grad(CpuAttention.apply(*inputs), inputs, gradient), exact, strict=True):
        assert a.dtype == torch.bfloat16 and (a.float() - b).norm() < 0.02 * b.norm()


def test_weights_are_right_where_scores_are_larger_than_bf16_knows_their_sum():
    query, key, value, gradient = tensors(torch.bfloat16, 25)
    inputs = query + 3, key + 3, value  # scores of 36: bf16 steps by a quarter there
    wide = [x.detach().float().requires_grad_() for x in inputs]
    (exact,) = torch.autograd.grad(scaled_dot_product_attention(*wide), wide[2], gradient.float())
    (ours,) = torch.autograd.grad(CpuAttention.apply(*inputs), value, gradient)
    assert (ours.float() - exact).norm() < 0.005 * exact.norm()


def test_networks_train_with_it_under_bf16_autocast(tiny_denoiser, monkeypatch):
    used = []
    apply = CpuAttention.apply
    monkeypatch.setattr(CpuAttention, "apply", lambda *inputs: (used.append(inputs[0].dtype), apply(*inputs))[1])
    model, generator = tiny_denoiser(), torch.Generator().manual_seed(0)
    latents, rays = torch.randn(2, 4, 2, 3, 3, generator=generator), torch.randn(2, 2, 3, 3, 24, generator=generator)

    def gradients(bf16: bool) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            output, _ = model.run(latents, torch.full((2,), 0.5), rays, torch.zeros(2, 2), None)
        return torch.cat([g.flatten() for g in torch.autograd.grad(output.float().square().sum(), list(chosen))])

    chosen = [p for name, p in model.named_parameters() if ".attn1." in name]
    exact, ours = gradients(bf16=False), gradients(bf16=True)
    assert used == [torch.bfloat16] * 2
    assert torch.cosine_similarity(exact, ours, dim=0) > 0.99
