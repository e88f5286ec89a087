"""`plenodream render`: a video and trajectories in, a scene out."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from plenodream.sampling.autoregressive import RenderSettings
    from plenodream.sampling.pipeline import PlenopticPipeline
    from plenodream.types import Cameras

Many = tyro.conf.UseAppendAction
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
    """Camera file of a target view: our JSON, transforms.json or 12 numbers a line; may be repeated."""
    cameras: Path | None = None
    """Camera file of the source video."""
    source_fov: float | None = None
    """Horizontal field of view of the source in degrees, where no camera file gives it (default 60)."""
    model: str = "nano"
    """Bundled model, model folder, or owner/name on the hub."""
    k: int | None = None
    """Context views of each new view (default: what suits the model)."""
    strategy: str | None = None
    """Retrieval: fov (default), fov-paper, coverage, pose, random, last."""
    near: float | None = None
    """Start of the retrieval frustums in metres (default: from the scene's scale)."""
    far: float | None = None
    """End of the retrieval frustums in metres (default: from the scene's scale)."""
    candidates: int | None = None
    """Stored views that compete for the context; those beyond k are merged (default k + 1; k: no merging)."""
    steps: int | None = None
    """Sampling steps (default: what suits the model)."""
    guidance: float | None = None
    """g in v_c + g (v_c - v_u) (default: what suits the model)."""
    seed: int | None = None
    """Seed of the scene (default 0)."""
    force: Many[tuple[str, ...]] = ()
    """View to render again; may be repeated."""
    device: str | None = None
    """cpu, cuda, cuda:1 (default: the GPU where there is one)."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


def render(args: Render) -> int:
    """`plenodream render`."""
    from rich.console import Console

    from plenodream.sampling.autoregressive import pending
    from plenodream.sampling.load import load_pipeline
    from plenodream.sampling.source import DEFAULT_FOV, open_source
    from plenodream.viewer.console import progress_bar, rows_of_views, table_of_views
    from plenodream.viewer.scene_page import write_scene_page

    console = Console(stderr=True, quiet=args.quiet or args.json)
    pipeline = load_pipeline(args.model, args.device)
    size = pipeline.config.height, pipeline.config.width
    _check_names(args)
    video, notes = None, ()
    if args.clip is not None:
        fov = DEFAULT_FOV if args.source_fov is None else args.source_fov
        video, notes = open_source(args.clip, *size, args.cameras, fov)
    elif args.cameras is not None or args.source_fov is not None:
        raise ValueError("--cameras and --source-fov describe a source video: expected the video too")
    settings = _settings(pipeline, args)
    if video is not None:
        _load_targets(args, video.cameras)  # a wrong one leaves no scene behind
    scene = pipeline.open_or_create(args.out, video, settings, args.seed)
    targets = _load_targets(args, scene.cameras("source"))
    pipeline.invalidate(scene, args.force)
    pipeline.declare(scene, args.trajectory)
    pipeline.declare(scene, targets)
    if not scene.names("view"):
        raise ValueError(_NOTHING)
    before = pending(scene)
    shown, manifest = list(notes), scene.manifest
    if before and len(manifest.chunks) > 1:
        shown.append(
            f"{manifest.frames} frames in {len(manifest.chunks)} windows of {pipeline.config.frames}, "
            f"overlapping by {pipeline.config.overlap} or more"
        )
    elif before and manifest.frames < pipeline.config.frames:
        shown.append(f"{manifest.frames} frames padded to {pipeline.config.frames} by repeating the last one")
    for note in shown:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    with progress_bar(console, len(before), args.quiet or args.json) as report:
        pipeline.render(scene, report)
    page = write_scene_page(scene, tuple(notes))
    if args.json:
        print(json.dumps({"scene": str(args.out), "page": str(page), "views": rows_of_views(scene)}))
    elif not args.quiet:
        views = len({name for name, _ in before})
        done = f"{views} view{'s' * (views != 1)} rendered" if views else "nothing to do"
        console.print(table_of_views(scene))
        console.print(f"{done}; page: {page}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _settings(pipeline: PlenopticPipeline, args: Render) -> RenderSettings | None:
    """Settings of a new scene, or those asked for of an old one; None where nothing is asked."""
    from plenodream.memory.manifest import FILE, read_manifest
    from plenodream.sampling.autoregressive import RenderSettings

    exists = (args.out / FILE).is_file()
    asked = {name: getattr(args, name) for name in ("k", "strategy", "near", "far", "candidates", "steps", "guidance")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if exists and not asked:
        return None
    base = RenderSettings.from_json(read_manifest(args.out).settings) if exists else pipeline.default_settings()
    retrieval = replace(base.retrieval, **{n: v for n, v in asked.items() if n in ("k", "strategy", "near", "far")})
    sampling = replace(base.sampling, **{n: v for n, v in asked.items() if n in ("steps", "guidance")})
    candidates = asked.get("candidates", retrieval.k + 1 if "k" in asked else base.candidates)
    return RenderSettings(retrieval, candidates, sampling)


def _check_names(args: Render) -> None:
    """Refuse targets without a usable name of their own, before anything is read."""
    from plenodream.geometry.trajectories import parse_trajectories
    from plenodream.memory.manifest import FILE, Entry

    names = [trajectory.name for trajectory in parse_trajectories(args.trajectory)]
    for path in args.trajectory_file:
        try:
            Entry(path.stem, "view")
        except ValueError as error:
            raise ValueError(f"{path}: its name becomes the view's name; {error}: rename the file") from None
        if path.stem in (*names, "source"):
            raise ValueError(
                f"{path}: another view is called {path.stem!r} too; expected its own name: rename the file"
            )
        names.append(path.stem)
    if not (args.out / FILE).exists():
        if args.clip is not None and not names:
            raise ValueError(_NOTHING)
        if args.force:
            raise ValueError(f"--force {args.force[0]}: {args.out} is no scene yet; expected a view that is there")


def _load_targets(args: Render, source: Cameras) -> dict[str, Cameras]:
    """The cameras of all target files, by view."""
    from plenodream.geometry.formats import load_cameras

    size = source.height, source.width, len(source)
    return {path.stem: load_cameras(path, *size, source.intrinsics[0]) for path in args.trajectory_file}
