"""basic and agibot: the paper's fine-tunings of Cosmos-Predict2.5-2B, as far as a config says them."""

from __future__ import annotations

from dataclasses import replace

from plenodream.sampling.config import SamplingConfig
from plenodream.training.config import OptimizerConfig, TrainConfig
from plenodream.training.curriculum import Curriculum, SecondStage, Stage
from plenodream.training.distillation import DistillationConfig
from plenodream.training.objective import ObjectiveConfig


def basic() -> TrainConfig:
    """Context of 1, 2, 3, 4 views for 10K, 4K, 1K, 1K steps at 432x768x81, self-attention and cameras alone trained.

    It needs the pretrained network (`--init-from`, a pipeline's folder with its VAE) and a folder of episodes
    (`--data`); 81 frames are what MultiCamVideo has. The numbers are the paper's and its published code's (layout,
    context timestep, rate, clip, weight decay, scheduler, captions that one sample in five is not told, guidance of 7
    over them); warm-up and averaged weights are ours. Captions are `caption.txt` in an episode's folder. Its
    second stage (`--contexts`) is the paper's: 2K steps, all contexts but the source replaced; it is told no captions.
    """
    k_steps = ((1, 10_000), (2, 4_000), (3, 1_000), (4, 1_000))
    steps = sum(number for _, number in k_steps)
    return TrainConfig(
        name="basic",
        model={
            "in_channels": 18,
            "out_channels": 16,
            "num_attention_heads": 16,
            "attention_head_dim": 128,
            "num_layers": 28,
            "mlp_ratio": 4.0,
            "text_embed_dim": 1024,
            "adaln_lora_dim": 256,
            "patch_size": (1, 2, 2),
            "max_size": (128, 240, 240),
            "rope_scale": (1.0, 3.0, 3.0),
            "use_crossattn_projection": True,
            "crossattn_proj_in_channels": 100_352,
            "encoder_hidden_states_channels": 1024,
            "context_attention": "joint",
            "layout": ("context", "context", "target", "context", "context"),
            "context_timestep": 0.0001,
            "prediction": "velocity",
            "camera_numbers": 6 * 16**2,
        },
        codec="wan",
        height=432,
        width=768,
        curriculum=Curriculum(
            stages=tuple(
                Stage(
                    share=number / steps,
                    family="disk",
                    frames=81,
                    batch=1,
                    views=k + 1,
                    min_context=k,
                    max_context=k,
                    any_context=True,
                    targets=1,
                )
                for k, number in k_steps
            )
        ),
        second=SecondStage(steps=2_000, probability=1.0),
        objective=ObjectiveConfig(
            shift=5.0, overlap_probability=0.45, overlap_frames=6, overlap_in_loss=True, caption_dropout=0.2
        ),
        optimizer=OptimizerConfig(
            learning_rate=2e-5, weight_decay=1e-3, warmup_steps=100, decay_share=0.0, clip=0.1, ema_decay=0.999
        ),
        sampling=SamplingConfig(steps=35, guidance=7.0),
        scheduler="unipc",
        steps=steps,
        validate_every=500,
        trainable="attention",
        gradient_checkpointing=True,
    )


def agibot() -> TrainConfig:
    """The same on AgiBot World, head camera to grippers: 15K steps with a context of two, no second stage.

    Half of the steps give the head alone, as the first gripper is generated from it, and half the other gripper, too.
    The shares are ours; the published joint network (1 head, 2 grippers at once) is another one.
    """
    paper = basic()
    stage = replace(paper.curriculum.stages[1], share=1.0, min_context=1, source_context=True)
    return replace(
        paper,
        name="agibot",
        curriculum=Curriculum(stages=(stage,)),
        source_view="head",
        steps=15_000,
    )


def basic_few_steps() -> TrainConfig:
    """basic in four unguided steps where it takes 32 guided ones, a sixteenth of the passes; from basic's weights.

    `torchrun ... plenodream train basic-few-steps --data FOLDER --init-from runs/basic/model`. Every step samples the
    teacher: 64 passes without a gradient beside 4 with one. Ours, and not yet run at this size.
    """
    paper = basic()
    return replace(
        paper,
        name="basic-few-steps",
        objective=replace(paper.objective, caption_dropout=0.0),
        distillation=DistillationConfig(teacher_steps=8, guidance=7.0),
        sampling=SamplingConfig(steps=4),
        scheduler="euler",
        steps=4_000,
    )
