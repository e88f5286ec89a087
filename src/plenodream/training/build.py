"""Networks and codecs made from a config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
from plenodream.models.cosmos.attention import rotated
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.training.config import TrainConfig

# Factor on the fresh weights of channels that join trained ones.
_SMALL = 0.1


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


def grow_depth(
    weights: Mapping[str, Tensor], model: CosmosCameraTransformer, depth_channels: int
) -> Mapping[str, Tensor]:
    """Weights of a network of colours for one that has depth beside them: small and random where the depth comes in.

    Args:
        weights: Of the network to start from; any other than one of colours comes back as it is.
        model: The network to be, freshly made.
        depth_channels: How many of its latents' channels, the last ones, are depth.
    """
    config, first, last = model.config, "patch_embed.proj.weight", "proj_out.weight"
    cells, masks = math.prod(config.patch_size), config.in_channels - config.out_channels
    if last not in weights or len(weights[last]) != cells * (config.out_channels - depth_channels):
        return weights
    # Channels are the slowest of the numbers that come in, and the fastest of those that go out.
    fresh = {name: _SMALL * model.state_dict()[name] for name in (first, last)}
    inside, before = fresh[first].unflatten(1, (-1, cells)), weights[first].unflatten(1, (-1, cells))
    outside = fresh[last].unflatten(0, (cells, -1))
    inside[:, :-masks][:, :-depth_channels], inside[:, -masks:] = before[:, :-masks], before[:, -masks:]
    outside[:, :-depth_channels] = weights[last].unflatten(0, (cells, -1))
    return {**weights, **fresh}


def take_weights(
    model: CosmosCameraTransformer, weights: Mapping[str, Tensor], path: Path, config: TrainConfig, depth_channels: int
) -> None:
    """Give a network the weights that a run starts from.

    Args:
        model: The network to be, freshly made.
        weights: Of one like it; a pretrained one, of which attention alone is trained, may know no cameras yet.
        path: Where they are from.
        config: The recipe.
        depth_channels: As for `grow_depth`.

    Raises:
        ValueError: Weights of another network.
    """
    if depth_channels:
        weights = grow_depth(weights, model, depth_channels)
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: weights of another network ({reason}); expected those of this recipe") from None
    if config.trainable == "attention":
        missing = [name for name in missing if ".cam_encoder." not in name]
    if missing or unexpected:
        raise ValueError(
            f"{path}: weights of another network ({len(missing)} missing, {len(unexpected)} "
            f"unexpected, e.g. {(missing + unexpected)[0]}); expected those of recipe {config.name}"
        )


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
    return SpaceToDepthCodec(config.patch, config.depth)


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
