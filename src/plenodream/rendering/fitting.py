"""Make a pipeline fit its machine, all of it by diffusers' own means."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import torch
from diffusers.hooks import FirstBlockCacheConfig, TaylorSeerCacheConfig
from torch import nn

from plenodream.models.attention import attend
from plenodream.rendering.fit import Fit

if TYPE_CHECKING:
    from plenodream.rendering.pipeline import PlenopticPipeline

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# What stays as it is: small, and in front of everything else.
_KEPT = ("patch_embed", "patch_embedding", "crossattn_proj", "control_adapter", "time_embed", "condition_embedder")
_KEPT += ("norm_out", "proj_out", "cam_encoder")
# What TaylorSeer foresees; the names that diffusers looks for by itself are in no network of ours.
TAYLOR_MODULES = [r"(transformer_)?blocks\.\d+\.(attn1|attn2|ffn?)"]


def chosen_dtype(fit: Fit, device: str) -> torch.dtype:
    """Of weights and activations."""
    default = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
    return default if fit.dtype is None else _TYPES[fit.dtype]


def loading_options(fit: Fit, device: str, dtype: torch.dtype) -> dict[str, Any]:
    """Arguments of `from_pretrained`.

    Raises:
        ValueError: The quantiser's package is not installed, or does not compute on the device.
    """
    if fit.quantize != "nf4":
        # Without accelerate there is no other way, and our networks are filled to the last tensor.
        return {"dtype": dtype, "low_cpu_mem_usage": False}
    if torch.device(device).type != "cuda":
        raise ValueError(f"--quantize nf4 on {device}: bitsandbytes needs a CUDA GPU; expected 8bit or 4bit")
    from diffusers import BitsAndBytesConfig
    from diffusers.quantizers import PipelineQuantizationConfig

    _needed("nf4", "bitsandbytes", "accelerate")
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=[*_KEPT, "norm1", "norm2", "norm3"],  # names, not parts of them
    )
    return {"dtype": dtype, "quantization_config": PipelineQuantizationConfig(quant_mapping={"transformer": config})}


def _needed(quantizer: str, *packages: str) -> None:
    try:
        for package in packages:
            __import__(package)
    except ImportError:
        raise ValueError(f"--quantize {quantizer} needs more: pip install {' '.join(packages)}") from None


def fit_pipeline(pipeline: PlenopticPipeline, fit: Fit, device: str, dtype: torch.dtype) -> PlenopticPipeline:
    """Do to a loaded pipeline what is asked for, and put it on its device.

    Raises:
        ValueError: What this model or machine cannot do.
    """
    network: Any = pipeline.transformer
    pipeline.context_cache = fit.context_cache
    if fit.context_cache not in ("device", "cpu") and not network.keeps_keys:
        raise ValueError(
            f"--context-cache {fit.context_cache}: this network keeps no keys and values; expected device or cpu"
        )
    if fit.quantize == "fp8":
        network.enable_layerwise_casting(
            storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype, skip_modules_pattern=("norm", *_KEPT)
        )
    elif fit.quantize in ("8bit", "4bit"):
        _to_gguf(network, fit.quantize, dtype)
    if fit.tiling:
        if not hasattr(pipeline.codec, "enable_tiling"):
            raise ValueError(f"--tiling: {type(pipeline.codec).__name__} has no tiles, it takes little memory")
        pipeline.codec.enable_tiling()
        pipeline.codec.enable_slicing()
    if fit.attention is not None:
        _set_backend(network, fit.attention, device, dtype)
    if fit.step_cache is not None:
        foreseen = TaylorSeerCacheConfig(cache_identifiers=TAYLOR_MODULES)
        network.enable_cache(foreseen if fit.step_cache == "taylorseer" else FirstBlockCacheConfig())
    if fit.compiled:
        network.compile_repeated_blocks()
    return _placed(pipeline, fit, device)


def _placed(pipeline: PlenopticPipeline, fit: Fit, device: str) -> PlenopticPipeline:
    if fit.offload == "none":
        return pipeline.to(device)
    if fit.offload == "model":
        try:
            pipeline.enable_model_cpu_offload(device=device)
        except ImportError:
            raise ValueError("--offload model needs accelerate: pip install accelerate") from None
        return pipeline
    streams = torch.device(device).type == "cuda"
    options: dict[str, Any] = {"onload_device": torch.device(device), "use_stream": streams}
    if fit.offload == "disk":
        pipeline.parked = tempfile.TemporaryDirectory(prefix="plenodream-offload-")  # goes with the pipeline
        options["offload_to_disk_path"] = pipeline.parked.name
    for part in (pipeline.transformer, pipeline.codec):
        if any(True for _ in part.parameters()):
            part.enable_group_offload(**options, offload_type="block_level", num_blocks_per_group=1)
    return pipeline


def _set_backend(network: Any, name: str, device: str, dtype: torch.dtype) -> None:
    """Some backends say only when they are asked to compute that they cannot: they are asked here."""
    from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend

    known = [backend.value for backend in AttentionBackendName]
    if name not in known:
        raise ValueError(f"--attention {name}: expected one of {', '.join(known)}")
    try:
        some = torch.zeros(1, 1, 128, network.config.attention_head_dim, device=device, dtype=dtype)
        with attention_backend(AttentionBackendName(name)):
            attend(some, some, some, AttentionBackendName(name))
        network.set_attention_backend(name)
    except Exception as error:  # whatever a kernel that is not made for this device makes of it
        raise ValueError(f"--attention {name}: not usable here ({' '.join(str(error).split())[:200]})") from None


def _to_gguf(network: nn.Module, quantizer: str, dtype: torch.dtype) -> None:
    """Matrices of the blocks as groups of 32 numbers of 8 or 4 bits with a scale each, in place."""
    _needed(quantizer, "gguf")
    import gguf
    from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter

    parameter: Any = GGUFParameter
    kind = {"8bit": gguf.GGMLQuantizationType.Q8_0, "4bit": gguf.GGMLQuantizationType.Q4_0}[quantizer]
    for path, module in list(network.named_modules()):
        if type(module) is not nn.Linear or module.in_features % 32 or any(kept in path for kept in ("norm", *_KEPT)):
            continue
        packed = torch.from_numpy(gguf.quants.quantize(module.weight.detach().float().numpy(), kind))
        small = GGUFLinear(module.in_features, module.out_features, module.bias is not None, compute_dtype=dtype)
        small.weight, small.bias = parameter(packed, quant_type=kind), module.bias
        parent, _, name = path.rpartition(".")
        setattr(network.get_submodule(parent), name, small.requires_grad_(False))
