"""`plenodream plan`: what views will see and cost, before they are rendered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from plenodream.cli.parse import (
    MaybeFloat,
    MaybeInt,
    MaybePath,
    MaybeText,
    check_clip,
    check_depth_kind,
    check_distance,
    part_of,
)
from plenodream.words import shown

if TYPE_CHECKING:
    from plenodream.rendering.model import Model
    from plenodream.rendering.settings import Changes
    from plenodream.rendering.source import SourceVideo

Many = tyro.conf.UseAppendAction


@dataclass(frozen=True)
class Plan:
    """Show what trajectories will see of a video, and what rendering them will take: a sheet and a JSON file."""

    clip: Annotated[Path, tyro.conf.Positional]
    """Source video."""
    trajectory: Many[tuple[str, ...]] = ()
    """Preset like arc-left or arc-right:angle=40,ease=smooth; may be repeated."""
    trajectory_file: Many[tuple[Path, ...]] = ()
    """Camera file of a target view, or key frames; may be repeated."""
    cameras: MaybePath = None
    """Camera file of the source video."""
    source_fov: MaybeFloat = None
    """Horizontal field of view of the source in degrees, where no file gives a focal length (default 60)."""
    depth: MaybePath = None
    """Depth of the source: what `plenodream depth` wrote, or another program's files."""
    depth_kind: MaybeText = None
    """What those hold where they do not tell: metric, scaled or disparity."""
    scale: MaybeFloat = None
    """Factor from the lengths in camera files to metres."""
    subject_distance: MaybeFloat = None
    """Metres to the subject; 4 if left out."""
    frames: MaybeInt = None
    """Take so many frames of the video."""
    start: int = 0
    """Begin at this frame of the video, counted from 0."""
    stride: int = 1
    """Take one of so many frames of the video."""
    model: str = "nano-depth"
    """Bundled model, model folder, owner/name on the hub, or reprojection."""
    height: MaybeInt = None
    """Height of the views in pixels, at most; left out: what `render` takes."""
    out: Path = Path("plan")
    """Folder for plan.png and plan.json."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


def plan(args: Plan, changes: Changes | None = None) -> int:
    """`plenodream plan`; with settings of their own for `render --dry-run`."""
    from plenodream.rendering.request import make_request
    from plenodream.rendering.same_world import check_files, describe_files
    from plenodream.rendering.settings import Changes

    check_depth_kind(args)
    check_clip(args.clip)
    if args.subject_distance is not None:
        check_distance(args.subject_distance)
    request = make_request(args.trajectory, args.trajectory_file, changes or Changes())
    if not request.names:
        raise ValueError("nothing to plan: expected --trajectory or --trajectory-file (see `plenodream trajectories`)")
    distance = args.subject_distance or 4.0
    check_files(request.files, args.cameras, args.source_fov, args.scale or 1.0, distance)

    from plenodream.files.atomic import write_file
    from plenodream.rendering.load import load_model
    from plenodream.rendering.plan import cost_words, judge, plan_cost, view_words
    from plenodream.rendering.preview import preview
    from plenodream.rendering.targets import plan_targets
    from plenodream.viewer.plan import draw_plan

    model = load_model(args.model)
    source = _source(args, model, distance)
    made = plan_targets(request, source.cameras, source.size, source.scale, distance)
    targets = {one.name: one.cameras for one in made}
    previews = [preview(name, cameras, source, distance) for name, cameras in targets.items()]
    judgements = [judge(one, model, distance) for one in previews]
    notes = [*source.notes, *describe_files(request.files), *(line for one in made for line in one.cautions)]
    cost, reach = plan_cost(model, source, targets, changes), None if model.reach is None else model.reach * distance
    words = [view_words(*pair) for pair in zip(previews, judgements, strict=True)]
    below = [*notes, cost_words(len(previews), cost)]
    args.out.mkdir(parents=True, exist_ok=True)
    sheet = draw_plan(source, targets, previews, judgements, words, distance, reach, below)
    write_file(args.out / "plan.png", sheet)
    seen = [{k: v for k, v in vars(one).items() if k != "warps"} for one in previews]
    views = [one | vars(judged) for one, judged in zip(seen, judgements, strict=True)]
    data = {"views": views, "trained_reach": reach, "notes": notes, **cost}
    write_file(args.out / "plan.json", json.dumps(data, indent=1).encode())
    if args.json:
        print(json.dumps(data))
    elif not args.quiet:
        print("\n".join([*notes, *(line for those in words for line in those), below[-1]]))
        print(f"wrote {shown(args.out / 'plan.png')} and plan.json")
    return 0


def _source(args: Plan, model: Model, distance: float) -> SourceVideo:
    """The video at the views' size, with depth where it is given."""
    from plenodream.media.depth import load_depth
    from plenodream.rendering.inputs import open_video, view_size

    size = view_size(args.clip, model.generator.workings.size, args.height)
    depth = None if args.depth is None else load_depth(args.depth, args.depth_kind)
    lens = (args.cameras, args.source_fov, None, 1.0 if args.scale is None else args.scale)
    return open_video(args.clip, *size, *lens, part_of(args), depth, distance)
