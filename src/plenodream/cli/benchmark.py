"""`plenodream benchmark` and `reproduce`: render some methods, score them, put them side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybeInt, MaybePath, MaybeText, check_folder

if TYPE_CHECKING:
    from plenodream.evaluation.bench import Plan
    from plenodream.evaluation.methods.method import Method


@dataclass(frozen=True)
class Benchmark:
    """Render a benchmark's shots with retrieved history by some methods, and score them against the truth."""

    name: Annotated[str, tyro.conf.Positional] = "basic-mini"
    """basic-mini, or basic-mini-full for the full variety of scenes; or a folder of recordings: MultiCamVideo,
    SynCamVideo, AgiBot World, DyCheck, Kubric-4D, our own episodes."""
    method: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """MODEL, reprojection (a point cloud of the source's true depth), or either with options as in
    MODEL:strategy=random,k=2,merging=on,keep-source=off,steps=4,seed=1,memory=source,detail=off; may be repeated;
    differences are to the first; left out: nano."""
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
    seeds: int = 1
    """Seeds of the noise that every method is run with."""
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
    """One of the paper's tables in miniature; it says what it will cost before it starts."""

    table: Annotated[str, tyro.conf.Positional]
    """table-1 (main), table-2 (robot), table-3 (ablations of training), table-4 (context size), r1 (merging), r2 (long
    videos)."""
    model: str = "nano"
    """Bundled model or model folder; table-3 trains its own."""
    scenes: int = 8
    """Number of scenes."""
    shots: MaybeInt = None
    """Number of shots of each scene; left out: all."""
    seeds: int = 1
    """Seeds of the noise (table-3: of the training); 3 for numbers that are published."""
    steps: MaybeInt = None
    """Of table-3: training steps of every variant; left out: the recipe's, up to 20 minutes of a core each."""
    out: MaybePath = None
    """Folder (default reproduce/TABLE); the same command goes on where it stopped."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one."""
    workers: MaybeInt = None
    """Have so many workers share the scenes (needs the extra [batch]); left out: one after another, here."""
    dry_run: bool = False
    """Say what it will cost, and stop."""
    quiet: bool = False
    """Print nothing but errors."""


def reproduce(args: Reproduce) -> int:
    """`plenodream reproduce`."""
    from plenodream.evaluation.bench import Plan
    from plenodream.evaluation.benchmarks import get_benchmark
    from plenodream.evaluation.methods.method import parse_method
    from plenodream.evaluation.methods.tables import TRAINED, get_table, table_methods

    out = args.out or Path("reproduce") / args.table
    if args.table == TRAINED and args.workers is not None:
        raise ValueError(f"--workers: {TRAINED} is trained in one process; leave it out")
    if args.table == TRAINED:
        return _ablations(args, out)
    if args.steps is not None:
        raise ValueError(f"--steps: {args.table} trains nothing; expected it with {TRAINED}")
    chosen = get_benchmark(get_table(args.table).benchmark)
    plan = Plan(chosen, args.scenes, args.shots, seeds=args.seeds, device=args.device)
    methods = [parse_method(text) for text in table_methods(args.table, args.model)]
    return _run(plan, methods, out, args.quiet, args.dry_run, args.workers)


def benchmark(args: Benchmark) -> int:
    """`plenodream benchmark`."""
    from plenodream.evaluation.bench import Plan, with_controls
    from plenodream.evaluation.benchmarks import get_benchmark
    from plenodream.evaluation.methods.method import parse_method

    chosen = get_benchmark(args.name, args.frames, args.height)
    methods = [parse_method(text) for text in args.method or ("nano",)]
    methods = with_controls(methods, chosen.stills) if args.controls else methods
    plan = Plan(chosen, args.scenes, args.shots, args.shuffled, args.controls, args.seeds, args.device)
    return _run(plan, methods, args.out, args.quiet, workers=args.workers, address=args.address)


def _run(
    plan: Plan,
    methods: list[Method],
    out: Path,
    quiet: bool,
    dry_run: bool = False,
    workers: int | None = None,
    address: str | None = None,
) -> int:
    from plenodream.batch.pool import sharing
    from plenodream.evaluation.bench import foresee, run_benchmark
    from plenodream.evaluation.table import table_text, write_tables

    check_folder(out)
    if not quiet:
        print(foresee(plan, methods), flush=True)
    if dry_run:
        return 0
    with sharing(address, workers) as share, counting("chain", quiet=quiet) as progress:
        reports = run_benchmark(plan, methods, out, progress, share)
    write_tables(out, reports)
    if not quiet:
        chosen = plan.benchmark
        shots = plan.shots or chosen.most_shots
        print(f"{chosen.name} {chosen.version} ({chosen.digest()}), {plan.scenes} scenes of {shots} shots")
        print(table_text(reports), end="")
    return 0


def _ablations(args: Reproduce, out: Path) -> int:
    from plenodream.evaluation.table import table_text, write_tables
    from plenodream.recipes.ablations import Ablations, foresee, run_ablations

    check_folder(out)
    ablations = Ablations(out, args.seeds, args.scenes, args.shots, args.steps, args.device or "cpu")
    if not args.quiet:
        print(foresee(ablations), flush=True)
    if args.dry_run:
        return 0
    reports = run_ablations(ablations, quiet=args.quiet)
    write_tables(out, reports)
    if not args.quiet:
        print(table_text(reports), end="")
    return 0
