"""The denoiser on diffusers' Cosmos transformer: stock blocks and stock forward, with cameras and context."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel, CosmosTransformerBlock
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.models.call import AttentionCall, calling
from plenodream.models.context import Context
from plenodream.models.cosmos.attention import (
    CallRope,
    CameraAttnProcessor,
    NoTextAttention,
    TextAttnProcessor,
    TextProjection,
)
from plenodream.models.cosmos.norms import FrameNorm, FramePatches, NoTextNorm
from plenodream.models.denoiser_mixin import DenoiserMixin


class CosmosCameraTransformer(DenoiserMixin, CosmosTransformer3DModel, CacheMixin):
    """A video denoiser that knows cameras and attends to other views: bundled models and Cosmos-Predict2.5 alike.

    Args:
        in_channels: Latent channels + 1 for the condition mask, + 1 where the weights expect a padding-mask channel
            (always zero, appended here).
        out_channels: Latent channels.
        text_embed_dim: Width of the text tokens that the blocks see; 0 for a network without text, whose blocks have no
            cross-attention.
        context_attention: `independent` or `joint` (`DenoiserMixin` says what they are); stored with the weights.
        layout: Slots of a joint sequence, `context`, `target` or `context*`.
        context_timestep: Timestep in [0, 1] of context frames in joint mode; None: they share the target's.
        prediction: What the network's output is: `velocity` or `x0`.
        camera_numbers: Numbers in one camera token: 6 for every pixel under the token.

    The other arguments are the stock ones under their stock names.
    """

    # Saved pipelines name a component's class by this path: the public one, which stays when files move.
    __module__ = "plenodream"
    _repeated_blocks = ("CosmosTransformerBlock",)  # what `compile_repeated_blocks` compiles, once for all of them
    _keep_in_fp32_modules = None  # the stock entry names a module that this network never has

    @register_to_config
    def __init__(
        self,
        in_channels: int = 17,
        out_channels: int = 16,
        num_attention_heads: int = 16,
        attention_head_dim: int = 128,
        num_layers: int = 28,
        mlp_ratio: float = 4.0,
        text_embed_dim: int = 1024,
        adaln_lora_dim: int = 256,
        max_size: tuple[int, int, int] = (128, 240, 240),
        patch_size: tuple[int, int, int] = (1, 2, 2),
        rope_scale: tuple[float, float, float] = (1.0, 1.0, 1.0),
        concat_padding_mask: bool = False,
        extra_pos_embed_type: str | None = None,
        use_crossattn_projection: bool = False,
        crossattn_proj_in_channels: int = 1024,
        encoder_hidden_states_channels: int = 1024,
        controlnet_block_every_n: int | None = None,
        img_context_dim_in: int | None = None,
        img_context_num_tokens: int = 256,
        img_context_dim_out: int = 2048,
        context_attention: str = "independent",
        layout: tuple[str, ...] = ("target", "context*"),
        context_timestep: float | None = 0.0,
        prediction: str = "velocity",
        camera_numbers: int = 1536,
    ) -> None:
        if concat_padding_mask:
            raise ValueError("concat_padding_mask=True: expected False; give the padding channel through in_channels")
        if context_attention not in ("independent", "joint"):
            raise ValueError(f"context_attention is {context_attention!r}: expected independent or joint")
        if prediction not in ("velocity", "x0"):
            raise ValueError(f"prediction is {prediction!r}: expected velocity or x0")
        if num_layers < 1:
            raise ValueError(f"num_layers is {num_layers}: expected at least 1")
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            num_layers=num_layers,
            mlp_ratio=mlp_ratio,
            text_embed_dim=max(text_embed_dim, 1),
            adaln_lora_dim=adaln_lora_dim,
            max_size=max_size,
            patch_size=patch_size,
            rope_scale=rope_scale,
            concat_padding_mask=concat_padding_mask,
            extra_pos_embed_type=extra_pos_embed_type,
            use_crossattn_projection=use_crossattn_projection,
            crossattn_proj_in_channels=crossattn_proj_in_channels,
            encoder_hidden_states_channels=encoder_hidden_states_channels,
            controlnet_block_every_n=controlnet_block_every_n,
            img_context_dim_in=img_context_dim_in,
            img_context_num_tokens=img_context_num_tokens,
            img_context_dim_out=img_context_dim_out,
        )
        if use_crossattn_projection:
            self.crossattn_proj = TextProjection(*self.crossattn_proj)
        self.register_to_config(text_embed_dim=text_embed_dim)  # the stock layers take no 0, and noted what they took
        self.rope = CallRope(attention_head_dim, max_size, patch_size, rope_scale=rope_scale)
        self.patch_embed, self.norm_out = FramePatches(self.patch_embed), FrameNorm(self.norm_out)
        width = num_attention_heads * attention_head_dim
        for index, block in enumerate(self.blocks):
            block.attn1.cam_encoder = nn.Linear(camera_numbers, width, bias=False)
            nn.init.zeros_(block.attn1.cam_encoder.weight)
            block.attn1.set_processor(CameraAttnProcessor(index))
            if text_embed_dim:
                block.attn2.set_processor(TextAttnProcessor())
            else:
                block.norm2, block.attn2 = NoTextNorm(), NoTextAttention()

    def enable_cache(self, config: Any) -> None:
        """As diffusers' own, which does not know the blocks of Cosmos."""
        TransformerBlockRegistry.register(
            CosmosTransformerBlock, TransformerBlockMetadata(return_hidden_states_index=0)
        )
        super().enable_cache(config)

    @property
    def blocks(self) -> Any:
        """See `Denoiser`."""
        return self.transformer_blocks

    @property
    def word_projection(self) -> nn.Module | None:
        """See `DenoiserMixin`."""
        return self.crossattn_proj if self.config.use_crossattn_projection else None

    def run(
        self,
        latents: Float[Tensor, "batch channels frames height width"],
        timestep: Float[Tensor, "batch"] | Float[Tensor, "batch frames"],
        camera_tokens: Float[Tensor, "batch frames rows columns numbers"],
        condition_mask: Float[Tensor, "batch frames"],
        text: Float[Tensor, "#batch words features"] | None,
        context: Context | None = None,
        record: bool = False,
        views: int = 1,
        image: None = None,
    ) -> tuple[Float[Tensor, "batch channels frames height width"], Context | None]:
        """See `DenoiserMixin.run`. Latents of another precision than the weights come back in their own."""
        batch, _, frames, height, width = latents.shape
        precision = latents.dtype
        latents = latents.to(self.patch_embed.proj.weight.dtype)
        mask = condition_mask[:, None, :, None, None].to(latents).expand(batch, 1, frames, height, width)
        padding = latents.new_zeros(
            batch, self.config.in_channels - self.config.out_channels - 1, frames, height, width
        )
        if text is None:
            text = latents.new_zeros(batch, 1, self.text_width)
        text = text.to(latents)
        # Every block projects the rays: they are cast once, not by every block's autocast.
        device, dtype = latents.device, latents.dtype
        if device.type != "meta" and torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        call = AttentionCall(camera_tokens.flatten(1, 3).to(device, dtype), context, record, views)
        call.by_frame = timestep.ndim == 2
        with calling(call):
            (prediction,) = self(
                hidden_states=torch.cat([latents, mask, padding], dim=1),
                timestep=timestep.flatten(),
                encoder_hidden_states=text,
                return_dict=False,
            )
        return prediction.to(precision), call.recorded_context() if record else None
