"""`eval run`: check what was delivered, score it sample by sample, write each row at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plenodream.evaluation.aggregate import Report, aggregate
from plenodream.evaluation.delivery import Fault, check_delivery
from plenodream.evaluation.export import write_report
from plenodream.evaluation.layouts import find_samples
from plenodream.evaluation.metrics.metric import Metric, SetMetric, Unavailable
from plenodream.evaluation.metrics.registry import METRICS, make_metrics
from plenodream.evaluation.reading import Reader
from plenodream.evaluation.results import Row, hash_inputs, hash_protocol, read_row, write_row
from plenodream.evaluation.samples import Sample, by_scene
from plenodream.evaluation.shots import Shot

DELIVERY = "delivery"

# Like `map`, which it is where nothing else is said; results may come in another order.
Share = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Outcome:
    """What a run left.

    Attributes:
        faults: What was not delivered as it should be, of this shard.
        report: The report; None while rows of other shards are missing.
    """

    faults: list[Fault]
    report: Report | None


def run(
    results: Path,
    out: Path,
    metrics: Sequence[str],
    name: str,
    shard: tuple[int, int] = (0, 1),
    share: Share = map,
    progress: Callable[[int, int], None] | None = None,
    weights: Mapping[str, Path] | None = None,
) -> Outcome:
    """Score a folder of results and write its report; arguments as for `score_samples` and `aggregate`.

    Raises:
        ValueError: Nothing to score there, or an unknown metric.
    """
    samples = find_samples(results)
    made = make_metrics(metrics, weights)
    faults = score_samples(samples, out, metrics, shard, share, progress, weights)
    rows = [read_row(out, sample) for scene in by_scene(samples).values() for sample in scene]
    protocol = hash_protocol(made)
    present = [row for row in rows if row is not None and row.protocol == protocol]
    if len(present) < len(rows):
        return Outcome(faults, None)
    report = aggregate(name, present, made, f"plenodream {version('plenodream')}")
    write_report(out, report)
    return Outcome(faults, report)


def parse_metrics(text: str) -> tuple[str, ...]:
    """Names separated by commas; `all` for all there are.

    Raises:
        ValueError: An unknown one.
    """
    names = tuple(METRICS) if text == "all" else tuple(part.strip() for part in text.split(",") if part.strip())
    make_metrics(names)
    return names


def parse_weights(texts: Sequence[str]) -> dict[str, Path]:
    """Files of weights from texts like `fvd=i3d_torchscript.pt`.

    Raises:
        ValueError: Not of that form.
    """
    parts = [text.partition("=") for text in texts]
    for name, equals, path in parts:
        if not (name and equals and path):
            raise ValueError(f"weights {name + equals + path!r}: expected METRIC=FILE, such as fvd=i3d_torchscript.pt")
    return {name: Path(path) for name, _, path in parts}


def parse_shard(text: str) -> tuple[int, int]:
    """`0/4`: the first of four parts of the scenes.

    Raises:
        ValueError: Not of that form, or no such part.
    """
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 0 <= int(part) < int(parts)):
        raise ValueError(f"shard {text!r}: expected PART/PARTS from 0, such as 0/4 to 3/4")
    return int(part), int(parts)


def score_samples(
    samples: Sequence[Sample],
    folder: Path,
    metrics: Sequence[str],
    shard: tuple[int, int] = (0, 1),
    share: Share = map,
    progress: Callable[[int, int], None] | None = None,
    weights: Mapping[str, Path] | None = None,
) -> list[Fault]:
    """Score samples and leave a row of each in a folder; rows that are up to date are kept.

    Args:
        samples: From `find_samples`.
        folder: Where the rows go.
        metrics: Names of metrics.
        shard: Which part of the scenes, and of how many.
        share: Has workers score scenes (`batch.pool.share`); one after another here if left out.
        progress: Called with scenes done and their number.
        weights: Files of weights by metric.

    Returns:
        What of the shard was not delivered as it should be.
    """
    scenes = list(by_scene(samples).values())[shard[0] :: shard[1]]
    faults = check_delivery(sample for scene in scenes for sample in scene)
    reasons = {fault.sample.name: f"{fault.kind}: {fault.reason}" for fault in faults}
    tasks = [(scene, folder, tuple(metrics), dict(weights or {}), reasons) for scene in scenes]
    for done, _ in enumerate(share(_score_task, tasks), start=1):
        if progress is not None:
            progress(done, len(tasks))
    return faults


def _score_task(task: tuple[list[Sample], Path, tuple[str, ...], dict[str, Path], dict[str, str]]) -> None:
    samples, folder, names, weights, reasons = task
    score_scene(samples, folder, make_metrics(names, weights), reasons)


def score_scene(samples: Sequence[Sample], folder: Path, metrics: Sequence[Metric], faults: dict[str, str]) -> None:
    """Rows of all samples of one scene, each as soon as it is known.

    Args:
        samples: The scene's, in order.
        folder: Where rows go.
        metrics: What to score.
        faults: By a sample's name, why it cannot be scored.
    """
    reader, protocol = Reader(), hash_protocol(metrics)
    delivered: list[Sample] = []
    shots: dict[str, Shot] = {}
    for sample in samples:
        inputs = hash_inputs(sample, delivered, reader)
        if sample.name in faults:
            failures = {DELIVERY: faults[sample.name]}
            row = Row(sample.scene, sample.shot, sample.number, inputs, protocol, failures=failures)
            write_row(folder, sample, row)
            continue
        shots[sample.shot] = Shot(sample, reader)
        earlier = [shots[before.shot] for before in delivered]
        delivered.append(sample)
        known = read_row(folder, sample)
        if known is None or (known.inputs, known.protocol) != (inputs, protocol) or DELIVERY in known.failures:
            row = Row(sample.scene, sample.shot, sample.number, inputs, protocol, [], {}, {}, {})
            _score(shots[sample.shot], earlier, metrics, row)
            write_row(folder, sample, row)


def _score(shot: Shot, earlier: Sequence[Shot], metrics: Sequence[Metric], row: Row) -> None:
    """Fill a row."""
    for metric in metrics:
        try:
            scores = metric.score(shot, earlier)
            if not all(math.isfinite(score.total) and math.isfinite(score.count) for score in scores):
                raise ValueError("its numbers are not finite")
            if isinstance(metric, SetMetric):
                row.features[metric.name] = metric.features(shot)
        except Unavailable as lack:
            row.unavailable[metric.name] = str(lack)
        except (ValueError, AssertionError, RuntimeError, OSError) as error:
            row.failures[metric.name] = " ".join(str(error).split())
        else:
            row.scores.extend(astuple(score) for score in scores)
