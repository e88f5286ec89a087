"""What views will see and cost, in numbers and in words, before they are rendered. Ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from plenodream.memory.windows import plan_windows
from plenodream.rendering.cost import estimate_cost
from plenodream.rendering.model import Model
from plenodream.rendering.outlook import foresee
from plenodream.rendering.preview import Preview
from plenodream.rendering.settings import Changes
from plenodream.rendering.source import SOURCE
from plenodream.types import Cameras, View


def plan_cost(
    model: Model, source: View, targets: Mapping[str, Cameras], changes: Changes | None = None
) -> dict[str, Any]:
    """Windows, merged views, seconds and memory of a render, as JSON."""
    workings = model.generator.workings
    frames = workings.frames or len(source)
    windows = plan_windows(len(source), frames, workings.overlap)
    settings = model.settings if changes is None else changes.of(model.settings)
    groups = [list(targets)[n : n + workings.targets] for n in range(0, len(targets), workings.targets)]
    owed = [(group, number) for number in range(len(windows)) for group in groups]
    work = foresee({SOURCE: source.cameras, **targets}, windows, owed, settings, fewest=workings.fewest)
    contexts, merged = (item.contexts for item in work), {item.view for item in work} - set(targets)
    cost = estimate_cost(model.generator, contexts, frames, source.cameras.height, source.cameras.width)
    return {"model": model.name, "windows": len(windows), "merged": len(merged), **asdict(cost)}


def plan_words(previews: Sequence[Preview], cost: Mapping[str, Any], reach: float | None) -> list[str]:
    """The same as lines of text.

    Args:
        previews: What each view will see.
        cost: From `plan_cost`.
        reach: How far (metres) a model was trained to go; None: not known.
    """
    lines = []
    for one in previews:
        beyond = reach is not None and one.travel > reach
        far = f"; farther than the model was trained to go ({reach:.2g} m)" if beyond else ""
        lines.append(
            f"{one.name}: {sum(one.unseen) / len(one.unseen):.0%} unseen on average, {max(one.unseen):.0%} at most; "
            f"goes {one.travel:.2g} m, turns {one.turn:.0f} degrees; depth {one.depth}{far}"
        )
    minutes = cost["seconds"] / 60
    time = f"{cost['seconds']:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
    views = f"{len(previews)} view{'s' * (len(previews) != 1)} and {cost['merged']} merged for them"
    lines.append(
        f"{views} in {cost['windows']} window{'s' * (cost['windows'] != 1)} with {cost['model']}: about {time} and "
        f"{cost['memory'] / 2**30:.1f} GiB, estimated"
    )
    return lines
