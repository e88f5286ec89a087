"""Views as a denoiser reads them: one face, whether it keeps keys and values or the views themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

_EIGHT_BITS = torch.float8_e4m3fn
_LARGEST = torch.finfo(_EIGHT_BITS).max


@dataclass(frozen=True)
class ViewTokens:
    """Views ready for a denoiser.

    Attributes:
        latents: Clean latents of the views.
        camera_tokens: Their cameras as the denoiser takes them (`Denoiser.camera_tokens`).
        image: What an image encoder says of each view's first frame; None for denoisers that are not told.
    """

    latents: Float[Tensor, "batch views channels frames height width"]
    camera_tokens: Float[Tensor, "batch views frames rows columns numbers"]
    image: Float[Tensor, "batch views patches clip"] | None = None


@dataclass(frozen=True)
class Context:
    """Clean views that `Denoiser.encode` has read, good for every target, every step and every prompt.

    The views of several stack to one; `select` says which of them each entry of a batch of targets reads.

    Attributes:
        kept: What the denoiser keeps of the views, a view an entry of the first axis. It alone knows what that is.
        index: The views that each batch entry reads; None: all of them, in order.
        scales: What kept numbers are multiplied with to be what they were; None: they are as they were.
        unread: Whether the views are kept as they came, to be read anew in every pass that attends to their keys.
    """

    kept: tuple[Float[Tensor, "entries ..."], ...]
    index: Int[Tensor, "batch context"] | None = None
    scales: tuple[Float[Tensor, "entries ..."], ...] | None = None
    unread: bool = False

    def __len__(self) -> int:
        """Views that a batch entry reads."""
        return self.kept[0].shape[0] if self.index is None else self.index.shape[1]

    @staticmethod
    def stack(parts: Sequence[Context]) -> Context:
        """The views of several, in order; of wholes, before anything is selected."""
        assert all(part.index is None for part in parts), "selected contexts do not stack"
        kept = tuple(map(_joined, zip(*(part.kept for part in parts), strict=True)))
        scales = [part.scales for part in parts if part.scales is not None]
        joined = tuple(map(torch.cat, zip(*scales, strict=True))) if scales else None
        return Context(kept, None, joined, parts[0].unread)

    def put_away(self, in_main_memory: bool, in_eight_bits: bool) -> Context:
        """The same, kept in less of the device's memory; `read` brings back what it is asked for.

        Args:
            in_main_memory: Keep it there, pinned where the device is a GPU.
            in_eight_bits: As float8 with a scale for every view and head: half of bfloat16, not exact.
        """
        kept, scales = self.kept, self.scales
        if in_eight_bits:
            scales = tuple(x.float().abs().amax((-2, -1), keepdim=True).clamp(min=1e-12) / _LARGEST for x in kept)
            kept = tuple((x / scale).to(_EIGHT_BITS) for x, scale in zip(kept, scales, strict=True))
        if in_main_memory:
            kept = tuple(torch.empty_like(x, device="cpu", pin_memory=x.is_cuda).copy_(x) for x in kept)
        return replace(self, kept=kept, scales=scales)

    def select(self, index: Int[Tensor, "batch context"]) -> Context:
        """The context of every entry of a batch: `index` names the views of each."""
        assert self.index is None, "selected already"
        return replace(self, index=index.to(self.kept[0].device))

    def fill(self, slots: int | None, source: Int[Tensor, "*batch"] | None = None) -> Context:
        """Repeat the source where a joint layout has more slots than there are views, as the paper does.

        Args:
            slots: `Denoiser.context_slots`.
            source: The view of each batch entry that is its source; the first that it reads if None.
        """
        missing = 0 if slots is None else slots - len(self)
        if missing <= 0:
            return self
        index = self.index
        if index is None:
            index = torch.arange(len(self), device=self.kept[0].device)[None]
        first = index[:, :1] if source is None else source.to(index).view(-1, 1)
        return replace(self, index=torch.cat([index, first.expand(len(index), missing)], dim=1))

    def read(self, number: int, batch: int, like: Tensor) -> Float[Tensor, "batch context ..."]:
        """One of the kept tensors for every entry of a batch, in type and on the device of another; for denoisers."""
        kept = self.kept[number]
        read = self.chosen(kept, batch) if kept.device == like.device else self._fetched(kept, batch, like.device)
        read = read.to(like.dtype)
        return read if self.scales is None else read * self.chosen(self.scales[number], batch).to(like)

    def _fetched(
        self, kept: Float[Tensor, "entries ..."], batch: int, device: torch.device
    ) -> Float[Tensor, "batch context ..."]:
        """`chosen` on another device: each view that is read is copied once, as it lies; pinned, it need not wait."""
        index = torch.arange(len(kept)).expand(batch, -1) if self.index is None else self.index
        views, places = index.unique(return_inverse=True)
        fetched = torch.stack([kept[view].to(device, non_blocking=True) for view in views.tolist()])
        return fetched[places.to(device)]

    def chosen(self, kept: Float[Tensor, "entries ..."], batch: int) -> Float[Tensor, "batch context ..."]:
        """Of something that is there for every view, what each entry of a batch reads."""
        return kept.expand(batch, *kept.shape) if self.index is None else kept[self.index.to(kept.device)]


def _joined(tensors: tuple[Tensor, ...]) -> Tensor:
    """End to end; pinned where they are, or copies to a GPU would wait for each other."""
    first = tensors[0]
    if not first.is_pinned():
        return torch.cat(tensors)
    whole = first.new_empty((sum(map(len, tensors)), *first.shape[1:]), pin_memory=True)
    return torch.cat(tensors, out=whole)
