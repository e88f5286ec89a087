from __future__ import annotations

import json

import pytest
from tiny import tiny_config

from plenodream.training.config import OptimizerConfig
from plenodream.training.curriculum import Curriculum, Stage

STAGES = (
    Stage(share=0.25, frames=1),
    Stage(share=0.25, frames=1, views=5, min_context=2, max_context=4, any_context=True),
    Stage(share=0.5, frames=9),
)


def test_the_curriculum_goes_through_its_stages_by_budget():
    numbers = [Curriculum(STAGES).at(step / 100)[0] for step in range(100)]
    assert numbers == [0] * 25 + [1] * 25 + [2] * 50
    assert Curriculum(STAGES).at(1.0)[0] == 2
    thirds = tuple(Stage(share=1 / 3) for _ in range(3))
    assert [Curriculum(thirds).at(step / 9)[0] for step in range(9)] == [0] * 3 + [1] * 3 + [2] * 3


def test_an_instalment_goes_through_its_part_alone():
    later = Curriculum(STAGES, start=0.25, end=0.75)
    assert [later.at(step / 10)[0] for step in range(10)] == [1] * 5 + [2] * 5


def test_the_limit_on_context_holds_in_every_stage():
    limited = Curriculum(STAGES, max_context=1)
    assert [(s.min_context, s.max_context) for s in (limited.at(p)[1] for p in (0.0, 0.3, 0.9))] == [(1, 1)] * 3
    assert limited.largest_context == 1 and Curriculum(STAGES).largest_context == 4


def test_targets_are_the_last_views_and_never_the_source():
    assert Stage(share=1, views=4).target_views == range(1, 4)
    assert Stage(share=1, views=4, targets=1).target_views == range(3, 4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Stage(share=1, views=2, max_context=2, any_context=True), "max_context < views"),
        (lambda: Stage(share=1, max_context=3), "any_context=True"),
        (lambda: Stage(share=1, views=2, targets=2), "expected 1 to 1"),
        (lambda: Stage(share=1, batch=0), "at least 1"),
        (lambda: Curriculum((Stage(share=0.5),)), "expected 1"),
        (lambda: Curriculum(STAGES, start=0.5, end=0.5), "start < end"),
        (lambda: Curriculum(STAGES, max_context=0), "at least 1"),
        (lambda: tiny_config(precision="fp16"), "auto, fp32, bf16"),
        (lambda: tiny_config(trainable="some"), "all, attention"),
        (lambda: tiny_config(seed=1000), "0 to 999"),
        (lambda: tiny_config(steps=0), "at least 1"),
        (lambda: tiny_config(patch=0), "at least 1 pixel"),
        (lambda: tiny_config(height=0), "expected multiples"),
        (lambda: tiny_config(width=17), "17x16: expected multiples of the codec's 8"),
        (lambda: Stage(share=1, family="wild"), "mild, full, mixed, disk"),
        (lambda: OptimizerConfig(learning_rate=0.0), "more than 0"),
        (lambda: OptimizerConfig(ema_decay=2.0), "0 to 1"),
    ],
)
def test_impossible_configs_are_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_config_is_json():
    assert json.loads(tiny_config().to_json())["curriculum"]["stages"][1]["max_context"] == 2
