"""What bf16, attention's own backward pass and a compiled rotation save in training on a CPU, as ratios.

python benchmarks/cpu_training.py [--tokens 576] [--context 3] [--threads 1]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from common import machine, seconds
from diffusers.models.normalization import RMSNorm
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from plenodream.models.cosmos.attention import rotated
from plenodream.models.cpu_attention import CpuAttention

HEADS, WIDTH = 6, 64


def both_ways(work: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Milliseconds of a forward and a backward pass."""

    def call() -> None:
        output = work(*inputs)
        torch.autograd.grad(output, inputs, torch.ones_like(output))

    return 1e3 * seconds(call, rounds=5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=576, help="of a view: 64 for a single frame of 64x64, 576 for 9")
    parser.add_argument("--context", type=int, default=3, help="views")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    count = max(1, 6 * 576 // args.tokens)

    def tensor(tokens: int, dtype: torch.dtype) -> Tensor:
        return torch.randn(count, HEADS, tokens, WIDTH).to(dtype).requires_grad_()

    print(machine())
    print(f"{count} targets of {args.tokens} tokens with {args.context} context views, {HEADS} heads of {WIDTH}")
    print("forward and backward, milliseconds, and times faster than the row of stock float32")

    hidden, weight = torch.randn(count * args.tokens, HEADS * WIDTH), torch.randn(4 * HEADS * WIDTH, HEADS * WIDTH)
    rows: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        rows[f"linear, {dtype}"] = both_ways(linear, *(x.to(dtype).requires_grad_() for x in (hidden, weight)))
    for dtype in (torch.float32, torch.bfloat16):
        keys = (1 + args.context) * args.tokens
        inputs = tensor(args.tokens, dtype), tensor(keys, dtype), tensor(keys, dtype)
        rows[f"attention, {dtype}"] = both_ways(scaled_dot_product_attention, *inputs)
    rows["attention, ours, torch.bfloat16"] = both_ways(CpuAttention.apply, *inputs)
    norm = RMSNorm(WIDTH, eps=1e-6)
    position = torch.randn(2, args.tokens, WIDTH)
    for name, work in (("rotation", rotated), ("rotation, compiled", torch.compile(rotated, dynamic=True))):
        rows[f"{name}, torch.bfloat16"] = both_ways(
            lambda x, work=work: work(x, norm, *position), tensor(args.tokens, torch.bfloat16)
        )
    first: dict[str, float] = {}
    for name, time in rows.items():
        base = first.setdefault(name.split(",")[0], time)
        print(f"{name.replace('torch.', ''):28} {time:8.1f} {base / time:6.1f}")


if __name__ == "__main__":
    main()
