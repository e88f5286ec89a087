"""Caches of diffusers that shorten steps (First-Block, TaylorSeer, MagCache), as our samplers use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any


class StepCaches:
    """What a denoiser on diffusers' `CacheMixin` adds: they begin anew with a video, and serve each branch apart."""

    def begin(self) -> None:
        """See `Denoiser`."""
        cached: Any = self
        if cached.is_cache_enabled:
            cached._reset_stateful_cache()

    @contextmanager
    def branch(self, name: str) -> Iterator[None]:
        """See `Denoiser`."""
        cached: Any = self
        with cached.cache_context(name) if cached.is_cache_enabled else nullcontext():
            yield
