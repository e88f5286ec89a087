from __future__ import annotations

import msgspec
import pytest

from plenodream.evaluation.aggregate import Number, Report
from plenodream.evaluation.seeds import over_seeds
from plenodream.evaluation.shots import VIDEO

SCENES = {"s0": 20.0, "s1": 22.0}


def report(more: float, failures: dict[str, list[str]]) -> Report:
    scenes = {scene: score + more for scene, score in SCENES.items()}
    numbers = [
        Number("psnr.all", VIDEO, 21 + more, 20 + more, 22 + more, scenes, 4, 0, 1.0, {1: 21 + more}),
        Number("kd_stats_v1", VIDEO, 1 + more, 0.5 + more, 1.5 + more, {}, 4, 0, 1.0),
    ]
    return Report("m", "test", 4, 2, 4, [], failures, {"fvd": {"weights": 4}}, {}, numbers)


def test_numbers_of_whole_sets_lie_in_the_middle_of_their_intervals():
    found = over_seeds("m", [report(0, {}), report(1, {})]).number("kd_stats_v1")
    assert found is not None and (found.low, found.mean, found.high) == pytest.approx((1.0, 1.5, 2.0))


def test_what_failed_counts_under_every_seed():
    good = report(0, {})
    bad = msgspec.structs.replace(report(1, {"sync": ["s0/a: why"]}), delivered=3, faults=["s1/b: missing"])
    found = over_seeds("m", [good, bad])
    assert (found.samples, found.delivered, found.scenes) == (8, 7, 2)
    assert found.failures == {"sync": ["s0/a: why"]} and found.faults == ["s1/b: missing"]
    assert found.unavailable == {"fvd": {"weights": 8}}
