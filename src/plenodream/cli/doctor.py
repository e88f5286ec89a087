"""`plenodream doctor`: what a view will take, before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tyro

from plenodream.cli.parse import MaybeInt, MaybeText

if TYPE_CHECKING:
    from plenodream.models.needs import Needs, ViewSizes

_LONG = 3e11  # operations of a step that a CPU is not asked to try


@dataclass(frozen=True)
class Doctor:
    """Say what a view takes of a model: memory and operations, from its sizes, and how long here; nothing is loaded."""

    model: tyro.conf.Positional[str]
    """Bundled model, model folder, or owner/name on the hub (its sizes alone are copied)."""
    context: MaybeInt = None
    """Context views; left out: the model's own."""
    size: MaybeText = None
    """HEIGHTxWIDTH in pixels; left out: the model's own."""
    frames: MaybeInt = None
    """Frames of a window; left out: the model's own."""
    dtype: MaybeText = None
    """Type of the weights, bf16, fp16 or fp32; left out: as render takes it here, bf16 on a GPU, fp32 on a CPU."""


def doctor(args: Doctor) -> int:
    """`plenodream doctor`."""
    from plenodream.models.needs import ViewSizes, view_needs
    from plenodream.rendering.fit import Fit
    from plenodream.rendering.fitting import chosen_dtype
    from plenodream.rendering.load import default_device, hollow_model

    dtype = chosen_dtype(Fit(dtype=args.dtype), default_device())
    network, codec, index = hollow_model(args.model)
    for name, value in (("frames", args.frames), ("context", args.context)):
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: expected at least 1")
    least = codec.spatial_factor * network.config.patch_size[1]
    height, width = _size(args.size, least) if args.size else (index["height"], index["width"])
    frames, context = args.frames or index["frames"], args.context or index["context_views"]
    evaluations = index["steps"] * (2 if index["guidance"] and index.get("guided_by") else 1)
    sizes = ViewSizes(context, frames, height, width, dtype)
    needs = view_needs(network, codec, sizes, evaluations)
    rows = [
        ("weights of network and codec", needs.weights),
        (f"{context} context view{'s' * (context != 1)}", needs.context),
        ("activations of a step", needs.activations),
        ("activations of decoding", needs.codec),
        ("at most at a time", needs.memory),
    ]
    print(f"{args.model}, {frames} frames of {width}x{height}, {str(dtype).removeprefix('torch.')}")
    for name, size in rows:
        print(f"  {name:<30} {_bytes(size)}")
    step, whole = needs.step_flop / 1e12, needs.flop / 1e15
    print(f"  a view: {evaluations} evaluations of {step:.3g} TFLOP, {whole:.3g} PFLOP in all")
    _say_room(needs)
    _say_time(needs, network, codec, sizes)
    return 0


def _say_room(needs: Needs) -> None:
    """What fits, and what to turn on."""
    from plenodream.rendering.load import default_device
    from plenodream.rendering.room import free_memory, ways_to_fit

    free = free_memory(default_device())
    if free is not None:
        print(f"  free here ({_name(default_device())}): {_bytes(free).strip()}")
    ways = ways_to_fit(needs)
    if free is not None and ways[0][1] <= free:
        print("    all on the device fits: nothing is to be turned on")
        return
    for said, memory in ways:
        verdict = "" if free is None else ", fits" if memory <= free else ", too much"
        print(f"    {said or 'all on the device':<62} {_bytes(memory)}{verdict}")


def _say_time(needs: Needs, network: Any, codec: Any, sizes: ViewSizes) -> None:
    """Seconds of a view here: by timing blocks of the network, or where that would take long by their operations."""
    from plenodream.models.pace import measure_pace, product_rate
    from plenodream.rendering.cost import REACHED
    from plenodream.rendering.load import default_device

    device = default_device()
    if device == "cpu" and needs.step_flop > _LONG:
        rate = product_rate(sizes.dtype, device)
        seconds = needs.flop / (REACHED * rate)
        print(f"  about {seconds:.3g} s a view here, by its operations: products run at {rate / 1e9:.3g} GFLOP/s")
        return
    pace = measure_pace(network, codec, sizes, device)
    seconds = pace.reading + needs.evaluations * pace.step
    print(f"  about {seconds:.3g} s a view here, codec not counted: {pace.step:.3g} s a step, measured on its blocks")


def _name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "main memory"


def _bytes(size: float) -> str:
    gib = 2**30
    return f"{size / gib:8.2f} GiB" if size >= gib else f"{size * 1024 / gib:8.1f} MiB"


def _size(text: str, least: int) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and min(int(height), int(width)) >= least):
        raise ValueError(f"--size {text}: expected HEIGHTxWIDTH in pixels, as 480x832, {least} or more each way")
    return int(height), int(width)
