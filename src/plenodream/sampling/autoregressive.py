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
from plenodream.media.chunks import chunk_index
from plenodream.memory.merge import MergeStep, condense
from plenodream.memory.retrieval import retrieve
from plenodream.memory.scene import Scene
from plenodream.models.attention import ContextCache
from plenodream.models.camera_encoder import rays_for
from plenodream.models.codec import SpaceToDepthCodec, WanCodec, to_frames, to_signal
from plenodream.models.denoiser import DenoiserMixin, ViewTokens
from plenodream.sampling.settings import RenderSettings, check_slots
from plenodream.sampling.source import SOURCE
from plenodream.sampling.view import sample_view
from plenodream.types import Cameras


@dataclass(frozen=True)
class Progress:
    """What a render reports after every step.

    Attributes:
        view: Name of the view being rendered.
        chunk: Number of the chunk.
        step: Steps done for it; equal to `steps` when it has been written.
        steps: Steps it takes.
    """

    view: str
    chunk: int
    step: int
    steps: int


@dataclass(frozen=True)
class Models:
    """What it takes to render a view."""

    denoiser: DenoiserMixin
    codec: SpaceToDepthCodec | WanCodec
    scheduler: SchedulerMixin
    device: torch.device


def pending(scene: Scene) -> list[tuple[str, int]]:
    """Views and chunks still to be rendered, in order: all views of a chunk before the next chunk."""
    chunks, views = range(len(scene.manifest.chunks)), scene.names("view")
    return [(name, chunk) for chunk in chunks for name in views if not scene.has(name, chunk)]


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
        self._context: OrderedDict[tuple[str, int], ContextCache | ViewTokens] = OrderedDict()

    def render(self) -> list[str]:
        """Render everything pending; returns the names of the views that were."""
        for name in self.scene.names():  # a killed run may owe the preview of a finished view
            self.scene.finish(name)
        rendered = pending(self.scene)
        for name, chunk in rendered:
            self.render_view(name, chunk)
            self.scene.finish(name)
        return list(dict.fromkeys(name for name, _ in rendered))

    def render_view(self, name: str, chunk: int) -> None:
        """One chunk of one view: retrieve its context from all other views there are, denoise, write."""
        generator = self._generator(name, chunk, "retrieval")
        retrieval = self.settings.retrieval
        memory = [n for n in (SOURCE, *self.scene.names("view")) if n != name]
        memory = [n for n in memory if self.scene.has(n, chunk)]
        target = self.scene.cameras(name)
        window = self.scene.cameras(name, chunk)
        stored = stack_cameras([self.scene.cameras(n, chunk) for n in memory])

        best = retrieve(window, stored, replace(retrieval, k=self.settings.candidates), generator)
        chosen, merges = [memory[n] for n in best.chosen], ()
        scores = {memory[n]: best.scores[n] for n in best.chosen}
        if len(chosen) > retrieval.k:
            index = chunk_index(self.scene.manifest.chunks[chunk], self.scene.manifest.frames)

            def similarity(trajectory: Cameras, candidates: Cameras) -> tuple[float, ...]:
                return retrieve(trajectory[index], candidates[:, index], retrieval, generator).scores

            cameras = {n: self.scene.cameras(n) for n in memory if n in chosen}
            condensed = condense(
                target,
                cameras,
                retrieval.k,
                similarity,
                lambda step: self._render_merged(step, chunk),
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
        self._denoise_and_write(name, chunk, chosen, record)

    def _render_merged(self, step: MergeStep, chunk: int) -> None:
        """Really render a merged view (Algorithm 2), unless an earlier view has already needed the same one."""
        self.scene.declare(step.name, "helper", step.cameras, {"merge_of": list(step.inputs)})
        if not self.scene.has(step.name, chunk):
            candidates = dict(zip(step.inputs, step.scores, strict=True))
            record = {
                "candidates": candidates,
                "scores": {name: candidates[name] for name in step.context},
                "strategy": self.settings.retrieval.strategy,
                "merged_from": list(step.inputs),
            }
            self._denoise_and_write(step.name, chunk, list(step.context), record)
            self.scene.finish(step.name)

    @torch.no_grad()
    def _denoise_and_write(self, name: str, chunk: int, context: list[str], record: dict) -> None:
        models, sampling = self.models, self.settings.sampling
        began = time.monotonic()
        if models.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(models.device)
        manifest = self.scene.manifest
        window = manifest.chunks[chunk]
        context = self._fill(context)
        prepared = [self._encode(n, chunk) for n in context]
        latent_frames = models.codec.latent_frames(len(window))
        factor = models.codec.spatial_factor
        shape = (1, models.codec.channels, latent_frames, manifest.height // factor, manifest.width // factor)
        noise = torch.randn(shape, generator=self._generator(name, chunk, "noise")).to(models.device)
        known = self._known_frames(name, chunk)
        clean, clean_frames = None, 0
        if known is not None:
            overlap = models.codec.encode(to_signal(known)[None].to(models.device))
            clean_frames = overlap.shape[2]
            clean = torch.zeros_like(noise)
            clean[:, :, :clean_frames] = overlap
        caches = [p for p in prepared if isinstance(p, ContextCache)]
        views = [p for p in prepared if isinstance(p, ViewTokens)]
        stacked = ContextCache.stack(caches) if caches else ViewTokens.stack(views)
        latents = sample_view(
            models.denoiser,
            models.scheduler,
            sampling,
            noise,
            self._rays(name, chunk),
            stacked,
            clean=clean,
            clean_frames=clean_frames,
            on_step=lambda step: self.report(Progress(name, chunk, step, sampling.steps + 1)),
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
        self.scene.write(name, chunk, frames, record, timing)
        self._context.pop((name, chunk), None)
        self.report(Progress(name, chunk, sampling.steps + 1, sampling.steps + 1))

    def _fill(self, context: list[str]) -> list[str]:
        """Repeat the source where a joint layout has more context slots than there are views."""
        slots = self.models.denoiser.context_slots or 0
        return context + [SOURCE] * (slots - len(context))

    def _encode(self, name: str, chunk: int) -> ContextCache | ViewTokens:
        """A stored view as context: its keys and values (independent) or its latents and rays (joint)."""
        key = (name, chunk)
        if key not in self._context:
            signal = to_signal(self.scene.read(name, chunk).frames)[None].to(self.models.device)
            views = ViewTokens(self.models.codec.encode(signal)[:, None], self._rays(name, chunk)[:, None])
            independent = self.models.denoiser.config.context_attention == "independent"
            self._context[key] = self.models.denoiser.encode_context(views) if independent else views
            while len(self._context) > self._capacity:
                self._context.popitem(last=False)
        self._context.move_to_end(key)
        return self._context[key]

    def _rays(self, name: str, chunk: int) -> Tensor:
        """Camera tokens of a view's chunk, anchored at the source's first camera of the chunk."""
        anchor = self.scene.cameras(SOURCE, chunk).camera_to_world[0]
        rays = rays_for(self.models.denoiser, self.models.codec, self.scene.cameras(name, chunk), anchor)
        return rays[None].to(self.models.device)

    def _known_frames(self, name: str, chunk: int) -> Tensor | None:
        """The leading frames of a chunk that the view's previous chunk has, as many as the codec can encode alone."""
        window = self.scene.manifest.chunks[chunk]
        if window.clean == 0 or not self.scene.has(name, chunk - 1):
            return None
        usable = (window.clean - 1) // self.models.codec.temporal_factor * self.models.codec.temporal_factor + 1
        offset = window.start - self.scene.manifest.chunks[chunk - 1].start
        return self.scene.read(name, chunk - 1).frames[offset : offset + usable]

    def _generator(self, name: str, chunk: int, purpose: str) -> torch.Generator:
        """Randomness that depends on the scene's seed and the view alone, so that a continued run draws the same."""
        text = f"{self.scene.manifest.seed}/{name}/{chunk}/{purpose}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        return torch.Generator().manual_seed(seed)


def _peak_bytes(device: torch.device) -> int:
    """Most memory held: on the device for this view where it has its own, otherwise by the process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
