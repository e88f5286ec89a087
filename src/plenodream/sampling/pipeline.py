"""The pipeline: from a model's folder and a video to a scene of synchronized views."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from plenodream.geometry.cameras import check_cameras, intrinsics_from_fov
from plenodream.geometry.trajectories import Trajectory, parse_trajectories, trajectory_cameras
from plenodream.media.chunks import chunk_index, plan_chunks
from plenodream.media.fit import fit_cameras, fit_frames
from plenodream.memory.manifest import Manifest
from plenodream.memory.retrieval import RetrievalConfig
from plenodream.memory.scene import Scene
from plenodream.models.codec import SpaceToDepthCodec, WanCodec
from plenodream.models.cosmos import CosmosCameraTransformer
from plenodream.models.weights import weights_hash
from plenodream.sampling.autoregressive import AutoregressiveRenderer, Models, Progress, RenderSettings
from plenodream.sampling.denoise import SamplingConfig
from plenodream.types import Cameras, View

SOURCE = "source"


class PlenopticPipeline(DiffusionPipeline):
    """One video in, N synchronized videos out.

    Args:
        transformer: The denoiser.
        codec: Its codec.
        scheduler: Its flow scheduler.
        height: Height of the videos the model was trained on, pixels.
        width: Their width.
        frames: Frames of one window.
        overlap: Frames that neighbouring windows of a long video share.
        steps: Sampling steps that suit the model.
        guidance: Guidance that suits it.
        context_views: Context size k that suits it.
        model_name: What the model is called.
    """

    config: Any

    def __init__(
        self,
        transformer: CosmosCameraTransformer,
        codec: SpaceToDepthCodec | WanCodec,
        scheduler: SchedulerMixin,
        height: int = 432,
        width: int = 768,
        frames: int = 93,
        overlap: int = 21,
        steps: int = 35,
        guidance: float = 7.0,
        context_views: int = 4,
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
            context_views=context_views,
            model_name=model_name,
        )

    def default_settings(self) -> RenderSettings:
        """Render settings that suit the model: its own context size, one candidate more, its steps and guidance."""
        k = self.config.context_views
        return RenderSettings(
            RetrievalConfig(k=k), candidates=k + 1, sampling=SamplingConfig(self.config.steps, self.config.guidance)
        )

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
        trajectories: Sequence[str | Trajectory] | Mapping[str, Cameras],
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
        scene = self.open_or_create(out, video, settings, seed)
        self.declare(scene, trajectories)
        self.render(scene, report)
        return scene

    def open_or_create(
        self, out: str | Path, video: View | None, settings: RenderSettings | None = None, seed: int | None = None
    ) -> Scene:
        """The scene in a folder, made from the video if there is none yet.

        Raises:
            ValueError: No scene and no video; a scene of another model, video, seed or settings than are asked for.
        """
        folder = Path(out)
        if (folder / "scene.json").exists() or (folder.is_dir() and video is None):
            scene = Scene.open(folder)
            self._check_same(scene, video, settings, seed)
            if not scene.complete(SOURCE):
                if video is None:
                    raise ValueError(f"{folder}: its source is incomplete, a run was cut off; give the video again")
                self._write_source(scene, self.fit(video))
            return scene
        if video is None:
            raise ValueError(f"{folder}: no such scene; expected a video to start one from")
        check_cameras(video.cameras, "source cameras")
        fitted = self.fit(video)
        chunks = plan_chunks(len(fitted), self.config.frames, self.config.overlap)
        settings = settings or self.default_settings()
        manifest = Manifest(
            self.config.model_name,
            self.fingerprint(),
            self.config.height,
            self.config.width,
            fitted.fps,
            len(fitted),
            tuple(chunks),
            seed or 0,
            settings.to_json(),
        )
        scene = Scene.create(folder, manifest)
        self._write_source(scene, fitted)
        return scene

    def fit(self, video: View) -> View:
        """A video at the model's size, its cameras with it."""
        height, width = self.config.height, self.config.width
        frames, _ = fit_frames(video.frames, height, width)
        return View(frames, fit_cameras(video.cameras, height, width), video.fps)

    def declare(self, scene: Scene, trajectories: Sequence[str | Trajectory] | Mapping[str, Cameras]) -> list[str]:
        """Put views on a scene's list; those on it already stay as they are. Returns their names, in order.

        Raises:
            ValueError: A trajectory that is none, or another view of the same name.
        """
        source = scene.cameras(SOURCE)
        if isinstance(trajectories, Mapping):
            for name, cameras in trajectories.items():
                check_cameras(cameras, name)
                if name == SOURCE:
                    raise ValueError(f"a view cannot be called {SOURCE!r}: that is the source's name; choose another")
                fitted = fit_cameras(cameras, source.height, source.width)
                scene.declare(name, "view", fitted.to(torch.float32))
            return list(trajectories)
        parsed = [t for t in trajectories if isinstance(t, Trajectory)]
        parsed += parse_trajectories([t for t in trajectories if isinstance(t, str)])
        for trajectory in parsed:
            cameras = trajectory_cameras(trajectory, source)
            scene.declare(
                trajectory.name, "view", cameras, {"preset": trajectory.preset, "parameters": trajectory.parameters}
            )
        return [trajectory.name for trajectory in parsed]

    def render(self, scene: Scene, report: Callable[[Progress], None] | None = None) -> list[str]:
        """Render what a scene is still missing; returns the names of the views that were rendered."""
        models = Models(self.transformer.eval(), self.codec, self.scheduler, self.device)
        settings = RenderSettings.from_json(scene.manifest.settings)
        with scene.lock():
            return AutoregressiveRenderer(scene, models, settings, report).render()

    def invalidate(self, scene: Scene, names: Sequence[str]) -> None:
        """Have views rendered again, and every merged view that was made from them.

        Raises:
            ValueError: No such view, or the source.
        """
        for name in names:
            if scene.entry(name).kind != "view":
                raise ValueError(
                    f"{name!r} is a {scene.entry(name).kind}: expected one of {', '.join(scene.names('view'))}"
                )
        stale = set(names)
        for helper in scene.names("helper"):
            inputs = (scene.entry(helper).trajectory or {}).get("merge_of", ())
            if stale & set(inputs):
                stale.add(helper)
        for name in scene.names():
            if name in stale:
                scene.invalidate(name)

    def _write_source(self, scene: Scene, fitted: View) -> None:
        scene.declare(SOURCE, "source", fitted.cameras.to(torch.float32))
        for number, chunk in enumerate(scene.manifest.chunks):
            if not scene.has(SOURCE, number):
                index = chunk_index(chunk, len(fitted))
                scene.write(SOURCE, number, fitted.frames[index], {"given": True}, {})

    def _check_same(self, scene: Scene, video: View | None, settings: RenderSettings | None, seed: int | None) -> None:
        manifest = scene.manifest
        if manifest.model_hash != (found := self.fingerprint()):
            raise ValueError(
                f"{scene.folder}: scene of model {manifest.model_name} ({manifest.model_hash}), this is "
                f"{self.config.model_name} ({found}); use the same model or another folder"
            )
        if settings is not None and settings.to_json() != manifest.settings:
            changed = [key for key, value in _flat(settings.to_json()) if (key, value) not in _flat(manifest.settings)]
            raise ValueError(
                f"{scene.folder}: the scene was started with other settings ({', '.join(changed)}); "
                "leave them out to go on with its own, or use another folder"
            )
        if seed is not None and seed != manifest.seed:
            raise ValueError(f"{scene.folder}: the scene has seed {manifest.seed}, not {seed}; leave the seed out")
        if video is None or SOURCE not in scene.names():
            return
        fitted, stored = self.fit(video), scene.cameras(SOURCE)
        given = fitted.cameras.to(torch.float32)
        same = torch.equal(given.camera_to_world, stored.camera_to_world)
        same = same and torch.equal(given.intrinsics, stored.intrinsics)
        same = same and all(
            torch.equal(fitted.frames[chunk_index(chunk, len(fitted))], scene.read(SOURCE, number).frames)
            for number, chunk in enumerate(manifest.chunks)
            if scene.has(SOURCE, number)
        )
        if not same:
            raise ValueError(
                f"{scene.folder}: the scene has another source video or source cameras; "
                "leave the video out to add to it, or use another folder"
            )


def static_source(frames: torch.Tensor, fps: float, horizontal_fov: float = 60.0) -> View:
    """A source video whose camera stands still at the origin, with a given horizontal field of view in degrees.

    Args:
        frames: RGB bytes (frames, height, width, 3).
        fps: Frames per second.
        horizontal_fov: Degrees, 0 to 180.
    """
    count, height, width = frames.shape[:3]
    intrinsics = intrinsics_from_fov(horizontal_fov, height, width)
    cameras = Cameras(torch.eye(4).repeat(count, 1, 1), intrinsics.repeat(count, 1), height, width)
    return View(frames, cameras, fps)


def _public(config: Mapping) -> dict:
    """A config without diffusers' own bookkeeping (versions, paths), which says nothing about the model."""
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _flat(settings: Mapping, prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in settings.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return rows
