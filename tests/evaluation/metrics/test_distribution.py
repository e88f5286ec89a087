from __future__ import annotations

import json
from pathlib import Path

import guest
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from plenodream.evaluation.metrics.distances import frechet_distance, kernel_distance
from plenodream.evaluation.metrics.distribution import Distribution, _quantiles, video_statistics
from plenodream.evaluation.run import run

REFERENCE = Path(__file__).parents[2] / "reference" / "metric_values"


def test_published_frechet_distances():
    values = json.loads((REFERENCE / "values.json").read_text())["frechet"]
    tensors = load_file(REFERENCE / "tensors.safetensors")
    sets = tensors["features.real"], tensors["features.fake"]
    assert frechet_distance(*sets) == pytest.approx(values["covariance_over_N"], rel=1e-9)
    assert frechet_distance(*sets, unbiased=True) == pytest.approx(values["covariance_over_N_minus_1"], rel=1e-9)


def test_distances_of_equal_gaussians_and_of_moved_ones():
    draw = torch.randn(3, 400, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert frechet_distance(draw[0], draw[0]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(draw[0], draw[0] + 2) == pytest.approx(8 * 4)
    assert abs(kernel_distance(draw[0], draw[1])) < 0.05 < kernel_distance(draw[0], draw[1] + 0.5)
    # By hand, of two points each.
    a, b = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [3.0]])
    cross = (1**3 + 4**3 + 1**3 + 7**3) / 4
    assert kernel_distance(a, b) == pytest.approx(3**3 + 1**3 - 2 * cross)


def test_quantiles_of_as_many_numbers_as_a_real_video_has():
    torch.testing.assert_close(_quantiles(torch.linspace(0, 1, 101)), torch.tensor([0.5, 0.8, 0.95]).double())
    assert _quantiles(torch.ones(1).expand(2**24 + 1)).tolist() == [1, 1, 1]
    assert _quantiles(torch.zeros(0)).tolist() == [0, 0, 0]


def blur(rgb):
    for axis in (1, 2):
        rgb = (np.roll(rgb, 1, axis) + rgb + np.roll(rgb, -1, axis)) / 3
    return rgb


def test_the_stand_in_grows_with_blur_and_noise_and_knows_a_still_video():
    generator = np.random.default_rng(0)
    spoils = {
        "true": lambda s, n, x: x,
        "blur": lambda s, n, x: blur(x),
        "more blur": lambda s, n, x: blur(blur(blur(x))),
        "noise": lambda s, n, x: x + generator.normal(0, 0.02, x.shape),
        "more noise": lambda s, n, x: x + generator.normal(0, 0.1, x.shape),
        "still": lambda s, n, x: np.repeat(x[:1], len(x), axis=0),
    }
    shots = [
        (scene, shot, guest.see(guest.centres(guest.SHOTS[shot]), scene)[0])
        for scene in range(3)
        for shot in guest.SHOTS
    ]

    def features(spoil):
        videos = [(spoil(scene, shot, rgb) * 255).round().clip(0, 255) / 255 for scene, shot, rgb in shots]
        return torch.stack([video_statistics(torch.from_numpy(video).float()) for video in videos])

    truth, found = features(spoils["true"]), {}
    for name, spoil in spoils.items():
        made = features(spoil)
        for column in ("fd_stats_v1", "kd_stats_v1"):
            found[column, name] = Distribution().score_set(column, made, truth)
    for column in ("fd_stats_v1", "kd_stats_v1"):
        none = found[column, "true"]
        assert none < found[column, "blur"] < found[column, "more blur"]
        assert none < found[column, "noise"] < found[column, "more noise"]
    assert found["fd_stats_v1", "true"] < found["fd_stats_v1", "still"]  # of 9 videos the kernel distance cannot tell
    assert found["fd_stats_v1", "true"] == pytest.approx(0, abs=1e-6)


def test_fvd_needs_the_weights_and_records_their_hash(tmp_path):
    guest.deliver(tmp_path, scenes=3, spoil=lambda s, n, x: blur(x))
    report = run(tmp_path, tmp_path / "evaluation", ("fvd", "distribution"), "guest").report
    assert report is not None and {number.column for number in report.numbers} == {"fd_stats_v1", "kd_stats_v1"}
    assert all(number.low is not None for number in report.numbers)
    assert report.unavailable == {"fvd": {"the I3D TorchScript of StyleGAN-V: --weights fvd=FILE": 9}}

    class Network(torch.nn.Module):
        def forward(self, x, rescale: bool, resize: bool, return_features: bool):
            assert rescale and resize and return_features
            return x.mean(dim=[2, 3, 4]) / 255

    torch.jit.script(Network()).save(str(tmp_path / "i3d.pt"))
    report = run(tmp_path, tmp_path / "out", ("fvd",), "guest", weights={"fvd": tmp_path / "i3d.pt"}).report
    assert report is not None and len(report.protocols["fvd"]["weights"]) == 64
    number = report.number("fvd_i3d_styleganv")
    assert number is not None and number.samples == 9 and number.mean is not None and number.mean < 1e-3
    with pytest.raises(ValueError, match="no such file"):
        run(tmp_path, tmp_path / "out", ("fvd",), "guest", weights={"fvd": tmp_path / "none.pt"})
    with pytest.raises(ValueError, match="takes no weights"):
        run(tmp_path, tmp_path / "out", ("sync",), "guest", weights={"sync": tmp_path / "i3d.pt"})
