"""Published weights that can be used: how their files are told apart, what is built of them, how they were sampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from plenodream.models.checkpoint import Checkpoint
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.cosmos import keys as cosmos_keys
from plenodream.models.cosmos.scheduler import cosmos_scheduler
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.keys import KeyMap
from plenodream.models.layout import LAYOUTS
from plenodream.models.text import TextSettings
from plenodream.models.wan import keys as wan_keys
from plenodream.models.wan.recammaster import ReCamMasterTransformer
from plenodream.models.wan.redirector import ReDirectorTransformer

Shapes = Mapping[str, tuple[int, ...]]
_NO_WORDS = TextSettings()
_WAN_HEAD = 128  # of every Wan network
_COSMOS_RAYS = 6 * 16**2  # numbers of the rays under one token of a Cosmos network, where cameras are new to it


@dataclass(frozen=True)
class Format:
    """A kind of published checkpoint.

    Attributes:
        name: As the command line takes it.
        part: What it is a part of our folders as: `transformer`, `codec` or `text_encoder`.
        keys: Their names and ours.
        signature: Names that it has and the others have not all of.
        config: The network's config from the shapes of its tensors, by our names.
        network: Its class; None for one of another library.
        left_out: Beginnings of names that a publisher's file may hold and the network does without.
        fresh: Endings of names that no file of it holds: new tensors, zero, to be trained.
        scheduler: The published one.
        settings: Size, frames, steps and guidance as published.
        source: Where the weights come from.
        base: What they are laid over, or what holds codec and text encoder.
        licence: As the publisher states it.
        megabytes: Of weights in bf16, codec and text encoder not counted.
        memory: GiB that a view takes in bf16 at the published size, all on the card, as `doctor` foretells them.
        words: Which encoder of words it was trained with, and what its publisher lets guidance lead away from.
    """

    name: str
    part: str
    keys: KeyMap
    signature: tuple[str, ...]
    config: Callable[[Shapes], dict[str, Any]]
    network: type | None = None
    left_out: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    scheduler: Callable[[], SchedulerMixin] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    base: str = ""
    licence: str = ""
    megabytes: int = 0
    memory: float | None = None
    words: TextSettings = _NO_WORDS


def detect(checkpoint: Checkpoint) -> Format:
    """The format of a checkpoint by the names in it, which are the publisher's or those of diffusers.

    Raises:
        ValueError: None that is known.
    """
    for known in FORMATS.values():
        if all(name in checkpoint or known.keys.ours(name) in checkpoint.shapes for name in known.signature):
            return known
    found = ", ".join(sorted(checkpoint.shapes)[:2])
    raise ValueError(f"{checkpoint.path}: no known network ({found}, …); expected one of {', '.join(FORMATS)}")


def _blocks(shapes: Shapes, prefix: str) -> int:
    return 1 + max((int(name.split(".")[1]) for name in shapes if name.startswith(prefix)), default=-1)


def _wan(shapes: Shapes) -> dict[str, Any]:
    width, in_channels, *patch = shapes["patch_embedding.weight"]
    embedder = "condition_embedder"
    return {
        "patch_size": tuple(patch),
        "num_attention_heads": width // _WAN_HEAD,
        "attention_head_dim": _WAN_HEAD,
        "in_channels": in_channels,
        "out_channels": shapes["proj_out.weight"][0] // math.prod(patch),
        "text_dim": shapes[f"{embedder}.text_embedder.linear_1.weight"][1],
        "freq_dim": shapes[f"{embedder}.time_embedder.linear_1.weight"][1],
        "ffn_dim": shapes["blocks.0.ffn.net.2.weight"][1],
        "num_layers": _blocks(shapes, "blocks."),
    }


def _redirector(shapes: Shapes) -> dict[str, Any]:
    config = _wan(shapes)
    return config | {
        "image_dim": shapes["condition_embedder.image_embedder.norm1.weight"][0],
        "added_kv_proj_dim": shapes["blocks.0.attn2.add_k_proj.weight"][1],
        "ray_numbers": shapes["control_adapter.conv.weight"][1] // 64,
    }


def _cosmos(shapes: Shapes, layout: str) -> dict[str, Any]:
    width, in_numbers = shapes["patch_embed.proj.weight"]
    block = "transformer_blocks.0"
    config = {
        "in_channels": in_numbers // 4,
        "out_channels": shapes["proj_out.weight"][0] // 4,
        "attention_head_dim": (head := shapes[f"{block}.attn1.norm_q.weight"][0]),
        "num_attention_heads": width // head,
        "num_layers": _blocks(shapes, "transformer_blocks."),
        "mlp_ratio": shapes[f"{block}.ff.net.0.proj.weight"][0] / width,
        "text_embed_dim": shapes[f"{block}.attn2.to_k.weight"][1],
        "adaln_lora_dim": shapes[f"{block}.norm1.linear_1.weight"][0],
        "rope_scale": (1.0, 3.0, 3.0),
        "camera_numbers": shapes.get(f"{block}.attn1.cam_encoder.weight", (0, _COSMOS_RAYS))[1],
        "context_attention": "joint",
        "layout": LAYOUTS[layout],
        "context_timestep": 1e-4,
    }
    if "crossattn_proj.0.weight" in shapes:
        out, inside = shapes["crossattn_proj.0.weight"]
        config |= {"use_crossattn_projection": True, "crossattn_proj_in_channels": inside}
        config |= {"encoder_hidden_states_channels": out}
    return config


def _wan_vae(shapes: Shapes) -> dict[str, Any]:
    return {"base_dim": shapes["encoder.conv_in.weight"][0], "z_dim": shapes["post_quant_conv.weight"][0]}


def _umt5(shapes: Shapes) -> dict[str, Any]:
    block = "encoder.block.0.layer"
    buckets, heads = shapes[f"{block}.0.SelfAttention.relative_attention_bias.weight"]
    vocabulary, width = shapes["shared.weight"]
    return {
        "architectures": ["UMT5EncoderModel"],
        "model_type": "umt5",
        "d_model": width,
        "d_ff": shapes[f"{block}.1.DenseReluDense.wo.weight"][1],
        "d_kv": shapes[f"{block}.0.SelfAttention.q.weight"][0] // heads,
        "num_heads": heads,
        "num_layers": 1 + max(int(name.split(".")[2]) for name in shapes if name.startswith("encoder.block.")),
        "relative_attention_num_buckets": buckets,
        "vocab_size": vocabulary,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "tie_word_embeddings": False,
    }


def _euler() -> SchedulerMixin:
    return FlowMatchEulerDiscreteScheduler(shift=5.0)


_COSMOS = {"height": 432, "width": 768, "frames": 93, "overlap": 0, "steps": 35, "guidance": 7.0, "guided_by": "text"}
_WAN = {
    "height": 480,
    "width": 832,
    "frames": 81,
    "overlap": 0,
    "steps": 50,
    "guidance": 4.0,
    "guided_by": "text",
    "context_views": 1,
    "keep_source": False,
}
# The publisher's: overexposed, static, blurred, subtitles, worst quality, deformed hands and faces, walking backwards …
_WAN_WORDS = TextSettings(
    "umt5",
    negative="色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走",
)
_COSMOS_LEFT_OUT = ("pos_embedder.", "accum_", "_extra_state", "logvar.")
_COSMOS_BASE = ("blocks.0.adaln_modulation_self_attn.1.weight",)
_COSMOS_SIGNATURE = (*_COSMOS_BASE, "blocks.0.cam_encoder.weight")
_COSMOS_LICENCE = "NVIDIA Open Model License"

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        Format(
            "recammaster",
            "transformer",
            wan_keys.TRANSFORMER_KEYS,
            ("blocks.0.cam_encoder.weight", "blocks.0.projector.weight"),
            _wan,
            ReCamMasterTransformer,
            scheduler=_euler,
            settings=_WAN,
            source="KwaiVGI/ReCamMaster-Wan2.1 step20000.ckpt",
            base="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
            licence="code MIT; weights: none found",
            megabytes=2981,
            memory=7.1,
            words=_WAN_WORDS,
        ),
        Format(
            "redirector",
            "transformer",
            wan_keys.TRANSFORMER_KEYS,
            ("blocks.0.self_attn.rope_phase_qk.1.weight",),
            _redirector,
            ReDirectorTransformer,
            left_out=("ref_conv.",),
            scheduler=_euler,
            settings=_WAN,
            source="byeongjun-park/ReDirector step20000.safetensors",
            base="alibaba-pai/Wan2.1-Fun-V1.1-1.3B-Control-Camera",
            licence="Apache-2.0",
            megabytes=3326,
            memory=7.4,
            words=_WAN_WORDS,
        ),
        Format(
            "cosmos",
            "transformer",
            cosmos_keys.TRANSFORMER_KEYS,
            _COSMOS_SIGNATURE,
            lambda shapes: _cosmos(shapes, "source-between-targets"),
            CosmosCameraTransformer,
            left_out=_COSMOS_LEFT_OUT,
            scheduler=cosmos_scheduler,
            settings=_COSMOS | {"context_views": 1},
            source="nvidia/Cosmos-Predict2.5-2B robot/multiview-agibot/*_ema_bf16.pt",
            base="nvidia/Cosmos-Predict2.5-2B",
            licence=_COSMOS_LICENCE,
            megabytes=4295,
            memory=10.4,
            words=TextSettings("reason1"),
        ),
        Format(
            "plenoptic",
            "transformer",
            cosmos_keys.TRANSFORMER_KEYS,
            _COSMOS_SIGNATURE,
            lambda shapes: _cosmos(shapes, "middle-of-4"),
            CosmosCameraTransformer,
            left_out=_COSMOS_LEFT_OUT,
            scheduler=cosmos_scheduler,
            settings=_COSMOS | {"overlap": 21, "context_views": 4, "candidates": 6, "keep_source": False},
            source="PlenopticDreamer: announced, never published",
            base="nvidia/Cosmos-Predict2.5-2B",
            licence=_COSMOS_LICENCE,
            megabytes=4295,
            memory=14.8,
            words=TextSettings("reason1"),
        ),
        Format(
            "cosmos-base",
            "transformer",
            cosmos_keys.TRANSFORMER_KEYS,
            _COSMOS_BASE,
            lambda shapes: _cosmos(shapes, "middle-of-4"),
            CosmosCameraTransformer,
            left_out=_COSMOS_LEFT_OUT,
            fresh=(".attn1.cam_encoder.weight",),
            scheduler=cosmos_scheduler,
            settings=_COSMOS | {"frames": 81, "overlap": 21, "context_views": 4, "keep_source": False},
            source="nvidia/Cosmos-Predict2.5-2B, its diffusers folder (to fine-tune: train basic --init-from)",
            licence=_COSMOS_LICENCE,
            megabytes=4295,
            memory=13.4,
            words=TextSettings("reason1"),
        ),
        Format(
            "wan-vae",
            "codec",
            wan_keys.VAE_KEYS,
            ("decoder.upsamples.0.residual.0.gamma", "encoder.conv1.weight"),
            _wan_vae,
            WanCodec,
            source="Wan2.1_VAE.pth",
            licence="Apache-2.0",
            megabytes=254,
        ),
        Format(
            "umt5",
            "text_encoder",
            wan_keys.TEXT_KEYS,
            ("token_embedding.weight", "blocks.0.ffn.gate.0.weight"),
            _umt5,
            source="models_t5_umt5-xxl-enc-bf16.pth",
            licence="Apache-2.0",
            megabytes=11360,
        ),
    )
}
