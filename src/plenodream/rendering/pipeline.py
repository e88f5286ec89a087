"""The pipeline: from a model's folder and a video to a scene of synchronized views."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.protocol import Workings
from plenodream.geometry.cameras import check_cameras
from plenodream.media.fit import fit_cameras, fit_frames
from plenodream.memory.manifest import FILE, Manifest
from plenodream.memory.retrieval import RetrievalConfig
from plenodream.memory.scene import Scene
from plenodream.memory.windows import plan_windows
from plenodream.models.conditions import NOTHING
from plenodream.models.weights import weights_hash
from plenodream.rendering.quiet import silent_diffusers
from plenodream.rendering.renderer import AutoregressiveRenderer, Progress
from plenodream.rendering.settings import RenderSettings, cautions, changed_settings, check_slots
from plenodream.rendering.source import (
    DEFAULT_FOV,
    SOURCE,
    SourceVideo,
    check_source,
    source_size,
    still_cameras,
    write_source,
)
from plenodream.rendering.targets import (
    Asked,
    check_targets,
    check_views,
    declare_targets,
    invalidate_views,
    plan_targets,
    target_names,
)
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.sampler import Sampler
from plenodream.types import View


class PlenopticPipeline(DiffusionPipeline):
    """One video in, N synchronized videos out.

    Args:
        transformer: The `Denoiser`.
        codec: Its `Codec`.
        scheduler: Its flow scheduler.
        height: Height of the videos the model was trained on, pixels.
        width: Their width.
        frames: Frames of one window.
        overlap: Frames that neighbouring windows of a long video share.
        steps: Sampling steps that suit the model.
        guidance: Guidance that suits it; none where `guided_by` is None.
        guided_by: What it was trained without at times, which guidance is over: `text`, `cameras`; None: it never was.
        context_views: Context size k that suits it.
        candidates: Stored views that compete for the context; more than `context_views` are merged. None: as many.
        keep_source: Whether the source is always context. The published networks were made without that, and with six
            candidates.
        model_name: What the model is called.
    """

    config: Any
    conditions = NOTHING

    def __init__(
        self,
        transformer: ModelMixin,
        codec: ModelMixin,
        scheduler: SchedulerMixin,
        height: int = 432,
        width: int = 768,
        frames: int = 93,
        overlap: int = 21,
        steps: int = 35,
        guidance: float = 0.0,
        guided_by: str | None = None,
        context_views: int = 4,
        candidates: int | None = None,
        keep_source: bool = True,
        model_name: str = "model",
    ) -> None:
        super().__init__()
        self.register_modules(transformer=transformer, codec=codec, scheduler=scheduler)
        self.register_to_config(
            height=height,
            width=width,
            frames=frames,
            overlap=overlap,
            steps=steps,
            guidance=guidance,
            guided_by=guided_by,
            context_views=context_views,
            candidates=candidates,
            keep_source=keep_source,
            model_name=model_name,
        )

    @classmethod
    def from_pretrained(cls, *args, **options):
        """As diffusers' own, without its bars and notes; `load_pipeline` also checks, and knows the bundled names."""
        with silent_diffusers():
            return super().from_pretrained(*args, **options)

    def default_settings(self) -> RenderSettings:
        """Render settings that suit the model: its own context size, candidates, steps and guidance.

        `RenderSettings` shows how to change some of them.
        """
        config = self.config
        return RenderSettings(
            RetrievalConfig(k=config.context_views),
            config.candidates or config.context_views,
            self.own_sampling(),
            config.keep_source,
        )

    def own_sampling(self) -> SamplingConfig:
        """Steps and guidance that suit the model; no guidance over what it was never trained without."""
        return SamplingConfig(self.config.steps, self.config.guidance if self.config.guided_by else 0.0)

    def generator(self, sampling: SamplingConfig | None = None) -> DiffusionGenerator:
        """The model as what makes views; with the steps and guidance that suit it where none are given."""
        config, slots = self.config, self.transformer.context_slots
        sampling = sampling or self.own_sampling()
        workings = Workings(
            size=(config.height, config.width),
            frames=config.frames,
            overlap=config.overlap,
            temporal_factor=self.codec.temporal_factor,
            fewest=slots or 1,
            most=slots,
            steps=sampling.steps,
        )
        sampler = Sampler(self.transformer.eval(), self.codec, self.scheduler, sampling, self.conditions)
        return DiffusionGenerator(sampler, workings, self._execution_device, self.fingerprint)

    def fingerprint(self) -> str:
        """Hash of the weights and the configs: which model a scene was rendered by.

        The same on every device: weights count as bf16, which is what a GPU renders with.
        """
        digest = hashlib.sha256()
        for part in (self.transformer, self.codec):
            digest.update(json.dumps(_public(part.config), sort_keys=True, default=str).encode())
            digest.update(weights_hash(part.state_dict()).encode())
        digest.update(json.dumps(_public(self.scheduler.config), sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]

    def __call__(
        self,
        video: View,
        trajectories: Asked,
        out: str | Path,
        settings: RenderSettings | None = None,
        seed: int | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> Scene:
        """Render a video along trajectories into a new scene, or add to the scene that is there.

        Args:
            video: The source with its cameras; any size, length and frame rate. Its cameras are metres, OpenCV,
                camera-to-world (`static_source` makes them for a camera that stands still).
            trajectories: Presets (`arc-left`, `arc-right:angle=40`) or, by name, the cameras of every source frame.
            out: The scene's folder.
            settings: Defaults that suit the model where None.
            seed: Of everything random; a new scene's is 0 where None.
            report: Called after every step.

        Returns:
            The scene; `scene.frames(name)` are a view's pixels, `scene.names("view")` the views.

        Raises:
            ValueError: Cameras that are none, or a folder that holds another scene.
        """
        scene = self.prepare(out, video, trajectories, settings=settings, seed=seed)
        self.render(scene, report)
        return scene

    def prepare(
        self,
        out: str | Path,
        video: View | None,
        trajectories: Asked = (),
        files: Sequence[Path] = (),
        settings: RenderSettings | None = None,
        seed: int | None = None,
        force: Sequence[str] = (),
    ) -> Scene:
        """A scene with all that is asked for on its list, ready for `render`.

        Everything is checked before anything is written: what is refused leaves no new scene, and an old one as it was.

        Args:
            out: The scene's folder; made from the video if there is no scene yet.
            video: The source; may be left out where there is a scene. Given again, it also mends a damaged source.
            trajectories: As for `__call__`.
            files: Camera files of further views, which they give their names.
            settings: Of a new scene; defaults that suit the model where None.
            seed: Of a new scene; 0 where None.
            force: Views of the scene to render again.

        Raises:
            ValueError: No scene and no video; a scene of another model, video, seed or settings than are asked for;
                views that cannot be.
        """
        target_names(trajectories, files)
        folder = Path(out)
        given = None if video is None else self.fit(video)
        scene, damaged = None, set()
        if (folder / FILE).exists() or (given is None and folder.is_dir()):
            scene = Scene.open(folder)
            self._check_same(scene, settings, seed)
            check_views(scene, force)
            settings = RenderSettings.from_json(scene.manifest.settings)
        elif force:
            raise ValueError(f"{folder}: no scene yet; expected one with a view {force[0]!r} to render again")
        settings = settings or self.default_settings()
        check_slots(self.generator(settings.sampling).workings, settings)
        if given is not None:
            check_cameras(given.cameras, "source cameras")
            cameras, size = given.cameras, given.size
            damaged = check_source(scene, given) if scene is not None else set()
        elif scene is None:
            raise ValueError(f"{folder}: no such scene; expected a video to start one from")
        elif not scene.complete(SOURCE):
            raise ValueError(f"{folder}: its source is incomplete, a run was cut off; give the video again")
        else:
            cameras, size = scene.cameras(SOURCE), source_size(scene)
        targets = plan_targets(trajectories, cameras, files, size)
        if scene is not None:
            check_targets(scene, targets)

        if given is not None:
            scene = scene or self._create(folder, given, settings, seed or 0)
            write_source(scene, given, damaged, cautions(settings, self.config.guided_by))
        assert scene is not None
        if targets or force:
            with scene.lock():
                declare_targets(scene, targets)
                invalidate_views(scene, force)
        return scene

    def fit(self, video: View) -> SourceVideo:
        """A video at the model's size, its cameras (float32) with it."""
        height, width = self.config.height, self.config.width
        frames, _ = fit_frames(video.frames, height, width)
        cameras = fit_cameras(video.cameras, height, width).to(torch.float32)
        if isinstance(video, SourceVideo):
            return replace(video, frames=frames, cameras=cameras)
        return SourceVideo(frames, cameras, video.fps, (video.cameras.height, video.cameras.width))

    def render(self, scene: Scene, report: Callable[[Progress], None] | None = None) -> list[str]:
        """Render what a scene is still missing; returns the names of the views that were rendered."""
        settings = RenderSettings.from_json(scene.manifest.settings)
        with scene.lock():
            return AutoregressiveRenderer(scene, self.generator(settings.sampling), settings, report).render()

    def _create(self, folder: Path, given: SourceVideo, settings: RenderSettings, seed: int) -> Scene:
        windows = plan_windows(len(given), self.config.frames, self.config.overlap)
        manifest = Manifest(
            self.config.model_name,
            self.fingerprint(),
            self.config.height,
            self.config.width,
            given.fps,
            len(given),
            tuple(windows),
            seed,
            settings.to_json(),
        )
        return Scene.create(folder, manifest)

    def _check_same(self, scene: Scene, settings: RenderSettings | None, seed: int | None) -> None:
        manifest = scene.manifest
        if manifest.model_hash != (found := self.fingerprint()):
            raise ValueError(
                f"{scene.folder}: scene of model {manifest.model_name} ({manifest.model_hash}), this is "
                f"{self.config.model_name} ({found}); use the same model or another folder"
            )
        if settings is not None and (changed := changed_settings(settings, manifest.settings)):
            raise ValueError(
                f"{scene.folder}: the scene was started with other settings ({', '.join(changed)}); "
                "leave them out to go on with its own, or use another folder"
            )
        if seed is not None and seed != manifest.seed:
            raise ValueError(f"{scene.folder}: the scene has seed {manifest.seed}, not {seed}; leave the seed out")


def static_source(frames: torch.Tensor, fps: float, horizontal_fov: float = DEFAULT_FOV) -> View:
    """A source video whose camera stands still at the origin, with a given horizontal field of view in degrees.

    Args:
        frames: RGB bytes (frames, height, width, 3).
        fps: Frames per second.
        horizontal_fov: Degrees, 0 to 180.
    """
    count, height, width = frames.shape[:3]
    return View(frames, still_cameras(count, height, width, horizontal_fov), fps)


def _public(config: Mapping) -> dict:
    """A config without diffusers' own bookkeeping (versions, paths), which says nothing about the model.

    A codec without depth is the same as one from before there were others.
    """
    return {key: value for key, value in config.items() if not key.startswith("_") and (key, value) != ("depth", False)}
