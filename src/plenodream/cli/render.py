"""`plenodream render`: a video and trajectories in, a scene out."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from plenodream.rendering.pipeline import PlenopticPipeline
    from plenodream.rendering.settings import RenderSettings

Many = tyro.conf.UseAppendAction
_FRUSTUMS = ("fov", "coverage")  # the strategies that --near and --far mean something to
_NOTHING = "nothing to render: expected --trajectory or --trajectory-file (see `plenodream trajectories`)"


@dataclass(frozen=True)
class Render:
    """Render a video along camera trajectories into a scene folder; run again to continue or to add more."""

    clip: Annotated[Path | None, tyro.conf.Positional] = None
    """Source video. Left out, the scene in --out is continued."""
    out: Path = Path("scene")
    """Scene folder: the memory bank, the previews and index.html."""
    trajectory: Many[tuple[str, ...]] = ()
    """Preset like arc-left or arc-right:angle=40,ease=smooth; may be repeated. basic12 stands for twelve."""
    trajectory_file: Many[tuple[Path, ...]] = ()
    """Camera file of a target view (our JSON, transforms.json, 12 numbers a line) or key frames; may be repeated."""
    cameras: Path | None = None
    """Camera file of the source video."""
    source_fov: float | None = None
    """Horizontal field of view of the source in degrees, where no file gives a focal length (default 60)."""
    model: str | None = None
    """Bundled model, model folder, or owner/name on the hub (default: the scene's own bundled one; else mini)."""
    k: int | None = None
    """Context views of each new view (default: what suits the model)."""
    strategy: str | None = None
    """Retrieval: fov (default), fov-paper, visible, coverage, pose, random, last."""
    near: float | None = None
    """Start of the retrieval frustums of fov and coverage in metres (default: from the scene's scale)."""
    far: float | None = None
    """End of those frustums in metres (default: from the scene's scale)."""
    candidates: int | None = None
    """Stored views that compete for the context; those beyond k are merged (default: what suits the model)."""
    steps: int | None = None
    """Sampling steps (default: what suits the model)."""
    guidance: float | None = None
    """g in v_c + g (v_c - v_u) (default: what suits the model; one whose own is 0, as nano's, gets worse with more)."""
    seed: int | None = None
    """Seed of the scene (default 0)."""
    force: Many[tuple[str, ...]] = ()
    """View to render again; may be repeated."""
    prompt: str | None = None
    """What the video shows, for networks that read words (default: nothing, or what the model's folder holds)."""
    negative_prompt: str | None = None
    """Words that guidance leads away from (default: the publisher's)."""
    device: str | None = None
    """cpu, cuda, cuda:1 (default: the GPU where there is one)."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""
    json_progress: bool = False
    """Print one line of JSON on stderr after every step: view, step, views done, seconds left; no notes and no bar."""


def render(args: Render) -> int:
    """`plenodream render`."""
    from rich.console import Console

    from plenodream.rendering.load import load_pipeline, model_for
    from plenodream.rendering.outlook import plan_work
    from plenodream.rendering.renderer import pending
    from plenodream.rendering.source import open_source, source_notes
    from plenodream.viewer.console import progress_bar, progress_lines, rows_of_views, table_of_views
    from plenodream.viewer.scene_page import write_scene_page

    console = Console(stderr=True, quiet=args.quiet or args.json or args.json_progress)
    pipeline = load_pipeline(args.model or model_for(args.out), args.device, args.prompt, args.negative_prompt)
    _check_asked(args)
    settings = _settings(pipeline, args)
    video = None
    if args.clip is not None:
        size = pipeline.config.height, pipeline.config.width
        video, _ = open_source(args.clip, *size, args.cameras, args.source_fov)
    scene = pipeline.prepare(
        args.out, video, args.trajectory, args.trajectory_file, settings=settings, seed=args.seed, force=args.force
    )
    before, manifest = pending(scene), scene.manifest
    shown = list(source_notes(scene)) if before or args.clip is not None else []
    if before and len(manifest.windows) > 1:
        shown.append(
            f"{manifest.frames} frames in {len(manifest.windows)} windows of {pipeline.config.frames}, "
            f"overlapping by {pipeline.config.overlap} or more"
        )
    elif before and manifest.frames < pipeline.config.frames:
        shown.append(f"{manifest.frames} frames padded to {pipeline.config.frames} by repeating the last one")
    for note in shown:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    try:
        work = plan_work(scene, pipeline.generator().workings.fewest)
        with progress_lines(sys.stderr, work) if args.json_progress else progress_bar(console, work) as report:
            pipeline.render(scene, report)
    except BaseException:  # what is done by then can be looked at; why it ended matters more than a page that fails
        with suppress(ValueError, OSError):
            write_scene_page(scene)
        raise
    page = write_scene_page(scene)
    if args.json:
        print(json.dumps({"scene": str(args.out), "page": str(page), "views": rows_of_views(scene)}))
    elif not args.quiet:
        views = len({name for name, _ in before})
        done = f"{views} view{'s' * (views != 1)} rendered" if views else "nothing to do"
        console.print(table_of_views(scene))
        console.print(f"{done}; page: {page}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _check_asked(args: Render) -> None:
    """Refuse what can be refused before a video is decoded."""
    from plenodream.memory.manifest import FILE
    from plenodream.memory.scene import Scene
    from plenodream.rendering.targets import target_names

    if args.clip is None and (args.cameras is not None or args.source_fov is not None):
        raise ValueError("--cameras and --source-fov describe a source video: expected the video too")
    names = target_names(args.trajectory, args.trajectory_file)
    exists = (args.out / FILE).exists()
    if args.force and not exists:
        raise ValueError(f"--force {args.force[0]}: {args.out} is no scene yet; expected a view that is there")
    if not names and (Scene.open(args.out).names("view") == [] if exists else args.clip is not None):
        raise ValueError(_NOTHING)


def _settings(pipeline: PlenopticPipeline, args: Render) -> RenderSettings | None:
    """Settings of a new scene, or those asked for of an old one; None where nothing is asked."""
    from plenodream.memory.manifest import FILE, read_manifest
    from plenodream.rendering.settings import RenderSettings

    exists = (args.out / FILE).is_file()
    asked = {name: getattr(args, name) for name in ("k", "strategy", "near", "far", "candidates", "steps", "guidance")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if exists and not asked:
        return None
    base = RenderSettings.from_json(read_manifest(args.out).settings) if exists else pipeline.default_settings()
    retrieval = replace(base.retrieval, **{n: v for n, v in asked.items() if n in ("k", "strategy", "near", "far")})
    sampling = replace(base.sampling, **{n: v for n, v in asked.items() if n in ("steps", "guidance")})
    if (ignored := [f"--{name}" for name in ("near", "far") if name in asked]) and retrieval.strategy not in _FRUSTUMS:
        raise ValueError(
            f"{' and '.join(ignored)}: strategy {retrieval.strategy} does not use it; expected --strategy "
            f"{' or '.join(_FRUSTUMS)}, or neither of them"
        )
    merging = base.candidates > base.retrieval.k
    candidates = asked.get("candidates", max(base.candidates, retrieval.k) if merging else retrieval.k)
    return RenderSettings(retrieval, candidates, sampling, base.keep_source)
