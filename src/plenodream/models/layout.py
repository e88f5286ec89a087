"""How views lie in one sequence along time, as data."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

CONTEXT, TARGET, ANY_CONTEXT = "context", "target", "context*"

# `context*` takes any number of context views.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "target-first": (TARGET, ANY_CONTEXT),
    "target-then-source": (TARGET, CONTEXT),
    "middle-of-4": (CONTEXT, CONTEXT, TARGET, CONTEXT, CONTEXT),
    "source-between-targets": (TARGET, CONTEXT, TARGET),
}


def context_slots(layout: tuple[str, ...]) -> int | None:
    """Context views that a layout always holds; None: any number."""
    return None if ANY_CONTEXT in layout else layout.count(CONTEXT)


def lay_out(
    layout: tuple[str, ...], target: Float[Tensor, "batch targets ..."], context: Float[Tensor, "batch views ..."]
) -> tuple[Float[Tensor, "batch slots ..."], list[int]]:
    """Views in the order of a layout, and the slots that are targets.

    Raises:
        ValueError: If the layout does not hold as many contexts or targets as are given.
    """
    slots: list[Tensor] = []
    target_slots: list[int] = []
    contexts, targets = iter(context.unbind(1)), iter(target.unbind(1))
    try:
        for slot in layout:
            if slot == ANY_CONTEXT:
                slots.extend(contexts)
            elif slot == CONTEXT:
                slots.append(next(contexts))
            else:
                target_slots.append(len(slots))
                slots.append(next(targets))
    except StopIteration:
        slots = []
    if len(slots) != context.shape[1] + target.shape[1]:
        raise ValueError(
            f"layout {list(layout)} was given {context.shape[1]} context and {target.shape[1]} target views; "
            "expected as many as it has slots (repeat the source to fill the context)"
        )
    return torch.stack(slots, dim=1), target_slots
