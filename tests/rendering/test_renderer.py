"""All views of a scene in order: context, merging, long sources, a bounded memory, and the same bytes every time."""

import shutil

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from plenodream.geometry.cameras import stack_cameras
from plenodream.memory.retrieval import RetrievalConfig, retrieve
from plenodream.memory.scene import Scene
from plenodream.models.codecs.protocol import to_signal
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.layout import LAYOUTS
from plenodream.rendering import renderer
from plenodream.rendering.pipeline import PlenopticPipeline
from plenodream.rendering.renderer import AutoregressiveRenderer, pending
from plenodream.rendering.targets import invalidate_views
from plenodream.seeds import seed_from

FOUR = ("arc-left", "arc-right", "zoom-out", "tilt-up")


class Interrupted(BaseException):
    """Not an `Exception`, like Ctrl-C."""


def interrupt_at(number):
    """A report that breaks off the render at its n-th call."""
    calls = []

    def report(progress):
        calls.append(progress)
        if len(calls) > number:
            raise Interrupted

    return report


@pytest.fixture
def encoded(monkeypatch):
    """Counts the views whose keys and values are computed."""
    calls, encode = [], CosmosCameraTransformer.encode

    def spy(self, views, recomputed=False):
        calls.append(views)
        return encode(self, views, recomputed)

    monkeypatch.setattr(CosmosCameraTransformer, "encode", spy)
    return calls


@pytest.fixture
def renderers(monkeypatch):
    """The renderers that pipelines make, with the greatest number of views each remembered."""
    made = []

    class Watched(AutoregressiveRenderer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.most = 0
            made.append(self)

        def _encode(self, name, window):
            result = super()._encode(name, window)
            self.most = max(self.most, len(self._encoded))
            return result

    monkeypatch.setattr("plenodream.rendering.model.AutoregressiveRenderer", Watched)
    return made


def test_all_views_of_a_window_are_rendered_before_the_next_window(tiny_pipeline, tiny_video, settings, tmp_path):
    reports = []
    scene = tiny_pipeline()(tiny_video(5), FOUR[:3], tmp_path, settings(), report=reports.append)
    assert [(c.start, c.stop) for c in scene.manifest.windows] == [(0, 3), (2, 5)]
    steps = [(p.window, p.view, p.step, p.steps) for p in reports]
    assert steps == [(window, name, step, 3) for window in (0, 1) for name in FOUR[:3] for step in (0, 1, 2, 3)]


def test_context_is_what_retrieval_chose_and_is_recorded_with_its_scores(tiny_pipeline, tiny_video, settings, tmp_path):
    pipeline = tiny_pipeline()
    scene = pipeline(tiny_video(), FOUR, tmp_path, settings(k=2), seed=7)
    memory = ["source"]
    for name in scene.names("view"):
        record = scene.record(name, 0)
        cameras = stack_cameras([scene.cameras(n) for n in memory])
        expected = retrieve(scene.cameras(name), cameras, RetrievalConfig(k=2))
        assert record["context"] == [memory[n] for n in expected.chosen]
        assert record["candidates"] == dict(zip(memory, expected.scores, strict=True))
        assert record["scores"] == {memory[n]: expected.scores[n] for n in expected.chosen}
        assert (record["seed"], record["model"]) == (7, pipeline.fingerprint())
        assert record["merged"] == {}
        memory.append(name)
    assert len(scene.record(FOUR[3], 0)["context"]) == 2
    assert scene.names("helper") == []


def test_context_and_camera_reach_the_pixels(tiny_pipeline, tiny_video, settings, tmp_path):
    pipeline, name = tiny_pipeline(), "arc-left"
    scenes = [
        pipeline(tiny_video(seed=seed), {name: cameras}, tmp_path / str(number), settings())
        for number, (seed, cameras) in enumerate(
            [(0, tiny_video().cameras), (1, tiny_video().cameras), (0, tiny_video(fov=30.0).cameras)]
        )
    ]
    first, other_source, other_camera = (scene.frames(name) for scene in scenes)
    assert not torch.equal(first, other_source)
    assert not torch.equal(first, other_camera)


@pytest.mark.parametrize(("k", "candidates"), [(1, 2), (1, 4), (2, 4)])
def test_candidates_beyond_the_context_are_merged_and_the_merged_views_rendered(
    tiny_pipeline, tiny_video, settings, tmp_path, k, candidates
):
    reports = []
    scene = tiny_pipeline(k=k)(tiny_video(), FOUR, tmp_path, settings(k, candidates), report=reports.append)
    helpers = scene.names("helper")
    assert helpers
    finished = [p.view for p in reports if p.step == p.steps]
    assert sorted(finished) == sorted([*FOUR, *helpers])  # every one rendered once, helpers too
    needed = set()
    for name in FOUR:
        record = scene.record(name, 0)
        assert len(record["context"]) == min(k, len(record["candidates"]))
        assert set(record["context"]) == set(record["scores"])
        assert not set(record["candidates"]) & set(helpers)  # merged views help one view, they are no memory
        for helper, inputs in record["merged"].items():
            assert helper in helpers
            assert len(inputs) > 1
            assert not set(inputs) & set(record["context"])
            assert finished.index(helper) < finished.index(name)
            needed.add(helper)
    assert needed == set(helpers)
    for helper in helpers:
        record, inputs = scene.record(helper, 0), scene.entry(helper).trajectory["merge_of"]
        assert record["merged_from"] == inputs
        assert set(record["context"]) == set(record["scores"]) <= set(inputs)
        assert len(record["context"]) == min(k, len(inputs))
        # Generated from the inputs that are most like the merged trajectory, whatever view it is for.
        cameras = stack_cameras([scene.cameras(n) for n in inputs])
        scores = dict(zip(inputs, retrieve(scene.cameras(helper), cameras, RetrievalConfig(k=k)).scores, strict=True))
        assert record["candidates"] == pytest.approx(scores)
        assert record["scores"] == {n: record["candidates"][n] for n in record["context"]}
        assert min(scores[n] for n in record["context"]) >= max(
            (scores[n] for n in inputs if n not in record["context"]), default=0.0
        )
        assert scene.preview_path(helper).is_file()


@pytest.mark.parametrize("strategy", ["last", "random"])
def test_strategies_that_know_no_likeness_never_merge(tiny_pipeline, tiny_video, settings, tmp_path, strategy):
    scene = tiny_pipeline()(tiny_video(), FOUR, tmp_path, settings(2, 4, strategy=strategy))
    assert scene.names("helper") == []
    if strategy == "last":
        assert scene.record("tilt-up", 0)["context"] == ["zoom-out", "arc-right"]


def test_a_merged_view_is_rendered_once_for_all_views_that_need_it(tiny_pipeline, tiny_video, settings, tmp_path):
    near = tiny_video().cameras
    reports = []
    scene = tiny_pipeline(k=1)(tiny_video(), {"a": near, "b": near}, tmp_path, settings(1, 2), report=reports.append)
    # Two copies of the second view's task: candidates source and `a` both times.
    tiny_pipeline(k=1).render(scene)
    helper = scene.names("helper")[0]
    before = (scene.folder / "views" / helper / "chunk-000" / "timing.json").stat()
    invalidate_views(scene, ["b"])
    reports.clear()
    assert tiny_pipeline(k=1).render(scene, reports.append) == ["b"]
    assert {p.view for p in reports} == {"b"}
    assert (scene.folder / "views" / helper / "chunk-000" / "timing.json").stat() == before


def test_a_scene_whose_merged_views_have_older_names_goes_on_with_them(
    tiny_pipeline, tiny_video, settings, tmp_path, monkeypatch
):
    def as_before(entries):
        return lambda inputs: f"merge-{min(inputs)[:20]}-{seed_from('/'.join(sorted(inputs))) % 16**8:08x}"

    pipeline = tiny_pipeline(k=1)
    with monkeypatch.context() as before:
        before.setattr(renderer, "merge_names", as_before)
        scene = pipeline(tiny_video(), FOUR, tmp_path, settings(1, 4))
    helpers, frames = scene.names("helper"), scene.frames("tilt-up")
    assert helpers and all(name.startswith("merge-") for name in helpers)
    invalidate_views(scene, ["tilt-up"])
    assert pipeline.render(scene) == ["tilt-up"]
    assert scene.names("helper") == helpers and torch.equal(scene.frames("tilt-up"), frames)


def test_views_with_the_longest_names_are_merged_too(tiny_pipeline, tiny_video, settings, tmp_path):
    pipeline, camera = tiny_pipeline(k=1), tiny_video().cameras
    names = {letter * 100: camera for letter in "ab"}
    scene = pipeline(tiny_video(), names, tmp_path, settings(1, 2))
    assert len(scene.names("helper")[0]) <= 48
    assert pipeline(tiny_video(), FOUR[:1], tmp_path).complete("arc-left")


def test_a_merged_view_that_only_some_windows_need_stays_partial(tiny_pipeline, content, partial_scene, tmp_path):
    scene = Scene.open(shutil.copytree(partial_scene.folder, tmp_path / "scene"))
    partial = [name for name in scene.names("helper") if not scene.complete(name)]
    assert {scene.has(name, 0) for name in partial} == {True, False}
    assert not any(scene.preview_path(name).exists() for name in partial)
    assert pending(scene) == [] and all(scene.complete(name) for name in scene.names("view"))

    before, pipeline, again = content(scene.folder), tiny_pipeline(k=1), scene.names("view")[0]
    assert pipeline.render(scene) == []
    assert content(scene.folder) == before
    invalidate_views(scene, [again])
    assert pipeline.render(scene) == [again]
    assert all(scene.complete(name) for name in scene.names("view"))


@pytest.mark.parametrize("layout", ["middle-of-4", "target-first"])
def test_a_joint_sequence_is_filled_up_with_the_source(tiny_pipeline, tiny_video, settings, tmp_path, layout):
    pipeline = tiny_pipeline(k=4, context_attention="joint", layout=LAYOUTS[layout])
    scene = pipeline(tiny_video(), FOUR[:2], tmp_path, settings(4))
    fill = 4 if layout == "middle-of-4" else 1
    assert scene.record("arc-left", 0)["context"] == ["source"] * fill
    context = scene.record("arc-right", 0)["context"]
    assert sorted(context) == sorted(["arc-left"] + ["source"] * max(1, fill - 1))
    assert scene.frames("arc-right").shape == (3, 16, 16, 3)


def test_more_context_than_a_joint_sequence_holds_is_refused(tiny_pipeline, tiny_video, settings, tmp_path):
    pipeline = tiny_pipeline(context_attention="joint", layout=LAYOUTS["middle-of-4"])
    with pytest.raises(ValueError, match="context of k=5 views: this model's sequence has 4 slots; choose k up to 4"):
        pipeline(tiny_video(), FOUR[:1], tmp_path, settings(5))


@pytest.mark.parametrize(("frames", "overlap"), [(8, 1), (6, 2), (7, 0)])
def test_windows_of_a_long_source_share_their_overlap_to_the_byte(
    tiny_pipeline, tiny_video, settings, tmp_path, frames, overlap
):
    scene = tiny_pipeline(overlap=overlap)(tiny_video(frames), FOUR[:1], tmp_path, settings())
    windows = scene.manifest.windows
    assert len(windows) > 2
    for name in scene.names():
        assert scene.frames(name).shape == (frames, 16, 16, 3)
        for number, window in enumerate(windows[1:], start=1):
            earlier, later = scene.read(name, number - 1).frames, scene.read(name, number).frames
            start = window.start - windows[number - 1].start
            assert torch.equal(later[: window.clean], earlier[start:])
            assert not torch.equal(later[window.clean :], earlier[: len(later) - window.clean])


def test_the_overlap_is_shown_to_the_network(tiny_pipeline, tiny_video, settings, tmp_path, monkeypatch):
    seen, predict = [], CosmosCameraTransformer.predict

    def spy(self, noisy, timestep, rays, context, clean_frames=None, text=None):
        seen.append((None if clean_frames is None else clean_frames.tolist(), noisy[:, 0, :, :2]))
        return predict(self, noisy, timestep, rays, context, clean_frames, text)

    monkeypatch.setattr(CosmosCameraTransformer, "predict", spy)
    pipeline = tiny_pipeline(overlap=2)
    scene = pipeline(tiny_video(4), FOUR[:1], tmp_path, settings())
    assert [clean for clean, _ in seen] == [None] * 2 + [[[1, 1, 0]]] * 2
    expected = pipeline.codec.encode(to_signal(scene.read("arc-left", 0).frames[1:])[None])
    assert all(torch.equal(known, expected) for _, known in seen[2:])


def test_a_codec_that_loses_something_still_repeats_the_overlap_to_the_byte(
    tiny_denoiser, tiny_video, settings, tmp_path
):
    codec = WanCodec(base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4).eval()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    sizes = {"height": 16, "width": 16, "frames": 5, "overlap": 3}
    pipeline = PlenopticPipeline(tiny_denoiser(camera_numbers=6 * 64), codec, scheduler, **sizes)
    scene = pipeline(tiny_video(7), FOUR[:1], tmp_path, settings(1))
    earlier, later = (scene.read("arc-left", window).frames for window in (0, 1))
    assert torch.equal(later[0], earlier[2])  # 1 = 4 n + 1 frames can be encoded alone
    assert not torch.equal(later[1], earlier[3])
    assert torch.equal(scene.frames("arc-left"), torch.cat([earlier, later[3:]]))


def test_a_short_source_is_padded_and_comes_back_at_its_length(tiny_pipeline, tiny_video, settings, tmp_path):
    scene = tiny_pipeline()(tiny_video(2), FOUR[:1], tmp_path, settings())
    assert scene.frames("arc-left").shape == (2, 16, 16, 3)
    assert scene.read("arc-left", 0).frames.shape == (3, 16, 16, 3)
    source = scene.read("source", 0).frames
    assert torch.equal(source[2], source[1])


def test_a_view_is_encoded_once_while_it_is_remembered(
    tiny_pipeline, tiny_video, settings, tmp_path, encoded, renderers
):
    scene = tiny_pipeline()(tiny_video(), FOUR[:3], tmp_path, settings(2, 3))
    used = {n for name in (*scene.names("view"), *scene.names("helper")) for n in scene.record(name, 0)["context"]}
    assert len(encoded) == len(used)
    assert all(views.latents.shape[:2] == (1, 1) for views in encoded)


def test_memory_does_not_grow_with_the_views_rendered(
    tiny_pipeline, tiny_video, settings, tmp_path, encoded, renderers
):
    turns = [f"arc-left:angle={angle}" for angle in range(5, 35, 5)]
    scene = tiny_pipeline(k=1)(tiny_video(), turns, tmp_path, settings(1, strategy="last"))
    (renderer,) = renderers
    assert renderer.most == renderer._capacity == 3
    assert [scene.record(name, 0)["context"] for name in scene.names("view")] == [[n] for n in scene.names()[:-1]]
    assert len(encoded) == len(turns)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    tiny_pipeline, tiny_video, settings, content, tmp_path
):
    one, two, three = (
        tiny_pipeline(guidance=1.0)(tiny_video(), FOUR[:2], tmp_path / name, settings(1, guidance=1.0), seed=seed)
        for name, seed in (("one", 5), ("two", 5), ("three", 6))
    )
    assert content(one.folder) == content(two.folder)
    assert not torch.equal(one.frames("arc-left"), three.frames("arc-left"))
    assert torch.equal(one.frames("source"), three.frames("source"))


def test_a_render_broken_off_anywhere_and_repeated_gives_the_same_bytes(
    tiny_pipeline, tiny_video, settings, content, tmp_path
):
    pipeline, video, reports = tiny_pipeline(), tiny_video(4), []
    pipeline(video, FOUR[:2], tmp_path / "whole", settings(1, 2), report=reports.append)
    expected = content(tmp_path / "whole")
    last = len(reports) - 1
    helper = next(number for number, p in enumerate(reports) if "+" in p.view)
    # In the first view, in a merged view, after it was written, after the last view was written.
    for number in (0, helper, helper + 3, last):
        folder = tmp_path / f"broken-off-at-{number}"
        with pytest.raises(Interrupted):
            pipeline(video, FOUR[:2], folder, settings(1, 2), report=interrupt_at(number))
        assert content(folder) != expected
        pipeline.render(pipeline.prepare(folder, None))
        assert content(folder) == expected, number


def test_a_trajectory_added_later_joins_the_same_memory(tiny_pipeline, tiny_video, settings, content, tmp_path):
    pipeline, video = tiny_pipeline(), tiny_video()
    pipeline(video, FOUR, tmp_path / "at-once", settings())
    scene = pipeline(video, FOUR[:3], tmp_path / "later", settings())
    scene = pipeline.prepare(tmp_path / "later", None, FOUR[3:])
    assert pending(scene) == [("tilt-up", 0)]
    assert pipeline.render(scene) == ["tilt-up"]
    assert set(scene.record("tilt-up", 0)["candidates"]) == {"source", *FOUR[:3]}
    assert content(tmp_path / "later") == content(tmp_path / "at-once")


def test_a_finished_scene_is_left_alone(tiny_pipeline, tiny_video, settings, content, tmp_path):
    pipeline = tiny_pipeline()
    scene = pipeline(tiny_video(), FOUR[:2], tmp_path, settings())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    assert pipeline.render(scene) == []
    pipeline(tiny_video(), FOUR[:2], tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"} == before


def test_views_made_again_see_all_other_views_and_their_merged_views_follow(
    tiny_pipeline, tiny_video, settings, tmp_path
):
    pipeline = tiny_pipeline(k=1)
    scene = pipeline(tiny_video(), FOUR[:3], tmp_path, settings(1, 2))
    merged = {h: scene.entry(h).trajectory["merge_of"] for h in scene.names("helper")}
    kept = {name: scene.frames(name) for name in scene.names()}
    invalidate_views(scene, ["arc-left"])
    stale = {name for name in scene.names() if not scene.complete(name)}
    assert stale == {"arc-left"} | {h for h, inputs in merged.items() if "arc-left" in inputs}
    assert pipeline.render(scene) == ["arc-left"]
    assert set(scene.record("arc-left", 0)["candidates"]) == {"source", "arc-right", "zoom-out"}
    for name in ("source", "arc-right", "zoom-out"):
        assert torch.equal(scene.frames(name), kept[name])


def test_the_source_and_unknown_views_cannot_be_made_again(tiny_pipeline, tiny_video, settings, tmp_path):
    pipeline = tiny_pipeline()
    scene = pipeline(tiny_video(), FOUR[:1], tmp_path, settings())
    with pytest.raises(ValueError, match="'source' is a source: expected one of arc-left"):
        invalidate_views(scene, ["source"])
    with pytest.raises(ValueError, match="no view 'arc-lef'"):
        invalidate_views(scene, ["arc-lef"])


def test_random_numbers_depend_on_seed_view_window_and_purpose_alone(tiny_pipeline, tiny_video, settings, tmp_path):
    pipeline = tiny_pipeline()
    scene = pipeline(tiny_video(), FOUR[:1], tmp_path, settings())
    renderers = [
        AutoregressiveRenderer(Scene.open(scene.folder), pipeline.generator(), settings(), None) for _ in range(2)
    ]
    draws = [
        torch.rand(1, generator=renderer._noise(*key)).item()
        for key in [("a", 0, "noise"), ("a", 1, "noise"), ("b", 0, "noise"), ("a", 0, "retrieval")]
        for renderer in renderers
    ]
    assert draws[0::2] == draws[1::2]
    assert len(set(draws)) == 4


def test_peak_memory_is_in_bytes():
    assert 2**26 < renderer._peak_bytes() < 2**40
