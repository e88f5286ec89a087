"""Networks and codecs made from a config."""

from __future__ import annotations

import torch
from torch import nn

from plenodream.models.codec import SpaceToDepthCodec
from plenodream.models.cosmos import CosmosCameraTransformer
from plenodream.training.config import TrainConfig


def build_model(config: TrainConfig) -> CosmosCameraTransformer:
    """The denoiser of a recipe with fresh weights, the same for the same seed.

    The camera projections start small, not at zero as on a pretrained backbone: here nothing is to be preserved.

    Raises:
        ValueError: Sizes that make no network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            model = CosmosCameraTransformer(**config.model)
        except (ArithmeticError, IndexError, RuntimeError, TypeError) as error:
            raise ValueError(
                f"recipe {config.name}: no network can be built of its model ({error}); expected other sizes in model"
            ) from error
        if config.trainable == "all":
            for block in model.transformer_blocks:
                nn.init.normal_(block.attn1.cam_encoder.weight, std=0.02)
    return model


def build_codec(config: TrainConfig) -> SpaceToDepthCodec:
    """The codec of a recipe, where it needs no weights.

    Raises:
        ValueError: The recipe's codec is pretrained.
    """
    if config.codec != "space-to-depth":
        raise ValueError(
            f"recipe {config.name} needs the weights of its {config.codec} codec: expected --init-from a pipeline's "
            "folder that holds them"
        )
    return SpaceToDepthCodec(config.patch)


def set_trainable(model: nn.Module, part: str) -> None:
    """Train all weights (`all`), or only self-attention and its camera projections (`attention`, the paper)."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part == "all" or ".attn1." in name)
