"""What views will see and cost, in numbers and in words, before they are rendered. Ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from plenodream.memory.windows import plan_windows
from plenodream.rendering.cost import estimate_cost
from plenodream.rendering.model import Model
from plenodream.rendering.outlook import foresee
from plenodream.rendering.preview import Preview
from plenodream.rendering.settings import Changes
from plenodream.rendering.source import SOURCE
from plenodream.types import Cameras, View

# Degrees around the subject that real clips bear by the depth that a bundled network sees: edges of near things tear
# from about the first on, and at the second things come apart (docs/real_clips.md: 10 and 25 degrees, looked at).
FRAYS, PARTS = 10.0, 25.0

Level = Literal["good", "doubtful", "bad"]


@dataclass(frozen=True)
class Judgement:
    """What is to be expected of a view.

    Attributes:
        level: `good`; `doubtful`: damaged, or beyond a model's training; `bad`: hardly usable, or refused.
        reasons: Why not good, one sentence each.
    """

    level: Level
    reasons: tuple[str, ...] = ()


def judge(shown: Preview, model: Model, subject_distance: float) -> Judgement:
    """What is to be expected of a view: how far it goes, and whether its depth is known well enough."""
    found: list[tuple[Level, str]] = []
    limit = None if model.reach is None else model.reach * subject_distance
    if limit is not None and shown.travel > limit:
        found.append(("doubtful", f"farther than the model was trained to go ({limit:.2g} m)"))
    if shown.depth == "assumed" and model.needs_depth:
        found.append(("bad", "the point cloud cannot render it: give --depth, or a camera that only turns or zooms"))
    if shown.depth == "assumed" and model.sees_depth and round(shown.around, 1) > FRAYS:
        angle = f"{shown.around:.0f} degrees around the subject by the model's own depth"
        fewer = f"give --depth, or go {FRAYS:g} degrees at most (docs/real_clips.md)"
        apart = round(shown.around, 1) >= PARTS
        said = f"things come apart from {PARTS:g} on" if apart else f"edges of near things tear beyond {FRAYS:g}"
        found.append(("bad" if apart else "doubtful", f"{angle}: on real clips {said}; {fewer}"))
    levels = {level for level, _ in found}
    worst: Level = "bad" if "bad" in levels else "doubtful" if levels else "good"
    return Judgement(worst, tuple(reason for _, reason in found))


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


def view_words(shown: Preview, judged: Judgement) -> list[str]:
    """What one view will see, and what is to be expected of it, as lines of text."""
    depth = "assumed: all drawn at the subject's distance" if shown.depth == "assumed" else shown.depth
    seen = (
        f"{sum(shown.unseen) / len(shown.unseen):.0%} unseen on average, {max(shown.unseen):.0%} at most; "
        f"goes up to {shown.travel:.2g} m, turns up to {shown.turn:.0f} degrees; depth {depth}"
    )
    return [f"{shown.name}: {line}" for line in (seen, *judged.reasons)]


def cost_words(views: int, cost: Mapping[str, Any]) -> str:
    """What so many views will take, by `plan_cost`, as a line of text."""
    minutes = cost["seconds"] / 60
    time = f"{cost['seconds']:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
    return (
        f"{views} view{'s' * (views != 1)} and {cost['merged']} merged for them in {cost['windows']} "
        f"window{'s' * (cost['windows'] != 1)} with {cost['model']}: about {time} and "
        f"{cost['memory'] / 2**30:.1f} GiB, estimated"
    )
