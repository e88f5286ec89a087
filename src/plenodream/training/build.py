"""Networks and codecs made from a config."""

from __future__ import annotations

import torch
from torch import nn

from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
from plenodream.models.cosmos.attention import rotated
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
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
        _check_sizes(config, model)
        if config.trainable == "all":
            for block in model.blocks:
                nn.init.normal_(block.attn1.cam_encoder.weight, std=0.02)
    return model


def _check_sizes(config: TrainConfig, model: CosmosCameraTransformer) -> None:
    """Refuse a network that does not fit the recipe's codec and videos.

    Raises:
        ValueError: Naming the field, what it is and what it should be.
    """
    cell_frames, side, channels = config.latent_cell
    if problem := model.misfit(channels, side):
        raise ValueError(f"model.{problem}")
    latent_frames = (config.frames - 1) // cell_frames + 1
    patch, sizes = tuple(model.config.patch_size), (latent_frames, config.height // side, config.width // side)
    if any(size % step for size, step in zip(sizes, patch, strict=True)) or patch[0] != 1 or patch[1] != patch[2]:
        raise ValueError(f"model.patch_size is {list(patch)}: expected 1, p, p where p divides latents of {sizes[1:]}")
    most = tuple(model.config.max_size)
    if any(size > limit for size, limit in zip(sizes, most, strict=True)):
        raise ValueError(f"model.max_size is {list(most)}: expected at least {list(sizes)}, the size of the latents")


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


def compile_network(model: CosmosCameraTransformer) -> None:
    """Compile the turning of queries and keys, in place: half of what is moved through memory element by element.

    Whole blocks, and more so the whole network, would be compiled anew for every stage, context size and overlap.
    """
    compiled = torch.compile(rotated, dynamic=True)
    for block in model.blocks:
        block.attn1.processor.rotated = compiled
