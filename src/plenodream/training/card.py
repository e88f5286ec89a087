"""What a rank of a dry run computes on: a card that is named, or what is found here. Ours."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from plenodream.models.pace import product_rate
from plenodream.rendering.room import free_memory

GIB = 2**30


@dataclass(frozen=True)
class Card:
    """Of one rank.

    Attributes:
        name: For people.
        memory: Bytes.
        peak: FLOP/s of its matrix products.
    """

    name: str
    memory: float
    peak: float


# Dense bf16 of the SXM module.
H100 = Card("H100 SXM", 80 * GIB, 989e12)


def card_of(device: str) -> Card:
    """The device of this machine: its free memory, and its rate as measured; bf16 on a GPU, fp32 on a CPU."""
    on_gpu = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else "CPU of this machine"
    rate = product_rate(torch.bfloat16 if on_gpu else torch.float32, device)
    return Card(name, free_memory(device) or float("inf"), rate)
