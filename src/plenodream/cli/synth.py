"""`plenodream synth`: a data set of procedural scenes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybePath


@dataclass(frozen=True)
class Synth:
    """Write a multi-camera data set of procedural scenes (MultiCamVideo's layout, and depth)."""

    out: Path
    """Folder; the same command continues where it stopped."""
    scenes: int = 200
    """Number of scenes."""
    family: Literal["mild", "full"] = "mild"
    """How varied the scenes are."""
    views: int = 10
    """Cameras per scene."""
    frames: int = 33
    """Frames per video."""
    height: int = 96
    """Pixels."""
    width: int = 96
    """Pixels."""
    seed: int = 0
    """Of the data set."""
    first: int = 0
    """First scene, so that several processes can share one data set."""
    textures: MaybePath = None
    """Folder of images that about half of the surfaces show."""
    device: str = "cpu"
    """Where to render."""
    quiet: bool = False
    """Print nothing but errors."""


def synth(args: Synth) -> int:
    """`plenodream synth`."""
    from plenodream.data.synth import synthesize
    from plenodream.rendering.load import choose_device

    device = choose_device(args.device)
    with counting("scene", args.scenes, args.quiet) as progress:
        written = synthesize(
            args.out,
            args.family,
            args.scenes,
            args.views,
            args.frames,
            args.height,
            args.width,
            args.seed,
            args.first,
            device=device,
            textures=args.textures,
            progress=progress,
        )
    if not args.quiet:
        print(f"{len(written)} scenes in {args.out}")
    return 0
