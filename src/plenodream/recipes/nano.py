"""nano: the model in the package, trained on a CPU from nothing."""

from __future__ import annotations

from dataclasses import replace

from plenodream.recipes.network import pixel_network
from plenodream.sampling.config import SamplingConfig
from plenodream.training.config import OptimizerConfig, TrainConfig
from plenodream.training.curriculum import Curriculum, Stage
from plenodream.training.distillation import DistillationConfig
from plenodream.training.objective import ObjectiveConfig


def nano() -> TrainConfig:
    """2.9M parameters, 48x48 pixels, 9 frames, mildly varied rooms; under two hours on one core."""
    patch = 8
    return TrainConfig(
        name="nano",
        # The bundled weights have a cross-attention, though to no text.
        model=pixel_network(patch, heads=5, head_width=32, layers=6, lora=16) | {"text_embed_dim": 8},
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
        objective=ObjectiveConfig(shift=4.0, x0_floor=0.4, overlap_probability=0.2, overlap_frames=3),
        optimizer=OptimizerConfig(muon=0.4, decay_share=0.4),
        sampling=SamplingConfig(steps=4),
        steps=5600,
        validate_every=800,
    )


def nano_depth() -> TrainConfig:
    """nano with depth beside colours, for rooms of both families and cameras as of footage; from nano's weights.

    `plenodream train nano-depth --init-from nano`, and `--textures` with some photographs. The source is a target, too,
    by which the model learns to give the source's depth. Context sizes come in the paper's proportions.
    """
    patch, shares = 8, (10.0, 4.0, 1.0, 1.0)
    context = {"max_context": 4, "any_context": True, "context_shares": shares, "source_context": True}
    return TrainConfig(
        name="nano-depth",
        # The bundled weights have a cross-attention, though to no text.
        model=pixel_network(patch, heads=5, head_width=32, layers=6, lora=16, depth=True) | {"text_embed_dim": 8},
        patch=patch,
        depth=True,
        height=48,
        width=48,
        curriculum=Curriculum(
            stages=(
                Stage(share=0.65, family="mixed", frames=1, batch=8, views=5, targets=5, footage=0.4, **context),
                Stage(share=0.35, family="mixed", frames=9, batch=2, views=5, targets=5, footage=0.4, **context),
            )
        ),
        objective=ObjectiveConfig(
            shift=4.0, x0_floor=0.4, overlap_probability=0.2, overlap_frames=3, depth_weight=1.0, hidden_depth=0.6
        ),
        optimizer=OptimizerConfig(muon=0.4, decay_share=0.5),
        sampling=SamplingConfig(steps=4),
        steps=9000,
        validate_every=500,
        precision="bf16",
    )


def nano_depth_2step() -> TrainConfig:
    """nano-depth's four steps in two: `plenodream train nano-depth-2step --init-from nano-depth`."""
    teacher = nano_depth()
    single, clip = teacher.curriculum.stages
    return replace(
        teacher,
        name="nano-depth-2step",
        curriculum=Curriculum(stages=(replace(single, share=0.3), replace(clip, share=0.7))),
        distillation=DistillationConfig(teacher_steps=2),
        optimizer=OptimizerConfig(learning_rate=5e-4, muon=0.4, warmup_steps=50, decay_share=0.6, ema_decay=0.99),
        sampling=SamplingConfig(steps=2),
        steps=2000,
        validate_every=250,
    )
