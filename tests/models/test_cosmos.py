"""The Cosmos adapter beside the published network and the stock one."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import CosmosTransformer3DModel
from einops import rearrange
from safetensors.torch import load_file

from plenodream.models.cosmos import CosmosCameraTransformer
from plenodream.models.denoiser import LAYOUTS, ViewTokens
from plenodream.models.weights import from_published

REFERENCE = Path(__file__).parents[1] / "reference" / "cosmos_camera_dit"


@pytest.mark.parametrize(
    ("network", "layout"), [("in4_out1", "middle-of-4"), ("in1_out2", "source-between-targets")]
)
@torch.no_grad()
def test_the_published_network_is_reproduced(network, layout):
    config = json.loads((REFERENCE / network / "config.json").read_text())
    tensors = load_file(REFERENCE / network / "tensors.safetensors")
    model = CosmosCameraTransformer(
        in_channels=18,
        out_channels=config["out_channels"],
        num_attention_heads=config["num_heads"],
        attention_head_dim=config["model_channels"] // config["num_heads"],
        num_layers=config["num_blocks"],
        mlp_ratio=config["mlp_ratio"],
        text_embed_dim=config["crossattn_emb_channels"],
        adaln_lora_dim=config["adaln_lora_dim"],
        use_crossattn_projection=True,
        crossattn_proj_in_channels=config["crossattn_proj_in_channels"],
        encoder_hidden_states_channels=config["crossattn_emb_channels"],
        context_attention="joint",
        layout=LAYOUTS[layout],
        context_timestep=None,
    )
    model.load_state_dict(from_published(load_file(REFERENCE / network / "weights.safetensors")), strict=True)
    views, targets = config["views"], config["target_views"]
    context = [view for view in range(views) if view not in targets]
    latents = rearrange(tensors["latents"], "b c (v f) h w -> b v c f h w", v=views)
    rays = rearrange(tensors["plucker_tokens"], "(v f) h w n -> 1 v f h w n", v=views)
    velocity = model.predict(
        latents[:, targets],
        tensors["timestep"][0] * config["timestep_scale"],
        rays[:, targets],
        ViewTokens(latents[:, context], rays[:, context]),
        text=tensors["text_embeds"],
    )
    expected = rearrange(tensors["velocity"], "b c (v f) h w -> b v c f h w", v=views)[:, targets]
    assert (velocity - expected).norm() <= 2e-5 * expected.norm()


def stock_of(model):
    """The stock network with a model's weights."""
    config = {key: model.config[key] for key in CosmosTransformer3DModel.load_config(model.config)[0]} if False else {}
    return config
