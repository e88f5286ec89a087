"""Find a model and load it: a bundled name, a folder, or a hub id."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import torch

from plenodream.sampling.pipeline import PlenopticPipeline

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def bundled_models() -> dict[str, Path]:
    """Folders of the models in the package, by name."""
    root = Path(str(files("plenodream"))) / "bundled"
    return {folder.name: folder for folder in sorted(root.glob("*")) if (folder / "model_index.json").is_file()}


def default_device() -> str:
    """The GPU where there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_pipeline(model: str, device: str | None = None) -> PlenopticPipeline:
    """A pipeline ready to render.

    Args:
        model: Name of a bundled model, a folder that `save_pretrained` wrote, or `owner/name` on a hub; only the last
            may use the network.
        device: `cpu`, `cuda`, `cuda:1`; the GPU where there is one if None.

    Raises:
        ValueError: No such model, a folder that is none, missing or unfit weights, an unknown device.
    """
    device = device or default_device()
    try:
        usable = torch.device(device).type == "cpu" or torch.cuda.is_available()
    except RuntimeError:
        usable = False
    if not usable:
        raise ValueError(f"device {device!r}: not available here; expected cpu" + _cuda_hint())
    known = bundled_models()
    folder = known.get(model, Path(model))
    if folder.is_dir():
        _check_folder(folder)
    elif model.count("/") != 1 or model.startswith((".", "/")):
        raise ValueError(
            f"no model {model!r}: expected one of {', '.join(known) or 'none bundled'}, "
            "a model's folder, or owner/name on the hub"
        )
    dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
    try:
        pipeline = PlenopticPipeline.from_pretrained(
            str(folder) if folder.is_dir() else model, dtype=dtype, low_cpu_mem_usage=False
        )
    except (OSError, KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"model {model}: cannot be loaded ({reason}); expected a folder written by save_pretrained"
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _check_folder(folder: Path) -> None:
    """Refuse a model folder with parts missing, before anything is read."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise ValueError(
            f"{folder}: not a model, it has no model_index.json; expected a folder written by save_pretrained"
        )
    try:
        parts = json.loads(index.read_text())
    except ValueError:
        raise ValueError(f"{index}: not valid JSON; expected what save_pretrained wrote") from None
    if parts.get("_class_name") != "PlenopticPipeline":
        raise ValueError(f"{index}: a {parts.get('_class_name')}; expected a PlenopticPipeline")
    for part in ("transformer", "codec"):
        found = [path for pattern in _WEIGHTS for path in (folder / part).glob(pattern)]
        if not found:
            raise ValueError(f"{folder / part}: no weights; expected a .safetensors file there: copy the model again")
    _check_keys(folder / "transformer")


def _check_keys(folder: Path) -> None:
    """Refuse weights that lack tensors of the network: diffusers would fill them with random numbers."""
    from safetensors import safe_open

    from plenodream.models.cosmos import CosmosCameraTransformer

    config = json.loads((folder / "config.json").read_text())
    with torch.device("meta"):
        expected = set(CosmosCameraTransformer.from_config(config).state_dict())
    stored: set[str] = set()
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="pt") as file:
                stored |= set(file.keys())
        except Exception:
            raise ValueError(f"{path}: damaged or cut off; expected a safetensors file: copy the model again") from None
    if missing := sorted(expected - stored):
        raise ValueError(
            f"{folder}: weights lack {len(missing)} tensors of the network, e.g. {missing[0]}; copy it again"
        )


def _cuda_hint() -> str:
    return ", cuda" if torch.cuda.is_available() else " (no GPU is visible to torch)"
