"""What every denoiser does, whatever its backbone: take views and cameras, keep context, return a velocity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor, nn

from plenodream.models.codecs.protocol import Codec
from plenodream.models.context import Context, ViewTokens
from plenodream.types import Cameras


@dataclass(frozen=True)
class Pass:
    """Sequences that go through a denoiser together.

    Attributes:
        count: How many.
        views: Views in each.
        seen: Views that its queries attend to, its own included.
    """

    count: int
    views: int
    seen: int


class Denoiser(Protocol):
    """A video network that knows cameras and other views; nobody outside of `models` asks for more. A diffusers module.

    Attributes:
        config: What it was built with; `prediction` and `patch_size` are there whatever the backbone.
    """

    config: Any

    def state_dict(self) -> dict[str, Any]:
        """As a module's."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As a module's."""
        ...

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Its transformer blocks, whose self-attention is `attn1`."""
        ...

    @property
    def keeps_keys(self) -> bool:
        """Whether context is keys and values, made once (independent mode), and not views that every step reads."""
        ...

    @property
    def context_slots(self) -> int | None:
        """Context views that its sequence always holds (fewer are filled up with the source); None: any number."""
        ...

    @property
    def targets(self) -> int:
        """Views that it predicts in one sequence; fewer stand in several slots."""
        ...

    def rays(
        self, codec: Codec, cameras: Cameras, anchor: Float[Tensor, "*#batch 4 4"]
    ) -> Float[Tensor, "*batch frames rows columns numbers"]:
        """Cameras as it takes them (batch shape (..., frames)), relative to a camera-to-world pose."""
        ...

    def begin(self) -> None:
        """Another video begins: what step caches hold of the last one is forgotten."""
        ...

    def branch(self, name: str) -> AbstractContextManager[None]:
        """For the time of the passes of one branch of guidance, which step caches keep apart."""
        ...

    def encode(self, views: ViewTokens, recomputed: bool = False) -> Context:
        """Clean views as context: a batch of b times v views is b v entries, those of one batch entry together.

        Args:
            views: The views.
            recomputed: Whether to keep them instead of their keys and values, and to read them anew in every pass.
        """
        ...

    def predict(
        self,
        noisy: Float[Tensor, "batch targets channels frames height width"],
        timestep: Float[Tensor, "batch"],
        camera_tokens: Float[Tensor, "batch targets frames rows columns numbers"],
        context: Context,
        clean_frames: Float[Tensor, "batch frames"] | None = None,
        text: Float[Tensor, "#batch words features"] | None = None,
    ) -> Float[Tensor, "batch targets channels frames height width"]:
        """Raw prediction (velocity or x0, as the config says) for the target views.

        Args:
            noisy: x_t of the targets.
            timestep: t in [0, 1]; 1 is pure noise.
            camera_tokens: `rays` of the targets.
            context: What they read.
            clean_frames: 1 where a target frame is already known and given clean inside `noisy`, else 0.
            text: Text embedding; None for the null text.

        Raises:
            ValueError: More or fewer views than its layout has slots.
        """
        ...

    def velocity(self, noisy: Tensor, timestep: Tensor, *args, **kwargs) -> Tensor:
        """v = eps - x_0 for the targets, whatever the network predicts; arguments of `predict`."""
        ...

    def passes(self, targets: int, context: int, clean: int) -> list[Pass]:
        """What predicting some targets from `context` views each sends through it.

        Args:
            targets: How many.
            context: Views that each reads.
            clean: Views that are encoded for them.
        """
        ...

    def untold(self, words: bool, image: bool) -> str | None:
        """What it cannot do without, and where that is looked for, if it is given no words, or no image; else None."""
        ...

    def misfit(self, channels: int, factor: int) -> str | None:
        """What in its config does not fit a codec of so many channels and pixels a cell, and what would, or None."""
        ...
