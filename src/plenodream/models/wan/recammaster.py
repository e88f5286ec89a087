"""ReCamMaster (Bai et al. 2025) on diffusers' Wan transformer: one source video, one target pose a latent frame."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.geometry.cameras import relative_poses
from plenodream.models.codecs.protocol import Codec
from plenodream.models.rays import latent_cameras
from plenodream.models.wan.attention import CallRope, PoseAttnProcessor
from plenodream.models.wan.transformer import WanDenoiser
from plenodream.types import Cameras

POSE_NUMBERS = 12  # a 3x4 camera-to-world pose, row by row


class ReCamMasterTransformer(WanDenoiser):
    """The published network (method.md [R]); its arguments are the stock ones under their stock names.

    Target then source lie along time, at positions of their own. The target's pose, relative to the start of the view
    that it is made from, is told to the tokens of both.
    """

    __module__ = "plenodream"  # see CosmosCameraTransformer

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 8960,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        context_attention: str = "joint",
        layout: tuple[str, ...] = ("target", "context"),
        context_timestep: float | None = None,
        prediction: str = "velocity",
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
        self.rope = CallRope(attention_head_dim, patch_size, rope_max_seq_len)
        width = num_attention_heads * attention_head_dim
        blocks: Any = self.blocks
        for index, block in enumerate(blocks):
            block.attn1.cam_encoder = nn.Linear(POSE_NUMBERS, width)
            block.attn1.projector = nn.Linear(width, width)
            nn.init.zeros_(block.attn1.cam_encoder.weight)
            nn.init.zeros_(block.attn1.cam_encoder.bias)
            nn.init.eye_(block.attn1.projector.weight)
            nn.init.zeros_(block.attn1.projector.bias)
            block.attn1.set_processor(PoseAttnProcessor(index))

    @property
    def camera_width(self) -> int:
        """See `DenoiserMixin`."""
        return POSE_NUMBERS

    def rays(
        self, codec: Codec, cameras: Cameras, anchor: Float[Tensor, "*#batch 4 4"]
    ) -> Float[Tensor, "*batch frames rows columns numbers"]:
        """See `Denoiser`: the pose of every latent frame, the same for all of its tokens."""
        latent = latent_cameras(cameras, codec.temporal_factor)
        poses = relative_poses(latent.camera_to_world, anchor.unsqueeze(-3))[..., :3, :].flatten(-2)
        side = codec.spatial_factor * self.config.patch_size[1]
        rows, columns = cameras.height // side, cameras.width // side
        return poses[..., None, None, :].expand(*poses.shape[:-1], rows, columns, POSE_NUMBERS)

    def camera_embedding(
        self, camera_tokens: Float[Tensor, "batch frames rows columns numbers"], views: int
    ) -> Float[Tensor, "batch frames rows columns numbers"]:
        """The target's poses relative to the context's first, for every view."""
        poses = camera_tokens[:, :, 0, 0].unflatten(-1, (3, 4))
        last = poses.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*poses.shape[:2], 1, 4)
        poses = torch.cat([poses, last], dim=-2)
        frames = poses.shape[1] // views
        told = relative_poses(poses[:, :frames], poses[:, -frames, None])[..., :3, :].flatten(-2)
        return told[:, :, None, None].expand(*told.shape[:2], *camera_tokens.shape[2:]).repeat(1, views, 1, 1, 1)
