"""Words and pictures to embeddings, by the encoders that published networks were trained with.

Words are encoded once and kept on disk; the encoder, which may be larger than the network, is gone before sampling.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor, nn

from plenodream.files.atomic import write_file
from plenodream.files.documents import read_document
from plenodream.models.conditions import NEUTRAL, Conditions, neutral_conditions
from plenodream.models.weights import weights_hash

SETTINGS = "text.json"
_WORDS = 512  # that every published network reads, padded
_HOMES = {"umt5": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "reason1": "nvidia/Cosmos-Predict2.5-2B"}
_CLIP_HOME = "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class TextSettings:
    """How a model is told words; kept beside its weights.

    Attributes:
        words: Which encoder it was trained with (`encode_words`); None: it is told none.
        base: Folder whose encoders it uses where it has none of its own.
        negative: What its publisher lets guidance lead away from.
    """

    words: str | None = None
    base: str | None = None
    negative: str = ""


def model_conditions(
    folder: Path,
    prompt: str | None = None,
    negative: str | None = None,
    device: torch.device | str = "cpu",
    projection: nn.Module | None = None,
) -> Conditions:
    """What a model is told besides views and cameras.

    Encoders are looked for in the model's folder (`text_encoder`, `tokenizer`, `image_encoder`), then in the base that
    its `text.json` names.

    Args:
        folder: The model's.
        prompt: Words to follow; None: the embedding that the folder holds, or no words.
        negative: Words that guidance leads away from; None: the publisher's.
        device: Where the encoders run.
        projection: The network's `word_projection`, after which words are kept.

    Raises:
        ValueError: Words without an encoder for them.
    """
    settings = text_settings(folder)
    see = _seeing(_part(folder, settings, "image_encoder"), device)
    neutral = neutral_conditions(folder)
    if prompt is None and negative is None and (folder / NEUTRAL).is_file():
        return Conditions(neutral.prompt, neutral.negative, see)
    encode = word_encoder(folder, device, projection)
    if encode is None:
        if prompt is not None or negative is not None:
            raise ValueError(
                f"{folder}: words were given, but the model has no encoder for them; expected text_encoder and "
                "tokenizer in its folder or its base, or no --prompt"
            )
        return Conditions(neutral.prompt, neutral.negative, see)
    told = [prompt or "", settings.negative if negative is None else negative]
    words, others = encode(told)
    return Conditions(words, others, see)


def text_settings(folder: Path) -> TextSettings:
    """Those of a model's folder.

    Raises:
        ValueError: Damaged.
    """
    path = folder / SETTINGS
    return read_document(path, TextSettings, "copy the model again") if path.is_file() else TextSettings()


def missing_encoders(folder: Path, image: bool) -> list[str]:
    """What a model's folder and its base lack to be told words, or what is seen; each with who publishes it.

    Args:
        folder: The model's.
        image: Whether its network is told what CLIP sees.
    """
    settings = text_settings(folder)
    home = _HOMES.get(settings.words or "")
    wanted = {"text_encoder": home, "tokenizer": home, "image_encoder": _CLIP_HOME if image else None}
    return [
        f"{name} (of {source})"
        for name, source in wanted.items()
        if source is not None and _part(folder, settings, name) is None
    ]


def word_encoder(
    folder: Path, device: torch.device | str = "cpu", projection: nn.Module | None = None
) -> Callable[[list[str]], list[Tensor]] | None:
    """`encode_words` with the encoder of a model's folder or of its base; None where neither has one."""
    settings = text_settings(folder)
    encoder, tokenizer = (_part(folder, settings, name) for name in ("text_encoder", "tokenizer"))
    if encoder is None or tokenizer is None or settings.words is None:
        return None
    kind = settings.words
    return lambda texts: encode_words(kind, encoder, tokenizer, texts, device, projection)


def encode_words(
    kind: str,
    encoder: Path,
    tokenizer: Path,
    texts: list[str],
    device: torch.device | str = "cpu",
    projection: nn.Module | None = None,
) -> list[Float[Tensor, "1 words features"]]:
    """Embeddings of some texts, from the disk where they were made before.

    Args:
        kind: `umt5` (Wan) or `reason1` (Cosmos-Predict2.5: all layers of a language model, normalised, end to end).
        encoder: Folder of the transformers model.
        tokenizer: Folder of its tokenizer.
        texts: The texts.
        device: Where to run it.
        projection: What they go through before they are kept.

    Raises:
        ValueError: Unknown kind; transformers is not installed; no encoder there.
    """
    if kind not in _ENCODERS:
        raise ValueError(f"words are {kind!r}: expected {' or '.join(_ENCODERS)}")
    kept = {text: _cached(kind, encoder, tokenizer, text, projection) for text in texts}
    missing = [text for text, path in kept.items() if not path.is_file()]
    if missing:
        transformers = _transformers()
        with torch.no_grad():
            made = _ENCODERS[kind](transformers, encoder, tokenizer, missing, device)
            if projection is not None:
                made = projection(made.to(next(projection.parameters())))
        for text, embedding in zip(missing, made.split(1), strict=True):
            kept[text].parent.mkdir(parents=True, exist_ok=True)
            write_file(kept[text], save({"words": embedding.cpu().contiguous()}))
    return [load_file(kept[text])["words"] for text in texts]


def _umt5(transformers: Any, encoder: Path, tokenizer: Path, texts: list[str], device: Any) -> Tensor:
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline

    parts = _parts(transformers, transformers.UMT5EncoderModel, encoder, tokenizer, device)
    return WanPipeline._get_t5_prompt_embeds(parts, texts, max_sequence_length=_WORDS, device=parts.place)  # type: ignore[arg-type]


def _reason1(transformers: Any, encoder: Path, tokenizer: Path, texts: list[str], device: Any) -> Tensor:
    from diffusers.pipelines.cosmos.pipeline_cosmos2_5_predict import Cosmos2_5_PredictBasePipeline as Pipeline

    network = transformers.Qwen2_5_VLForConditionalGeneration
    parts = _parts(transformers, network, encoder, tokenizer, device)
    return Pipeline._get_prompt_embeds(parts, texts, max_sequence_length=_WORDS, device=parts.place)  # type: ignore[arg-type]


_ENCODERS: dict[str, Callable[..., Tensor]] = {"umt5": _umt5, "reason1": _reason1}


def _parts(transformers: Any, network: Any, encoder: Path, tokenizer: Path, device: Any) -> SimpleNamespace:
    """What diffusers' own ways to embed words look at; freed with the call."""
    try:
        model = network.from_pretrained(encoder, dtype="auto").eval()
        place = roomy_device(sum(file.stat().st_size for file in encoder.glob("*.safetensors")), device)
        words = transformers.AutoTokenizer.from_pretrained(tokenizer)
        return SimpleNamespace(text_encoder=model.to(place), tokenizer=words, place=place)
    except (ImportError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{encoder}: no text encoder can be loaded ({reason}); copy it again") from None


def roomy_device(size: int, device: torch.device | str) -> torch.device:
    """Where so many bytes of weights work: on a GPU that has a fifth more free, else in main memory, slower. Ours."""
    place = torch.device(device)
    full = place.type == "cuda" and torch.cuda.mem_get_info(place)[0] < 1.2 * size
    return torch.device("cpu") if full else place


def _seeing(folder: Path | None, device: torch.device | str) -> Callable[[Tensor], Tensor] | None:
    """What CLIP sees in pictures: the last layer but one, of the picture squeezed into its square, as published."""
    if folder is None:
        return None
    loaded: list[Any] = []

    @torch.no_grad()
    def see(pictures: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views patches clip"]:
        if not loaded:
            loaded.append(_transformers().CLIPVisionModel.from_pretrained(folder, dtype="auto").to(device).eval())
        side = loaded[0].config.image_size
        small = torch.nn.functional.interpolate(pictures.float(), (side, side), mode="bicubic", align_corners=False)
        mean, std = (small.new_tensor(x).view(3, 1, 1) for x in (_CLIP_MEAN, _CLIP_STD))
        inputs = ((small + 1) / 2 - mean) / std
        seen = loaded[0](inputs.to(loaded[0].device, loaded[0].dtype), output_hidden_states=True)
        return seen.hidden_states[-2]

    return see


def _part(folder: Path, settings: TextSettings, name: str) -> Path | None:
    places = [folder / name] if settings.base is None else [folder / name, Path(settings.base) / name]
    return next((place for place in places if place.is_dir()), None)


def _cached(kind: str, encoder: Path, tokenizer: Path, text: str, projection: nn.Module | None) -> Path:
    """Where the embedding of a text is kept: by the text, the projection's weights, and the encoder's files.

    Of those the names, sizes and dates count.
    """
    files = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(encoder.iterdir())]
    projected = None if projection is None else weights_hash(projection.state_dict())
    about = repr([kind, str(encoder.resolve()), str(tokenizer.resolve()), files, text, projected])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "plenodream" / "words" / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.safetensors"


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise ValueError("encoding words or pictures needs transformers: pip install 'plenodream[text]'") from None
    return transformers
