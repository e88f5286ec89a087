"""What a render still has to do, merged views included, and how long that will take. Ours."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from plenodream.generators.motion import SAME_PLACE
from plenodream.generators.protocol import Generator
from plenodream.geometry.cameras import join_cameras
from plenodream.memory.merge import MergeStep, merge_names, merged_name
from plenodream.memory.scene import Scene
from plenodream.memory.strategies import SIMILARITIES
from plenodream.memory.windows import Window, window_index
from plenodream.rendering.choice import choose_context
from plenodream.rendering.cost import estimate_cost
from plenodream.rendering.pace import CLOUD, FINISHING, NETWORK, READING, STEPS, Pace
from plenodream.rendering.renderer import Progress, groups
from plenodream.rendering.request import SOURCE
from plenodream.rendering.settings import RenderSettings
from plenodream.types import Cameras


@dataclass(frozen=True)
class Work:
    """One window of a view that is to be rendered.

    Attributes:
        view: Its name.
        window: Number of the window.
        contexts: Views that it is generated from.
        apart: How many of them are at another place at the same moment, so that depth carries them over: expected,
            since who is chosen is not.
        alone: Share of its frames at whose place no stored view is.
    """

    view: str
    window: int
    contexts: int
    apart: float = 0.0
    alone: float = 0.0

    @property
    def load(self) -> tuple[float, float, float]:
        """What its time grows with: further context views; views carried over, later ones into fewer holes; `alone`."""
        return self.contexts - 1.0, math.sqrt(self.apart), self.alone


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

    def add(view: str, window: int, contexts: int, path: Cameras, memory: Mapping[str, Cameras]) -> None:
        share, alone = _elsewhere(path, memory, windows[window])
        work.append(Work(view, window, contexts, contexts * share, alone))

    for names, window in owed:
        planned = {item.view for item in work if item.window == window}
        memory = {n: c for n, c in cameras.items() if n not in names and (n in planned or there(n, window))}
        target = join_cameras([cameras[name] for name in names])
        for step in _merged(target, memory, windows[window], settings, called):
            if step.name not in planned and not there(step.name, window):
                own = settings.keep_source and SOURCE not in step.context
                add(step.name, window, max(len(step.context) + own, fewest), step.cameras, memory)
        number = max(min(len(memory), settings.retrieval.k), fewest)
        for name in names:
            if not there(name, window):
                add(name, window, number, cameras[name], memory)
    return work


def _elsewhere(path: Cameras, memory: Mapping[str, Cameras], window: Window) -> tuple[float, float]:
    """Share of moments and stored views that are not where a path is, and of moments at which none is."""
    index = window_index(window, len(path))
    centres = torch.stack([cameras.camera_to_world[index, :3, 3] for cameras in memory.values()])
    apart = (centres - path.camera_to_world[index, :3, 3]).norm(dim=-1) >= SAME_PLACE
    return apart.float().mean().item(), apart.all(0).float().mean().item()


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

    The parts of a view (reading its context, steps, what comes after them) are timed by themselves; of the views that
    are to come, each part is foretold from those that are finished (`Pace`).

    Args:
        work: From `plan_work`, before the render.
        clock: Seconds.
    """

    def __init__(self, work: Sequence[Work], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._left = {(item.view, item.window): item for item in work}
        self._usual = max((item.contexts for item in work), default=1)
        self._paces = [Pace(part) for part in (READING, STEPS, FINISHING)]
        self._spent = [0.0, 0.0, 0.0]  # of the parts of the view in work
        self._done, self._guess = 0, NETWORK

    def __call__(self, step: Progress) -> Ahead:
        """Take note of a step, and say how much is left after it."""
        key, now = (step.view, step.window), self._clock()
        item = self._left.setdefault(key, Work(*key, self._usual))  # merged views that were not foreseen
        part = READING if step.step == 0 else FINISHING if step.step == step.steps else STEPS
        self._spent[part] += now - self._began
        self._began, self._guess = now, CLOUD if step.steps == 1 else NETWORK
        if part == FINISHING:
            self._finish(key, item)
            return self._ahead(self._seconds(self._left.values()))
        if self._done == 0 and step.step == 0:
            return self._ahead(None)
        return self._ahead(self._seconds_within(key, step.step / max(1, step.steps - 1)))

    def _finish(self, key: tuple[str, int], item: Work) -> None:
        if self._done == 0 and self._guess is NETWORK:  # the depth of the source, which takes steps too, is seen once
            self._spent[READING] = min(self._spent[READING], self._spent[STEPS])
        for pace, spent in zip(self._paces, self._spent, strict=True):
            pace.seen.append((item.load, spent))
        self._spent = [0.0, 0.0, 0.0]
        self._left.pop(key)
        self._done += 1

    def _ahead(self, seconds: float | None) -> Ahead:
        return Ahead(self._done, self._done + len(self._left), seconds)

    def _seconds(self, items: Iterable[Work], parts: Iterable[int] = (READING, STEPS, FINISHING)) -> float:
        loads = [item.load for item in items]
        return sum(self._paces[part].seconds(loads, self._guess) for part in parts)

    def _seconds_within(self, key: tuple[str, int], share: float) -> float:
        """While the view `key` is in work, a share of whose steps is done."""
        if self._done == 0:  # what comes after its steps is not known yet
            steps = self._spent[STEPS] / share
            return steps * (1 - share) + (len(self._left) - 1) * (self._spent[READING] + steps)
        item, others = self._left[key], [item for other, item in self._left.items() if other != key]
        own = (1 - share) * self._seconds([item], [STEPS]) + self._seconds([item], [FINISHING])
        return own + self._seconds(others)
