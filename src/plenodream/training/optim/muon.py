"""Muon: matrices between hidden layers move along the orthogonal matrix nearest to their momentum; else AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate

# Newton-Schulz iteration: five steps of this odd polynomial bring singular values near to 1 (Jordan et al., 2024).
_COEFFICIENTS, _STEPS = (3.4445, -4.7750, 2.0315), 5
_MOMENTUM = 0.95


def orthogonalize(
    matrices: Float[Tensor, "count rows columns"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "count rows columns"]:
    """Roughly U V^T of every matrix U S V^T: singular values between 0.7 and 1.2. Newton-Schulz, as in Muon.

    Args:
        matrices: All of one shape.
        dtype: Of the products; bf16 is enough, where it is fast.
    """
    a, b, c = _COEFFICIENTS
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.AdamW):
    """AdamW, except for parameter groups with `orthogonal=size`, whose matrices are updated by Muon.

    Every entry moves by `size` times the learning rate, in the mean square: AdamW's move by 0.2 to 0.4 of it, so both
    share one rate (Liu et al., 2025).

    `torch.optim.Muon` works in bf16, one matrix after another: many times slower on a CPU. Here matrices of one shape
    are orthogonalised together.
    """

    products = torch.float32  # type of the matrix products

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        assert closure is None
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group.get("orthogonal")]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            if size := group.get("orthogonal"):
                by_shape: dict[torch.Size, list[Tensor]] = {}
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        by_shape.setdefault(parameter.shape, []).append(parameter)
                for parameters in by_shape.values():
                    self._update(parameters, size, group)

    def _update(self, parameters: list[Tensor], size: float, group: dict[str, Any]) -> None:
        """Nesterov momentum, orthogonalised, of matrices of one shape."""
        rate, decay = group["lr"], group["weight_decay"]
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"], state["momentum"] = torch.zeros(()), torch.zeros_like(parameter)
            state["step"] += 1
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        gradients: list[Tensor] = [parameter.grad for parameter in parameters]  # type: ignore[misc]
        torch._foreach_lerp_(momenta, gradients, 1 - _MOMENTUM)
        ahead = [gradient.clone() for gradient in gradients]
        torch._foreach_lerp_(ahead, momenta, _MOMENTUM)  # in place: torch 2.11 shards no other
        # Every rank that holds a shard orthogonalises the whole matrix, and keeps its part.
        whole = torch.stack([x.full_tensor() if isinstance(x, DTensor) else x for x in ahead])
        orthogonal = orthogonalize(whole, self.products)
        updates = [_like(x, parameter) for x, parameter in zip(orthogonal, parameters, strict=True)]
        torch._foreach_mul_(parameters, 1 - rate * decay)
        torch._foreach_add_(parameters, updates, alpha=-rate * size * max(whole.shape[1:]) ** 0.5)


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole value, sharded as the parameter is."""
    if not isinstance(parameter, DTensor):
        return value
    mesh = parameter.device_mesh
    replicated = DTensor.from_local(value, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return replicated.redistribute(placements=parameter.placements)
