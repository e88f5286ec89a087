"""Which weights these are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Hash of a network's weights (its `state_dict`), floats as bf16: one for fp32 weights and their bf16 copy."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        stored = tensor.detach().to("cpu", torch.bfloat16 if tensor.is_floating_point() else None)
        digest.update(name.encode())
        digest.update(stored.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
