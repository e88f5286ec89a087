"""What a network is told besides views and cameras: words, and what an image encoder sees in a view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

NEUTRAL = "text.safetensors"


@dataclass(frozen=True)
class Conditions:
    """Of one model or scene.

    Attributes:
        prompt: Embedding of the words to follow; None for the null text.
        negative: Embedding of those that guidance leads away from.
        see: What the image encoder says of pictures (views, 3, height, width) in [-1, 1]; None where there is none.
    """

    prompt: Float[Tensor, "1 words features"] | None = None
    negative: Float[Tensor, "1 others features"] | None = None
    see: Callable[[Float[Tensor, "views 3 height width"]], Float[Tensor, "views patches clip"]] | None = None


NOTHING = Conditions()


def neutral_conditions(folder: Path) -> Conditions:
    """The words that a model's folder holds for where none are given; the null text where it has none.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / NEUTRAL
    if not path.is_file():
        return NOTHING
    try:
        stored = load_file(path)
        return Conditions(stored["prompt"], stored["negative"])
    except (OSError, SafetensorError, KeyError):
        raise ValueError(f"{path}: damaged; expected the embeddings prompt and negative: copy it again") from None
