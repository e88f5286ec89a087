"""Distances between two sets of features: Frechet and kernel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def frechet_distance(a: Float[Tensor, "a width"], b: Float[Tensor, "b width"], unbiased: bool = False) -> float:
    """Frechet distance of the Gaussians of two sets: |m_a - m_b|^2 + tr(S_a + S_b - 2 sqrt(S_a S_b)).

    tr sqrt(S_a S_b) is the nuclear norm of the product of the centred sets, so no matrix root is taken. Biased upwards
    at small numbers of samples, strongly below some hundred.

    Args:
        a: One set.
        b: The other.
        unbiased: Covariances over N - 1; over N, as StyleGAN-V has it, if not.
    """
    a, b = a.double(), b.double()
    counts = [len(x) - int(unbiased) for x in (a, b)]
    centred = [(x - x.mean(0)) / count**0.5 for x, count in zip((a, b), counts, strict=True)]
    traces = sum(x.square().sum() for x in centred)
    root = torch.linalg.matrix_norm(centred[0] @ centred[1].T, "nuc")
    return float((a.mean(0) - b.mean(0)).square().sum() + traces - 2 * root)


def kernel_distance(a: Float[Tensor, "a width"], b: Float[Tensor, "b width"]) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x . y / width + 1)^3: about 0 for equal sets.

    Raises:
        ValueError: Sets of fewer than two.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"sets of {len(a)} and {len(b)} samples: expected at least 2 each")
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (kernel(a, a), kernel(b, b))]
    return float(within[0] + within[1] - 2 * kernel(a, b).mean())
