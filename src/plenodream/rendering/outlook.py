"""What a render still has to do, merged views included, and how long that will take. Ours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from plenodream.generators.protocol import Generator
from plenodream.geometry.cameras import join_cameras
from plenodream.memory.merge import MergeStep, merge_names, merged_name
from plenodream.memory.scene import Scene
from plenodream.memory.strategies import SIMILARITIES
from plenodream.memory.windows import Window
from plenodream.rendering.choice import choose_context
from plenodream.rendering.cost import estimate_cost
from plenodream.rendering.renderer import Progress, groups
from plenodream.rendering.request import SOURCE
from plenodream.rendering.settings import RenderSettings
from plenodream.types import Cameras

# Time that one more context view adds to that of a view from one: nano and mini on a CPU, before anything is measured.
_SHARE = 0.15


@dataclass(frozen=True)
class Work:
    """One window of a view that is to be rendered.

    Attributes:
        view: Its name.
        window: Number of the window.
        contexts: Views that it is generated from.
    """

    view: str
    window: int
    contexts: int


@dataclass(frozen=True)
class Ahead:
    """Where a render stands.

    Attributes:
        done: Windows of views that are finished, merged views counted.
        total: All that there are.
        seconds: Left; None before the first step. A guess before the first view is finished.
    """

    done: int
    total: int
    seconds: float | None


def plan_work(scene: Scene, fewest: int = 1, together: int = 1) -> list[Work]:
    """What a scene is still missing, in the order in which it is rendered, the views to be merged for it included.

    Args:
        scene: With all that is asked for on its list.
        fewest: Context views that the generator needs (`Workings.fewest`).
        together: Views that it makes at once (`Workings.targets`).
    """
    return foresee(
        {name: scene.cameras(name) for name in (SOURCE, *scene.names("view"))},
        scene.manifest.windows,
        groups(scene, together),
        RenderSettings.from_json(scene.manifest.settings),
        scene.has,
        merge_names(scene.manifest.entries),
        fewest,
    )


def foresee(
    cameras: Mapping[str, Cameras],
    windows: Sequence[Window],
    owed: Iterable[tuple[Sequence[str], int]],
    settings: RenderSettings,
    there: Callable[[str, int], bool] = lambda name, window: name == SOURCE,
    called: Callable[[Sequence[str]], str] = merged_name,
    fewest: int = 1,
) -> list[Work]:
    """The work of a render in its order, before there is any scene.

    Retrieval reads cameras alone, so the whole render can be gone through beforehand; where a strategy also reads what
    was rendered, another merged view may be needed than is foreseen here.

    Args:
        cameras: Of the source, first, and of all views by name.
        windows: Of the video.
        owed: Views to be made together, and the number of the window, in order.
        settings: Of the render.
        there: Whether a window of a view is rendered already.
        called: Gives merged views their names.
        fewest: Context views that the generator needs.
    """
    work: list[Work] = []
    for names, window in owed:
        planned = {item.view for item in work if item.window == window}
        memory = {n: c for n, c in cameras.items() if n not in names and (n in planned or there(n, window))}
        target = join_cameras([cameras[name] for name in names])
        for step in _merged(target, memory, windows[window], settings, called):
            if step.name not in planned and not there(step.name, window):
                own = settings.keep_source and SOURCE not in step.context
                work.append(Work(step.name, window, max(len(step.context) + own, fewest)))
        number = max(min(len(memory), settings.retrieval.k), fewest)
        work += [Work(name, window, number) for name in names if not there(name, window)]
    return work


def _merged(
    target: Cameras,
    stored: Mapping[str, Cameras],
    window: Window,
    settings: RenderSettings,
    called: Callable[[Sequence[str]], str],
) -> list[MergeStep]:
    """The merged views that one window of a view needs."""
    few = min(settings.candidates, len(stored)) <= settings.retrieval.k
    if few or settings.retrieval.strategy not in SIMILARITIES:
        return []
    merged: list[MergeStep] = []
    choose_context(target, stored, window, settings, torch.Generator(), merged.append, name=called)
    return merged


def announce(scene: Scene, work: Sequence[Work], generator: Generator) -> str:
    """One line before a render: how many views and merged views it makes, and for about how long.

    Time is that of the scene's earlier views, or else estimated (`estimate_cost`).
    """
    manifest = scene.manifest
    names = dict.fromkeys(item.view for item in work)
    views = [name for name in names if name in scene.names("view")]
    merged = f" and {len(names) - len(views)} merged for them" if len(names) > len(views) else ""
    windows = f", {len(work)} windows" if len(work) > len(names) else ""
    line = f"{len(views)} view{'s' * (len(views) != 1)} to render{merged}{windows}"
    seconds = [
        seconds
        for name in (*scene.names("view"), *scene.names("helper"))
        for window in range(len(manifest.windows))
        if scene.has(name, window) and (seconds := scene.timing(name, window).get("seconds")) is not None
    ]
    if seconds:
        left = statistics.median(seconds) * len(work)
    else:
        contexts, size = (item.contexts for item in work), (manifest.height, manifest.width)
        left = estimate_cost(generator, contexts, len(manifest.windows[0]), *size).seconds
    return f"{line}; about {max(1, round(left))} s" if left < 90 else f"{line}; about {round(left / 60)} min"


class Outlook:
    """Follows a render by its progress and says how much is left.

    A view's time is taken to grow with the number of its context views, at a rate that is fitted as soon as views of
    different numbers are finished.

    Args:
        work: From `plan_work`, before the render.
        clock: Seconds.
    """

    def __init__(self, work: Sequence[Work], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._left = {(item.view, item.window): item.contexts for item in work}
        self._usual = max(self._left.values(), default=1)
        self._finished: list[tuple[int, float]] = []  # contexts, seconds

    def __call__(self, step: Progress) -> Ahead:
        """Take note of a step, and say how much is left after it."""
        key, now = (step.view, step.window), self._clock()
        contexts = self._left.setdefault(key, self._usual)  # merged views that were not foreseen
        spent, share = now - self._began, step.step / step.steps
        if step.step == step.steps:
            self._finished.append((contexts, spent))
            self._left.pop(key)
            self._began, spent, share = now, 0.0, 0.0
        done = len(self._finished)
        return Ahead(done, done + len(self._left), self._seconds(key, spent, share))

    def _seconds(self, current: tuple[str, int], spent: float, share: float) -> float | None:
        if not self._finished:
            if share == 0:
                return None
            base, more = self._scaled([(self._left[current], spent / share)])
        else:
            base, more = _fit(self._finished) or self._scaled(self._finished)
        whole = sum(base + more * contexts for contexts in self._left.values())
        return max(0.0, whole - spent)

    @staticmethod
    def _scaled(finished: Sequence[tuple[int, float]]) -> tuple[float, float]:
        """Seconds of a view from nothing, and for each context view, at the usual share of the two."""
        unit = sum(seconds for _, seconds in finished) / sum(1 + _SHARE * (n - 1) for n, _ in finished)
        return unit * (1 - _SHARE), unit * _SHARE


def _fit(finished: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """Least squares of seconds against context views; None while too little is known for it."""
    counts = torch.tensor([float(n) for n, _ in finished], dtype=torch.float64)
    seconds = torch.tensor([s for _, s in finished], dtype=torch.float64)
    if len(finished) < 4 or counts.std() == 0:
        return None
    off = counts - counts.mean()
    more = max(0.0, (off @ seconds / off.square().sum()).item())
    base = seconds.mean().item() - more * counts.mean().item()
    return (base, more) if base > 0 else None
