"""nano: the model in the package, trained on a CPU from nothing."""

from __future__ import annotations

from plenodream.training.config import Curriculum, OptimizerConfig, Stage, TrainConfig
from plenodream.training.objective import ObjectiveConfig


def nano() -> TrainConfig:
    """2.9M parameters, 48x48 pixels, 9 frames, mildly varied rooms; under two hours on two cores."""
    patch = 8
    return TrainConfig(
        name="nano",
        model={
            "in_channels": 3 * patch**2 + 1,
            "out_channels": 3 * patch**2,
            "num_attention_heads": 5,
            "attention_head_dim": 32,
            "num_layers": 6,
            "text_embed_dim": 8,
            "adaln_lora_dim": 16,
            "patch_size": (1, 1, 1),
            "max_size": (128, 64, 64),
            "context_attention": "independent",
            "prediction": "x0",
            "camera_numbers": 6 * patch**2,
        },
        patch=patch,
        height=48,
        width=48,
        curriculum=Curriculum(
            stages=(
                Stage(share=0.40, frames=1, batch=8),
                Stage(share=0.30, frames=1, batch=8, max_context=3, any_context=True),
                Stage(share=0.30, frames=9, batch=2, max_context=3, any_context=True),
            )
        ),
        objective=ObjectiveConfig(shift=4.0, x0_floor=0.4, overlap_probability=0.2, overlap_frames=6),
        optimizer=OptimizerConfig(decay_share=0.4),
        steps=16000,
        validate_every=800,
    )
