"""`plenodream plan`: what views will see and cost, before they are rendered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from plenodream.cli.asked import Asked
from plenodream.cli.parse import MaybePath, check_clip, check_depth_kind, check_distance
from plenodream.words import shown

if TYPE_CHECKING:
    from plenodream.rendering.settings import Changes


@dataclass(frozen=True)
class Plan(Asked):
    """Show what trajectories will see of a video, and what rendering them will take: a sheet and a JSON file."""

    clip: Annotated[MaybePath, tyro.conf.Positional] = None
    """Source video, folder of images, or their pattern (frame-%04d.png)."""
    out: Path = Path("plan")
    """Folder for plan.png and plan.json."""
    model: str = "nano-depth"
    """Bundled model, model folder, owner/name on the hub, or reprojection."""
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
    if args.clip is None:
        raise ValueError("nothing to plan of: expected a video; see `plenodream plan --help`")
    check_clip(args.clip)
    if args.subject_distance is not None:
        check_distance(args.subject_distance)
    request = make_request(args.trajectory, args.trajectory_file, changes or Changes())
    if not request.names:
        raise ValueError("nothing to plan: expected --trajectory or --trajectory-file (see `plenodream trajectories`)")
    distance = args.distance()
    check_files(request.files, args.cameras, args.source_fov, args.scale or 1.0, distance)

    from plenodream.files.atomic import write_file
    from plenodream.rendering.inputs import view_size
    from plenodream.rendering.load import load_model
    from plenodream.rendering.plan import cost_words, judge, plan_cost, view_words
    from plenodream.rendering.preview import preview
    from plenodream.rendering.targets import plan_targets
    from plenodream.viewer.plan import draw_plan

    model = load_model(args.model)
    source = args.video(view_size(args.clip, model.generator.workings.size, args.height))
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
