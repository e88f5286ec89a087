"""A prompt from a picture, by any image-to-text model of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

_ASKED = "Describe what this video shows, in one or two sentences."
_MOST = 96  # tokens


def caption_picture(model: Path, picture: UInt8[Tensor, "height width 3"], device: str = "cpu") -> str:
    """What a picture shows, in words.

    Args:
        model: Folder of an image-to-text model with its processor; one that follows instructions is asked to describe.
        picture: RGB.
        device: Where the model runs; it is gone afterwards.

    Raises:
        ValueError: transformers is not installed, the folder holds no such model, or it says nothing.
    """
    try:
        from transformers import AutoModelForImageTextToText, AutoProcessor
    except ImportError:
        raise ValueError("--caption needs transformers: pip install 'plenodream[text]'") from None
    kind: Any = AutoModelForImageTextToText
    try:
        processor: Any = AutoProcessor.from_pretrained(model)
        network = kind.from_pretrained(model, dtype="auto").to(device).eval()
    except (ImportError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{model}: no image-to-text model of transformers ({reason})") from None
    inputs = _inputs(processor, Image.fromarray(picture.numpy())).to(device, network.dtype)
    told = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
    with torch.no_grad():
        tokens = network.generate(**inputs, max_new_tokens=_MOST, do_sample=False)[0]
    said = tokens[told:] if told and torch.equal(tokens[:told], inputs["input_ids"][0]) else tokens
    words = " ".join(processor.decode(said, skip_special_tokens=True).split())
    if not words:
        raise ValueError(f"{model}: said nothing of the first frame; expected --prompt instead")
    return words


def _inputs(processor: Any, image: Image.Image) -> Any:
    if getattr(processor, "chat_template", None) is None:
        return processor(images=image, return_tensors="pt")
    asked = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": _ASKED}]}]
    return processor.apply_chat_template(
        asked, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
