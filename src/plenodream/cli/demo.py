"""`plenodream demo`: the bundled clip along four trajectories, compared with the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from plenodream.cli.parse import MaybeText
from plenodream.cli.render import Render, render_scene
from plenodream.words import shown


@dataclass(frozen=True)
class Demo:
    """Render the bundled clip along four trajectories and compare with the truth."""

    out: Path = Path("demo")
    """Scene folder."""
    model: str = "nano-depth"
    """Bundled model or model folder."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


def demo(args: Demo) -> int:
    """`plenodream demo`."""
    from rich.console import Console

    from plenodream.demo.clip import TRAJECTORIES, clip_folder
    from plenodream.demo.score import SCORE_NOTE, score_demo
    from plenodream.viewer.console import plain_table
    from plenodream.viewer.scene_page import write_scene_page
    from plenodream.viewer.truth import Truth, write_truth

    clip = clip_folder()
    files = {"cameras": clip / "cameras.json", "model": args.model, "device": args.device}
    scene, _ = render_scene(Render(clip / "source.mp4", args.out, TRAJECTORIES, **files, quiet=args.json))
    scores = score_demo(scene)
    write_truth(scene, SCORE_NOTE, {name: Truth(s.video, s.psnr, s.psnr_copy) for name, s in scores.items()})
    page = write_scene_page(scene)
    if args.json:
        views = {name: {"psnr": s.psnr, "psnr_copy": s.psnr_copy, "seen": s.seen} for name, s in scores.items()}
        print(json.dumps({"scene": str(args.out), "page": str(page), "views": views}))
        return 0
    columns = ("view", "PSNR", "copy", "gain", "seen")
    table = plain_table(*columns, right=columns[1:], title=f"{SCORE_NOTE}; seen: share of those pixels")
    for name, s in scores.items():
        gain = f"{s.psnr - s.psnr_copy:+.1f} dB"
        table.add_row(name, f"{s.psnr:.1f} dB", f"{s.psnr_copy:.1f} dB", gain, f"{100 * s.seen:.0f} %")
    console = Console()
    console.print(table)
    console.print(f"Open {shown(page.resolve())} in a browser.", highlight=False, soft_wrap=True)
    return 0
