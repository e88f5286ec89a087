"""Muon against its definition: singular values, the size of an update, and AdamW for all else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plenodream.training.config import OptimizerConfig
from plenodream.training.optim.muon import Muon, orthogonalize
from plenodream.training.optim.optimizer import make_optimizer


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 32, 8), (2, 8, 32)])
def test_orthogonalized_matrices_keep_their_directions_and_lose_their_sizes(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.diagonal(left.mT @ orthogonalize(matrices) @ right.mT, dim1=-2, dim2=-1)
    off = left.mT @ orthogonalize(matrices) @ right.mT - torch.diag_embed(values)
    assert off.abs().max() < 1e-4
    # The smallest singular values of a square matrix need more than five steps.
    assert values.max() < 1.3 and values.median() > 0.6 and (shape[1] == shape[2] or values.min() > 0.6)


def test_matrices_of_a_batch_do_not_know_of_each_other():
    matrices = torch.randn(4, 8, 12, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1e-3, 1.0, 10.0, 1e3]
    ).view(-1, 1, 1)
    alone = torch.cat([orthogonalize(matrix[None]) for matrix in matrices])
    assert torch.allclose(orthogonalize(matrices), alone, atol=1e-5)


def test_bf16_products_give_nearly_the_same():
    matrices = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(0))
    exact, rough = orthogonalize(matrices), orthogonalize(matrices, torch.bfloat16)
    assert rough.dtype == torch.float32 and 0 < (rough - exact).norm() < 0.03 * exact.norm()


def test_one_step_by_hand():
    weight = nn.Parameter(torch.randn(6, 24, generator=torch.Generator().manual_seed(0)))
    before, gradient = weight.detach().clone(), torch.randn(6, 24, generator=torch.Generator().manual_seed(1))
    optimizer = Muon([{"params": [weight], "weight_decay": 0.1, "orthogonal": 0.3}], lr=0.01)
    weight.grad = gradient.clone()
    optimizer.step()
    momentum = 0.05 * gradient
    update = orthogonalize((0.05 * gradient + 0.95 * momentum)[None])[0]
    assert torch.allclose(weight.detach(), before * (1 - 0.01 * 0.1) - 0.01 * 0.3 * 24**0.5 * update, atol=1e-6)
    assert torch.allclose(optimizer.state[weight]["momentum"], momentum)
    assert (weight.detach() - before * (1 - 0.001)).square().mean().sqrt() == pytest.approx(0.01 * 0.3, rel=0.3)


def test_all_but_the_matrices_within_blocks_is_left_to_adamw(tiny_denoiser):
    ours, theirs = tiny_denoiser(), tiny_denoiser()
    optimizers = [make_optimizer(m, OptimizerConfig(muon=muon)) for m, muon in ((ours, 0.2), (theirs, 0.0))]
    for _ in range(2):
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            for index, parameter in enumerate(model.parameters()):
                parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
            optimizer.step()
    other = {n for n, p in ours.named_parameters() if not torch.equal(p, theirs.get_parameter(n))}
    expected = {n for n, p in ours.named_parameters() if p.ndim == 2 and (".attn1.to_" in n or ".ff.net" in n)}
    assert other == expected and len(expected) == 2 * 6


def test_the_state_comes_back_exactly(tiny_denoiser):
    def run(model, optimizer, steps):
        for step in steps:
            for index, parameter in enumerate(model.parameters()):
                parameter.grad = torch.randn(
                    parameter.shape, generator=torch.Generator().manual_seed(100 * step + index)
                )
            optimizer.step()

    config = OptimizerConfig(muon=0.2)
    through, first, second = tiny_denoiser(), tiny_denoiser(), tiny_denoiser(seed=1)
    run(through, make_optimizer(through, config), range(4))
    optimizer, resumed = make_optimizer(first, config), make_optimizer(second, config)
    run(first, optimizer, range(2))
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    run(second, resumed, range(2, 4))
    assert all(torch.equal(p, second.get_parameter(n)) for n, p in through.named_parameters())
