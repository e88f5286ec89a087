"""Which model a scene was rendered by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from plenodream.models.weights import weights_hash


def fingerprint(parts: Mapping[str, Any], scheduler: Any, loaded: Path, altered: bool = False) -> str:
    """Hash of weights and configs.

    Args:
        parts: The networks by name.
        scheduler: Their scheduler.
        loaded: The folder that they were loaded from, if any: its files count for a network whose own tensors are no
            longer what was loaded (quantised, or taken apart for offload).
        altered: They are not, whatever they look like.
    """
    digest = hashlib.sha256()
    for name, part in parts.items():
        folder = loaded / name
        weights = _stored(folder) if (altered or _altered(part)) and folder.is_dir() else part.state_dict()
        digest.update(json.dumps(_public(part.config), sort_keys=True, default=str).encode())
        digest.update(weights_hash(weights).encode())
    digest.update(json.dumps(_public(scheduler.config), sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def _altered(part: nn.Module) -> bool:
    quantised = getattr(part, "hf_quantizer", None) is not None
    return quantised or any(tensor.is_meta for tensor in part.state_dict().values())


def _stored(folder: Path) -> dict[str, Any]:
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def _public(config: Mapping) -> dict:
    """A config without diffusers' own bookkeeping (versions, paths, quantisation), which says nothing of the model.

    A codec without depth is the same as one from before there were others.
    """
    said = {key: value for key, value in config.items() if not key.startswith("_") and key != "quantization_config"}
    return {key: value for key, value in said.items() if (key, value) != ("depth", False)}
