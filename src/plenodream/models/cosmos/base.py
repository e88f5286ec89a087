"""A stock Cosmos network to start from."""

from __future__ import annotations

from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel
from torch import nn

from plenodream.models.cosmos.transformer import CosmosCameraTransformer


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
