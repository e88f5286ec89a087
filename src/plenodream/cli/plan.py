"""`plenodream plan`: what views will see and cost, before they are rendered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from plenodream.cli.parse import MaybeFloat, MaybeInt, MaybePath, MaybeText

if TYPE_CHECKING:
    from plenodream.rendering.model import Model
    from plenodream.rendering.preview import Preview
    from plenodream.rendering.settings import Changes
    from plenodream.rendering.source import SourceVideo
    from plenodream.types import Cameras, View

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


def plan(args: Plan, changes: Changes | None = None) -> int:
    """`plenodream plan`; with settings of their own for `render --dry-run`."""
    from plenodream.files.atomic import write_file
    from plenodream.rendering.load import load_model
    from plenodream.rendering.preview import preview
    from plenodream.rendering.request import make_request
    from plenodream.rendering.settings import Changes
    from plenodream.rendering.targets import plan_targets
    from plenodream.viewer.plan import draw_plan

    request = make_request(args.trajectory, args.trajectory_file, changes or Changes())
    if not request.names:
        raise ValueError("nothing to plan: expected --trajectory or --trajectory-file (see `plenodream trajectories`)")
    distance, model = args.subject_distance or 4.0, load_model(args.model)
    source = _source(args, model, distance)
    made = plan_targets(request, source.cameras, source.size, source.scale, distance)
    targets = {one.name: one.cameras for one in made}
    previews = [preview(name, cameras, source, distance) for name, cameras in targets.items()]
    cost, notes = _cost(model, source, targets, changes), list(source.notes)
    reach = None if model.reach is None else model.reach * distance
    lines = [*notes, *_words(previews, cost, reach)]
    args.out.mkdir(parents=True, exist_ok=True)
    write_file(args.out / "plan.png", draw_plan(source, targets, previews, distance, reach, lines))
    views = [{k: v for k, v in vars(one).items() if k != "warps"} for one in previews]
    data = {"views": views, "trained_reach": reach, "notes": notes, **cost}
    write_file(args.out / "plan.json", json.dumps(data, indent=1).encode())
    if not args.quiet:
        print("\n".join(lines))
        print(f"wrote {args.out / 'plan.png'} and plan.json")
    return 0


def _source(args: Plan, model: Model, distance: float) -> SourceVideo:
    """The video at the views' size, with depth where it is given."""
    from plenodream.cli.parse import part_of
    from plenodream.media.depth import load_depth
    from plenodream.rendering.inputs import open_video, view_size

    size = view_size(args.clip, model.generator.workings.size, args.height)
    depth = None if args.depth is None else load_depth(args.depth, args.depth_kind)
    lens = (args.cameras, args.source_fov, None, args.scale or 1.0)
    return open_video(args.clip, *size, *lens, part_of(args), depth, distance)


def _cost(model: Model, source: View, targets: dict[str, Cameras], changes: Changes | None) -> dict[str, Any]:
    """Windows, merged views, seconds and memory."""
    from plenodream.memory.windows import plan_windows
    from plenodream.rendering.cost import estimate_cost
    from plenodream.rendering.outlook import foresee
    from plenodream.rendering.source import SOURCE

    workings = model.generator.workings
    frames = workings.frames or len(source)
    windows = plan_windows(len(source), frames, workings.overlap)
    settings = model.settings if changes is None else changes.of(model.settings)
    owed = [([name], number) for number in range(len(windows)) for name in targets]
    work = foresee({SOURCE: source.cameras, **targets}, windows, owed, settings, fewest=workings.fewest)
    contexts, merged = (item.contexts for item in work), {item.view for item in work} - set(targets)
    cost = estimate_cost(model.generator, contexts, frames, source.cameras.height, source.cameras.width)
    return {"model": model.name, "windows": len(windows), "merged": len(merged), **asdict(cost)}


def _words(previews: list[Preview], cost: dict[str, Any], reach: float | None) -> list[str]:
    lines = []
    for one in previews:
        beyond = reach is not None and one.travel > reach
        far = f"; farther than the model was trained to go ({reach:.2g} m)" if beyond else ""
        lines.append(
            f"{one.name}: {sum(one.unseen) / len(one.unseen):.0%} unseen on average, {max(one.unseen):.0%} at most; "
            f"goes {one.travel:.2g} m, turns {one.turn:.0f} degrees; depth {one.depth}{far}"
        )
    minutes = cost["seconds"] / 60
    time = f"{cost['seconds']:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
    views = f"{len(previews)} view{'s' * (len(previews) != 1)} and {cost['merged']} merged for them"
    lines.append(
        f"{views} in {cost['windows']} window{'s' * (cost['windows'] != 1)} with {cost['model']}: about {time} and "
        f"{cost['memory'] / 2**30:.1f} GiB, estimated"
    )
    return lines
