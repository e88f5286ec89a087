"""From rows on disk to a table: sums pooled per scene, means over scenes with intervals, and each number's protocol."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import torch

from plenodream.evaluation.metrics.metric import Column, Metric, Score, SetMetric
from plenodream.evaluation.pairs import in_set, pair_sets
from plenodream.evaluation.results import Row
from plenodream.evaluation.shots import TRUTH, VIDEO
from plenodream.evaluation.statistics import bootstrap_interval


class Number(msgspec.Struct, frozen=True):
    """One number of a table, and what it takes to believe it.

    Attributes:
        column: Column, and after a blank the set of pairs where it is one of pairs.
        row: `video`, or a control.
        mean: Mean over scenes; None where no scene counts.
        low: Lower end of the 95 % cluster bootstrap over scenes; None where there is none.
        high: Upper end.
        scenes: Score of every scene that counts.
        samples: Videos, or pairs of videos, that count.
        gated: Those left out because too few pixels could be compared.
        share: Mean share of the pixels that was compared.
        by_number: Mean over scenes by the place of the shot (of a pair's later one) in its chain.
    """

    column: str
    row: str
    mean: float | None
    low: float | None
    high: float | None
    scenes: dict[str, float]
    samples: int
    gated: int
    share: float
    by_number: dict[int, float] = {}


class Report(msgspec.Struct, frozen=True):
    """All that was found about one folder of results.

    Attributes:
        name: Of the method.
        program: Who scored, and with which version.
        samples: Videos that there should be.
        scenes: Their scenes.
        delivered: Videos that were there as they should be.
        faults: What was not, one line each.
        failures: By metric, why it failed, one line a sample.
        unavailable: By metric, what it lacked, and for how many samples.
        protocols: By metric, what its numbers depend on.
        numbers: The table.
    """

    name: str
    program: str
    samples: int
    scenes: int
    delivered: int
    faults: list[str]
    failures: dict[str, list[str]]
    unavailable: dict[str, dict[str, int]]
    protocols: dict[str, dict[str, Any]]
    numbers: list[Number]

    def number(self, column: str, row: str = VIDEO) -> Number | None:
        """One number, if it is there."""
        return next((n for n in self.numbers if (n.column, n.row) == (column, row)), None)


def aggregate(name: str, rows: Sequence[Row], metrics: Sequence[Metric], program: str) -> Report:
    """The report of a folder's rows.

    Args:
        name: Of the method.
        rows: All of them, in the order of scenes and shots.
        metrics: What was scored.
        program: What scored it.
    """
    failures: dict[str, list[str]] = defaultdict(list)
    unavailable: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for metric, reason in row.failures.items():
            failures[metric].append(f"{row.scene}/{row.shot}: {reason}")
        for metric, lack in row.unavailable.items():
            unavailable[metric][lack] += 1
    for metric in metrics:
        if isinstance(metric, SetMetric) and 0 < (count := len(_featured(rows, metric))) < metric.fewest:
            unavailable[metric.name][f"at least {metric.fewest} videos with their truth"] += count
    faults = failures.pop("delivery", [])
    numbers = [number for metric in metrics for number in _numbers(rows, metric)]
    return Report(
        name=name,
        program=program,
        samples=len(rows),
        scenes=len({row.scene for row in rows}),
        delivered=len(rows) - len(faults),
        faults=faults,
        failures=dict(failures),
        unavailable={metric: dict(lacks) for metric, lacks in unavailable.items()},
        protocols={
            metric.name: {"version": metric.version, "interval": "95 % percentile bootstrap, scenes drawn 2000 times"}
            | metric.protocol()
            for metric in metrics
        },
        numbers=numbers,
    )


def _numbers(rows: Sequence[Row], metric: Metric) -> list[Number]:
    scores = [(row, score) for row in rows for score in row.each()]
    kinds = list(dict.fromkeys(score.row for _, score in scores))
    shots: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        shots[row.scene].append(row.shot)
    sets = {scene: pair_sets(names) for scene, names in shots.items()}
    names = list(dict.fromkeys(name for each in sets.values() for name in each))
    numbers = []
    for column in metric.columns:
        mine = [(row, score) for row, score in scores if score.column == column.name]
        for kind in kinds:
            of_kind = [(row, score) for row, score in mine if score.row == kind]
            if not column.pairs:
                numbers.append(_number(column, column.name, kind, of_kind))
                continue
            for name in names:
                chosen = [(r, s) for r, s in of_kind if name in sets[r.scene] and _in(r, s, sets[r.scene][name])]
                numbers.append(_number(column, f"{column.name} {name}", kind, chosen))
    numbers = [number for number in numbers if number.samples + number.gated]
    return numbers + (_set_numbers(rows, metric) if isinstance(metric, SetMetric) else [])


def _in(row: Row, score: Score, chosen: frozenset[frozenset[str]] | None) -> bool:
    assert score.earlier is not None
    return in_set((score.earlier, row.shot), chosen)


def _number(column: Column, name: str, kind: str, scores: Sequence[tuple[Row, Score]]) -> Number:
    counted = [(row, score) for row, score in scores if score.count > 0 and score.share >= column.gate]
    scenes = _pooled(column, counted, lambda row: row.scene)
    mean, low, high = summarize(scenes)
    places: dict[int, list[float]] = defaultdict(list)
    for (_, place), value in _pooled(column, counted, lambda row: (row.scene, row.number)).items():
        places[place].append(value)
    share = sum(score.share for _, score in counted) / len(counted) if counted else 0.0
    by_number = {place: _mean(values) for place, values in sorted(places.items())}
    return Number(name, kind, mean, low, high, scenes, len(counted), len(scores) - len(counted), share, by_number)


def summarize(scenes: Mapping[str, float]) -> tuple[float | None, float | None, float | None]:
    """Mean over scenes and the ends of its interval; None where there are too few scenes for them."""
    if not scenes:
        return None, None, None
    mean = sum(scenes.values()) / len(scenes)
    values = torch.tensor(list(scenes.values()), dtype=torch.float64)
    found = bootstrap_interval(values, generator=torch.Generator().manual_seed(0))
    return (mean, found.low, found.high) if found.bounded else (mean, None, None)


def _pooled(column: Column, scores: Iterable[tuple[Row, Score]], key: Callable[[Row], Any]) -> dict[Any, float]:
    """Scores of sums that are pooled by a key of their rows, in the order of the rows."""
    sums: dict[Any, list[float]] = {}
    for row, score in scores:
        total = sums.setdefault(key(row), [0.0, 0.0])
        total[0] += score.total
        total[1] += score.count
    return {where: column.score(*both) for where, both in sums.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _set_numbers(rows: Sequence[Row], metric: SetMetric) -> list[Number]:
    """Numbers of a whole set, with jackknife intervals over scenes: a bootstrap's duplicates would bias them."""
    numbers = []
    kept = _featured(rows, metric)
    for kind in dict.fromkeys(kind for row in kept for kind in row.features[metric.name] if kind != TRUTH):
        of_kind = [row for row in kept if kind in row.features[metric.name]]
        if len(of_kind) >= metric.fewest:
            numbers += [_set_number(of_kind, metric, column, kind) for column in metric.set_columns]
    return numbers


def _featured(rows: Sequence[Row], metric: SetMetric) -> list[Row]:
    return [row for row in rows if metric.name in row.features and TRUTH in row.features[metric.name]]


def _set_number(rows: Sequence[Row], metric: SetMetric, column: Column, kind: str) -> Number:
    def score(chosen: Sequence[Row]) -> float:
        made, truth = (torch.tensor([row.features[metric.name][k] for row in chosen]).double() for k in (kind, TRUTH))
        return metric.score_set(column.name, made, truth)

    mean, scenes = score(rows), list(dict.fromkeys(row.scene for row in rows))
    low = high = None
    if len(scenes) > 2:  # of what is left, two or more
        left = torch.tensor([score([row for row in rows if row.scene != scene]) for scene in scenes])
        spread = 1.96 * float(((len(scenes) - 1) / len(scenes) * (left - left.mean()).square().sum()).sqrt())
        low, high = mean - spread, mean + spread
    return Number(column.name, kind, mean, low, high, {}, len(rows), 0, 1.0)
