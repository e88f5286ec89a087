"""A denoising step: joint sequence as published against cached context, k = 1..4; against stock diffusers; FLOP/s.

python benchmarks/denoise.py                                            # 46M parameters on the CPU
python benchmarks/denoise.py --config cosmos-2b --device cuda           # 432x768, 93 frames, random weights
python benchmarks/denoise.py --config wan-1.3b --device cuda            # 480x832, 81 frames: joint alone
python benchmarks/denoise.py --config cosmos-2b --blocks 1 --grid 1,2,2 # a dry run of any of them

Operations are counted on the meta device, the rate of matrix products is measured in the same run, and `doctor` is
what `plenodream doctor` foretells of a step from thin networks. Memory on a CPU is what tensors hold, counted.
"""

from __future__ import annotations

import argparse
import inspect
from typing import Any

import torch
from common import machine
from diffusers import CosmosTransformer3DModel
from torch import nn

from plenodream.models.call import Kept, same_conditions
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.needs import ViewSizes, measure, pass_inputs
from plenodream.models.pace import best_seconds, measure_pace, product_rate
from plenodream.models.wan.recammaster import ReCamMasterTransformer

_COSMOS = {"in_channels": 18, "patch_size": (1, 2, 2), "rope_scale": (1.0, 3.0, 3.0)}
# Network, its arguments, and latent frames, token rows and columns of a view.
CONFIGS: dict[str, tuple[type, dict[str, Any], tuple[int, int, int]]] = {
    "46m": (
        CosmosCameraTransformer,
        _COSMOS | {"num_attention_heads": 8, "attention_head_dim": 64, "num_layers": 9, "text_embed_dim": 0},
        (4, 16, 16),
    ),
    "cosmos-2b": (CosmosCameraTransformer, _COSMOS, (24, 27, 48)),
    "wan-1.3b": (ReCamMasterTransformer, {}, (21, 30, 52)),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, default="46m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--blocks", type=int, help="of the network, for a dry run")
    parser.add_argument("--grid", help="latent frames, rows and columns of tokens, for a dry run: 1,2,2")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2, 3, 4], help="context views")
    parser.add_argument("--rounds", type=int, default=1, help="timed calls, of which the best counts")
    args = parser.parse_args()
    network, arguments, grid = CONFIGS[args.config]
    arguments = arguments | ({} if args.blocks is None else {"num_layers": args.blocks})
    grid = tuple(map(int, args.grid.split(","))) if args.grid else grid
    device = torch.device(args.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    parameters = sum(p.numel() for p in _made(network, arguments, torch.device("meta"), dtype).parameters())
    rate = product_rate(dtype, device)
    print(machine(args.device))
    print(f"{args.config}: {parameters / 1e6:.1f} M parameters, {grid[0] * grid[1] * grid[2]} tokens a view, {dtype}")
    print(f"matrix products: {rate / 1e9:.4g} GFLOP/s")
    print(f"{'k':>2} {'mode':<7} {'s a step':>9} {'TFLOP':>8} {'of products':>11} {'peak MiB':>9} {'doctor':>7}")
    for k in [1] if args.config == "wan-1.3b" else args.k:
        layout = ("target", *["context"] * k)
        modes = {"joint": {"context_attention": "joint", "layout": layout}, "cached": {}}
        took = {}
        for mode in ("joint",) if args.config == "wan-1.3b" else modes:
            own = arguments if args.config == "wan-1.3b" else arguments | modes[mode]
            took[mode], *rest = _step(network, own, k, grid, device, dtype, args.rounds)
            flop, peak, foretold = rest
            share = flop / took[mode] / rate
            print(
                f"{k:>2} {mode:<7} {took[mode]:>9.3g} {flop / 1e12:>8.3g} {share:>11.0%} {peak / 2**20:>9.0f} "
                f"{foretold / took[mode]:>7.2f}"
            )
        if len(took) > 1:
            print(f"   cached is {took['joint'] / took['cached']:.2f} times as fast as joint")
        if len(took) > 1 and k in (args.k[0], args.k[-1]):
            ratio = _against_stock(network, arguments | modes["joint"], k, grid, device, dtype, args.rounds)
            print(f"   with words, joint takes {ratio:.2f} of the time of diffusers' own forward of that length")


def _made(network: type, arguments: dict[str, Any], device: torch.device, dtype: torch.dtype) -> Any:
    """With random weights."""
    with device:
        made = network(**arguments)
    return nn.Module.to(made, dtype).eval()


def _inputs(network: Any, k: int, grid: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> tuple:
    def make(*shape: int) -> torch.Tensor:
        return torch.rand(shape, device=device).to(dtype)

    with torch.device("meta"):
        codec = WanCodec(base_dim=4)
    return pass_inputs(network, codec, _sizes(k, grid, dtype), make)


def _sizes(k: int, grid: tuple[int, int, int], dtype: torch.dtype) -> ViewSizes:
    frames, rows, columns = grid
    return ViewSizes(k, 4 * frames - 3, 16 * rows, 16 * columns, dtype)


def _step(network: type, arguments: dict, k: int, grid: tuple, device: torch.device, dtype: torch.dtype, rounds: int):
    """Seconds of a step, its operations, peak of memory, and what doctor foretells."""
    with torch.no_grad():
        hollow = _made(network, arguments, torch.device("meta"), dtype)
        given, target, time, text = _inputs(hollow, k, grid, torch.device("meta"), dtype)
        seen = hollow.encode(given)
        with same_conditions(Kept(), Kept()):
            _, meter = measure(lambda: hollow.predict(target.latents, time, target.camera_tokens, seen, None, text))
        made = _made(network, arguments, device, dtype)
        given, target, time, text = _inputs(made, k, grid, device, dtype)
        kept = made.encode(given)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        step = (target.latents, time, target.camera_tokens, kept, None, text)
        with same_conditions(Kept(), Kept()):  # as the sampler does
            took = best_seconds(lambda: made.predict(*step), device, rounds)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else meter.peak
    with torch.device("meta"):
        codec = WanCodec(base_dim=4)
    foretold = measure_pace(hollow, codec, _sizes(k, grid, dtype), device).step
    return took, meter.flop, peak, foretold


@torch.no_grad()
def _against_stock(
    network: type, arguments: dict, k: int, grid: tuple, device: torch.device, dtype: torch.dtype, rounds: int
) -> float:
    """Time of a joint step over that of the stock network on a sequence as long; both read words, in turns."""
    width = arguments.get("text_embed_dim", 1024) or 1024  # stock has no network without text
    made = _made(network, arguments | {"text_embed_dim": width}, device, dtype)
    names = set(inspect.signature(CosmosTransformer3DModel.__init__).parameters) & set(made.config)
    stock = _made(CosmosTransformer3DModel, {name: made.config[name] for name in names}, device, dtype)
    given, target, time, text = _inputs(made, k, grid, device, dtype)
    seen, (frames, rows, columns) = made.encode(given), grid
    latents = torch.rand(1, arguments["in_channels"], (1 + k) * frames, 2 * rows, 2 * columns, device=device).to(dtype)
    cameras, words = Kept(), Kept()

    def joint() -> object:
        with same_conditions(cameras, words):
            return made.predict(target.latents, time, target.camera_tokens, seen, None, text)

    works = joint, lambda: stock(latents, time, text, return_dict=False)
    times = [[best_seconds(work, device, 1) for work in works] for _ in range(rounds)]
    return min(ours for ours, _ in times) / min(theirs for _, theirs in times)


if __name__ == "__main__":
    main()
