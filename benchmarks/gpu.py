"""All that is to be measured once a GPU can be had: one script, one table in Markdown, with card and versions.

python benchmarks/gpu.py --out gpu.md               # minutes on a large card
python benchmarks/gpu.py --dry-run --out gpu.md     # the same calls at tiny sizes on the CPU: numbers without meaning

Rows: rates of matrix products and of memory; training (frames a second, share of products, share that making data
takes); rendering with the bundled models; a step of the 2B and 1.3B networks with random weights, context cached
against joint, and with weights stored in 8 bits. `of products` is operations over seconds over the rate measured here.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import machine, seconds
from torch import Tensor, nn

from plenodream.models.context import ViewTokens
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.needs import measure
from plenodream.models.pace import product_rate
from plenodream.models.wan.recammaster import ReCamMasterTransformer
from plenodream.recipes.run import train
from plenodream.rendering.catalog import bundled_models
from plenodream.rendering.load import load_pipeline
from plenodream.training.config import RunOptions

_COSMOS = {"in_channels": 18, "patch_size": (1, 2, 2), "rope_scale": (1.0, 3.0, 3.0)}
_TINY = {"num_attention_heads": 2, "attention_head_dim": 24, "num_layers": 1}
# Network, arguments, (latent frames, rows, columns) of a view, and what makes it tiny.
NETWORKS: dict[str, tuple[type, dict[str, Any], tuple[int, int, int], dict[str, Any]]] = {
    "Cosmos 2B, 432x768, 93 frames": (CosmosCameraTransformer, _COSMOS, (24, 54, 96), _TINY),
    "Wan 1.3B, 480x832, 81 frames": (ReCamMasterTransformer, {}, (21, 60, 104), _TINY | {"ffn_dim": 48}),
}


@dataclass(frozen=True)
class Bench:
    """Where and how much is measured.

    Attributes:
        device: Where.
        dtype: Of networks.
        tiny: Whether it is a dry run.
        rate: FLOP/s of matrix products there.
    """

    device: str
    dtype: torch.dtype
    tiny: bool
    rate: float


@contextmanager
def peak_memory(device: str) -> Iterator[Callable[[], str]]:
    """Tells the most memory that was held on a GPU."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    yield lambda: f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device.startswith("cuda") else "-"


def copy_rate(bench: Bench) -> float:
    """Bytes a second that a copy reads and writes."""
    source = torch.empty((2**20 if bench.tiny else 2**28), dtype=torch.float32, device=bench.device).uniform_()
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / seconds(lambda: target.copy_(source), 5, bench.device)


def training_rows(bench: Bench) -> Iterator[list[str]]:
    """A short run of each recipe, by its own log."""
    changes = ("steps=4",) if bench.tiny else ("compile=True",)
    for recipe in ("nano",) if bench.tiny else ("nano", "mini"):
        with tempfile.TemporaryDirectory() as out, peak_memory(bench.device) as peak:
            options = RunOptions(Path(out), stop_after=3 if bench.tiny else 300, device=bench.device, quiet=True)
            train(recipe, options, changes)
            rows = [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]
            last = [row for row in rows if "mfu" in row][-1]
            what = f"{last['frames_per_second']:.4g} frames/s; data {last['data_share']:.1%} of the time"
            yield [f"train {recipe}", what, f"{last['mfu']:.1%}", peak()]


def rendering_rows(bench: Bench) -> Iterator[list[str]]:
    """One view by each bundled model, from four context views."""
    for name in ("nano",) if bench.tiny else bundled_models():
        pipe = load_pipeline(name, bench.device)
        network, config = pipe.transformer.eval(), pipe.config
        grid = (config.frames, *(side // pipe.codec.spatial_factor for side in (config.height, config.width)))
        yield from step_rows(bench, f"a step of {name}", network, grid, pipe.codec.channels, 4, patch=1)


def network_rows(bench: Bench) -> Iterator[list[str]]:
    """Steps of the large networks with random weights."""
    for name, (network, arguments, grid, small) in NETWORKS.items():
        options, channels = arguments | (small if bench.tiny else {}), 16
        grid = (2, 4, 4) if bench.tiny else grid
        joint = network is ReCamMasterTransformer
        for k in (1,) if joint else (1, 4):
            modes = {"joint": {} if joint else {"context_attention": "joint", "layout": ("target", *["context"] * k)}}
            for mode, more in (modes if joint else {"cached": {}, **modes}).items():
                made = build(network, options | more, bench)
                yield from step_rows(bench, f"{name}, k={k}, {mode}", made, grid, channels, k)
                if mode == "cached":
                    made.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=bench.dtype)
                    yield from step_rows(bench, f"{name}, k={k}, {mode}, weights in fp8", made, grid, channels, k)
                del made


def build(network: type, options: dict[str, Any], bench: Bench) -> Any:
    """A network with random weights."""
    with torch.device(bench.device):
        return nn.Module.to(network(**options), bench.dtype).eval()


def step_rows(
    bench: Bench, name: str, network: Any, grid: tuple[int, int, int], channels: int, k: int, patch: int = 2
) -> Iterator[list[str]]:
    """Seconds, operations and memory of one evaluation, the context already encoded."""
    frames, rows, columns = grid

    def make(*shape: int) -> Tensor:
        return torch.rand(shape, device=bench.device).to(
            next(network.parameters()).dtype if patch == 1 else bench.dtype
        )

    def views(count: int) -> ViewTokens:
        image = make(1, count, *network.image_shape) if network.image_shape else None
        rays = make(1, count, frames, rows // patch, columns // patch, network.camera_width)
        return ViewTokens(make(1, count, channels, *grid), rays, image)

    with torch.no_grad(), peak_memory(bench.device) as peak:
        seen, target = network.encode(views(k)), views(1)
        words = make(1, 512, network.text_width) if network.text_width else None
        slots = k if network.context_slots is None else network.context_slots
        time, filled = make(1), seen.fill(slots)

        def step() -> None:
            network.predict(target.latents, time, target.camera_tokens, filled, None, words)

        _, meter = measure(step)
        took = seconds(step, 1 if bench.tiny else 3, bench.device)
        speed = f"{took:.3g} s, {meter.flop / took / 1e12:.3g} TFLOP/s"
        yield [name, speed, f"{meter.flop / took / bench.rate:.1%}", peak()]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("gpu.md"))
    args = parser.parse_args()
    device = "cpu" if args.dry_run else args.device
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    bench = Bench(device, dtype, args.dry_run, product_rate(dtype, device))
    lines = [f"{machine(device)}{'; a dry run, numbers without meaning' if args.dry_run else ''}", ""]
    lines += ["| what | measured | of products | peak memory |", "|---|---|---|---|"]
    lines.append(f"| matrix products, {dtype} | {bench.rate / 1e12:.4g} TFLOP/s | 100% | |")
    lines.append(f"| copying | {copy_rate(bench) / 1e9:.4g} GB/s | | |")
    for rows in (training_rows, rendering_rows, network_rows):
        for row in rows(bench):
            lines.append(f"| {' | '.join(row)} |")
            args.out.write_text("\n".join(lines) + "\n")  # what is measured stays, whatever comes after
    print("\n".join(lines))


if __name__ == "__main__":
    main()
