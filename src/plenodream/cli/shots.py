"""`render --split-cuts`: one scene for every shot of a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from plenodream.cli.parse import part_of

if TYPE_CHECKING:
    from plenodream.cli.render import Render
    from plenodream.rendering.model import Model


def load_once() -> Callable[..., Model]:
    """`load_model`, whose last model serves for as long as the same is asked for: shots have captions of their own."""
    loaded: dict[tuple, Model] = {}

    def load(*asked: Any) -> Model:
        from plenodream.rendering.load import load_model

        if asked not in loaded:
            loaded.clear()
            loaded[asked] = load_model(*asked)
        return loaded[asked]

    return load


def split_shots(args: Render) -> tuple[list[Render], str]:
    """What to render for every shot, into shot-1, shot-2 ... below --out, and what is said of it, one line.

    A clip of one shot is rendered as it is. Shots of a single frame are left out.

    Raises:
        ValueError: No video, or no shot with two frames.
    """
    from plenodream.media.cuts import find_cuts
    from plenodream.media.video import read_video

    if args.clip is None:
        raise ValueError("--split-cuts without a video: expected one; scenes of shots are gone on with one by one")
    part = part_of(args)
    first, step = part.start or 0, part.step or 1
    video = read_video(args.clip, None if part.stop is None else max(2, part.stop))
    frames = video.frames[first : part.stop]
    bounds = [0, *find_cuts(frames), len(frames)]
    if len(bounds) == 2:
        return [replace(args, split_cuts=False)], "one shot: no cuts found"
    shots = []
    for number, (begin, end) in enumerate(pairwise(bounds), start=1):
        count = -(-(end - begin) // step)
        if count >= 2:
            out = args.out / f"shot-{number}"
            shots.append(replace(args, start=first + begin, frames=count, out=out, split_cuts=False))
    if not shots:
        raise ValueError(f"{args.clip}: {len(bounds) - 1} shots, none of 2 frames or more; expected longer ones")
    cuts = ", ".join(str(first + cut) for cut in bounds[1:-1])
    left = len(bounds) - 1 - len(shots)
    short = f"; {left} of less than 2 frames left out" if left else ""
    return shots, f"{len(bounds) - 1} shots, cuts at frame {cuts}: a scene for each in {args.out}/shot-N{short}"
