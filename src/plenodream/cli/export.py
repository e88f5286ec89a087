"""`plenodream export`: a scene for another program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.words import shown

Many = tyro.conf.UseAppendAction


@dataclass(frozen=True)
class Export:
    """Write the views of a scene for another program: images with cameras and times, arrays, or videos."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Scene folder."""
    to: str = "nerfstudio"
    """nerfstudio, colmap, colmap-text, realestate10k, npz, mp4, mp4-grid or gif."""
    out: Path = Path("export")
    """Folder to make."""
    view: Many[tuple[str, ...]] = ()
    """View to write; may be repeated (default: the source and all that are finished)."""
    quiet: bool = False
    """Print nothing but errors."""


def export(args: Export) -> int:
    """`plenodream export`."""
    from plenodream.memory.export import export_scene
    from plenodream.memory.scene import Scene

    names = export_scene(Scene.open(args.scene), args.out, args.to, args.view)
    if not args.quiet:
        print(f"{', '.join(names)} written to {shown(args.out)} for {args.to}")
    return 0
