"""`plenodream trajectories`: the presets, listed and drawn."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import tyro

from plenodream.cli.parse import MaybePath
from plenodream.words import shown

Many = tyro.conf.UseAppendAction


@dataclass(frozen=True)
class Trajectories:
    """List the trajectory presets with their parameters."""

    plot: MaybePath = None
    """Draw the presets' paths into this .png, .svg or .pdf file."""
    trajectory: Many[tuple[str, ...]] = ()
    """What to draw; left out: all presets."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


def trajectories(args: Trajectories) -> int:
    """`plenodream trajectories`."""
    from rich.console import Console

    from plenodream.geometry.paths import trajectory_cameras
    from plenodream.geometry.presets import COMMON, PRESETS
    from plenodream.geometry.trajectories import describe_presets, parse_trajectories
    from plenodream.viewer.console import plain_table

    rows, chosen = describe_presets(), parse_trajectories(args.trajectory or list(PRESETS))
    if args.plot is None and args.trajectory:
        raise ValueError("--trajectory chooses what --plot draws: expected --plot FILE.png too")
    if args.plot is not None:
        from plenodream.rendering.request import SOURCE
        from plenodream.rendering.source import still_cameras

        still = still_cameras(25, 48, 48)
        paths = {SOURCE: still} | {t.name: trajectory_cameras(t, still) for t in chosen}
        from plenodream.viewer.paths import draw_paths  # matplotlib takes a second

        draw_paths(paths, args.plot)
        print(f"wrote {shown(args.plot)}", file=sys.stderr)
    if args.json:
        print(json.dumps(rows))
        return 0
    table = plain_table("trajectory", "what it does", "parameters (default)")
    for row in rows:
        own = [p for p in row["parameters"] if p["name"] not in COMMON]
        table.add_row(row["name"], row["description"], "\n".join(map(_parameter, own)))
    common = ", ".join(_parameter(p) for p in rows[0]["parameters"] if p["name"] in COMMON)
    console = Console()
    console.print(table)
    console.print(f"\nAll take {common}. Write them as arc-right:angle=40,ease=smooth.", highlight=False)
    return 0


def _parameter(parameter: dict) -> str:
    default = parameter["default"]
    text = default if isinstance(default, str) else f"{default:g} {parameter['unit']}"
    others = [choice for choice in parameter["choices"] if choice != default]
    return f"{parameter['name']}={text}" + (f" (or {', '.join(others)})" if others else "")
