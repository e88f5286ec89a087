"""What a render will make before it does: every view and merged view, window by window, from cameras alone."""

from __future__ import annotations

import statistics

import torch

from plenodream.memory.merge import MergeStep
from plenodream.memory.scene import Scene
from plenodream.memory.strategies import SIMILARITIES
from plenodream.rendering.choice import choose_context
from plenodream.rendering.renderer import pending
from plenodream.rendering.request import SOURCE
from plenodream.rendering.settings import RenderSettings


def forecast(scene: Scene) -> list[tuple[str, int]]:
    """Views and windows that are still to be made, merged views among them, in order."""
    settings = RenderSettings.from_json(scene.manifest.settings)
    owed = pending(scene)
    merging = settings.candidates > settings.retrieval.k and settings.retrieval.strategy in SIMILARITIES
    if not merging:
        return owed
    cameras = {name: scene.cameras(name) for name in (SOURCE, *scene.names("view"))}
    planned: list[tuple[str, int]] = []
    for name, window in owed:
        there = [n for n in cameras if n != name and (scene.has(n, window) or (n, window) in planned)]

        def merge(step: MergeStep, window: int = window) -> None:
            if not scene.has(step.name, window) and (step.name, window) not in planned:
                planned.append((step.name, window))

        stored = {n: cameras[n] for n in there}
        choose_context(cameras[name], stored, scene.manifest.windows[window], settings, torch.Generator(), merge)
        planned.append((name, window))
    return planned


def describe_plan(scene: Scene) -> str:
    """One line: how many views and merged views will be made, and for how long where earlier ones tell."""
    planned, views = forecast(scene), set(scene.names("view"))
    made = {name for name, _ in planned if name in views}
    helpers = {name for name, _ in planned} - made
    windows = f" in {len(planned)} windows" if len(planned) > len(made) + len(helpers) else ""
    merged = f" and {len(helpers)} merged for them" if helpers else ""
    line = f"{len(made)} view{'s' * (len(made) != 1)} to make{merged}{windows}"
    seconds = _seconds(scene)
    return line if seconds is None else f"{line}, about {spoken_time(seconds * len(planned))}"


def spoken_time(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seconds(scene: Scene) -> float | None:
    """What a window has taken so far, in the middle."""
    windows = range(len(scene.manifest.windows))
    names = [*scene.names("view"), *scene.names("helper")]
    timings = [scene.timing(n, window) for n in names for window in windows if scene.has(n, window)]
    seconds = [timing["seconds"] for timing in timings if "seconds" in timing]
    return statistics.median(seconds) if seconds else None
