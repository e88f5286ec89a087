from __future__ import annotations

from itertools import combinations

import pytest
import torch

from plenodream.evaluation.agreement import (
    CONDITIONS,
    UNSEEN,
    Pairs,
    SampledPairs,
    choose_pairs,
    context_index,
    pair_coverage,
    sample_pairs,
    score_pairs,
)
from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE
from plenodream.evaluation.metrics.sync import hsync, match_views
from plenodream.evaluation.sampler import ViewSampler, noise_seeds
from plenodream.evaluation.scenes import HeldOut, held_out
from plenodream.models.context import Context
from plenodream.sampling.config import SamplingConfig
from plenodream.worlds.family import MILD


@pytest.fixture(scope="module")
def data() -> HeldOut:
    return held_out(MILD, 4, 5, 3, 16, 16)


@pytest.fixture(scope="module")
def pairs(data) -> Pairs:
    return choose_pairs(data)


def make(pipeline) -> ViewSampler:
    return ViewSampler(pipeline.generator(SamplingConfig(2)).sampler)


def test_the_chosen_pair_hides_most_from_the_source(data, pairs):
    for scene in range(4):
        cameras, depth = data.cameras[scene], data.depth[scene]
        hidden = {
            (a, b): match_views(depth[a], cameras[a], depth[b], cameras[b], depth[0], cameras[0]).hidden.float().mean()
            for a, b in combinations(range(1, 5), 2)
        }
        assert (int(pairs.a[scene]), int(pairs.b[scene])) == max(hidden, key=hidden.get)
        torch.testing.assert_close(pair_coverage(pairs)["hsync"][scene].float(), max(hidden.values()))
    assert pair_coverage(pairs)["hsync"].median() > MINIMUM_COVERAGE


def test_what_each_condition_shows():
    # Entries 0-3 are the sources, 4-7 the generated views a of the same scenes.
    assert context_index("independent", 4).tolist() == [[0], [1], [2], [3]]
    assert context_index("source twice", 4).tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert context_index("retrieved history", 4).tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert context_index("wrong history", 4).tolist() == [[0, 5], [1, 4], [2, 7], [3, 6]]


def test_history_is_what_was_generated(tiny_pipeline, data, pairs):
    sampler, scene = make(tiny_pipeline()), torch.arange(4)
    sampled = sample_pairs(sampler, data, pairs, 0, 0)
    bank = sampler.encode(data.rgb[:, 0], data.cameras[:, 0], data.anchor)
    bank = Context.stack([bank, sampler.encode(sampled.a, data.cameras[scene, pairs.a], data.anchor)])
    for second, condition in ((4 + scene, "retrieved history"), (4 + torch.tensor([1, 0, 3, 2]), "wrong history")):
        index = torch.stack([scene, second], dim=1)
        b = sampler.sample(bank, index, data.cameras[scene, pairs.b], data.anchor, noise_seeds(0, "b", 0, 4))
        torch.testing.assert_close(b, sampled.b[condition])
    assert set(sampled.b) == set(CONDITIONS)
    everything = [sampled.a, sampled.other_a, *sampled.b.values()]
    assert all(not torch.allclose(x, y, atol=1e-3) for x, y in combinations(everything, 2))


def test_true_views_reach_the_ceiling_and_rows_are_hsync(tiny_pipeline, data, pairs):
    sampler, scene = make(tiny_pipeline()), torch.arange(4)
    true_a, true_b = data.rgb[scene, pairs.a], data.rgb[scene, pairs.b]
    grey = torch.full_like(true_b, 0.5)
    b = dict.fromkeys(CONDITIONS, true_b) | {"independent": grey}
    rows = score_pairs(sampler, data, pairs, SampledPairs(true_a, true_a * 0.5, b))
    for column, values in rows["truth"].items():
        torch.testing.assert_close(rows["retrieved history"][column], values, equal_nan=True)
    enough = pairs.match.hidden.float().mean((1, 2, 3)) >= MINIMUM_COVERAGE
    assert enough.any()
    assert (rows["truth"]["b to truth"][enough] == 100).all()
    torch.testing.assert_close(rows["truth"]["variance"][enough], torch.ones(int(enough.sum())).double())
    # A flat picture: no contrast, and whatever agreement the scene's colours give it.
    expected = hsync(true_a, grey, pairs.match).all.psnr(MINIMUM_COVERAGE)
    torch.testing.assert_close(rows["independent"]["hsync"], expected, equal_nan=True)
    assert (rows["independent"]["variance"][enough] < 1e-9).all()
    expected = hsync(true_a * 0.5, true_b, pairs.match).all.psnr(MINIMUM_COVERAGE)
    torch.testing.assert_close(rows[UNSEEN]["hsync"], expected, equal_nan=True)
    expected = hsync(true_a, data.rgb[:, 0], pairs.match).all.psnr(MINIMUM_COVERAGE)
    torch.testing.assert_close(rows["copy of source"]["hsync"], expected, equal_nan=True)
    assert rows.keys() == {"truth", *CONDITIONS, UNSEEN, "copy of source", "mean colour"}
    assert pair_coverage(pairs).keys() == rows["truth"].keys()
