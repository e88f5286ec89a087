"""A recipe so small that a step takes milliseconds."""

from __future__ import annotations

from dataclasses import replace

from plenodream.sampling.config import SamplingConfig
from plenodream.training.config import OptimizerConfig, TrainConfig
from plenodream.training.curriculum import Curriculum, Stage
from plenodream.training.objective import ObjectiveConfig, draw_task, training_loss


def tiny_config(**changes) -> TrainConfig:
    config = TrainConfig(
        name="tiny",
        model={
            "in_channels": 193,
            "out_channels": 192,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_layers": 2,
            "mlp_ratio": 2.0,
            "text_embed_dim": 8,
            "adaln_lora_dim": 8,
            "patch_size": (1, 1, 1),
            "camera_numbers": 384,
            "context_attention": "independent",
            "prediction": "x0",
        },
        height=16,
        width=16,
        curriculum=Curriculum(
            (
                Stage(share=0.5, frames=1, batch=2, views=3),
                Stage(share=0.5, frames=3, batch=1, views=3, max_context=2, any_context=True),
            )
        ),
        objective=ObjectiveConfig(overlap_probability=0.3, overlap_frames=2),
        optimizer=OptimizerConfig(warmup_steps=3),
        sampling=SamplingConfig(steps=2),
        steps=8,
        validate_every=4,
    )
    return replace(config, **changes)


def loss_of_views(model, latents, rays, context, targets, config, generator, given=None, depth_channels=0):
    task = draw_task(
        latents, rays, context, targets, config, generator, given, depth_channels, slots=model.context_slots
    )
    return training_loss(model, task, config, generator, depth_channels)
