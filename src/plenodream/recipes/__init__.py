"""Recipes: functions that return the config of a training run."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from plenodream.words import suggestion

if TYPE_CHECKING:
    from plenodream.training.config import TrainConfig


def _recipe(module: str, function: str) -> Callable[[], TrainConfig]:
    """A recipe function, imported when it is called."""

    def build() -> TrainConfig:
        return getattr(import_module(f"plenodream.recipes.{module}"), function)()

    return build


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "nano": _recipe("nano", "nano"),
    "nano-depth": _recipe("nano", "nano_depth"),
    "nano-depth-2step": _recipe("nano", "nano_depth_2step"),
    "pico": _recipe("pico", "pico"),
    "agibot-pico": _recipe("robot", "agibot_pico"),
    "agibot-nano": _recipe("robot", "agibot_nano"),
    "mini": _recipe("mini", "mini"),
    "mini-cpu": _recipe("mini", "mini_cpu"),
    "mini-depth": _recipe("mini", "mini_depth"),
    "basic": _recipe("basic", "basic"),
    "basic-few-steps": _recipe("basic", "basic_few_steps"),
    "agibot": _recipe("basic", "agibot"),
}


def get_recipe(name: str) -> TrainConfig:
    """The config of a recipe.

    Raises:
        ValueError: Unknown name, with the nearest one.
    """
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}: {suggestion(name, RECIPES)}")
    return RECIPES[name]()
