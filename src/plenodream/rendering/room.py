"""Whether a model has room on its machine, and what to turn on where it has not: before anything is loaded. Ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from plenodream.models.needs import Needs
from plenodream.rendering.fit import CONTEXT_CACHES, Fit

_SHARES = {"8bit": 8.5 / 16, "4bit": 4.5 / 16, "fp8": 1 / 2, "nf4": 4.5 / 16}  # of bf16
_HELD = 2  # blocks on the device at a time, where the others wait elsewhere
_TILE = 256**2  # pixels of a tile of the Wan VAE
GIB = 2**30


def memory_with(needs: Needs, fit: Fit) -> float:
    """Bytes on the device at the most.

    Args:
        needs: Of a view, with all on the device.
        fit: What is turned on.
    """
    network, codec = needs.network * _SHARES.get(fit.quantize or "", 1.0), needs.weights - needs.network
    if fit.offload in ("group", "disk"):
        network *= min(1.0, _HELD / needs.blocks)
    context, activations = needs.context / 2 if "fp8" in fit.context_cache else needs.context, needs.activations
    if fit.context_cache == "recompute":
        context, activations = 0, activations * (1 + needs.views)
    if "cpu" in fit.context_cache:
        context *= min(1.0, _HELD / needs.blocks) if needs.keys else 0.0
    decoding = needs.codec * min(1.0, _TILE / needs.pixels) if fit.tiling else needs.codec
    if fit.offload == "none":
        return network + codec + max(context + activations, decoding)
    return max(network + context + activations, codec + decoding)


def ways_to_fit(needs: Needs) -> list[tuple[str, float]]:
    """What can be turned on, from what costs least time on, and the memory that a view then takes."""
    kept: dict[str, Any] = {"context_cache": "cpu"} if needs.keys else {}
    ways = [
        Fit(),
        Fit(offload="model"),
        Fit(offload="model", tiling=True, **kept),
        Fit(offload="model", quantize="8bit", tiling=True, **kept),
        Fit(offload="group", tiling=True, **kept),
    ]
    return [(options(way), memory_with(needs, way)) for way in ways]


def options(fit: Fit) -> str:
    """As they are typed."""
    said = [f"--offload {fit.offload}"] if fit.offload != "none" else []
    said += [f"--quantize {fit.quantize}"] if fit.quantize else []
    said += ["--tiling"] if fit.tiling else []
    return " ".join(said + ([f"--context-cache {fit.context_cache}"] if fit.context_cache != CONTEXT_CACHES[0] else []))


def free_memory(device: torch.device | str) -> float | None:
    """Bytes that are free on a device; None where nobody says."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(torch.device(device))[0]
    table = Path("/proc/meminfo")
    lines = table.read_text().splitlines() if table.is_file() else []
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def check_room(needed: float, free: float | None, model: str, ways: list[tuple[str, float]]) -> None:
    """Refuse what has no room.

    Raises:
        ValueError: With what would make it fit.
    """
    if free is None or needed <= free:
        return
    way = next((said for said, memory in ways if said and memory <= free), None)
    advice = f"expected {way}" if way else "expected a smaller size or fewer frames: see plenodream doctor"
    raise ValueError(f"model {model}: a view needs {needed / GIB:.1f} GiB, {free / GIB:.1f} are free; {advice}")
