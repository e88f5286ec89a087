"""`plenodream convert` and `plenodream models`: published weights, brought into the form that we load."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from plenodream.cli.parse import MaybePath, MaybeText
from plenodream.words import shown


@dataclass(frozen=True)
class Convert:
    """Make a model's folder of a publisher's checkpoint (`plenodream models` lists them), or go back."""

    checkpoint: tyro.conf.Positional[Path]
    """The publisher's file (.ckpt, .pt, .safetensors) or diffusers' folder; with --to-published a model's folder."""
    to: Path
    """New folder; with --to-published the new .safetensors file."""
    format: str = "auto"
    """recammaster, redirector, cosmos, plenoptic, cosmos-base, wan-vae or umt5; auto finds it by the tensors' names."""
    base: MaybeText = None
    """What the checkpoint was trained from: a folder, a file, or owner/name on the hub. Gives what it does not hold."""
    vae: MaybePath = None
    """Wan2.1_VAE.pth or a folder of diffusers, where the base has none."""
    to_published: bool = False
    """Write our weights under the publisher's names."""


@dataclass(frozen=True)
class Models:
    """List what can be used: bundled models, and published weights with where they come from."""


def convert(args: Convert) -> int:
    """`plenodream convert`."""
    from plenodream.models import convert as conversion
    from plenodream.models.hub import local_folder

    if args.to_published:
        if args.base is not None or args.vae is not None:
            raise ValueError("--base and --vae beside --to-published: a model's folder holds all that is written")
        count = conversion.to_published(args.checkpoint, args.to, args.format)
        print(f"wrote {shown(args.to)}: {count} tensors under the publisher's names", file=sys.stderr)
        return 0
    base = None if args.base is None else local_folder(args.base)
    made = conversion.convert(args.checkpoint, args.to, args.format, base, args.vae)
    beneath = f" over {made.from_base} of its base" if made.from_base else ""
    beneath += f", {made.fresh} new ones (zero: fine-tune them)" if made.fresh else ""
    left = f"; left out: {', '.join(made.left_out)}" if made.left_out else ""
    print(f"wrote {shown(made.folder)} ({made.format}): {made.taken} tensors{beneath}{left}", file=sys.stderr)
    if made.missing:
        folder = shown(made.folder)
        print(
            f"before it renders, put into {folder}: {', '.join(made.missing)}, as diffusers' folders", file=sys.stderr
        )
    return 0


def models(args: Models) -> int:
    """`plenodream models`."""
    from rich.console import Console

    from plenodream.files.documents import read_document
    from plenodream.models.formats import FORMATS
    from plenodream.rendering.catalog import bundled_models
    from plenodream.viewer.console import plain_table

    table = plain_table("model", "weights", "memory", "size, frames", "context", "licence")
    table.columns[0].no_wrap = True  # names are copied
    for name, folder in bundled_models().items():
        size = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e6
        index = read_document(folder / "model_index.json", dict[str, Any])
        frames, views = f"{index['height']}x{index['width']}, {index['frames']}", str(index["context_views"])
        table.add_row(name, f"{size:.0f} MB", "under 1 GiB", frames, views, "Apache-2.0, bundled")
    table.add_row("reprojection", "none", "-", "any", "all", "a point cloud, bundled")
    for known in FORMATS.values():
        s = known.settings
        frames = f"{s['height']}x{s['width']}, {s['frames']}" if s else "-"
        views = str(s["context_views"]) if s else f"({known.part})"
        memory = f"{known.memory} GiB" if known.memory else "-"
        table.add_row(known.name, f"{known.megabytes / 1e3:.1f} GB", memory, frames, views, known.licence)
    console = Console()
    console.print(table)
    console.print("\nWhere the weights are published:")
    for known in FORMATS.values():
        base = f", over {known.base}" if known.base else ""
        console.print(f"  {known.name}: {known.source}{base}", highlight=False, soft_wrap=True)
    console.print(
        "\nBundled ones are used by name: plenodream render clip.mp4 --model mini. Published weights become a model's "
        "folder by plenodream convert FILE --to FOLDER; plenodream doctor FOLDER says what it takes (memory above: "
        "a view in bf16, all on the card). They were never run with the real files here: their layout and arithmetic "
        "were checked against their publishers' code with random weights.",
        highlight=False,
        soft_wrap=True,
    )
    return 0
