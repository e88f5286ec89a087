from __future__ import annotations

import math

import pytest

from plenodream.evaluation.aggregate import aggregate
from plenodream.evaluation.metrics.metric import Column
from plenodream.evaluation.pairs import in_set, pair_sets
from plenodream.evaluation.results import Row
from plenodream.geometry.presets import GROUPS


class Made:
    """A metric of which rows are made up."""

    name, version = "made", 1
    columns = (Column("psnr", "dB", "decibels", "higher", 0.1), Column("sync", "dB", "decibels", "higher", pairs=True))

    def protocol(self):
        return {}

    def score(self, shot, earlier):
        raise AssertionError


def row(scene, shot, number, *scores, failures=None):
    return Row(scene, shot, number, "", "", list(scores), failures=failures or {})


def number(rows, column):
    found = aggregate("m", rows, [Made()], "p").number(column)
    assert found is not None
    return found


def test_errors_are_pooled_in_a_scene_and_then_averaged_over_scenes():
    rows = [
        row("s", "x", 1, ("psnr", "video", 1.0, 10.0, 1.0, None)),
        row("s", "y", 2, ("psnr", "video", 1.0, 90.0, 1.0, None)),
        row("t", "x", 1, ("psnr", "video", 1.0, 1000.0, 1.0, None)),
    ]
    found = number(rows, "psnr")
    pooled = -10 * math.log10(2 / 100)
    assert found.scenes == pytest.approx({"s": pooled, "t": 30.0})
    assert found.mean == pytest.approx((pooled + 30) / 2)
    assert found.low is not None and found.low == pytest.approx(pooled) and found.high == pytest.approx(30)
    assert found.by_number == pytest.approx({1: (10 + 30) / 2, 2: -10 * math.log10(1 / 90)})


def test_too_little_overlap_is_counted_and_nothing_is_zero():
    rows = [
        row("s", "x", 1, ("psnr", "video", 1.0, 10.0, 0.09, None)),
        row("s", "y", 2, ("psnr", "video", 0.0, 0.0, 0.0, None), failures={"made": "broke"}),
    ]
    found = number(rows, "psnr")
    assert found.mean is found.low is found.high is None and (found.samples, found.gated) == (0, 2)
    report = aggregate("m", rows, [Made()], "p")
    assert report.failures == {"made": ["s/y: broke"]}


def test_pairs_are_those_of_the_paper():
    twelve = GROUPS["basic12"]
    sets = pair_sets(twelve)
    assert list(sets) == ["paper 3", "paper 6", "paper 9", "strict 9", "paper 12", "all"]
    by_number = {frozenset((twelve.index(a) + 1, twelve.index(b) + 1)) for a, b in map(tuple, sets["paper 9"])}
    assert by_number == {frozenset(p) for p in ((1, 2), (1, 3), (4, 5), (4, 6), (7, 8), (9, 10))}
    assert len(sets["paper 12"]) == 8 and sets["paper 9"] - sets["strict 9"] == {frozenset(twelve[8:10])}
    # The order in which they were made does not matter, and what is not there makes no set.
    assert pair_sets(twelve[::-1]) == sets
    assert list(pair_sets(twelve[:3])) == ["paper 3", "all"]
    assert list(pair_sets(["p", "q", "r"])) == ["paper 3", "all"]
    assert in_set(("q", "p"), pair_sets(["p", "q", "r"])["paper 3"])
    assert not in_set(("q", "r"), pair_sets(["p", "q", "r"])["paper 3"])
    assert in_set(("q", "r"), None)


def test_a_table_of_pairs_names_its_set():
    rows = [
        row("s", "p", 1),
        row("s", "q", 2, ("sync", "video", 1.0, 10.0, 1.0, "p")),
        row("s", "r", 3, ("sync", "video", 1.0, 10.0, 1.0, "p"), ("sync", "video", 8.0, 10.0, 1.0, "q")),
    ]
    assert number(rows, "sync paper 3").mean == pytest.approx(10)
    assert number(rows, "sync all").mean == pytest.approx(-10 * math.log10(10 / 30))
    assert number(rows, "sync all").samples == 3
