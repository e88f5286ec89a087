"""Views that a generator makes together: who with whom, from what, and the same again after a stop anywhere."""

from dataclasses import dataclass, field

import pytest
import torch

from plenodream.generators.protocol import Workings
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.models.layout import LAYOUTS
from plenodream.rendering.model import Model
from plenodream.rendering.outlook import plan_work
from plenodream.rendering.plan import plan_cost
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.renderer import AutoregressiveRenderer
from plenodream.rendering.request import make_request
from plenodream.rendering.settings import RenderSettings
from plenodream.rendering.targets import invalidate_views
from plenodream.types import View

THREE = ("arc-left", "arc-right", "tilt-up")


class Interrupted(BaseException):
    """Not an `Exception`, like Ctrl-C."""


@dataclass
class Pairs:
    """A generator of up to two views at once; what it draws and how many it was asked for show in the pixels."""

    workings: Workings = field(default_factory=lambda: Workings((16, 16), 3, overlap=1, targets=2))
    calls: list = field(default_factory=list)

    def encode(self, view, anchor):
        return view.frames.float().mean()

    def generate(self, targets, contexts, anchor, known, noise, fps, on_step=None):
        self.calls.append((len(targets), len(contexts), [view is not None for view in known]))
        views = []
        for cameras in targets:
            level = torch.rand((), generator=noise) * 100 + sum(contexts) / len(contexts) / 4 + 40 * len(targets)
            views.append(View(level.expand(len(cameras), 16, 16, 3).byte(), cameras, fps))
        return views

    def fingerprint(self):
        return "pairs"


@pytest.fixture
def start(settings, tiny_video):
    """Makes scenes that a pair generator is to render."""

    def begin(folder, names=THREE, **options):
        generator = Pairs()
        model = Model("pairs", lambda chosen: generator, settings(**options))
        request = make_request(names, settings=settings(**options))
        return prepare_scene(folder, tiny_video(5), request, model), generator

    return begin


def render(scene, generator, report=None):
    settings = RenderSettings.from_json(scene.manifest.settings)
    with scene.lock():
        return AutoregressiveRenderer(scene, generator, settings, report).render()


def test_views_are_made_two_by_two_window_by_window_and_never_read_each_other(start, tmp_path):
    scene, generator = start(tmp_path / "scene")
    work, done = plan_work(scene, together=2), []
    rendered = render(scene, generator, lambda p: done.append((p.view, p.window)) if p.step == p.steps else None)
    assert rendered == list(THREE)
    assert [(item.view, item.window) for item in work] == done
    assert [(targets, known) for targets, _, known in generator.calls] == [
        (2, [False, False]), (1, [False]), (2, [True, True]), (1, [True])
    ]  # fmt: skip
    for name in THREE:
        record = scene.record(name, 1)
        assert record.get("together", [name]) == (["arc-left", "arc-right"] if name != "tilt-up" else [name])
        assert set(record["candidates"]) == {"source", *(THREE[:2] if name == "tilt-up" else ())}
    assert [len(scene.record(item.view, item.window)["context"]) for item in work] == [item.contexts for item in work]


def test_a_plan_counts_what_views_that_are_made_together_read(settings, tiny_video):
    source = tiny_video(3)
    paths = {t.name: trajectory_cameras(t, source.cameras) for t in parse_trajectories(THREE)}

    def seconds(generator):
        return plan_cost(Model("pairs", lambda chosen: generator, settings(k=2)), source, paths)["seconds"]

    assert seconds(Pairs()) < seconds(Pairs(Workings((16, 16), 3, overlap=1))), "the second of a pair reads one less"


def test_what_is_compared_is_the_mean_over_the_pair(start, tmp_path):
    """A view that is like one of the pair is worth as much whichever of both it is like."""
    names = ("rotate-left", "rotate-right", "rotate-left:angle=31", "rotate-right:angle=31")
    scene, generator = start(tmp_path / "scene", names)
    render(scene, generator)
    record = scene.record("rotate-right-angle-31", 0)
    assert record["together"] == ["rotate-left-angle-31", "rotate-right-angle-31"]
    left, right = (record["candidates"][name] for name in names[:2])
    assert left == pytest.approx(right, abs=0.02)
    alone, single = start(tmp_path / "alone", names)
    single.workings = Workings((16, 16), 3, overlap=1)
    render(alone, single)
    scores = alone.record("rotate-right-angle-31", 0)["candidates"]
    assert scores["rotate-right"] > scores["rotate-left"] + 0.1


@pytest.mark.parametrize("options", [{}, {"k": 1, "candidates": 2}])
def test_a_render_broken_off_within_a_pair_and_repeated_gives_the_same_bytes(start, content, tmp_path, options):
    whole, generator = start(tmp_path / "whole", **options)
    reports = []
    render(whole, generator, reports.append)
    expected = content(tmp_path / "whole")
    assert bool(whole.names("helper")) == bool(options)
    for number in range(len(reports)):
        scene, generator = start(tmp_path / str(number), **options)
        left = iter(range(number))

        def report(progress, left=left):
            if next(left, None) is None:
                raise Interrupted

        with pytest.raises(Interrupted):
            render(scene, generator, report)
        render(scene, generator)
        assert content(tmp_path / str(number)) == expected, reports[number]


def test_a_view_asked_for_later_is_made_alone_and_one_made_again_with_its_partner(start, tmp_path):
    scene, generator = start(tmp_path / "scene", THREE[:2])
    render(scene, generator)
    kept = {name: scene.frames(name) for name in THREE[:2]}
    scene, generator = start(tmp_path / "scene")
    assert render(scene, generator) == ["tilt-up"]
    assert [targets for targets, *_ in generator.calls] == [1, 1]
    invalidate_views(scene, ["arc-left"])
    generator.calls.clear()
    assert render(scene, generator) == ["arc-left"]
    assert [targets for targets, *_ in generator.calls] == [2, 2]
    assert torch.equal(scene.frames("arc-right"), kept["arc-right"])
    assert set(scene.record("arc-left", 0)["candidates"]) == {"source", "tilt-up"}


def test_the_network_of_two_grippers_makes_them_in_one_sequence(tiny_pipeline, tiny_video, content, tmp_path):
    pipeline = tiny_pipeline(k=1, context_attention="joint", layout=LAYOUTS["source-between-targets"])
    assert pipeline.generator().workings.targets == 2
    reports = []
    scene = pipeline(tiny_video(5), THREE[:2], tmp_path / "pair", report=reports.append)
    assert {p.view for p in reports if p.step < p.steps} == {"arc-left"}  # two steps, for both
    assert scene.record("arc-right", 0)["together"] == ["arc-left", "arc-right"]
    other = pipeline(tiny_video(5), ("zoom-out", "arc-right"), tmp_path / "other")
    again = pipeline(tiny_video(5), THREE[:2], tmp_path / "again")
    assert content(again.folder) == content(scene.folder)
    assert not torch.equal(other.frames("arc-right"), scene.frames("arc-right"))
    assert not torch.equal(scene.frames("arc-left"), scene.frames("arc-right"))


def test_what_is_known_of_a_pair_is_kept(tiny_pipeline, tiny_video, tmp_path):
    pipeline = tiny_pipeline(k=1, context_attention="joint", layout=LAYOUTS["source-between-targets"])
    scene = pipeline(tiny_video(5), THREE[:2], tmp_path)
    for name in THREE[:2]:
        first, second = scene.read(name, 0).frames, scene.read(name, 1).frames
        assert torch.equal(first[2], second[0])
