"""ReDirector (arXiv 2511.19827) on diffusers' Wan transformer: rays of target and source turn attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.geometry.cameras import relative_poses
from plenodream.geometry.plucker import plucker_raymap
from plenodream.models.call import current_call
from plenodream.models.codecs.protocol import Codec
from plenodream.models.wan.attention import ImageAttnProcessor, PhaseAttnProcessor, SharedTimeRope
from plenodream.models.wan.transformer import WanDenoiser
from plenodream.types import Cameras

_CELL = 8  # pixels that become channels before the adapter's convolution, each way


def folded_rays(cameras: Cameras, temporal_factor: int) -> Iterator[Float[Tensor, "*batch numbers height width"]]:
    """Rays of the frames under each latent frame as channels, ordered (ray number, frame), a latent frame at a time.

    The first frame stands for all that the first latent frame would hold, as in the VAE. A whole video of them would
    take a gigabyte.
    """
    for last in range(0, cameras.shape[-1], temporal_factor):
        frames = torch.arange(last - temporal_factor + 1, last + 1).clamp(min=0)
        poses, intrinsics = cameras.camera_to_world[..., frames, :, :], cameras.intrinsics[..., frames, :]
        raymap = plucker_raymap(replace(cameras, camera_to_world=poses, intrinsics=intrinsics))
        yield rearrange(raymap, "... t h w c -> ... (c t) h w")


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(torch.relu(self.conv1(x)))


class ControlAdapter(nn.Module):
    """Folded rays to one embedding a token, under the publisher's names."""

    def __init__(self, numbers: int, width: int) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(_CELL)
        self.conv = nn.Conv2d(numbers * _CELL**2, width, 2, stride=2)
        self.residual_blocks = nn.ModuleList([_Residual(width)])

    def forward(
        self, rays: Float[Tensor, "batch numbers height width"]
    ) -> Float[Tensor, "batch rows columns features"]:
        """Of one latent frame of any number of views."""
        return self.residual_blocks[0](self.conv(self.unshuffle(rays.to(self.conv.weight)))).movedim(1, -1)


class CameraPatchEmbedding(nn.Conv3d):
    """The stock patch embedding, plus the camera embedding of every token."""

    def forward(self, x: Tensor) -> Tensor:
        """Of a (batch, channels, frames, height, width) input."""
        embedded = super().forward(x)
        return embedded + current_call().camera_tokens.transpose(1, 2).view_as(embedded)


class ReDirectorTransformer(WanDenoiser):
    """The published network (method.md [D]) on Wan2.1-Fun-Control-Camera, whose arguments are the stock ones.

    Views lie along time, all at the same temporal positions, so that more contexts than the one that it was trained
    with can be appended. What a CLIP encoder says of the first context's first frame comes with the context.

    Args:
        ray_numbers: Channels of the folded rays.
        image_words: Tokens of the image encoder.
    """

    __module__ = "plenodream"  # see CosmosCameraTransformer

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 32,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 8960,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = 1280,
        added_kv_proj_dim: int | None = 1536,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        context_attention: str = "joint",
        layout: tuple[str, ...] = ("target", "context*"),
        context_timestep: float | None = None,
        prediction: str = "velocity",
        ray_numbers: int = 24,
        image_words: int = 257,
    ) -> None:
        super().__init__(
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=num_layers,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            image_dim=image_dim,
            added_kv_proj_dim=added_kv_proj_dim,
            rope_max_seq_len=rope_max_seq_len,
            pos_embed_seq_len=pos_embed_seq_len,
        )
        width, size = num_attention_heads * attention_head_dim, (patch_size[0], patch_size[1], patch_size[2])
        self.rope = SharedTimeRope(attention_head_dim, patch_size, rope_max_seq_len)
        self.patch_embedding = CameraPatchEmbedding(in_channels, width, kernel_size=size, stride=size)
        self.control_adapter = ControlAdapter(ray_numbers, width)
        phases = num_attention_heads * 2 * (attention_head_dim // 6)
        blocks: Any = self.blocks
        for index, block in enumerate(blocks):
            for name in ("rope_phase_qk", "rope_phase_vo"):
                setattr(block.attn1, name, nn.Sequential(nn.SiLU(), nn.Linear(width, phases, bias=False)))
            block.attn1.set_processor(PhaseAttnProcessor(index))
            block.attn2.set_processor(ImageAttnProcessor(image_words))

    @property
    def camera_width(self) -> int:
        """See `DenoiserMixin`."""
        return self.config.num_attention_heads * self.config.attention_head_dim

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """See `DenoiserMixin`."""
        return self.config.image_words, self.config.image_dim

    def rays(
        self, codec: Codec, cameras: Cameras, anchor: Float[Tensor, "*#batch 4 4"]
    ) -> Float[Tensor, "*batch frames rows columns numbers"]:
        """See `Denoiser`: embeddings of the rays of every frame, on the device of the weights."""
        cameras = replace(cameras, camera_to_world=relative_poses(cameras.camera_to_world, anchor.unsqueeze(-3)))
        batch = cameras.shape[:-1]
        embedded = [
            self.control_adapter(rays.reshape(-1, *rays.shape[-3:]))
            for rays in folded_rays(cameras, codec.temporal_factor)
        ]
        return torch.stack(embedded, dim=1).unflatten(0, batch) if batch else torch.cat(embedded)

    def camera_embedding(
        self, camera_tokens: Float[Tensor, "batch frames rows columns numbers"], views: int
    ) -> Float[Tensor, "batch frames rows columns numbers"]:
        """Each view's own."""
        return camera_tokens
