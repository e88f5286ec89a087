"""Tiny checkpoints with random weights in the layouts of their publishers."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, CosmosTransformer3DModel
from torch import Tensor

from plenodream.models.codecs.wan import WanCodec
from plenodream.models.cosmos.keys import TRANSFORMER_KEYS as COSMOS_KEYS
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.layout import LAYOUTS
from plenodream.models.wan.keys import TRANSFORMER_KEYS, VAE_KEYS
from plenodream.models.wan.recammaster import ReCamMasterTransformer
from plenodream.models.wan.redirector import ReDirectorTransformer

_WAN = {"num_attention_heads": 1, "text_dim": 16, "freq_dim": 16, "ffn_dim": 32, "num_layers": 2}


def network(name: str, seed: int = 0):
    """A network of a format with weights that leave nothing at zero."""
    torch.manual_seed(seed)
    if name == "recammaster":
        made = ReCamMasterTransformer(**_WAN)
    elif name == "redirector":
        made = ReDirectorTransformer(**_WAN, image_dim=24, added_kv_proj_dim=128)
    elif name == "wan-vae":
        made = WanCodec(base_dim=4)
    else:
        layout = LAYOUTS["middle-of-4" if name == "plenoptic" else "source-between-targets"]
        made = CosmosCameraTransformer(
            in_channels=18,
            num_attention_heads=2,
            attention_head_dim=24,
            num_layers=2,
            text_embed_dim=16,
            adaln_lora_dim=8,
            rope_scale=(1.0, 3.0, 3.0),
            use_crossattn_projection=True,
            crossattn_proj_in_channels=32,
            encoder_hidden_states_channels=16,
            context_attention="joint",
            layout=layout,
            context_timestep=1e-4,
        )
    for tensor in made.state_dict().values():
        tensor.normal_(0, 0.1)
    return made.eval()


STOCK_COSMOS = {
    "in_channels": 17,
    "out_channels": 16,
    "num_attention_heads": 2,
    "attention_head_dim": 24,
    "num_layers": 2,
    "text_embed_dim": 16,
    "adaln_lora_dim": 8,
    "patch_size": (1, 2, 2),
    "rope_scale": (1.0, 2.0, 2.0),
    "extra_pos_embed_type": None,
    "use_crossattn_projection": True,
    "crossattn_proj_in_channels": 32,
    "encoder_hidden_states_channels": 16,
}


def write_stock_cosmos(folder: Path, **changes) -> CosmosTransformer3DModel:
    """A pipeline's folder of diffusers as Cosmos-Predict2.5 has it: transformer and vae; returns the network."""
    torch.manual_seed(0)
    made = CosmosTransformer3DModel(**(STOCK_COSMOS | changes))
    made.save_pretrained(folder / "transformer")
    AutoencoderKLWan(base_dim=4).save_pretrained(folder / "vae")
    return made.eval()


def published(name: str, made) -> dict[str, Tensor]:
    """Its weights under the publisher's names."""
    keys = {"recammaster": TRANSFORMER_KEYS, "redirector": TRANSFORMER_KEYS, "wan-vae": VAE_KEYS}.get(name, COSMOS_KEYS)
    return {keys.published(ours): tensor for ours, tensor in made.state_dict().items()}


def write_vae(folder: Path) -> Path:
    """`Wan2.1_VAE.pth`."""
    torch.save(published("wan-vae", network("wan-vae")), folder / "Wan2.1_VAE.pth")
    return folder / "Wan2.1_VAE.pth"


def write_checkpoint(name: str, folder: Path) -> tuple[Path, Path | None]:
    """A checkpoint as its publisher lays it out, and its base where it holds only what was trained."""
    weights = published(name, network(name))
    if name == "recammaster":
        torch.save({"state_dict": {f"pipe.dit.{key}": tensor for key, tensor in weights.items()}}, folder / "x.ckpt")
        return folder / "x.ckpt", None
    if name != "redirector":
        ema = {f"net_ema.{key}": tensor for key, tensor in weights.items()}
        others = {"net.x_embedder.proj.1.weight": torch.zeros(1), "net_ema.pos_embedder.seq": torch.zeros(3)}
        torch.save(ema | others, folder / "x_ema_bf16.pt")
        return folder / "x_ema_bf16.pt", None
    from safetensors.torch import save_file

    trained = {key: tensor for key, tensor in weights.items() if ".self_attn." in key}
    save_file({key: tensor.contiguous() for key, tensor in trained.items()}, folder / "step20000.safetensors")
    base = folder / "base"
    base.mkdir()
    beneath = published(name, network(name, seed=1))
    beneath = {key: tensor for key, tensor in beneath.items() if "rope_phase" not in key}
    rest = {key: weights[key] if ".self_attn." not in key else tensor for key, tensor in beneath.items()}
    save_file({key: tensor.contiguous() for key, tensor in rest.items()}, base / "diffusion_pytorch_model.safetensors")
    return folder / "step20000.safetensors", base
