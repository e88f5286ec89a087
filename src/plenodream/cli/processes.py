"""`plenodream render` as one of several processes that torchrun started."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from plenodream.cli.render import Render, check_request, render_scene, report_scene, request_of
from plenodream.cli.words import words_of
from plenodream.rendering.catalog import REPROJECTION


def render_together(args: Render) -> int:
    """The first process renders, the others carry the network with it."""
    model = check_request(args, request_of(args))
    if model == REPROJECTION:
        raise ValueError("--model reprojection: a point cloud has no network to share; start it without torchrun")

    from plenodream.rendering.load import choose_device, load_model, load_pipeline
    from plenodream.rendering.processes import follow, join_team, leave_team, share_pipeline

    team, device = join_team(choose_device(args.device))
    args = replace(args, device=device)
    try:
        if team.rank == 0:
            return report_scene(args, *render_scene(args, partial(load_model, team=team)))
        pipeline = load_pipeline(model, device, *words_of(args), args.fitting.fit())
        share_pipeline(pipeline, team)
        follow(pipeline, team)
    except ValueError:
        if team.rank == 0:
            raise
        return 2  # the first process says why
    finally:
        leave_team(team)
    return 0
