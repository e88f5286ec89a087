"""`plenodream batch`: many clips, on this machine or a cluster."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from plenodream.cli.parse import MaybeInt, MaybeText

if TYPE_CHECKING:
    from plenodream.batch.pool import Outcome
    from plenodream.batch.records import Records
    from plenodream.batch.summary import Summary
    from plenodream.cli.job import Job

_PROCESS = 2**30  # bytes of a worker beside its model: Python, torch, pictures


@dataclass(frozen=True)
class Batch:
    """Render many clips, a scene each; run again to go on. Exit code 0 only if none was set aside."""

    jobs: Annotated[str, tyro.conf.Positional]
    """JOBS.jsonl (options of `render` as a JSON object a line) or a folder of clips; path or URL (s3://...)."""
    out: str = "scenes"
    """Folder of the scenes and of what became of each job; path or URL."""
    trajectory: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Of jobs that name none; may be repeated."""
    model: MaybeText = None
    """Of jobs that name none."""
    height: MaybeInt = None
    """Of jobs that name none."""
    frames: MaybeInt = None
    """Of jobs that name none."""
    seed: MaybeInt = None
    """Of jobs that name none."""
    workers: MaybeInt = None
    """Left out: one for each GPU or, where there is none, for each core that has the memory."""
    address: MaybeText = None
    """Ray cluster: auto on one of its machines, ray://HOST:10001 from elsewhere; left out: Ray is started here."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where a worker is given one."""
    retry: bool = False
    """Try also the jobs that an earlier run has set aside."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


def batch(args: Batch) -> int:
    """`plenodream batch`."""
    from plenodream.batch.pool import connected
    from plenodream.batch.records import Records
    from plenodream.batch.summary import Summary, summary_lines
    from plenodream.cli.job import check_jobs, read_jobs
    from plenodream.files.places import Folder, is_remote

    of_all = ("trajectory", "model", "height", "frames", "seed")
    shared = {key: value for key in of_all if (value := getattr(args, key)) not in (None, ())}
    jobs = read_jobs(args.jobs, shared)
    check_jobs(jobs)
    out = args.out if is_remote(args.out) else str(Path(args.out).absolute())
    records, summary, began = Records(Folder(out)), Summary(len(jobs)), time.monotonic()
    owed = owed_jobs(jobs, records, summary, args.retry)
    if owed:
        with connected(args.address, args.workers):
            _run(args, out, owed, records, summary)
    about = summary.to_json(time.monotonic() - began)
    if args.json:
        print(json.dumps(about))
    elif not args.quiet:
        print("\n".join(summary_lines(about)))
    return int(bool(about["failed"]) or about["set_aside_before"] > 0)


def owed_jobs(jobs: Sequence[Job], records: Records, summary: Summary, retry: bool) -> list[Job]:
    """Jobs that are still to be done."""
    from plenodream.batch.records import DONE, FAILED

    states = [(job, records.state(job.name, job.asked)) for job in jobs]
    summary.skipped = sum(state == DONE for _, state in states)
    owed = [job for job, state in states if state is None or (state == FAILED and retry)]
    summary.aside = len(jobs) - summary.skipped - len(owed)
    return owed


def _run(args: Batch, out: str, jobs: list[Job], records: Records, summary: Summary) -> None:
    from plenodream.batch.pool import Pool, has_gpus
    from plenodream.batch.records import DONE, FAILED
    from plenodream.batch.schedule import Task
    from plenodream.cli.job import RenderWork

    asked = {job.name: job.asked for job in jobs}
    half = has_gpus() and args.device != "cpu"
    tasks = [Task(job.name, job.options, str(job.options.get("model")), memory_of(job.options, half)) for job in jobs]
    with _shown(len(tasks), args.quiet or args.json) as (watch, ended):
        for outcome in Pool(partial(RenderWork, out, args.device), args.workers, watch).run(tasks):
            name, views = outcome.task.name, outcome.result or 0
            summary.add(outcome, views)
            about = {"worker": outcome.worker, "seconds": round(outcome.seconds, 3), "views": views}
            about |= {} if outcome.reason is None else {"reason": outcome.reason}
            records.write(name, asked[name], FAILED if outcome.reason else DONE, about)
            ended(outcome)


def memory_of(options: Any, half: bool) -> int:
    """Bytes that a job needs on its device, as `plenodream doctor` counts them; the process alone for a hub's model."""
    return _PROCESS + _model_memory(options.get("model"), options.get("k"), half)


@cache
def _model_memory(model: str | None, k: int | None, half: bool) -> int:
    from plenodream.rendering.catalog import DEFAULT_MODEL, find_model

    folder = find_model(model or DEFAULT_MODEL)
    if folder is None:
        return 0
    import torch

    from plenodream.models.needs import ViewSizes, view_needs
    from plenodream.rendering.load import hollow_model

    network, codec, index = hollow_model(str(folder))
    dtype = torch.bfloat16 if half else torch.float32
    sizes = ViewSizes(k or index["context_views"], index["frames"], index["height"], index["width"], dtype)
    return int(view_needs(network, codec, sizes, evaluations=1).memory)


@contextmanager
def _shown(total: int, quiet: bool) -> Iterator[tuple[Callable[[dict[str, str]], None], Callable[[Outcome], None]]]:
    """A line for every worker and one for all, where there is a terminal; else a line for every job that ended."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from plenodream.words import printable

    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        whole, lines, ended_so_far = bar.add_task("jobs", total=total), dict[str, Any](), 0

        def watch(notes: dict[str, str]) -> None:
            for name in [name for name in lines if name not in notes]:
                bar.remove_task(lines.pop(name))
            for name, note in notes.items():
                if name not in lines:
                    lines[name] = bar.add_task(name, total=None)
                bar.update(lines[name], description=printable(f"{name}: {note}"))

        def ended(outcome: Outcome) -> None:
            nonlocal ended_so_far
            ended_so_far += 1
            bar.update(whole, advance=1)
            if hidden and not quiet:
                good = f"{outcome.seconds:.1f} s on {outcome.worker}"
                how = good if outcome.reason is None else f"set aside: {outcome.reason}"
                print(printable(f"{ended_so_far}/{total} {outcome.task.name}: {how}"), file=sys.stderr, flush=True)

        yield watch, ended
