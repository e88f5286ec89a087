"""`plenodream plan`: what views will see and cost, before they are rendered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from plenodream.rendering.preview import Preview
    from plenodream.types import Cameras, View

Many = tyro.conf.UseAppendAction
POINT_CLOUD = "reprojection"


@dataclass(frozen=True)
class Plan:
    """Show what trajectories will see of a video, and what rendering them will take: a sheet and a JSON file."""

    clip: Annotated[Path, tyro.conf.Positional]
    """Source video."""
    trajectory: Many[tuple[str, ...]] = ()
    """Preset like arc-left or arc-right:angle=40,ease=smooth; may be repeated."""
    cameras: Path | None = None
    """Camera file of the source video."""
    source_fov: float | None = None
    """Horizontal field of view of the source in degrees, where no file gives a focal length (default 60)."""
    depth: Path | None = None
    """Depth of the source: what `plenodream depth` wrote, or another program's files."""
    depth_kind: str | None = None
    """What those hold where they do not tell: metric, scaled or disparity."""
    subject_distance: float = 4.0
    """Metres to the subject."""
    model: str = "mini"
    """Bundled model, model folder, owner/name on the hub, or reprojection."""
    height: int = 480
    """Height of the views, pixels (never more than the source's)."""
    out: Path = Path("plan")
    """Folder for plan.png and plan.json."""
    quiet: bool = False
    """Print nothing but errors."""


def plan(args: Plan) -> int:
    """`plenodream plan`."""
    from plenodream.files.atomic import write_file
    from plenodream.geometry.paths import trajectory_cameras
    from plenodream.geometry.trajectories import parse_trajectories
    from plenodream.rendering.preview import preview
    from plenodream.viewer.plan import draw_plan

    chosen = parse_trajectories(args.trajectory)
    if not chosen:
        raise ValueError("nothing to plan: expected --trajectory (see `plenodream trajectories`)")
    source, notes = _source(args)
    targets = {one.name: trajectory_cameras(one, source.cameras) for one in chosen}
    previews = [preview(name, cameras, source, args.subject_distance) for name, cameras in targets.items()]
    cost, reach = _cost(args, source, targets)
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


def _source(args: Plan) -> tuple[View, list[str]]:
    """The video at the views' size, with depth where it is given."""
    from plenodream.estimate.depth import with_depth
    from plenodream.media.depth import load_depth
    from plenodream.media.video import read_video
    from plenodream.rendering.source import open_source
    from plenodream.types import View

    raw = None if args.depth is None else load_depth(args.depth, args.depth_kind)
    whole = read_video(args.clip, max_frames=2).frames.shape[1:3]
    height = min(args.height, whole[0])
    size = height, max(1, round(whole[1] * height / whole[0]))
    video, notes = open_source(args.clip, *size, args.cameras, args.source_fov)
    view = View(video.frames, video.cameras, video.fps)
    if raw is None:
        return view, list(notes)
    view, note = with_depth(view, raw, args.subject_distance)
    return view, [*notes, note]


def _cost(args: Plan, source: View, targets: dict[str, Cameras]) -> tuple[dict[str, Any], float | None]:
    """Windows, merged views, seconds and memory, and how far a model was trained to go."""
    from plenodream.generators.reprojection import Reprojection
    from plenodream.memory.strategies import RetrievalConfig
    from plenodream.memory.windows import plan_windows
    from plenodream.rendering.cost import estimate_cost, foresee
    from plenodream.rendering.load import load_pipeline
    from plenodream.rendering.settings import RenderSettings
    from plenodream.sampling.config import SamplingConfig

    if args.model == POINT_CLOUD:
        generator, reach = Reprojection(), None
        settings = RenderSettings(RetrievalConfig(k=generator.most), generator.most, SamplingConfig(1, 0.0), True)
        windows, frames = plan_windows(len(source), len(source), 0), len(source)
    else:
        pipeline = load_pipeline(args.model)
        generator, config, settings = pipeline.generator(), pipeline.config, pipeline.default_settings()
        windows, frames = plan_windows(len(source), config.frames, config.overlap), config.frames
        reach = _reach(config, args.subject_distance)
    contexts, merged = foresee(source.cameras, targets, windows, settings)
    cost = estimate_cost(generator, contexts, frames, source.cameras.height, source.cameras.width)
    return {"model": args.model, "windows": len(windows), "merged": len(merged), **asdict(cost)}, reach


def _reach(config: Any, subject_distance: float) -> float | None:
    """Metres from the source's first camera that a model was trained to go, around a subject at some distance."""
    travel, distance = (config.get(name) for name in ("max_travel", "subject_distance"))
    return None if not travel or not distance else travel / distance * subject_distance


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
