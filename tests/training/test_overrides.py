from __future__ import annotations

import pytest
from tiny import tiny_config

from plenodream.training.overrides import apply_overrides


def test_fields_are_changed_and_converted_at_every_depth():
    config = apply_overrides(
        tiny_config(),
        [
            "curriculum.max_context=1",
            "curriculum.stages.1.batch=7",
            "optimizer.learning_rate=3e-4",
            "model.num_layers=3",
            "model.patch_size=1 2 2",
            "compile=True",
            "curriculum.stages.0.targets=1",
            "model.prediction=velocity",
        ],
    )
    assert config.curriculum.max_context == 1 and config.curriculum.stages[1].batch == 7
    assert config.optimizer.learning_rate == 3e-4 and config.compile is True
    assert config.model["num_layers"] == 3 and config.model["patch_size"] == (1, 2, 2)
    assert config.curriculum.stages[0].targets == 1 and config.model["prediction"] == "velocity"
    assert config.curriculum.stages[0].batch == tiny_config().curriculum.stages[0].batch
    assert apply_overrides(config, ["curriculum.max_context=None"]).curriculum.max_context is None
    assert apply_overrides(config, []) == config


def test_fields_that_only_fit_together_are_changed_together():
    config = apply_overrides(
        tiny_config(),
        ["curriculum.stages.0.max_context=3", "curriculum.stages.0.views=5", "curriculum.stages.0.any_context=True"],
    )
    assert config.curriculum.stages[0].max_context == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("curiculum.max_context=1", "did you mean 'curriculum'"),
        ("optimizer.learning_rat=1", "did you mean 'learning_rate'"),
        ("curriculum.stages.9.batch=1", "expected one of 0, 1"),
        ("model.layers=1", "did you mean 'num_layers'"),
        ("steps=many", "--set steps=many: expected INT"),
        ("steps=1.5", "expected INT"),
        ("optimizer.clip=x", "--set optimizer.clip=x: expected FLOAT"),
        ("optimizer.clip=nan", "optimizer.clip is nan: expected a finite number, more than 0"),
        ("objective.shift=inf", "objective.shift is inf: expected a finite number, more than 0"),
        ("compile=perhaps", "--set compile=perhaps: expected True or False"),
        ("curriculum.max_context=x", "--set curriculum.max_context=x: expected None or INT"),
        ("steps", "name.of.field=value"),
        ("steps=", "--set steps=: expected INT"),
        ("steps=1 2", "2 is too much"),
        ("help=1", "no such field"),
        ("=3", "name.of.field=value"),
        ("optimizer=3", "set one of them"),
        ("model=3", "set one of them"),
        ("curriculum.stages=3", "set one of them: 0, 1"),
        ("steps.more=3", "plain value"),
        ("model.patch_size=x", r"expected \[INT \[INT ...\]\]"),
        ("precision=fp8", "auto, fp32, bf16"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, words):
    with pytest.raises(ValueError, match=words) as error:
        apply_overrides(tiny_config(), [change])
    assert "\n" not in str(error.value)


def test_of_two_values_for_a_field_the_last_counts():
    assert apply_overrides(tiny_config(), ["steps=1", "steps=2"]).steps == 2
