"""The pipeline: from a model's folder and a video to a scene of synchronized views."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import diffusers
import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.memory.scene import Scene
from plenodream.memory.strategies import RetrievalConfig
from plenodream.models.conditions import NOTHING, neutral_conditions
from plenodream.rendering.catalog import find_model
from plenodream.rendering.fingerprint import fingerprint
from plenodream.rendering.inputs import open_video, view_size
from plenodream.rendering.model import Model, render_owed
from plenodream.rendering.network import network_generator, network_model
from plenodream.rendering.prepare import prepare_scene, scene_size
from plenodream.rendering.quiet import silent_diffusers
from plenodream.rendering.renderer import Progress
from plenodream.rendering.request import Asked, make_request
from plenodream.rendering.settings import Changes, RenderSettings, usual_settings
from plenodream.rendering.source import WHOLE, SourceVideo
from plenodream.sampling.config import SamplingConfig
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
        guided_by: What it was trained without at times, which guidance is over: `text`; None: it never was.
        context_views: Context size k that suits it.
        candidates: Stored views that compete for the context; more than `context_views` are merged. None: as many.
        keep_source: Whether the source is always context. The published networks were made without that, and with six
            candidates.
        subject_distance: How far the subjects were that it was trained on, metres; lengths of a scene with another
            distance are scaled to it. None: not known.
        max_travel: How far its training's cameras went from the source's first, metres. None: not known.
        model_name: What the model is called.
    """

    config: Any
    model_cpu_offload_seq = "codec->transformer"
    conditions = NOTHING
    context_cache = "device"  # see `Fit`
    parked: Any = None  # the folder that `--offload disk` uses
    team: Any = None  # the processes that carry the network together, if several do (`Team`)
    words: Mapping[str, str | None] = MappingProxyType({})  # prompt and negative_prompt, as they were given
    altered = False  # whether tensors are no longer those of the files

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
        subject_distance: float | None = None,
        max_travel: float | None = None,
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
            subject_distance=subject_distance,
            max_travel=max_travel,
            model_name=model_name,
        )

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **options):
        """As diffusers' own, without its bars and notes; knows the bundled models by name. `load_pipeline` checks more.

        After this class was imported, `diffusers.DiffusionPipeline.from_pretrained` of such a folder finds it, too.
        """
        name = str(pretrained_model_name_or_path)
        folder = find_model(name) or Path(name)
        with silent_diffusers():
            pipeline = super().from_pretrained(str(folder), **options)
        if folder.is_dir():
            pipeline.conditions = neutral_conditions(folder)
        return pipeline

    def default_settings(self) -> RenderSettings:
        """Render settings that suit the model: its own context size, candidates, steps and guidance.

        `RenderSettings` shows how to change some of them.
        """
        config = self.config
        return RenderSettings(
            RetrievalConfig(k=config.context_views),
            max(config.candidates or 0, config.context_views),
            self.own_sampling(),
            config.keep_source,
        )

    def own_sampling(self) -> SamplingConfig:
        """Steps and guidance that suit the model; no guidance over what it was never trained without."""
        return SamplingConfig(self.config.steps, self.config.guidance if self.config.guided_by else 0.0)

    def generator(
        self, sampling: SamplingConfig | None = None, subject_distance: float | None = None
    ) -> DiffusionGenerator:
        """The model as what makes views.

        Args:
            sampling: Steps and guidance; what suits the model if None.
            subject_distance: How far the subject of the scene is, metres: the model is told lengths as if it were as
                far as in its training. None: lengths as they are.
        """
        return network_generator(self, sampling or self.own_sampling(), subject_distance)

    def model(self) -> Model:
        """What a scene is rendered by: a network that sees depth has the stored views' detail carried over."""
        return network_model(self)

    def fingerprint(self) -> str:
        """Hash of the weights and the configs: which model a scene was rendered by.

        The same on every device: weights count as bf16, which is what a GPU renders with. Of a model that was quantised
        or taken apart for offload it is the hash of the files that were loaded, which are the model.
        """
        folder = Path(str(getattr(self.config, "_name_or_path", "")))
        parts = {"transformer": self.transformer, "codec": self.codec}
        return fingerprint(parts, self.scheduler, folder, self.altered)

    def open(
        self,
        video: Any,
        cameras: Any = None,
        fov: float | None = None,
        fps: float | None = None,
        scale: float = 1.0,
        part: slice = WHOLE,
        size: tuple[int, int] | None = None,
    ) -> SourceVideo:
        """A source video at the size of a scene's views, with the camera of every frame.

        Args:
            video: A file; RGB frames (frames, height, width, 3) as bytes or as floats 0..1, a tensor or an array; a
                list of PIL images; or a `View`.
            cameras: Camera file of the video or `Cameras`, one for each frame. None: it stands still at the origin.
            fov: Horizontal field of view in degrees, where no camera gives a focal length; 60 if None.
            fps: Frames per second of frames that are not from a file; 24 if None.
            scale: Factor from the lengths of the cameras to metres.
            part: Which of the frames to take, like slice(0, 48, 2).
            size: Height and width of the scene; where None the model's, or for a model that sees depth the video's own,
                up to 480 pixels high.

        Raises:
            ValueError: Anything that is none of this.
        """
        size = size or self.view_size(video)
        return open_video(video, *size, cameras, fov, fps, scale, part)

    def view_size(self, video: Any, height: int | None = None, width: int | None = None) -> tuple[int, int]:
        """Height and width of a new scene's views; see `rendering.inputs.view_size`."""
        own = None if self.codec.depth_channels else (self.config.height, self.config.width)
        return view_size(video, own, height, width)

    def __call__(
        self,
        video: Any,
        trajectories: Asked,
        out: str | Path | None = None,
        settings: RenderSettings | None = None,
        seed: int | None = None,
        report: Callable[[Progress], None] | None = None,
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> Scene | dict[str, View]:
        """Render a video along trajectories into a new scene, or add to the scene that is there.

        Args:
            video: What `open` takes or has given: the source with its cameras; any size, length and frame rate.
            trajectories: Presets (`arc-left`, `arc-right:angle=40`), one or several, or, by name, the cameras of every
                source frame.
            out: The scene's folder; None: the views come back in memory, and nothing is kept.
            settings: Defaults that suit the model where None.
            seed: Of everything random; a new scene's is 0 where None.
            report: Called after every step with its `Progress`, in the place of diffusers' callbacks.
            num_inference_steps: Sampling steps, beside no `settings`.
            guidance_scale: The usual scale of classifier-free guidance, 1 + g; 1 is none. Beside no `settings`.
            generator: Draws the seed, in the place of `seed`.
            height: Of a new scene's videos, pixels; the aspect is kept where one of both is given. What suits the model
                (`open`) if both are None.
            width: Likewise.

        Returns:
            The scene (`scene.frames(name)` are a view's pixels, `scene.names("view")` the views), or without a folder
            the views by name.

        Raises:
            ValueError: Whatever cannot be understood or rendered, in one line.
        """
        if not trajectories and (out is None or not Path(out).exists()):
            raise ValueError(f"trajectories {trajectories!r}: nothing to render; expected presets or cameras by name")
        chosen = usual_settings(settings, num_inference_steps, guidance_scale)
        if generator is not None:
            if seed is not None or not isinstance(generator, torch.Generator):
                raise ValueError("seed or generator: expected one of them, a number or a torch.Generator")
            seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        if report is not None and not callable(report):
            raise ValueError(f"report {report!r}: expected a function of a `Progress`")
        size = None if height is None and width is None else self.view_size(video, height, width)
        if out is not None:
            scene = self.prepare(out, video, trajectories, settings=chosen, seed=seed, size=size)
            self.render(scene, report)
            return scene
        with tempfile.TemporaryDirectory(prefix="plenodream-") as folder:
            scene = self.prepare(Path(folder) / "scene", video, trajectories, settings=chosen, seed=seed, size=size)
            self.render(scene, report)
            return {name: scene.view(name) for name in scene.names("view")}

    def prepare(
        self,
        out: str | Path,
        video: Any = None,
        trajectories: Asked = (),
        files: Sequence[str | Path] = (),
        settings: RenderSettings | Changes | None = None,
        seed: int | None = None,
        force: Sequence[str] = (),
        size: tuple[int, int] | None = None,
    ) -> Scene:
        """A scene with all that is asked for on its list, ready for `render`.

        Everything is checked before anything is written: what is refused leaves no new scene, and an old one as it was.

        Args:
            out: The scene's folder; made from the video if there is no scene yet.
            video: What `open` takes or has given; may be left out where there is a scene. Given again, it also mends a
                damaged source.
            trajectories: As for `__call__`.
            files: Camera files of further views, which they give their names.
            settings: Of a new scene; defaults that suit the model where None.
            seed: Of a new scene; 0 where None.
            force: Views of the scene to render again.
            size: Height and width of a new scene.

        Raises:
            ValueError: No scene and no video; a scene of another model, video, seed or settings than are asked for;
                views that cannot be.
        """
        request = make_request(trajectories, files, settings, seed, force, size)
        if not isinstance(out, str | Path):
            raise ValueError(f"out {out!r}: expected a folder's path")
        if video is not None and not isinstance(video, View):
            size = scene_size(Path(out)) or size
            video = self.open(video, size=size)
        return prepare_scene(Path(out), video, request, self.model())

    def render(self, scene: Scene, report: Callable[[Progress], None] | None = None) -> list[str]:
        """Render what a scene is still missing; returns the names of the views that were rendered."""
        return render_owed(scene, self.model(), report)


# Where `DiffusionPipeline.from_pretrained` looks for the class that a model_index.json names.
diffusers.PlenopticPipeline = PlenopticPipeline  # type: ignore[attr-defined]
