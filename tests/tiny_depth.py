"""A depth-estimation model of transformers, tiny and of random weights: `python tiny_depth.py FOLDER [metric]`."""

from __future__ import annotations

import sys
from pathlib import Path


def save_tiny_depth(folder: str | Path, kind: str = "relative") -> None:
    """Write the model and its image processor into a folder.

    Args:
        folder: Made where there is none.
        kind: `relative` (disparity) or `metric`.
    """
    import torch
    import transformers

    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[4, 4, 4, 4], fusion_hidden_size=4,
        head_hidden_size=4, depth_estimation_type=kind, max_depth=20, patch_size=14,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 28, "width": 28}
    processor = transformers.DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14)
    processor.save_pretrained(folder)


if __name__ == "__main__":
    save_tiny_depth(*sys.argv[1:])
