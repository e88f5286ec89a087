"""All views of a scene, one after another: read, retrieve, encode or reuse, denoise, write."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor

from plenodream.geometry.cameras import stack_cameras
from plenodream.memory.merge import MergeStep, condense
from plenodream.memory.retrieval import retrieve
from plenodream.memory.scene import Scene
from plenodream.memory.windows import window_index
from plenodream.models.codecs.protocol import Codec, to_frames, to_signal
from plenodream.models.context import Context, ViewTokens
from plenodream.models.denoiser import Denoiser
from plenodream.rendering.settings import RenderSettings, check_slots
from plenodream.rendering.source import SOURCE
from plenodream.sampling.view import sample_view
from plenodream.types import Cameras


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


@dataclass(frozen=True)
class Models:
    """What it takes to render a view."""

    denoiser: Denoiser
    codec: Codec
    scheduler: SchedulerMixin
    device: torch.device


def pending(scene: Scene) -> list[tuple[str, int]]:
    """Views and windows still to be rendered, in order: all views of a window before the next window."""
    windows, views = range(len(scene.manifest.windows)), scene.names("view")
    return [(name, window) for window in windows for name in views if not scene.has(name, window)]


class AutoregressiveRenderer:
    """Renders what a scene is still missing. It remembers keys and values of the last few views, nothing that grows.

    Args:
        scene: The memory bank.
        models: Denoiser, codec, scheduler.
        settings: The scene's settings.
        report: Called after every step.

    Raises:
        ValueError: More context views than the sequence of a joint model has slots.
    """

    def __init__(
        self, scene: Scene, models: Models, settings: RenderSettings, report: Callable[[Progress], None] | None = None
    ) -> None:
        check_slots(models.denoiser, settings)
        self.scene, self.models, self.settings = scene, models, settings
        self.report = report or (lambda progress: None)
        # One view's context and the views merged for it: beyond that, older entries make room.
        self._capacity = settings.candidates + 2
        self._context: OrderedDict[tuple[str, int], Context] = OrderedDict()

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
        """One window of one view: retrieve its context from all other views there are, denoise, write."""
        generator = self._generator(name, window, "retrieval")
        retrieval = self.settings.retrieval
        memory = [n for n in (SOURCE, *self.scene.names("view")) if n != name]
        memory = [n for n in memory if self.scene.has(n, window)]
        target = self.scene.cameras(name)
        cameras = self.scene.cameras(name, window)
        stored = stack_cameras([self.scene.cameras(n, window) for n in memory])

        best = retrieve(cameras, stored, replace(retrieval, k=self.settings.candidates), generator)
        chosen, merges = [memory[n] for n in best.chosen], ()
        scores = {memory[n]: best.scores[n] for n in best.chosen}
        if len(chosen) > retrieval.k:
            index = window_index(self.scene.manifest.windows[window], self.scene.manifest.frames)

            def similarity(trajectory: Cameras, candidates: Cameras) -> tuple[float, ...]:
                return retrieve(trajectory[index], candidates[:, index], retrieval, generator).scores

            paths = {n: self.scene.cameras(n) for n in memory if n in chosen}
            condensed = condense(
                target,
                paths,
                retrieval.k,
                similarity,
                lambda step: self._render_merged(step, window),
                retrieval.subject_distance,
            )
            chosen, merges = list(condensed.names), condensed.steps
            scores = dict(zip(condensed.names, condensed.scores, strict=True))
        record = {
            "candidates": dict(zip(memory, best.scores, strict=True)),
            "scores": scores,
            "strategy": retrieval.strategy,
            "merged": {step.name: list(step.inputs) for step in merges},
        }
        self._denoise_and_write(name, window, chosen, record)

    def _render_merged(self, step: MergeStep, window: int) -> None:
        """Really render a merged view (Algorithm 2), unless an earlier view has already needed the same one."""
        self.scene.declare(step.name, "helper", step.cameras, {"merge_of": list(step.inputs)})
        if not self.scene.has(step.name, window):
            candidates = dict(zip(step.inputs, step.scores, strict=True))
            record = {
                "candidates": candidates,
                "scores": {name: candidates[name] for name in step.context},
                "strategy": self.settings.retrieval.strategy,
                "merged_from": list(step.inputs),
            }
            self._denoise_and_write(step.name, window, list(step.context), record)
            self.scene.finish(step.name)

    @torch.no_grad()
    def _denoise_and_write(self, name: str, window: int, context: list[str], record: dict) -> None:
        models, sampling = self.models, self.settings.sampling
        began = time.monotonic()
        if models.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(models.device)
        manifest = self.scene.manifest
        span = manifest.windows[window]
        context = self._fill(context)
        prepared = [self._encode(n, window) for n in context]
        latent_frames = models.codec.latent_frames(len(span))
        factor = models.codec.spatial_factor
        shape = (1, models.codec.channels, latent_frames, manifest.height // factor, manifest.width // factor)
        noise = torch.randn(shape, generator=self._generator(name, window, "noise")).to(models.device)
        known = self._known_frames(name, window)
        clean, clean_frames = None, 0
        if known is not None:
            overlap = models.codec.encode(to_signal(known)[None].to(models.device))
            clean_frames = overlap.shape[2]
            clean = torch.zeros_like(noise)
            clean[:, :, :clean_frames] = overlap
        latents = sample_view(
            models.denoiser,
            models.scheduler,
            sampling,
            noise,
            self._rays(name, window),
            Context.stack(prepared),
            clean=clean,
            clean_frames=clean_frames,
            on_step=lambda step: self.report(Progress(name, window, step, sampling.steps + 1)),
        )
        if not bool(latents.isfinite().all()):
            raise ValueError(
                f"view {name}: the model gave NaN or infinite numbers; expected finite ones: check its weights, "
                "the cameras (far off?) and the guidance"
            )
        frames = to_frames(models.codec.decode(latents))[0].cpu()
        if known is not None:
            frames[: len(known)] = known
        record = {**record, "context": context, "seed": manifest.seed, "model": manifest.model_hash}
        timing = {"seconds": time.monotonic() - began, "peak_bytes": _peak_bytes(models.device)}
        self.scene.write(name, window, frames, record, timing)
        self._context.pop((name, window), None)
        self.report(Progress(name, window, sampling.steps + 1, sampling.steps + 1))

    def _fill(self, context: list[str]) -> list[str]:
        """Repeat the source where a joint layout has more context slots than there are views."""
        slots = self.models.denoiser.context_slots or 0
        return context + [SOURCE] * (slots - len(context))

    def _encode(self, name: str, window: int) -> Context:
        """A stored view as context."""
        key = (name, window)
        if key not in self._context:
            signal = to_signal(self.scene.read(name, window).frames)[None].to(self.models.device)
            views = ViewTokens(self.models.codec.encode(signal)[:, None], self._rays(name, window)[:, None])
            self._context[key] = self.models.denoiser.encode(views)
            while len(self._context) > self._capacity:
                self._context.popitem(last=False)
        self._context.move_to_end(key)
        return self._context[key]

    def _rays(self, name: str, window: int) -> Tensor:
        """Camera tokens of a view's window, anchored at the source's first camera of the window."""
        anchor = self.scene.cameras(SOURCE, window).camera_to_world[0]
        rays = self.models.denoiser.rays(self.models.codec, self.scene.cameras(name, window), anchor)
        return rays[None].to(self.models.device)

    def _known_frames(self, name: str, window: int) -> Tensor | None:
        """The leading frames of a window that the view's previous window has, as many as the codec can encode alone."""
        span = self.scene.manifest.windows[window]
        if span.clean == 0 or not self.scene.has(name, window - 1):
            return None
        usable = (span.clean - 1) // self.models.codec.temporal_factor * self.models.codec.temporal_factor + 1
        offset = span.start - self.scene.manifest.windows[window - 1].start
        return self.scene.read(name, window - 1).frames[offset : offset + usable]

    def _generator(self, name: str, window: int, purpose: str) -> torch.Generator:
        """Randomness that depends on the scene's seed and the view alone, so that a continued run draws the same."""
        text = f"{self.scene.manifest.seed}/{name}/{window}/{purpose}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        return torch.Generator().manual_seed(seed)


def _peak_bytes(device: torch.device) -> int:
    """Most memory held: on the device for this view where it has its own, otherwise by the process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
