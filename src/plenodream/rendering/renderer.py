"""All views of a scene, one after another: read, retrieve, encode or reuse, generate, write."""

from __future__ import annotations

import resource
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from plenodream.generators.protocol import Context, Generator, Workings
from plenodream.geometry.cameras import join_cameras
from plenodream.memory.merge import MergeStep, merge_names
from plenodream.memory.scene import Scene
from plenodream.rendering.choice import choose_context
from plenodream.rendering.request import SOURCE
from plenodream.rendering.settings import RenderSettings
from plenodream.seeds import seed_from
from plenodream.types import View

_SMALL = 32  # pixels of the shorter side of the depth that retrieval looks at


@dataclass(frozen=True)
class Progress:
    """What a render reports: when a view's context has been read, after every step, when it has been written.

    Attributes:
        view: Name of the view being rendered.
        window: Number of the window.
        step: Steps done for it: 0 when its context has been read; equal to `steps` when it has been written.
        steps: Steps it takes: the generator's own, and one for what comes after them.
    """

    view: str
    window: int
    step: int
    steps: int


def check_slots(workings: Workings, settings: RenderSettings) -> None:
    """Refuse more context views than a generator takes.

    Raises:
        ValueError: If it takes fewer than `settings.retrieval.k`.
    """
    most, k = workings.most, settings.retrieval.k
    if most is not None and k > most:
        raise ValueError(f"context of k={k} views: this model's sequence has {most} slots; choose k up to {most}")


def pending(scene: Scene) -> list[tuple[str, int]]:
    """Views and windows still to be rendered, in order: all views of a window before the next window."""
    windows, views = range(len(scene.manifest.windows)), scene.names("view")
    return [(name, window) for window in windows for name in views if not scene.has(name, window)]


def groups(scene: Scene, together: int) -> Iterator[tuple[list[str], int]]:
    """What is still to be rendered, by what one call of the generator makes: views, and the window.

    Views that were begun together are gone on with together, also where some of them are there: what a run that was
    broken off had not yet written comes out as it would have.

    Args:
        scene: The memory bank.
        together: Views that a call makes at most (`Workings.targets`).
    """
    owed = pending(scene)
    for window in dict.fromkeys(window for _, window in owed):
        left = [name for name, number in owed if number == window]
        begun = _begun(scene, window) if together > 1 else []
        for group in (group for group in begun if set(group) & set(left)):
            left = [name for name in left if name not in group]
            yield group, window
        yield from ((left[n : n + together], window) for n in range(0, len(left), together))


def _begun(scene: Scene, window: int) -> list[list[str]]:
    """Views of a window that were made together, as the records of those that are there say."""
    there = [name for name in scene.names("view") if scene.has(name, window)]
    found = [tuple(scene.record(name, window).get("together", ())) for name in there]
    return [list(group) for group in dict.fromkeys(found) if len(group) > 1]


class AutoregressiveRenderer:
    """Renders what a scene is still missing. It remembers the context of the last few views, and of all
    of them no more than small depth, where retrieval asks for it.

    Args:
        scene: The memory bank.
        generator: What makes the views.
        settings: The scene's settings.
        report: Called after every step.

    Raises:
        ValueError: More context views than the generator takes.
    """

    def __init__(
        self, scene: Scene, generator: Generator, settings: RenderSettings, report: Callable[[Progress], None] | None
    ) -> None:
        check_slots(generator.workings, settings)
        self.scene, self.generator, self.settings = scene, generator, settings
        self.report = report or (lambda progress: None)
        # One view's context and the views merged for it: beyond that, older entries make room.
        self._capacity = settings.candidates + 2
        self._encoded: OrderedDict[tuple[str, int], Context] = OrderedDict()
        self._small: dict[tuple[str, int], torch.Tensor | None] = {}

    def render(self) -> list[str]:
        """Render everything pending; returns the names of the views that were."""
        self.scene.finish(*self.scene.names())  # a killed run may owe the preview of a finished view
        rendered = pending(self.scene)
        for names, window in list(groups(self.scene, self.generator.workings.targets)):
            self.render_views(names, window)
        return list(dict.fromkeys(name for name, _ in rendered))

    def render_views(self, names: list[str], window: int) -> None:
        """One window of views that are made together: retrieve context from all other views, generate, write."""
        scene = self.scene
        memory = [n for n in (SOURCE, *scene.names("view")) if n not in names and scene.has(n, window)]
        choice = choose_context(
            join_cameras([scene.cameras(name) for name in names]),
            {n: scene.cameras(n) for n in memory},
            scene.manifest.windows[window],
            self.settings,
            self._noise(names, window, "retrieval"),
            lambda step: self._render_merged(step, window),
            self._depths(memory, window),
            merge_names(scene.manifest.entries),
        )
        record = {"candidates": choice.candidates, "scores": choice.scores, "merged": choice.merged}
        if len(names) > 1:
            record["together"] = names
        self._generate_and_write(names, window, list(choice.scores), record)

    def _render_merged(self, step: MergeStep, window: int) -> None:
        """Really render a merged view (Algorithm 2), unless an earlier view has already needed the same one."""
        self.scene.declare(step.name, "helper", step.cameras, {"merge_of": list(step.inputs)})
        if not self.scene.has(step.name, window):
            candidates = dict(zip(step.inputs, step.scores, strict=True))
            scores = {name: candidates[name] for name in step.context}
            record = {"candidates": candidates, "scores": scores, "merged_from": list(step.inputs)}
            kept = [SOURCE] if self.settings.keep_source and SOURCE not in scores else []
            self._generate_and_write([step.name], window, [*kept, *scores], record)

    def _generate_and_write(self, names: list[str], window: int, context: list[str], record: dict) -> None:
        """Make views together; write those that are not there."""
        began, steps = time.monotonic(), self.generator.workings.steps + 1
        owed = [name for name in names if not self.scene.has(name, window)]
        _forget_peak()
        # Fewer views than it needs are filled up with the source.
        context += [SOURCE] * (self.generator.workings.fewest - len(context))
        contexts = [self._encode(n, window) for n in context]
        self.report(Progress(owed[0], window, 0, steps))
        try:
            views = self.generator.generate(
                [self.scene.cameras(name, window) for name in names],
                contexts,
                self.scene.cameras(SOURCE, window).camera_to_world[0],
                [self._known(name, window) for name in names],
                self._noise(names, window, "noise"),
                self.scene.manifest.fps,
                lambda step: self.report(Progress(owed[0], window, step, steps)),
            )
        except ValueError as error:
            raise ValueError(f"view {' and '.join(names)}: {error}") from None
        manifest = self.scene.manifest
        origin = {"context": context, "strategy": self.settings.retrieval.strategy}
        origin |= {"seed": manifest.seed, "model": manifest.model_hash}
        timing = {"seconds": (time.monotonic() - began) / len(names), "peak_bytes": _peak_bytes()}
        for name, view in zip(names, views, strict=True):
            if name in owed:
                self.scene.write(name, window, view.frames, record | origin, timing, view.depth)
                self._encoded.pop((name, window), None)
                self._small.pop((name, window), None)
                self.report(Progress(name, window, steps, steps))
                self.scene.finish(name)

    def _depths(self, names: list[str], window: int) -> dict[str, torch.Tensor | None]:
        """Small depth of stored views, for the one strategy that looks at it."""
        if self.settings.retrieval.strategy != "visible":
            return {}
        for name in names:
            if (name, window) not in self._small:
                depth = self.scene.read(name, window).depth
                step = 1 if depth is None else max(1, min(depth.shape[1:]) // _SMALL)
                self._small[name, window] = None if depth is None else depth[:, step // 2 :: step, step // 2 :: step]
        return {name: self._small[name, window] for name in names}

    def _encode(self, name: str, window: int) -> Context:
        """A stored view as the generator reads it, encoded or reused."""
        key = (name, window)
        if key not in self._encoded:
            anchor = self.scene.cameras(SOURCE, window).camera_to_world[0]
            self._encoded[key] = self.generator.encode(self.scene.read(name, window), anchor)
            while len(self._encoded) > self._capacity:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def _known(self, name: str, window: int) -> View | None:
        """The leading frames of a window that the view's previous window has, as many as the generator can be told."""
        span, factor = self.scene.manifest.windows[window], self.generator.workings.temporal_factor
        if span.clean == 0 or not self.scene.has(name, window - 1):
            return None
        usable = (span.clean - 1) // factor * factor + 1
        offset = span.start - self.scene.manifest.windows[window - 1].start
        return self.scene.read(name, window - 1)[offset : offset + usable]

    def _noise(self, names: Sequence[str], window: int, purpose: str) -> torch.Generator:
        """Randomness that depends on the scene's seed and the views alone, so that a continued run draws the same."""
        seed = seed_from(f"{self.scene.manifest.seed}/{'/'.join(names)}/{window}/{purpose}")
        return torch.Generator().manual_seed(seed)


def _forget_peak() -> None:
    if torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)


def _peak_bytes() -> int:
    """Most memory held: on a GPU for this view where one is in use, otherwise by the process so far."""
    if torch.cuda.is_initialized():
        return max(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
