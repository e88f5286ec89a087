"""`plenodream benchmark` and `reproduce`: render some methods, score them, put them side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybeInt, MaybePath, MaybeText


@dataclass(frozen=True)
class Benchmark:
    """Render a benchmark's shots with retrieved history by some methods, and score them against the truth."""

    name: Annotated[str, tyro.conf.Positional] = "basic-mini"
    """basic-mini, or basic-mini-full for the full variety of scenes; or a folder of recordings: MultiCamVideo,
    SynCamVideo, AgiBot World, DyCheck, Kubric-4D, our own episodes."""
    method: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """MODEL, reprojection (a point cloud of the source's true depth), or either with options as in
    MODEL:strategy=random,k=2,merging=on,keep-source=off,steps=4,seed=1,memory=source; may be repeated; differences are
    to the first; left out: nano."""
    scenes: int = 8
    """Number of scenes."""
    shots: MaybeInt = None
    """Number of shots of each scene, in the benchmark's order; left out: all."""
    frames: MaybeInt = None
    """Of recordings, only the first so many frames."""
    height: MaybeInt = None
    """Of recordings, pixels that they are made smaller to."""
    shuffled: bool = False
    """Every scene in an order of its own, so that a shot's kind and its place can be told apart."""
    controls: bool = True
    """Render the controls of the first method, too: other seed, source only, source twice, no motion."""
    out: Path = Path("benchmark")
    """Folder; the same command goes on where it stopped."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one."""
    workers: MaybeInt = None
    """Have so many workers share the scenes (needs the extra [batch]); left out: one after another, here."""
    address: MaybeText = None
    """Ray cluster of the workers: auto or ray://HOST:10001; left out: Ray is started here."""
    quiet: bool = False
    """Print nothing but errors."""


@dataclass(frozen=True)
class Reproduce:
    """One of the paper's tables in miniature, on basic-mini."""

    table: Annotated[str, tyro.conf.Positional]
    """table-1, context-size or memory."""
    model: str = "nano"
    """Bundled model or model folder."""
    scenes: int = 8
    """Number of scenes."""
    out: MaybePath = None
    """Folder (default reproduce/TABLE); the same command goes on where it stopped."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one."""
    quiet: bool = False
    """Print nothing but errors."""


def reproduce(args: Reproduce) -> int:
    """`plenodream reproduce`."""
    from plenodream.evaluation.methods.tables import table_methods

    methods = tuple(table_methods(args.table, args.model))
    out = args.out or Path("reproduce") / args.table
    return benchmark(Benchmark(method=methods, scenes=args.scenes, out=out, device=args.device, quiet=args.quiet))


def benchmark(args: Benchmark) -> int:
    """`plenodream benchmark`."""
    from plenodream.batch.pool import sharing
    from plenodream.evaluation.bench import run_benchmark, with_controls
    from plenodream.evaluation.benchmarks import get_benchmark
    from plenodream.evaluation.methods.method import parse_method
    from plenodream.evaluation.table import table_text, write_tables

    chosen = get_benchmark(args.name, args.frames, args.height)
    methods = [parse_method(text) for text in args.method or ("nano",)]
    methods = with_controls(methods, chosen.stills) if args.controls else methods
    with sharing(args.address, args.workers) as share, counting("chain", quiet=args.quiet) as progress:
        what = args.scenes, args.shots, args.shuffled, args.controls, args.device
        reports = run_benchmark(chosen, methods, args.out, *what, progress, share)
    write_tables(args.out, reports)
    if not args.quiet:
        what = f"{args.scenes} scenes of {args.shots or chosen.most_shots} shots"
        print(f"{chosen.name} {chosen.version} ({chosen.digest()}), {what}")
        print(table_text(reports), end="")
    return 0
