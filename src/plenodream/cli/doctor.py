"""`plenodream doctor`: what a view will take, before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from plenodream.cli.parse import MaybeInt, MaybeText


@dataclass(frozen=True)
class Doctor:
    """Say what a view takes of a model: memory and operations, from its sizes alone; nothing is loaded."""

    model: tyro.conf.Positional[str]
    """Bundled model or model folder."""
    context: MaybeInt = None
    """Context views; left out: the model's own."""
    size: MaybeText = None
    """HEIGHTxWIDTH in pixels; left out: the model's own."""
    frames: MaybeInt = None
    """Frames of a window; left out: the model's own."""
    dtype: str = "bf16"
    """Type of the weights, bf16 or fp32."""


def doctor(args: Doctor) -> int:
    """`plenodream doctor`."""
    import torch

    from plenodream.models.needs import view_needs
    from plenodream.rendering.load import hollow_model

    types = {"bf16": torch.bfloat16, "fp32": torch.float32}
    if args.dtype not in types:
        raise ValueError(f"--dtype {args.dtype}: expected bf16 or fp32")
    network, codec, index = hollow_model(args.model)
    height, width = _size(args.size) if args.size else (index["height"], index["width"])
    frames, context = args.frames or index["frames"], args.context or index["context_views"]
    evaluations = index["steps"] * (2 if index["guidance"] else 1)
    needs = view_needs(network, codec, context, frames, height, width, evaluations, types[args.dtype])
    gib = 2**30
    rows = [
        ("weights of network and codec", needs.weights),
        (f"{context} context view{'s' * (context != 1)}", needs.context),
        ("activations of a step", needs.activations),
        ("activations of decoding", needs.codec),
        ("at most at a time", needs.memory),
    ]
    print(f"{args.model}, {frames} frames of {width}x{height}, {args.dtype}")
    for name, size in rows:
        print(f"  {name:<30} {size / gib:8.2f} GiB" if size >= gib else f"  {name:<30} {size * 1024 / gib:8.1f} MiB")
    step, whole = needs.step_flop / 1e12, needs.flop / 1e15
    print(f"  a view: {evaluations} evaluations of {step:.3g} TFLOP, {whole:.3g} PFLOP in all")
    if torch.cuda.is_available():
        free = torch.cuda.mem_get_info()[0]
        verdict = "enough" if needs.memory < free else "too little"
        print(f"  free on {torch.cuda.get_device_name()}: {free / gib:.1f} GiB, {verdict}")
    return 0


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise ValueError(f"--size {text}: expected HEIGHTxWIDTH in pixels, as 480x832")
    return int(height), int(width)
