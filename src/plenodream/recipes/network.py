"""The network of the bundled models, in any size."""

from __future__ import annotations

from typing import Any


def pixel_network(patch: int, heads: int, head_width: int, layers: int, lora: int) -> dict[str, Any]:
    """Arguments of a denoiser over squares of pixels, without text: independent context, x0 prediction.

    Args:
        patch: Side in pixels of the squares that are its tokens (`SpaceToDepthCodec`).
        heads: Attention heads.
        head_width: Channels of each.
        layers: Blocks.
        lora: Rank of the blocks' dependence on time.
    """
    return {
        "in_channels": 3 * patch**2 + 1,
        "out_channels": 3 * patch**2,
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
