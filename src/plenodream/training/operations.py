"""Operations of a training step, counted from the network's config."""

from __future__ import annotations

from dataclasses import dataclass

from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.training.config import TrainConfig


@dataclass(frozen=True)
class TokenPass:
    """A `Pass` of one sample in tokens: `count` sequences of `tokens` each, which see `keys`."""

    count: int
    tokens: int
    keys: int


def pass_flop(each: TokenPass, model: CosmosCameraTransformer, config: TrainConfig) -> float:
    """Operations of one pass, forward and backward.

    A linear map of m weights takes 2m a token, as much again for the gradient of its input where something before it
    is trained, and again for that of its weights if they are. Attention of n queries to N keys of width d takes 4nNd
    forward and 10nNd backward (flash attention computes the products of queries and keys again).
    """
    c = model.config
    width, everything = c.num_attention_heads * c.attention_head_dim, config.trainable == "all"
    again = 1 if config.gradient_checkpointing else 0  # recomputation runs up to the last tensor that is needed
    volume = c.patch_size[0] * c.patch_size[1] * c.patch_size[2]
    frozen, trained = 2, 3  # forward and gradient of the input; and of the weights
    hidden = c.mlp_ratio * width * width
    block = (
        c.camera_numbers * width * (2 + again)
        + 4 * width * width * (trained + again)
        + hidden * ((trained if everything else frozen) + again)
        + hidden * ((trained + again) if everything else frozen)
    )
    ends = c.in_channels * volume * width * (2 if everything else 1) + c.out_channels * volume * width * (
        trained if everything else frozen
    )
    attention = each.keys * width * (4 + 10 + 4 * again)
    return each.count * each.tokens * (2 * ends + c.num_layers * (2 * block + attention))
