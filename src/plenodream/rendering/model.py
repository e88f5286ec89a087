"""What a scene is rendered by: a network, a network with carried detail, or the point cloud alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from plenodream.generators.protocol import Generator
from plenodream.generators.reprojection import Reprojection
from plenodream.memory.scene import Scene
from plenodream.memory.strategies import RetrievalConfig
from plenodream.rendering.catalog import REPROJECTION
from plenodream.rendering.renderer import AutoregressiveRenderer, Progress
from plenodream.rendering.settings import RenderSettings
from plenodream.sampling.config import SamplingConfig

_CLOUD_VIEWS = 4  # stored views that the point cloud is looked up in for one view


@dataclass(frozen=True)
class Model:
    """What a scene is rendered by.

    Attributes:
        name: What it is called.
        make: Gives the generator for a scene's settings.
        settings: Those that suit it.
        reach: How far the cameras of its training went, in units of the subject's distance; None: not known.
        network_size: Height and width that its network works at; None where there is none.
        guided_by: What guidance is over (`PlenopticPipeline`); None: it was never trained for any.
        words: `prompt` and `negative_prompt` where they were given; kept with the scene's settings.
        sees_depth: Whether its network says how far what it sees is, so that pixels are carried without given depth.
        needs_depth: Whether it makes nothing of a camera that moves without the source's depth.
    """

    name: str
    make: Callable[[RenderSettings], Generator]
    settings: RenderSettings
    reach: float | None = None
    network_size: tuple[int, int] | None = None
    guided_by: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    sees_depth: bool = False
    needs_depth: bool = False

    @property
    def prompt(self) -> str | None:
        """Words that it was given; None: none."""
        return self.words.get("prompt")

    @cached_property
    def generator(self) -> Generator:
        """The generator for its own settings."""
        return self.make(self.settings)


def reprojection_model() -> Model:
    """The point cloud: no network, every stored view's pixels carried by their depth."""
    settings = RenderSettings(RetrievalConfig(k=_CLOUD_VIEWS), _CLOUD_VIEWS, SamplingConfig(), keep_source=True)
    return Model(REPROJECTION, lambda settings: Reprojection(most=settings.retrieval.k), settings, needs_depth=True)


def render_owed(scene: Scene, model: Model, report: Callable[[Progress], None] | None = None) -> list[str]:
    """Render what a scene is still missing; returns the names of the views that were rendered."""
    settings = RenderSettings.from_json(scene.manifest.settings)
    with scene.lock():
        return AutoregressiveRenderer(scene, model.make(settings), settings, report).render()
