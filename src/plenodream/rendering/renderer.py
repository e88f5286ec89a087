"""All views of a scene, one after another: read, retrieve, encode or reuse, generate, write."""

from __future__ import annotations

import resource
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch

from plenodream.generators.protocol import Context, Generator, Workings
from plenodream.memory.merge import MergeStep
from plenodream.memory.scene import Scene
from plenodream.rendering.choice import choose_context
from plenodream.rendering.request import SOURCE
from plenodream.rendering.settings import RenderSettings
from plenodream.seeds import seed_from
from plenodream.types import View

_SMALL = 32  # pixels of the shorter side of the depth that retrieval looks at


@dataclass(frozen=True)
class Progress:
    """What a render reports after every step.

    Attributes:
        view: Name of the view being rendered.
        window: Number of the window.
        step: Steps done for it; equal to `steps` when it has been written.
        steps: Steps it takes.
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
        for name in self.scene.names():  # a killed run may owe the preview of a finished view
            self.scene.finish(name)
        rendered = pending(self.scene)
        for name, window in rendered:
            self.render_view(name, window)
            self.scene.finish(name)
        return list(dict.fromkeys(name for name, _ in rendered))

    def render_view(self, name: str, window: int) -> None:
        """One window of one view: retrieve its context from all other views there are, generate, write."""
        scene = self.scene
        memory = [n for n in (SOURCE, *scene.names("view")) if n != name and scene.has(n, window)]
        choice = choose_context(
            scene.cameras(name),
            {n: scene.cameras(n) for n in memory},
            scene.manifest.windows[window],
            self.settings,
            self._noise(name, window, "retrieval"),
            lambda step: self._render_merged(step, window),
            self._depths(memory, window),
        )
        record = {"candidates": choice.candidates, "scores": choice.scores, "merged": choice.merged}
        self._generate_and_write(name, window, list(choice.scores), record)

    def _render_merged(self, step: MergeStep, window: int) -> None:
        """Really render a merged view (Algorithm 2), unless an earlier view has already needed the same one."""
        self.scene.declare(step.name, "helper", step.cameras, {"merge_of": list(step.inputs)})
        if not self.scene.has(step.name, window):
            candidates = dict(zip(step.inputs, step.scores, strict=True))
            scores = {name: candidates[name] for name in step.context}
            record = {"candidates": candidates, "scores": scores, "merged_from": list(step.inputs)}
            kept = [SOURCE] if self.settings.keep_source and SOURCE not in scores else []
            self._generate_and_write(step.name, window, [*kept, *scores], record)
            self.scene.finish(step.name)

    def _generate_and_write(self, name: str, window: int, context: list[str], record: dict) -> None:
        began, steps = time.monotonic(), self.generator.workings.steps + 1
        _forget_peak()
        # Fewer views than it needs are filled up with the source.
        context += [SOURCE] * (self.generator.workings.fewest - len(context))
        contexts = [self._encode(n, window) for n in context]
        try:
            (view,) = self.generator.generate(
                [self.scene.cameras(name, window)],
                contexts,
                self.scene.cameras(SOURCE, window).camera_to_world[0],
                [self._known(name, window)],
                self._noise(name, window, "noise"),
                self.scene.manifest.fps,
                lambda step: self.report(Progress(name, window, step, steps)),
            )
        except ValueError as error:
            raise ValueError(f"view {name}: {error}") from None
        manifest = self.scene.manifest
        origin = {"context": context, "strategy": self.settings.retrieval.strategy}
        origin |= {"seed": manifest.seed, "model": manifest.model_hash}
        timing = {"seconds": time.monotonic() - began, "peak_bytes": _peak_bytes()}
        self.scene.write(name, window, view.frames, record | origin, timing, view.depth)
        self._encoded.pop((name, window), None)
        self._small.pop((name, window), None)
        self.report(Progress(name, window, steps, steps))

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

    def _noise(self, name: str, window: int, purpose: str) -> torch.Generator:
        """Randomness that depends on the scene's seed and the view alone, so that a continued run draws the same."""
        seed = seed_from(f"{self.scene.manifest.seed}/{name}/{window}/{purpose}")
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
