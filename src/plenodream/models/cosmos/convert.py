"""The publisher's keys of Cosmos camera networks, and a stock network to start from."""

from __future__ import annotations

import re
from collections.abc import Mapping

from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel
from torch import Tensor, nn

from plenodream.models.cosmos.transformer import CosmosCameraTransformer

_RULES: tuple[tuple[str, str], ...] = (
    (r"^net\.", ""),
    (r"^blocks\.", "transformer_blocks."),
    (r"adaln_modulation_self_attn\.(\d)", r"norm1.linear_\1"),
    (r"adaln_modulation_cross_attn\.(\d)", r"norm2.linear_\1"),
    (r"adaln_modulation_mlp\.(\d)", r"norm3.linear_\1"),
    (r"\.cam_encoder\.", ".attn1.cam_encoder."),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"\.([qkv])_proj\.", r".to_\1."),
    (r"\.output_proj\.", ".to_out.0."),
    (r"\.([qk])_norm\.", r".norm_\1."),
    (r"\.mlp\.layer1\.", ".ff.net.0.proj."),
    (r"\.mlp\.layer2\.", ".ff.net.2."),
    (r"^final_layer\.adaln_modulation\.(\d)", r"norm_out.linear_\1"),
    (r"^final_layer\.linear\.", "proj_out."),
    (r"^t_embedder\.1\.", "time_embed.t_embedder."),
    (r"^t_embedding_norm\.", "time_embed.norm."),
    (r"^x_embedder\.proj\.1\.", "patch_embed.proj."),
)


def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published Cosmos camera network's weights under our key names (a pure renaming, no tensor changes)."""
    renamed = {}
    for key, tensor in weights.items():
        for pattern, replacement in _RULES:
            key = re.sub(pattern, replacement, key)
        renamed[key] = tensor
    assert len(renamed) == len(weights), "two published keys map to one name"
    return renamed


def from_base(base: CosmosTransformer3DModel, **ours) -> CosmosCameraTransformer:
    """Our network on the weights of a stock one, which it shares; its camera projections are new and zero.

    Args:
        base: Any stock Cosmos video network whose input is latents and the condition mask, with the padding mask or
            without: that one becomes the last of our input channels.
        ours: Arguments of our network that the stock one has not, or that are to differ from it.

    Raises:
        ValueError: A base without the condition mask's channel.
    """
    config = {key: value for key, value in base.config.items() if not key.startswith("_")}
    if config["in_channels"] != config["out_channels"] + 1:
        raise ValueError(
            f"base network of {config['in_channels']} input and {config['out_channels']} output channels: expected one "
            "more in than out, the condition mask; start from a video-to-world network"
        )
    config["in_channels"] += int(config.pop("concat_padding_mask"))
    model = CosmosCameraTransformer(**(config | ours))
    keys = model.load_state_dict(base.state_dict(), strict=False, assign=True)
    assert not keys.unexpected_keys and all(".cam_encoder." in key for key in keys.missing_keys), keys
    nn.Module.to(model, base.device, base.dtype)
    return model
