"""Models for the robot of `synth --out DATA --family robot --height 48 --width 64`, from its head's camera."""

from __future__ import annotations

from dataclasses import replace

from plenodream.recipes.nano import nano
from plenodream.recipes.pico import pico
from plenodream.training.config import TrainConfig
from plenodream.training.curriculum import Curriculum, Stage


def agibot_pico() -> TrainConfig:
    """pico for the robot, from nothing."""
    return _robot(pico(), "agibot-pico")


def agibot_nano() -> TrainConfig:
    """nano for the robot, from nano's weights: `train agibot-nano --data DATA --init-from nano`, in a quarter hour."""
    return replace(_robot(nano(), "agibot-nano"), steps=1000)


def _robot(config: TrainConfig, name: str) -> TrainConfig:
    curriculum = Curriculum(stages=tuple(map(_stage, config.curriculum.stages)))
    return replace(config, name=name, height=48, width=64, source_view="head", curriculum=curriculum)


def _stage(stage: Stage) -> Stage:
    """With the three views of an episode, the head's always among the context."""
    return replace(
        stage, family="disk", views=3, max_context=min(stage.max_context, 2), source_context=stage.any_context
    )
