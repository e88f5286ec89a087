"""`plenodream depth`: depth of a clip, estimated by a model or taken from another program's files, in metres."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybePath, MaybeText, check_distance
from plenodream.words import shown


@dataclass(frozen=True)
class Depth:
    """Write the depth of every frame of a clip, in metres, as `render --depth` and `plan --depth` read it."""

    clip: Annotated[Path, tyro.conf.Positional]
    """The video."""
    model: MaybeText = None
    """A transformers depth-estimation model: a folder, or owner/name on the hub."""
    file: MaybePath = None
    """Instead of a model: depth maps of another program (npz, npy, EXR, 16-bit PNG, a folder or zip of them)."""
    depth_kind: MaybeText = None
    """What the file holds where it does not tell: metric, scaled (an unknown factor) or disparity."""
    subject_distance: float = 4.0
    """Metres to what the picture's middle shows, where nothing else gives a scale."""
    out: Path = Path("depth")
    """Folder to write depth.npz into."""
    device: str = "cpu"
    """cpu, cuda."""
    quiet: bool = False
    """Print nothing but errors."""


def depth(args: Depth) -> int:
    """`plenodream depth`."""
    from plenodream.estimate.depth import estimate_depth, metric_depth
    from plenodream.files.atomic import write_file
    from plenodream.media.depth import DISPARITY, load_depth, match_depth, save_depth
    from plenodream.media.video import read_video

    if (args.model is None) == (args.file is None):
        raise ValueError("depth of what: expected either --model or --file")
    if args.file is None and args.depth_kind is not None:
        raise ValueError("--depth-kind says what a file holds: expected --file with it")
    check_distance(args.subject_distance)
    raw = None if args.file is None else load_depth(args.file, args.depth_kind)
    clip = read_video(args.clip)
    if args.model is not None:
        with counting("frame", len(clip.frames), args.quiet) as progress:
            raw = estimate_depth(clip.frames, args.model, args.device, progress)
    assert raw is not None
    frames, height, width = clip.frames.shape[:3]
    match_depth(raw, frames, height, width, str(args.file or args.model))
    values, how = metric_depth(raw, args.subject_distance)
    data = io.BytesIO()
    save_depth(data, values, raw.kind == DISPARITY)
    args.out.mkdir(parents=True, exist_ok=True)
    write_file(args.out / "depth.npz", data.getvalue())
    if not args.quiet:
        known = values[values > 0]
        low, middle, high = (known[:: max(1, known.numel() // 10**6)].quantile(q).item() for q in (0.01, 0.5, 0.99))
        print(f"{raw.found}; {how}")
        print(f"{low:.2g} to {high:.2g} m (99 %), median {middle:.2g} m; wrote {shown(args.out / 'depth.npz')}")
    return 0
