"""mini: the same network for one GPU, wider and deeper, on the full variety of scenes."""

from __future__ import annotations

from dataclasses import replace

from plenodream.recipes.nano import nano_depth
from plenodream.recipes.network import pixel_network
from plenodream.sampling.config import SamplingConfig
from plenodream.training.config import OptimizerConfig, TrainConfig
from plenodream.training.curriculum import Curriculum, Stage
from plenodream.training.objective import ObjectiveConfig


def mini() -> TrainConfig:
    """21M parameters, 64x64 pixels, 9 frames; mild scenes first, then the full family; minutes to hours of a GPU.

    In instalments: `--set curriculum.end=0.4 --set optimizer.decay_share=0`, then `--init-from` the result with
    `--set curriculum.start=0.4`, and the rate decays in the last one alone.
    """
    patch = 8
    return TrainConfig(
        name="mini",
        model=pixel_network(patch, heads=6, head_width=64, layers=10, lora=32),
        patch=patch,
        height=64,
        width=64,
        # A view is 64 tokens a frame: every step is 65 to 150 thousand tokens, clean and noisy ones together.
        curriculum=Curriculum(
            stages=(
                Stage(share=0.10, family="mild", frames=1, batch=256),
                Stage(share=0.15, family="full", frames=1, batch=256, max_context=3, any_context=True),
                Stage(share=0.15, family="mild", frames=9, batch=48),
                Stage(share=0.20, family="full", frames=9, batch=48),
                Stage(share=0.40, family="full", frames=9, batch=32, max_context=3, any_context=True),
            )
        ),
        objective=ObjectiveConfig(shift=4.0, x0_floor=0.4, overlap_probability=0.2, overlap_frames=3),
        optimizer=OptimizerConfig(learning_rate=6e-4, muon=0.4, warmup_steps=300, ema_decay=0.999),
        steps=60000,
        validate_every=1000,
    )


def mini_cpu() -> TrainConfig:
    """The same network on a CPU with bf16 matrix units (AMX): small batches, singles of both families, then clips."""
    return replace(
        mini(),
        curriculum=Curriculum(
            stages=(
                Stage(share=0.20, family="mild", frames=1, batch=16),
                Stage(share=0.30, family="mixed", frames=1, batch=16, max_context=3, any_context=True),
                Stage(share=0.50, family="mixed", frames=9, batch=2, max_context=3, any_context=True),
            )
        ),
        optimizer=OptimizerConfig(muon=0.4, decay_share=0.4),
        sampling=SamplingConfig(steps=4),
        precision="bf16",
        compile=True,
        steps=3163,
        validate_every=500,
    )


def mini_depth() -> TrainConfig:
    """mini with depth beside colours, as `nano_depth`, in small batches: on a CPU a step is what costs.

    `plenodream train mini-depth --init-from mini`, and `--textures` with some photographs.
    """
    nano = nano_depth()
    single, clip = nano.curriculum.stages
    stages = (replace(single, share=0.75, batch=4), replace(clip, share=0.25, batch=1, targets=4))
    return replace(
        nano,
        name="mini-depth",
        model=pixel_network(nano.patch, heads=6, head_width=64, layers=10, lora=32, depth=True),
        height=64,
        width=64,
        curriculum=Curriculum(stages=stages),
        steps=2000,
        validate_every=250,
        compile=True,
    )
