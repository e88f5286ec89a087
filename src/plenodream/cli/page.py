"""`plenodream page`: write a scene's page, and what people take from it, anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.words import shown


@dataclass(frozen=True)
class Page:
    """Write the page of a scene anew, and its videos where they are missing or damaged."""

    scene: Annotated[Path, tyro.conf.Positional] = Path("scene")
    """Scene folder."""
    single_file: bool = False
    """Put the videos into the page, to send it around alone."""


def page(args: Page) -> int:
    """`plenodream page`."""
    from plenodream.memory.scene import Scene
    from plenodream.viewer.scene_page import write_scene_page

    scene = Scene.open(args.scene)
    scene.finish(*scene.names())
    print(shown(write_scene_page(scene, single_file=args.single_file)))
    return 0
