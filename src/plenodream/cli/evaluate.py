"""`plenodream eval`: a model, measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import tyro

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybeInt, MaybePath, MaybeText


@dataclass(frozen=True)
class Eval:
    """Measure a model on held-out procedural scenes with exact depth and cameras."""

    model: Annotated[str, tyro.conf.Positional] = "nano"
    """Bundled model or model folder."""
    family: Literal["mild", "full"] = "mild"
    """How varied the scenes are."""
    scenes: int = 16
    """Number of scenes, even; the same seeds for every model."""
    steps: MaybeInt = None
    """Sampling steps; left out: the model's."""
    seed: int = 0
    """Of the noise."""
    out: MaybePath = None
    """Folder for report.json, report.txt and sheet.png."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


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
    with counting("step", quiet=args.json) as progress:
        report = run(pipeline, args.family, args.scenes, seed=args.seed, sampling=sampling, progress=progress)
    if args.out is not None:
        write_report(args.out, report)
    print(report.to_json() if args.json else format_report(report))
    return 0
