"""Benchmarks: the same scenes for everybody, chains with retrieved history, and scores that tell memory from blur."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from plenodream.evaluation.bench import Plan, foresee, render_scene, run_benchmark, with_controls, with_seeds
from plenodream.evaluation.benchmarks import SHIPPED, get_benchmark
from plenodream.evaluation.benchmarks.basic import BASIC
from plenodream.evaluation.benchmarks.scene import write_truth
from plenodream.evaluation.delivery import check_delivery
from plenodream.evaluation.export import read_report
from plenodream.evaluation.methods import method as methods
from plenodream.evaluation.methods.method import Engine, make_engine, parse_method
from plenodream.evaluation.methods.tables import TABLES, get_table, table_methods
from plenodream.evaluation.reading import Reader
from plenodream.evaluation.shots import Shot
from plenodream.generators.composite import Composite
from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.geometry.visibility import covisible, warp
from plenodream.memory.scene import Scene
from plenodream.types import View

MINI = replace(BASIC["basic-mini"], frames=3, sizes=((16, 16), (18, 32)))


@pytest.fixture(scope="module")
def engine(tiny_pipeline):
    """The random tiny model as a method, without a model on disk."""

    def make(text="tiny") -> Engine:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(methods, "load_model", lambda model, device=None: tiny_pipeline(k=2).model())
            return make_engine(parse_method(text))

    return make


def test_a_benchmark_is_what_it_was():
    # Whatever changes these changes published numbers: raise the version.
    assert {name: (b.version, b.digest()) for name, b in SHIPPED.items()} == DIGESTS
    with pytest.raises(ValueError, match="unknown benchmark 'x': expected one of basic-mini"):
        get_benchmark("x")


DIGESTS = {
    "basic-mini": (1, "b29f611b854865d4"),
    "basic-mini-full": (1, "a31823264b7bbf3b"),
    "basic-mini-long": (1, "d842569aeecc9576"),
    "agibot-mini": (1, "0cb88f75f3e2bbd3"),
}


def test_scenes_are_fixed_and_of_two_shapes_with_sources_that_stand_and_move():
    scenes = [MINI.open(number) for number in range(4)]
    assert [scene.source.frames.shape[1:3] for scene in scenes] == [(16, 16), (18, 32)] * 2
    moves = [not torch.equal(s.source.cameras.camera_to_world[0], s.source.cameras.camera_to_world[-1]) for s in scenes]
    assert moves == [False, False, True, True]
    for scene in scenes:
        assert torch.equal(scene.source.cameras.camera_to_world[0], torch.eye(4))
        assert torch.equal(scene.no_motion.frames[0], scene.source.frames[0])
        assert not torch.equal(scene.no_motion.frames, scene.source.frames)
        assert scene.shots == MINI.shots
    again = MINI.open(2)
    assert torch.equal(again.source.frames, scenes[2].source.frames) and again.source.depth is not None
    shuffled = MINI.open(2, shuffled=True).shots
    assert shuffled != MINI.shots and sorted(shuffled) == sorted(MINI.shots)
    assert MINI.open(0, 3).shots == MINI.shots[:3]
    with pytest.raises(ValueError, match="scene 100"):
        MINI.open(100)
    with pytest.raises(ValueError, match="13 shots"):
        MINI.open(0, 13)


def test_truth_is_the_same_event_as_the_source(tmp_path):
    scene = MINI.open(3)
    cameras = scene.source.cameras
    fields = write_truth(tmp_path, scene, {"source": cameras, "again": cameras}, 6.0)
    frames = Reader().video(fields["again"]["truth"])[0]
    assert torch.equal(frames, scene.source.frames)
    depth = Reader().array(fields["again"]["depth"])
    assert scene.source.depth is not None and torch.equal(depth, scene.source.depth)
    assert covisible(depth, cameras, depth, cameras).float().mean() > 0.8
    rgb = frames.float() / 255
    torch.testing.assert_close(warp(rgb, depth, cameras, cameras), rgb, atol=1e-4, rtol=0)
    stamp = fields["again"]["truth"].stat().st_mtime_ns
    assert write_truth(tmp_path, scene, {"source": cameras, "again": cameras}, 6.0) == fields
    assert fields["again"]["truth"].stat().st_mtime_ns == stamp  # not rendered again


def test_a_chain_is_rendered_with_its_memory_and_goes_on(engine, tmp_path):
    scene, made = MINI.open(0, 3), engine()
    samples = render_scene(scene, parse_method("tiny"), made, tmp_path / "tiny", tmp_path / "truth", other=True)
    assert [sample.shot for sample in samples] == list(MINI.shots[:3]) and not check_delivery(samples)
    chain = Scene.open(tmp_path / "tiny" / "scenes" / "s000")
    context = [chain.record(name, 0)["context"] for name in chain.names("view")]
    assert context[0] == ["source"] and {len(names) for names in context[1:]} == {2}
    assert chain.entry(context[2][1]).kind == "view"
    other = Shot(samples[1], Reader())
    assert other.videos.keys() == {"video", "truth", "copy", "other seed"}
    assert not torch.equal(other.videos["other seed"], other.frames)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "tiny").rglob("video.mkv")}
    # A run that was killed before the source of the other chain was written goes on, too, and to the same.
    shutil.rmtree(tmp_path / "tiny" / "scenes-other" / "s000" / "views" / "source" / "chunk-000")
    render_scene(scene, parse_method("tiny"), made, tmp_path / "tiny", tmp_path / "truth", other=True)
    kept = {path for path in stamps if path.stat().st_mtime_ns == stamps[path]}
    assert {path.parts[-3] for path in stamps.keys() - kept} == {"source"} and len(stamps.keys() - kept) == 1
    # Asked for fewer shots, it scores those alone.
    fewer = render_scene(MINI.open(0, 2), parse_method("tiny"), made, tmp_path / "tiny", tmp_path / "truth", other=True)
    assert [sample.shot for sample in fewer] == list(MINI.shots[:2]) and fewer[1].number == 2


def test_controls_see_the_source_alone(engine, tmp_path):
    scene = MINI.open(0, 2)
    frames = {}
    for text in ("tiny:memory=source", "tiny:memory=source-twice", "tiny:k=1,keep-source=on,merging=off", "tiny"):
        made, folder = engine(text), tmp_path / parse_method(text).slug
        render_scene(scene, parse_method(text), made, folder, tmp_path / "truth", other=False)
        chain = Scene.open(folder / "scenes" / "s000")
        frames[text] = chain.frames(chain.names("view")[1])
    assert torch.equal(frames["tiny:memory=source"], frames["tiny:k=1,keep-source=on,merging=off"])
    assert not torch.equal(frames["tiny:memory=source-twice"], frames["tiny:memory=source"])
    assert not torch.equal(frames["tiny"], frames["tiny:memory=source"])


class Oracle:
    """A generator that knows the scenes: what it makes is the truth."""

    def __init__(self, scenes, workings):
        self.scenes, self.workings = scenes, workings

    def encode(self, view, anchor):
        return view

    def generate(self, targets, contexts, anchor, known, noise, fps, on_step=None):
        (scene,) = (s for s in self.scenes if torch.equal(s.source.frames, contexts[0].frames))
        return [View(scene.see("shot", cameras).frames, cameras, fps) for cameras in targets]

    def fingerprint(self):
        return "oracle"


def test_an_oracle_reaches_the_ceiling(engine, tmp_path, monkeypatch):
    scenes = [MINI.open(number, 3) for number in range(2)]
    made = engine()
    oracle = Engine(Oracle(scenes, made.generator.workings), made.settings)
    monkeypatch.setattr("plenodream.evaluation.bench.make_engine", lambda method, device: oracle)
    steps: list[tuple[int, int]] = []
    plan = Plan(MINI, scenes=2, shots=3)
    (report,) = run_benchmark(plan, [parse_method("oracle")], tmp_path, lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    for number in report.numbers:
        if number.row in ("video", "other seed"):
            truth = report.number(number.column, "truth")
            assert truth is None or truth.mean == pytest.approx(number.mean), number.column
    psnr, copy = report.number("psnr.all"), report.number("psnr.all", "copy")
    assert psnr is not None and psnr.mean == 100 and copy is not None and copy.mean is not None and copy.mean < 30
    assert report.number("hsync paper 3") is not None and report.number("hsync all", "unseen history") is not None


def test_methods_are_read_and_mistakes_named():
    method = parse_method("mini:strategy=random,k=3,seed=2")
    assert (method.model, method.seed, method.slug) == ("mini", 2, "mini_strategy=random,k=3,seed=2")
    assert [m.text for m in with_controls([parse_method("nano"), parse_method("mini")])] == [
        "nano", "mini", "nano:memory=source", "nano:memory=source-twice", "nano:motion=off",
    ]  # fmt: skip
    for text, message in {
        "nano:strategy=best": "strategy=best; expected one of fov",
        "nano:color=red": "cannot read 'color=red'; expected one of strategy",
        "nano:k=two": "k=two; expected a whole number",
        "nano:guidance=much": "guidance=much; expected a number, 0 or more",
        "nano:": "cannot read ''",
    }.items():
        with pytest.raises(ValueError, match=message):
            parse_method(text)


def test_tables_name_methods_that_there_are():
    for name in TABLES:
        methods_of = [parse_method(text) for text in table_methods(name, "mini")]
        assert get_benchmark(get_table(name).benchmark).most_shots in (2, 12)
        assert methods_of[0].text == "mini" and {m.model for m in methods_of} <= {"mini", "reprojection"}
        assert len({m.slug for m in methods_of}) == len(methods_of)
    with pytest.raises(ValueError, match=r"unknown table 'table-9': expected table-1 .*; table-3 \(ablations"):
        table_methods("table-9", "mini")


def test_a_point_cloud_agrees_with_itself_and_is_given_true_depth(tmp_path):
    scene = replace(MINI, sizes=((32, 32),)).open(0, 2)
    method = parse_method("reprojection")
    samples = render_scene(scene, method, make_engine(method), tmp_path / "r", tmp_path / "truth", other=False)
    shot = Shot(samples[0], Reader())
    assert shot.seen is not None and shot.truth is not None
    error = (shot.frames - shot.truth).square().mean(-1)[shot.seen].mean()
    assert error < 10**-2.2 < (shot.videos["copy"] - shot.truth).square().mean(-1)[shot.seen].mean()


def frames_of(folder, scene="s000"):
    chain = Scene.open(folder / "scenes" / scene)
    return [chain.frames(name) for name in chain.names("view")], chain


def test_views_made_together_and_along_trajectories(engine, tmp_path):
    scene, shown = MINI.open(0, 2), {}
    for text in ("tiny:memory=source", "tiny:together=2", "tiny:memory=trajectories"):
        method = parse_method(text)
        render_scene(scene, method, engine(text), tmp_path / method.slug, tmp_path / "truth", other=False)
        shown[text], chain = frames_of(tmp_path / method.slug)
        # Made at once, the second view is not made from the first.
        assert text != "tiny:together=2" or chain.record(chain.names("view")[1], 0)["context"] == ["source"]
    for view in range(2):  # each has seen the other
        assert not torch.equal(shown["tiny:together=2"][view], shown["tiny:memory=source"][view])
    # The carried source is context at the target's own cameras: another view than the source alone gives.
    assert not torch.equal(shown["tiny:memory=trajectories"][0], shown["tiny:memory=source"][0])
    with pytest.raises(ValueError, match="trajectories are found by depth; expected depth=on"):
        parse_method("tiny:memory=trajectories,depth=off")
    with pytest.raises(ValueError, match="targets: a point cloud has no such thing"):
        make_engine(parse_method("reprojection:together=3"))


def test_windows_with_and_without_overlap(engine, tmp_path):
    scene, spans = replace(MINI, frames=9, sizes=((16, 16),)).open(0, 1), {}
    for text in ("tiny", "tiny:overlap=off"):
        method = parse_method(text)
        render_scene(scene, method, engine(text), tmp_path / method.slug, tmp_path / "truth", other=False)
        _, chain = frames_of(tmp_path / method.slug)
        spans[text] = [(window.start, window.clean) for window in chain.manifest.windows]
    assert any(clean for _, clean in spans["tiny"]) and len(spans["tiny"]) > len(spans["tiny:overlap=off"]) > 1


def test_seeds_are_run_one_after_another_and_averaged_scene_by_scene(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("plenodream.evaluation.bench.make_engine", lambda method, device: engine(method.text))
    plan = Plan(MINI, scenes=2, shots=2, other=False, seeds=2)
    said = foresee(plan, [parse_method("tiny")])
    assert said.startswith("8 views of 1 methods to render, about ") and "what is there already is kept" in said
    (report,) = run_benchmark(plan, [parse_method("tiny")], tmp_path)
    alone = [read_report(tmp_path / name) for name in ("tiny", "tiny_seed=1")]
    column = "psnr.all"
    means = [each.number(column).scenes["s001"] for each in alone]
    assert means[0] != means[1] and report.number(column).scenes["s001"] == pytest.approx(sum(means) / 2)
    assert report.name == "tiny" and report.number(column).samples == 8
    spread = report.protocols["seeds"]["spread of their means"][column]
    assert spread == pytest.approx(abs(alone[0].number(column).mean - alone[1].number(column).mean) / 2**0.5, abs=1e-5)
    assert [m.text for m in with_seeds(parse_method("reprojection"), 3)] == ["reprojection"]  # it draws nothing
    with pytest.raises(ValueError, match="0 seeds: expected at least 1"):
        Plan(MINI, scenes=1, seeds=0)


def test_a_model_with_depth_is_benchmarked_as_it_is_rendered():
    detailed, plain = (make_engine(parse_method(f"nano-depth{rest}")).generator for rest in ("", ":detail=off"))
    assert isinstance(detailed, Composite) and isinstance(plain, DiffusionGenerator)
    assert detailed.fingerprint() != plain.fingerprint()
