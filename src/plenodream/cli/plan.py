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
    cameras: MaybePath = None
    """Camera file of the source video."""
    source_fov: MaybeFloat = None
    """Horizontal field of view of the source in degrees, where no file gives a focal length (default 60)."""
    depth: MaybePath = None
    """Depth of the source: what `plenodream depth` wrote, or another program's files."""
    depth_kind: MaybeText = None
    """What those hold where they do not tell: metric, scaled or disparity."""
    subject_distance: float = 4.0
    """Metres to the subject."""
    model: str = "nano-depth"
    """Bundled model, model folder, owner/name on the hub, or reprojection."""
    height: MaybeInt = None
    """Height of the views in pixels, at most; left out: what `render` takes."""
    out: Path = Path("plan")
    """Folder for plan.png and plan.json."""
    quiet: bool = False
    """Print nothing but errors."""


def plan(args: Plan) -> int:
    """`plenodream plan`."""
    from plenodream.files.atomic import write_file
    from plenodream.geometry.paths import trajectory_cameras
    from plenodream.geometry.trajectories import parse_trajectories
    from plenodream.rendering.load import load_model
    from plenodream.rendering.preview import preview
    from plenodream.viewer.plan import draw_plan

    chosen = parse_trajectories(args.trajectory)
    if not chosen:
        raise ValueError("nothing to plan: expected --trajectory (see `plenodream trajectories`)")
    model = load_model(args.model)
    source = _source(args, model)
    targets = {one.name: trajectory_cameras(one, source.cameras) for one in chosen}
    previews = [preview(name, cameras, source, args.subject_distance) for name, cameras in targets.items()]
    cost, notes = _cost(model, source, targets), list(source.notes)
    reach = None if model.reach is None else model.reach * args.subject_distance
    lines = [*notes, *_words(previews, cost, reach)]
    args.out.mkdir(parents=True, exist_ok=True)
    write_file(args.out / "plan.png", draw_plan(source, targets, previews, args.subject_distance, reach, lines))
    views = [{k: v for k, v in vars(one).items() if k != "warps"} for one in previews]
    data = {"views": views, "trained_reach": reach, "notes": notes, **cost}
    write_file(args.out / "plan.json", json.dumps(data, indent=1).encode())
    if not args.quiet:
        print("\n".join(lines))
        print(f"wrote {args.out / 'plan.png'} and plan.json")
    return 0


def _source(args: Plan, model: Model) -> SourceVideo:
    """The video at the views' size, with depth where it is given."""
    from plenodream.media.depth import load_depth
    from plenodream.rendering.inputs import open_video, view_size

    size = view_size(args.clip, model.generator.workings.size, args.height)
    depth = None if args.depth is None else load_depth(args.depth, args.depth_kind)
    lens = (args.cameras, args.source_fov)
    return open_video(args.clip, *size, *lens, depth=depth, subject_distance=args.subject_distance)


def _cost(model: Model, source: View, targets: dict[str, Cameras]) -> dict[str, Any]:
    """Windows, merged views, seconds and memory."""
    from plenodream.memory.windows import plan_windows
    from plenodream.rendering.cost import estimate_cost
    from plenodream.rendering.outlook import foresee
    from plenodream.rendering.source import SOURCE

    workings = model.generator.workings
    frames = workings.frames or len(source)
    windows = plan_windows(len(source), frames, workings.overlap)
    owed = [([name], number) for number in range(len(windows)) for name in targets]
    work = foresee({SOURCE: source.cameras, **targets}, windows, owed, model.settings, fewest=workings.fewest)
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
