"""`plenodream render`: a video and trajectories in, a scene out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from plenodream.cli.asked import Asked, Many
from plenodream.cli.fit import Fitting
from plenodream.cli.parse import MaybeFloat, MaybeInt, MaybeText, check_clip, check_options, part_of
from plenodream.cli.words import words_of
from plenodream.words import printable, shown

if TYPE_CHECKING:
    from plenodream.memory.scene import Scene
    from plenodream.rendering.model import Model
    from plenodream.rendering.outlook import Work
    from plenodream.rendering.request import Request
    from plenodream.rendering.settings import Changes

NOTHING = "nothing to render: expected --trajectory or --trajectory-file (see `plenodream trajectories`)"


@dataclass(frozen=True)
class Render(Asked):
    """Render a video along camera trajectories into a scene folder; run again to continue or to add more."""

    split_cuts: bool = False
    """Render every shot of a clip with cuts by itself, into the scenes OUT/shot-1, OUT/shot-2 ..."""
    model: MaybeText = None
    """Bundled model, folder, owner/name on the hub, or reprojection (no network); left out: the scene's own."""
    k: MaybeInt = None
    """Context views of each new view; left out: what suits the model."""
    strategy: MaybeText = None
    """Retrieval: fov (where nothing is said), fov-paper, visible, coverage, pose, random, last, source."""
    near: MaybeFloat = None
    """Start of the retrieval frustums of fov and coverage in metres; left out: from the scene's scale."""
    far: MaybeFloat = None
    """End of those frustums in metres; left out: from the scene's scale."""
    candidates: MaybeInt = None
    """Stored views that compete for the context; those beyond k are merged. Left out: what suits the model."""
    as_paper: bool = False
    """The paper's choices: fov-paper, 6 candidates, merging, and the source may drop out of the context."""
    steps: MaybeInt = None
    """Sampling steps; left out: what suits the model."""
    guidance: MaybeFloat = None
    """g in v_c + g (v_c - v_u); left out: what suits the model. One whose own is 0, as nano's, gets worse with more."""
    seed: MaybeInt = None
    """Seed of the scene; 0 if left out."""
    force: Many[tuple[str, ...]] = ()
    """View to render again; may be repeated."""
    prompt: MaybeText = None
    """What the video shows, for networks that read words; left out: nothing, or what the model's folder holds."""
    negative_prompt: MaybeText = None
    """Words that guidance leads away from; left out: the publisher's."""
    caption: MaybeText = None
    """Image-to-text model of transformers (folder, or owner/name on the hub) that writes the prompt of a new scene."""
    device: MaybeText = None
    """cpu, cuda, cuda:1; left out: the GPU where there is one."""
    fitting: Annotated[Fitting, tyro.conf.arg(name="")] = field(default_factory=Fitting)
    dry_run: bool = False
    """Render nothing: what `plenodream plan` does, into a folder beside --out that is called so with -plan added."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object on stdout (a line for each shot) and nothing else."""
    json_progress: bool = False
    """Print one line of JSON on stderr after every step: view, step, views done, seconds left; no notes and no bar."""


def render(args: Render) -> int:
    """`plenodream render`."""
    if not args.split_cuts:
        return _render_one(args)
    if _processes() > 1:
        raise ValueError("--split-cuts under torchrun: expected one process, or a shot by --start and --frames")
    from plenodream.cli.shots import load_once, split_shots

    shots, said = split_shots(args)
    if not (args.quiet or args.json or args.json_progress):
        print(printable(said), file=sys.stderr)
    load = load_once()
    for shot in shots:
        _render_one(shot, load)
    return 0


def _render_one(args: Render, load: Callable[..., Model] | None = None) -> int:
    if args.dry_run:
        return _plan(args)
    if _processes() > 1:
        from plenodream.cli.processes import render_together

        return render_together(args)
    return report_scene(args, *render_scene(args, load))


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))  # as torchrun says


def report_scene(args: Render, scene: Scene, rendered: int) -> int:
    """Print what is in a scene after a run."""
    page = scene.folder / "index.html"
    if args.json:
        from plenodream.viewer.console import rows_of_views

        print(json.dumps({"scene": str(args.out), "page": str(page), "views": rows_of_views(scene)}))
    elif not args.quiet:
        from rich.console import Console

        from plenodream.viewer.console import table_of_views

        console = Console(stderr=True)
        done = f"{rendered} view{'s' * (rendered != 1)} rendered" if rendered else "nothing to do"
        console.print(table_of_views(scene))
        console.print(f"{done}; page: {shown(page)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def render_scene(
    args: Render,
    load: Callable[..., Model] | None = None,
    follow: Callable[[list[Work]], AbstractContextManager] | None = None,
) -> tuple[Scene, int]:
    """Render what is asked for and write the page; returns the scene and how many views were rendered.

    Args:
        args: The command's arguments.
        load: In the place of `load_model`.
        follow: In the place of a bar: given what is to be rendered, gives what is called after every step.
    """
    request = request_of(args)
    model = check_request(args, request)

    from rich.console import Console

    from plenodream.rendering.inputs import view_size
    from plenodream.rendering.load import load_model
    from plenodream.rendering.model import render_owed
    from plenodream.rendering.outlook import plan_work
    from plenodream.rendering.prepare import prepare_scene, scene_size
    from plenodream.rendering.renderer import pending
    from plenodream.rendering.same_world import describe_files
    from plenodream.viewer.console import progress_bar, progress_lines
    from plenodream.viewer.scene_page import write_scene_page

    console = Console(stderr=True, quiet=args.quiet or args.json or args.json_progress)
    maker, video = (load or load_model)(model, args.device, *words_of(args), args.fitting.fit()), None
    if args.clip is not None:
        size = scene_size(args.out) or view_size(args.clip, maker.generator.workings.size, args.height)
        video = args.video(size)
    scene = prepare_scene(args.out, video, request, maker)
    before = pending(scene)
    work = plan_work(scene, maker.generator.workings.fewest, maker.generator.workings.targets)
    for line in (*describe_files(request.files), *_announcement(scene, work, maker, args.clip is not None)):
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)
    try:
        bar = progress_lines(sys.stderr, work) if args.json_progress else progress_bar(console, work)
        with bar if follow is None else follow(work) as report:
            render_owed(scene, maker, report)
    except BaseException:  # what is done by then can be looked at; why it ended matters more than a page that fails
        with suppress(ValueError, OSError):
            write_scene_page(scene)
        raise
    write_scene_page(scene)
    return scene, len({name for name, _ in before})


def _plan(args: Render) -> int:
    """What rendering would show and cost."""
    from dataclasses import fields

    from plenodream.cli.plan import Plan, plan

    request = request_of(args)
    model = check_request(args, request)
    if args.clip is None:
        raise ValueError("--dry-run without a video: expected one, since it plans new scenes alone")
    same = {field.name: getattr(args, field.name) for field in fields(Plan) if field.name not in ("out", "model")}
    return plan(Plan(**same, model=model, out=args.out.with_name(f"{args.out.name}-plan")), _changes(args))


def _announcement(scene: Scene, work: list[Work], model: Model, fresh: bool) -> list[str]:
    """What is said before the first view: of the source, of the windows, how many views there will be."""
    from plenodream.rendering.outlook import announce
    from plenodream.rendering.source import source_notes

    manifest, lines = scene.manifest, list(source_notes(scene)) if work or fresh else []
    length = len(manifest.windows[0])
    if work and len(manifest.windows) > 1:
        overlap = min(window.clean for window in manifest.windows[1:])
        lines.append(
            f"{manifest.frames} frames in {len(manifest.windows)} windows of {length}, overlapping by {overlap} or more"
        )
    elif work and manifest.frames < length:
        lines.append(f"{manifest.frames} frames padded to {length} by repeating the last one")
    return lines + ([announce(scene, work, model.generator)] if work else [])


def request_of(args: Render) -> Request:
    """What the arguments ask for; needs neither torch nor a model."""
    from plenodream.rendering.request import make_request

    return make_request(args.trajectory, args.trajectory_file, _changes(args), args.seed, args.force)


def _changes(args: Render) -> Changes:
    from plenodream.rendering.settings import Changes

    return Changes(
        k=args.k,
        strategy=args.strategy,
        near=args.near,
        far=args.far,
        subject_distance=args.subject_distance,
        candidates=args.candidates,
        steps=args.steps,
        guidance=args.guidance,
        as_paper=args.as_paper,
    )


def check_request(args: Render, request: Request) -> str:
    """Refuse what can be refused before a model is loaded, most of it before torch; returns the model to use."""
    check_options(args)

    from plenodream.memory.manifest import FILE, read_manifest
    from plenodream.rendering.catalog import find_model, model_for
    from plenodream.rendering.request import check_manifest

    partial = part_of(args) != slice(None)
    given = (args.cameras, args.source_fov, args.scale, args.depth, args.depth_kind, args.height)
    if args.clip is None and (partial or any(value is not None for value in given)):
        raise ValueError(
            "--cameras, --source-fov, --scale, --depth, --height, --frames, --start and --stride describe a source "
            "video: expected the video too"
        )
    if args.clip is not None:
        check_clip(args.clip)
    for path in (args.cameras, args.depth, *args.trajectory_file):
        if path is not None and not Path(str(path).partition("#")[0]).exists():
            raise ValueError(f"{path}: no such file or folder")
    views = None
    if (args.out / FILE).exists():
        manifest = read_manifest(args.out)
        check_manifest(args.out, manifest, request)
        views = [entry for entry in manifest.entries if entry.kind == "view"]
    elif args.force:
        raise ValueError(f"--force {args.force[0]}: {args.out} is no scene yet; expected a view that is there")
    if not request.names and (views == [] or (views is None and args.clip is not None)):
        raise ValueError(NOTHING)
    model = args.model or model_for(args.out)
    find_model(model)
    if args.clip is not None and request.files:
        from plenodream.rendering.same_world import check_files

        check_files(request.files, args.cameras, args.source_fov, args.scale or 1.0, args.subject_distance or 4.0)
    return model
