"""A pipeline's network as a generator, and as what scenes are rendered by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plenodream.generators.composite import Composite
from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.protocol import Generator, Workings
from plenodream.rendering.model import Model
from plenodream.rendering.processes import LeadingGenerator
from plenodream.rendering.settings import RenderSettings
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.sampler import Sampler

if TYPE_CHECKING:
    from plenodream.rendering.pipeline import PlenopticPipeline


def network_generator(
    pipeline: PlenopticPipeline, sampling: SamplingConfig, subject_distance: float | None = None
) -> DiffusionGenerator:
    """See `PlenopticPipeline.generator`."""
    config, slots, unit = pipeline.config, pipeline.transformer.context_slots, 1.0
    workings = Workings(
        size=(config.height, config.width),
        frames=config.frames,
        overlap=config.overlap,
        temporal_factor=pipeline.codec.temporal_factor,
        fewest=slots or 1,
        most=slots,
        targets=pipeline.transformer.targets,
        steps=sampling.steps,
    )
    parts = (pipeline.transformer.eval(), pipeline.codec, pipeline.scheduler)
    if subject_distance is not None and config.subject_distance is not None:
        unit = config.subject_distance / subject_distance
    sampler = Sampler(*parts, sampling, pipeline.conditions, pipeline.context_cache)
    made = (sampler, workings, pipeline._execution_device, pipeline.fingerprint, unit)
    if pipeline.team is None or pipeline.team.rank > 0:
        return DiffusionGenerator(*made)
    return LeadingGenerator(*made, tell=pipeline.team.tell, asked=(sampling, subject_distance))


def network_model(pipeline: PlenopticPipeline) -> Model:
    """See `PlenopticPipeline.model`."""
    config, detailed = pipeline.config, bool(pipeline.codec.depth_channels)

    def make(settings: RenderSettings) -> Generator:
        network = pipeline.generator(settings.sampling, settings.retrieval.subject_distance)
        return Composite(network) if detailed else network

    travel, distance, size = config.max_travel, config.subject_distance, (config.height, config.width)
    reach = None if travel is None or distance is None else travel / distance
    words = {name: text for name, text in pipeline.words.items() if text is not None}
    return Model(config.model_name, make, pipeline.default_settings(), reach, size, config.guided_by, words, detailed)
