"""The network of the bundled models, in any size."""

from __future__ import annotations

from typing import Any


def pixel_network(
    patch: int, heads: int, head_width: int, layers: int, lora: int, depth: bool = False
) -> dict[str, Any]:
    """Arguments of a denoiser over squares of pixels, without text: independent context, x0 prediction.

    Args:
        patch: Side in pixels of the squares that are its tokens (`SpaceToDepthCodec`).
        heads: Attention heads.
        head_width: Channels of each.
        layers: Blocks.
        lora: Rank of the blocks' dependence on time.
        depth: Whether its signals have depth beside colours.
    """
    channels = (3 + depth) * patch**2
    return {
        "in_channels": channels + 1,
        "out_channels": channels,
        "num_attention_heads": heads,
        "attention_head_dim": head_width,
        "num_layers": layers,
        "text_embed_dim": 0,
        "adaln_lora_dim": lora,
        "patch_size": (1, 1, 1),
        "max_size": (128, 64, 64),
        "context_attention": "independent",
        "prediction": "x0",
        "camera_numbers": 6 * patch**2,
    }
