"""`plenodream synth`: a data set of procedural scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybeInt, MaybePath
from plenodream.words import shown


@dataclass(frozen=True)
class Synth:
    """Write a multi-camera data set of procedural scenes (MultiCamVideo's layout, and depth)."""

    out: Path
    """Folder; the same command continues where it stopped."""
    scenes: int = 200
    """Number of scenes."""
    family: Literal["mild", "full", "robot"] = "mild"
    """How varied the scenes are; or a two-armed robot at a table, seen by its head and both grippers (MuJoCo)."""
    views: MaybeInt = None
    """Cameras per scene; left out: 10, and the robot's 3."""
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
        if args.family == "robot":
            written = _robot(args, progress)
        else:
            size = 10 if args.views is None else args.views, args.frames, args.height, args.width
            rest = {"device": device, "textures": args.textures, "progress": progress}
            written = synthesize(args.out, args.family, args.scenes, *size, args.seed, args.first, **rest)
    if not args.quiet:
        print(f"{len(written)} scene{'s' * (len(written) != 1)} in {shown(args.out)}")
    return 0


def _robot(args: Synth, progress: Callable[[int], None]) -> list[Path]:
    from plenodream.data.robot import synthesize_robot

    if args.views is not None or args.textures is not None or args.seed:
        raise ValueError("--family robot has views and patterns of its own; leave --views, --textures and --seed out")
    size = args.frames, args.height, args.width
    return synthesize_robot(args.out, args.scenes, *size, args.first, progress=progress)
