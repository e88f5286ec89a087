"""The context of a view: the source kept or not, what is merged, what is compared over which frames."""

from dataclasses import replace

import pytest
import torch

from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.memory.windows import Window
from plenodream.rendering.choice import choose_context
from plenodream.rendering.source import still_cameras

SOURCE = still_cameras(6, 16, 16)
WHOLE = Window(0, 6, 0)


def views(*names):
    return {"source": SOURCE} | {t.name: trajectory_cameras(t, SOURCE) for t in parse_trajectories(names)}


def choose(target, stored, settings, window=WHOLE, render=lambda step: None):
    return choose_context(target, stored, window, settings, torch.Generator().manual_seed(0), render)


# A target turned away from the source, beside views that see more of it.
STORED = views("rotate-left:angle=60", "rotate-left:angle=80", "rotate-left:angle=100", "rotate-left:angle=70")
TARGET = views("rotate-left:angle=90")["rotate-left-angle-90"]


@pytest.mark.parametrize("strategy", ["fov", "coverage", "pose", "last", "source", "random"])
@pytest.mark.parametrize("candidates", [2, 4])
def test_a_source_that_is_kept_is_context_first_and_never_merged(settings, strategy, candidates):
    merges = []
    choice = choose(TARGET, STORED, settings(2, candidates, strategy, keep_source=True), render=merges.append)
    assert next(iter(choice.scores)) == "source" and len(choice.scores) == 2
    assert not any("source" in inputs for inputs in choice.merged.values())
    assert set(choice.candidates) == set(STORED)
    merging = candidates > 2 and strategy not in ("last", "source", "random")
    assert [step.name for step in merges] == list(choice.merged) and bool(merges) == merging


def test_a_source_that_may_drop_out_does(settings):
    assert "source" not in choose(TARGET, STORED, settings(2)).scores
    assert list(choose(TARGET, STORED, settings(1, 1, "source")).scores) == ["source"]  # unless it is asked for


def test_a_context_of_one_is_the_source_where_it_is_kept(settings):
    choice = choose(TARGET, STORED, settings(1, 4, keep_source=True))
    assert list(choice.scores) == ["source"] and choice.merged == {}


def test_merging_leaves_the_complementary_view_of_coverage_in_peace(settings):
    """Four views that see the same half of the target, one that sees the other half, a bit less of it."""
    names = [
        *(f"rotate-left:angle={angle}" for angle in (40, 41, 42, 43)),
        "rotate-right:angle=30",
        "rotate-left:angle=8",
    ]
    stored = {
        name: replace(SOURCE, camera_to_world=cameras.camera_to_world[-1:].expand(6, 4, 4))
        for name, cameras in views(*names).items()
    }
    target = stored.pop("rotate-left-angle-8")
    del stored["source"]
    choice = choose(target, stored, settings(3, 5, "coverage"))
    assert "rotate-right-angle-30" in choice.scores
    assert choice.merged and not any("rotate-right-angle-30" in inputs for inputs in choice.merged.values())
