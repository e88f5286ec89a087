"""`plenodream eval run` and `eval table`: score videos on disk, and put methods side by side."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybeInt, MaybePath, MaybeText
from plenodream.words import printable, shown


@dataclass(frozen=True)
class EvalRun:
    """Score what is on disk: any method's videos will do. Exit code 0 only if all were delivered."""

    results: Annotated[Path, tyro.conf.Positional]
    """Folder with a manifest.jsonl, our scenes, meta.json and videos/, or MultiCamVideo's layout."""
    metrics: str = "fidelity,sync,homography,camera"
    """Which metrics, separated by commas, or `all`."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """METRIC=FILE: weights of a learned metric; may be repeated."""
    out: MaybePath = None
    """Where rows and reports go; left out: RESULTS/evaluation."""
    name: MaybeText = None
    """What to call the method; left out: the folder's name."""
    shard: str = "0/1"
    """A part of the scenes, such as 0/4: the last part that ends writes the report."""
    workers: MaybeInt = None
    """Have so many workers share the scenes (needs the extra [batch]); left out: one after another, here."""
    address: MaybeText = None
    """Ray cluster of the workers: auto or ray://HOST:10001; left out: Ray is started here."""
    quiet: bool = False
    """Print nothing but errors."""


@dataclass(frozen=True)
class EvalTable:
    """Put scored methods side by side, with differences paired by scene."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders that `eval run` has scored; differences are to the first."""
    latex: bool = False
    """Print a LaTeX table."""
    csv: bool = False
    """Print every number, a line each."""
    html: bool = False
    """Print a page."""


def eval_run(args: EvalRun) -> int:
    """`plenodream eval run`."""
    from plenodream.batch.pool import sharing
    from plenodream.evaluation.export import to_text
    from plenodream.evaluation.results import FOLDER
    from plenodream.evaluation.run import parse_metrics, parse_shard, parse_weights, run

    shard, metrics = parse_shard(args.shard), parse_metrics(args.metrics)
    out = args.out or args.results / FOLDER
    name = args.name or args.results.resolve().name
    with sharing(args.address, args.workers) as share, counting("scene", quiet=args.quiet) as progress:
        outcome = run(args.results, out, metrics, name, shard, share, progress, parse_weights(args.weights))
    for fault in outcome.faults:
        print(f"plenodream: {printable(fault.sample.name)}: {fault.kind}: {printable(fault.reason)}", file=sys.stderr)
    if not args.quiet:
        print(
            to_text(outcome.report) if outcome.report else f"rows in {shown(out)}; the other shards are still to come"
        )
    return int(bool(outcome.faults))


def eval_table(args: EvalTable) -> int:
    """`plenodream eval table`."""
    from plenodream.evaluation.export import read_report, to_csv, to_html
    from plenodream.evaluation.table import check_alike, table_latex, table_text

    if not args.results:
        raise ValueError("no results: expected folders that `plenodream eval run` or `benchmark` has scored")
    reports = [read_report(folder) for folder in args.results]
    check_alike(reports)
    forms = {"latex": table_latex, "csv": to_csv, "html": to_html}
    chosen = [form for name, form in forms.items() if getattr(args, name)]
    print((chosen or [table_text])[0](reports), end="")
    return 0
