"""Networks made from a config."""

from __future__ import annotations

import torch
from torch import nn

from plenodream.models.cosmos import CosmosCameraTransformer
from plenodream.training.config import TrainConfig


def build_model(config: TrainConfig) -> CosmosCameraTransformer:
    """The denoiser of a recipe with fresh weights, the same for the same seed.

    The camera projections start small, not at zero as on a pretrained backbone: here nothing is to be preserved.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = CosmosCameraTransformer(**config.model)
        for block in model.transformer_blocks:
            nn.init.normal_(block.attn1.cam_encoder.weight, std=0.02)
    return model
