"""pico: a model that a core trains in 20 minutes, for comparisons of ways to train; nothing to look at."""

from __future__ import annotations

from plenodream.recipes.network import pixel_network
from plenodream.sampling.config import SamplingConfig
from plenodream.training.config import OptimizerConfig, TrainConfig
from plenodream.training.curriculum import Curriculum, SecondStage, Stage
from plenodream.training.objective import ObjectiveConfig


def pico() -> TrainConfig:
    """32x32 pixels, 9 frames, mildly varied rooms, contexts that grow; its second stage takes a fifth of the steps."""
    patch, context = 8, {"max_context": 3, "any_context": True, "source_context": True}
    return TrainConfig(
        name="pico",
        model=pixel_network(patch, heads=3, head_width=32, layers=4, lora=8),
        patch=patch,
        height=32,
        width=32,
        curriculum=Curriculum(
            stages=(
                Stage(share=0.40, frames=1, batch=8),
                Stage(share=0.30, frames=1, batch=8, **context),
                Stage(share=0.30, frames=9, batch=2, **context),
            )
        ),
        second=SecondStage(steps=600),
        objective=ObjectiveConfig(shift=4.0, x0_floor=0.4, overlap_probability=0.2, overlap_frames=3),
        optimizer=OptimizerConfig(muon=0.4, decay_share=0.4),
        sampling=SamplingConfig(steps=4),
        steps=3000,
        validate_every=1000,
    )
