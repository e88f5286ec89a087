"""One method under several seeds: means over them scene by scene, and how far they lie apart."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from plenodream.evaluation.aggregate import Number, Report, summarize
from plenodream.evaluation.shots import VIDEO


def over_seeds(name: str, reports: Sequence[Report]) -> Report:
    """The report of a method that was run under several seeds.

    A scene's score is the mean of its scores; intervals are over scenes, as ever. How far the seeds' means lie apart
    (sample standard deviation) stands in the protocols. Numbers of whole sets, and the ends of their intervals, are the
    means of the seeds'. What failed counts under every seed.

    Args:
        name: What to call it.
        reports: One a seed, of the same scenes and metrics.

    Raises:
        ValueError: None, or of other scenes.
    """
    if len({(report.samples, report.scenes) for report in reports}) != 1:
        raise ValueError(f"{name}: {len(reports)} seeds of different scenes; expected one set of scenes")
    first = reports[0]
    if len(reports) == 1:
        return msgspec.structs.replace(first, name=name)
    numbers = [_mean([report.number(n.column, n.row) for report in reports]) for n in first.numbers]
    spread = {
        n.column: _spread([report.number(n.column, n.row) for report in reports])
        for n in first.numbers
        if n.row == VIDEO
    }
    protocols = dict(first.protocols) | {"seeds": {"number": len(reports), "spread of their means": spread}}
    failures: dict[str, list[str]] = defaultdict(list)
    unavailable: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        for metric, reasons in report.failures.items():
            failures[metric] += reasons
        for metric, lacks in report.unavailable.items():
            unavailable[metric].update(lacks)
    return msgspec.structs.replace(
        first, name=name, protocols=protocols, numbers=[n for n in numbers if n is not None], failures=dict(failures),
        faults=[fault for report in reports for fault in report.faults],
        unavailable={metric: dict(lacks) for metric, lacks in unavailable.items()},
        samples=sum(report.samples for report in reports), delivered=sum(report.delivered for report in reports),
    )  # fmt: skip


def _mean(numbers: Sequence[Number | None]) -> Number | None:
    found = [number for number in numbers if number is not None]
    scenes = {
        scene: statistics.fmean(number.scenes[scene] for number in found)
        for scene in found[0].scenes
        if all(scene in number.scenes for number in found)
    }
    if not scenes:
        mean, low, high = (_mean_of(getattr(number, name) for number in found) for name in ("mean", "low", "high"))
        return msgspec.structs.replace(found[0], mean=mean, low=low, high=high)
    mean, low, high = summarize(scenes)
    places = set.intersection(*(set(number.by_number) for number in found))
    by_number = {place: statistics.fmean(number.by_number[place] for number in found) for place in sorted(places)}
    return msgspec.structs.replace(
        found[0], mean=mean, low=low, high=high, scenes=scenes, by_number=by_number,
        samples=sum(number.samples for number in found), gated=sum(number.gated for number in found),
    )  # fmt: skip


def _mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of what is there; None if something is missing."""
    found = list(values)
    return None if None in found else statistics.fmean(value for value in found if value is not None)


def _spread(numbers: Sequence[Number | None]) -> float | None:
    means = [number.mean for number in numbers if number is not None and number.mean is not None]
    return round(statistics.stdev(means), 6) if len(means) > 1 else None
