"""`plenodream synth`, `train`, `contexts` and `eval`: data, training, measuring."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

Many = tyro.conf.UseAppendAction


@dataclass(frozen=True)
class Synth:
    """Write a multi-camera data set of procedural scenes (MultiCamVideo's layout, and depth)."""

    out: Path
    """Folder; the same command continues where it stopped."""
    scenes: int = 200
    """Number of scenes."""
    family: Literal["mild", "full"] = "mild"
    """How varied the scenes are."""
    views: int = 10
    """Cameras per scene."""
    frames: int = 33
    """Frames per video."""
    height: int = 96
    """Pixels."""
    width: int = 96
    """Pixels."""
    seed: int = 0
    """Of the data set."""
    first: int = 0
    """First scene, so that several processes can share one data set."""
    textures: Path | None = None
    """Folder of images that about half of the surfaces show."""
    device: str = "cpu"
    """Where to render."""
    quiet: bool = False
    """Print nothing but errors."""


@dataclass(frozen=True)
class Train:
    """Train a recipe: nano, mini-cpu (CPU), mini (one GPU), basic, agibot (many GPUs, under torchrun)."""

    recipe: Annotated[str, tyro.conf.Positional]
    """Name of the recipe."""
    out: Path | None = None
    """Folder of the run (default runs/RECIPE)."""
    minutes: float | None = None
    """Budget in minutes instead of the recipe's steps."""
    resume: bool = False
    """Go on from the checkpoint in --out, exactly."""
    init_from: Path | None = None
    """Start from these weights: a file, shards, a checkpoint, a model's folder, or a bundled model's name."""
    set: Many[tuple[str, ...]] = ()
    """A changed field of the recipe, like curriculum.max_context=1; may be repeated."""
    data: Path | None = None
    """Folder of episodes to train on, instead of scenes rendered on the fly."""
    textures: Path | None = None
    """Folder of images that about half of the surfaces of scenes rendered on the fly show."""
    contexts: Path | None = None
    """Folder of contexts that `plenodream contexts` made with the weights of --init-from (stage 2)."""
    device: str | None = None
    """cpu, cuda (default: the GPU where there is one)."""
    context_parallel: int = 1
    """Ranks that share one sequence, under torchrun."""
    shard_mb: int | None = None
    """Split the saved model into files of this size."""
    tensorboard: bool = False
    """Log for TensorBoard, too (pip install tensorboard)."""
    dry_run: bool = False
    """Print memory per rank, tokens, FLOP and time a step, and stop."""
    world_size: int = 32
    """Ranks of the dry run."""
    quiet: bool = False
    """No progress bar."""


@dataclass(frozen=True)
class Contexts:
    """Let a model generate views as training contexts (self-conditioning, the paper's stage 2)."""

    model: Annotated[str, tyro.conf.Positional]
    """Bundled model or model folder."""
    out: Path
    """Folder; the same command continues where it stopped."""
    scenes: int = 100
    """Number of scenes."""
    views: int = 4
    """Views of a scene, the source among them."""
    family: Literal["mild", "full"] = "mild"
    """Procedural scenes to take, without --data."""
    data: Path | None = None
    """Folder of episodes to take instead."""
    seed: int = 0
    """Of the scenes and the noise."""
    device: str | None = None
    """cpu, cuda (default: the GPU where there is one)."""


@dataclass(frozen=True)
class Eval:
    """Measure a model on held-out procedural scenes with exact depth and cameras."""

    model: Annotated[str, tyro.conf.Positional] = "nano"
    """Bundled model or model folder."""
    family: Literal["mild", "full"] = "mild"
    """How varied the scenes are."""
    scenes: int = 16
    """Number of scenes, even; the same seeds for every model."""
    steps: int | None = None
    """Sampling steps (default: the model's)."""
    seed: int = 0
    """Of the noise."""
    out: Path | None = None
    """Folder for report.json, report.txt and sheet.png."""
    device: str | None = None
    """cpu, cuda (default: the GPU where there is one)."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


def synth(args: Synth) -> int:
    """`plenodream synth`."""
    from plenodream.data.synth import synthesize
    from plenodream.rendering.load import choose_device

    device = choose_device(args.device)
    with _bar("scene", args.scenes, args.quiet) as progress:
        written = synthesize(
            args.out,
            args.family,
            args.scenes,
            args.views,
            args.frames,
            args.height,
            args.width,
            args.seed,
            args.first,
            device=device,
            textures=args.textures,
            progress=progress,
        )
    if not args.quiet:
        print(f"{len(written)} scenes in {args.out}")
    return 0


def train(args: Train) -> int:
    """`plenodream train`."""
    from plenodream.recipes import get_recipe
    from plenodream.recipes.run import train as run
    from plenodream.rendering.load import choose_device
    from plenodream.training.config import RunOptions

    if args.dry_run:
        from plenodream.training.dry_run import plan
        from plenodream.training.overrides import apply_overrides

        config = apply_overrides(get_recipe(args.recipe), args.set)
        print(plan(config, args.world_size, args.context_parallel).table())
        return 0
    options = RunOptions(
        out=args.out or Path("runs") / args.recipe,
        minutes=args.minutes,
        resume=args.resume,
        init_from=args.init_from,
        device=choose_device(args.device),
        context_parallel=args.context_parallel,
        shard_mb=args.shard_mb,
        quiet=args.quiet,
        tensorboard=args.tensorboard,
    )
    scores = run(args.recipe, options, args.set, data=args.data, contexts=args.contexts, textures=args.textures)
    if scores:
        print(json.dumps(scores))
    return 0


def contexts(args: Contexts) -> int:
    """`plenodream contexts`."""
    from plenodream.rendering.load import load_pipeline
    from plenodream.training.contexts import SceneSet, generate_contexts

    pipeline = load_pipeline(args.model, args.device)
    config = pipeline.config
    family, data = ("disk", str(args.data)) if args.data else (args.family, None)
    scenes = SceneSet(args.scenes, args.views, config.frames, config.height, config.width, family, data, args.seed)
    sampling = pipeline.own_sampling()
    parts = (pipeline.transformer, pipeline.codec, pipeline.scheduler, sampling)
    with _bar("scene", args.scenes) as progress:
        made = generate_contexts(*parts, scenes, args.out, k=config.context_views, seed=args.seed, progress=progress)
    print(f"{made} scenes generated; next: plenodream train RECIPE --init-from {args.model} --contexts {args.out}")
    return 0


def evaluate(args: Eval) -> int:
    """`plenodream eval`."""
    from plenodream.evaluation.harness import evaluate as run
    from plenodream.evaluation.report import format_report, write_report
    from plenodream.rendering.load import load_pipeline

    pipeline = load_pipeline(args.model, args.device)
    own = pipeline.own_sampling()
    sampling = own if args.steps is None else replace(own, steps=args.steps)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)  # now, not after all the work
    with _bar("step", quiet=args.json) as progress:
        report = run(pipeline, args.family, args.scenes, seed=args.seed, sampling=sampling, progress=progress)
    if args.out is not None:
        write_report(args.out, report)
    print(report.to_json() if args.json else format_report(report))
    return 0


@contextmanager
def _bar(unit: str, total: int | None = None, quiet: bool = False) -> Iterator:
    """A callback that moves a bar to a count, and to a total where it is told one."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=quiet, delay=1) as bar:  # what is refused at once shows no bar

        def progress(done: int, of: int | None = None) -> None:
            bar.total = of or total
            bar.update(done - bar.n)

        yield progress
