"""`benchmark`: render chains of a benchmark's shots by some methods, score them, put them side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from plenodream.evaluation.aggregate import Report
from plenodream.evaluation.benchmarks.scene import Benchmark, BenchmarkScene, check_scene, write_truth
from plenodream.evaluation.layouts.manifest import MANIFEST, write_manifest
from plenodream.evaluation.layouts.scenes import scene_samples
from plenodream.evaluation.methods.altered import inner
from plenodream.evaluation.methods.controls import control_options
from plenodream.evaluation.methods.method import Engine, Method, make_engine
from plenodream.evaluation.results import FOLDER
from plenodream.evaluation.run import Share, run
from plenodream.evaluation.samples import Sample
from plenodream.evaluation.seeds import over_seeds
from plenodream.files.atomic import write_file
from plenodream.memory.manifest import FILE, Manifest
from plenodream.memory.scene import Scene
from plenodream.memory.windows import plan_windows, window_index
from plenodream.rendering.cost import estimate_cost
from plenodream.rendering.renderer import AutoregressiveRenderer
from plenodream.rendering.request import SOURCE
from plenodream.types import View

METRICS = ("fidelity", "sync", "homography", "change", "distribution")
OTHER_SEED = 1000  # further than any seed that people take


def with_controls(methods: Sequence[Method], stills: bool = True) -> list[Method]:
    """The methods, and the controls of the first; that without motion where the benchmark can show it."""
    options = [chosen for chosen in control_options().values() if stills or "motion" not in chosen]
    return [*methods, *(methods[0].with_options(**chosen) for chosen in options)]


@dataclass(frozen=True)
class Plan:
    """What of a benchmark is run.

    Attributes:
        benchmark: Which.
        scenes: The first so many.
        shots: The first so many; all if None.
        shuffled: Every scene in an order of its own.
        other: Whether the first method is rendered from other noise, too (unseen history, other seed).
        seeds: Of the noise: every method is run with so many, one after another.
        device: Of the models.
    """

    benchmark: Benchmark
    scenes: int
    shots: int | None = None
    shuffled: bool = False
    other: bool = True
    seeds: int = 1
    device: str | None = None

    def __post_init__(self) -> None:
        for name, count in (("scenes", self.scenes), ("seeds", self.seeds)):
            if count < 1:
                raise ValueError(f"{count} {name}: expected at least 1")
        check_scene(self.benchmark, self.scenes - 1, self.shots)


def run_benchmark(
    plan: Plan,
    methods: Sequence[Method],
    out: Path,
    progress: Callable[[int, int], None] | None = None,
    share: Share = map,
) -> list[Report]:
    """Render and score; what is there already is kept, so that the same command goes on.

    Args:
        plan: Of what.
        methods: What to compare.
        out: Folder: one folder of results a method and seed, and the truth.
        progress: Called with scenes rendered and their number, over all methods.
        share: Has workers render and score scenes (`batch.pool.sharing`); one after another here if left out.

    Raises:
        ValueError: A model that cannot be loaded, or does not do what is asked of it.
    """
    out.mkdir(parents=True, exist_ok=True)
    seeded = [with_seeds(method, plan.seeds) for method in methods]
    total, done, reports = plan.scenes * sum(map(len, seeded)), 0, []

    def on_scene() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    for method, each_seed in zip(methods, seeded, strict=True):
        other = plan.other and method is methods[0]
        found = [_run_method(_Chains(plan, each, out, other), on_scene, share) for each in each_seed]
        reports.append(over_seeds(method.text, found))
    return reports


def with_seeds(method: Method, seeds: int) -> list[Method]:
    """A method, and the same from other noise where that makes a difference."""
    others = range(1, seeds) if method.noisy else ()
    return [method, *(method.with_options(seed=str(method.seed + more)) for more in others)]


@dataclass(frozen=True)
class _Chains:
    """Renders the chain of a scene by one method, wherever it is sent; the model is loaded when it is first used."""

    plan: Plan
    method: Method
    out: Path
    other: bool

    @property
    def folder(self) -> Path:
        return self.out / self.method.slug

    @cached_property
    def engine(self) -> Engine:
        return make_engine(self.method, self.plan.device)

    def __call__(self, number: int) -> list[Sample]:
        scene = self.plan.benchmark.open(number, self.plan.shots, self.plan.shuffled)
        return render_scene(scene, self.method, self.engine, self.folder, self.out / "truth", self.other)


def _run_method(chains: _Chains, on_scene: Callable[[], None], share: Share) -> Report:
    """One method with one seed."""
    folder, samples = chains.folder, []
    for made in share(chains, range(chains.plan.scenes)):
        samples += made
        on_scene()
    _write_about(folder, chains.plan.benchmark, chains.method, chains.engine)
    write_manifest(folder / MANIFEST, sorted(samples, key=lambda sample: sample.scene))
    outcome = run(folder, folder / FOLDER, METRICS, chains.method.text, share=share)
    assert outcome.report is not None
    return outcome.report


def foresee(plan: Plan, methods: Sequence[Method]) -> str:
    """What a benchmark will cost, in a line: views, and time on this machine within a factor of two or three.

    Raises:
        ValueError: As `run_benchmark`.
    """
    scene = plan.benchmark.open(0, plan.shots)
    shots, frames = len(scene.targets), len(scene.source)
    size = scene.source.cameras.height, scene.source.cameras.width
    views, seconds = 0, 0.0
    for place, method in enumerate(methods):
        engine = make_engine(method, plan.device)
        workings = engine.generator.workings
        windows = plan_windows(frames, workings.frames or frames, workings.overlap)
        k = min(engine.settings.retrieval.k, shots) if method.options.get("memory", "all") == "all" else 1
        chains = plan.scenes * (plan.seeds if method.noisy else 1) * (2 if plan.other and place == 0 else 1)
        contexts = [max(k, workings.fewest)] * (shots * len(windows))
        views += chains * shots
        seconds += chains * estimate_cost(inner(engine.generator), contexts, len(windows[0]), *size).seconds
    return (
        f"{views} views of {len(methods)} methods to render, about {max(1, round(seconds / 60))} minutes on this "
        "machine (within a factor of three), and about as long to score them; what is there already is kept"
    )


def _write_about(folder: Path, benchmark: Benchmark, method: Method, engine: Engine) -> None:
    """What the videos of a folder are."""
    about = {
        "benchmark": benchmark.name,
        "version": benchmark.version,
        "hash": benchmark.digest(),
        "method": method.text,
        "generator": engine.generator.fingerprint(),
        "settings": engine.settings.to_json(),
        "seed": method.seed,
    }
    write_file(folder / "benchmark.json", (json.dumps(about, indent=1) + "\n").encode())


def render_scene(
    scene: BenchmarkScene, method: Method, engine: Engine, folder: Path, truth: Path, other: bool
) -> list[Sample]:
    """The chain of one scene, and where all is that it takes to score it."""
    folders = [folder / "scenes" / scene.name]
    chain = render_chain(scene, method, engine, folders[0], method.seed)
    if other:
        folders.append(folder / "scenes-other" / scene.name)
        render_chain(scene, method, engine, folders[1], method.seed + OTHER_SEED)
    cameras = {name: chain.cameras(name) for name in (SOURCE, *scene.shots)}
    true = write_truth(truth, scene, cameras, chain.manifest.fps)
    samples = []
    # A run of more shots may have left more of them.
    for sample in [sample for sample in scene_samples(folders[0], scene.name) if sample.shot in scene.shots]:
        source = {"source": true[SOURCE]["truth"], "source_depth": true[SOURCE]["depth"]}
        other_video = {"other": folders[1] / "views" / sample.shot} if other else {}
        samples.append(replace(sample, **true[sample.shot], **source, **other_video))
    return samples


def render_chain(scene: BenchmarkScene, method: Method, engine: Engine, folder: Path, seed: int) -> Scene:
    """All shots of a scene, one after another, each joining the memory of the next; goes on where it stopped."""
    source = scene.source if method.motion else scene.no_motion
    if source is None:
        raise ValueError(f"{method.text}: recordings cannot stand still; expected motion=on")
    opened = Scene.open(folder) if (folder / FILE).is_file() else _create(source, method, engine, folder, seed)
    with opened.lock():
        _write_source(opened, source, method.depth)  # a run that was stopped may owe it
        for name, cameras in scene.targets.items():
            opened.declare(name, "view", cameras, scene.origins.get(name))
        AutoregressiveRenderer(opened, engine.generator, engine.settings, None).render()
    return opened


def _create(source: View, method: Method, engine: Engine, folder: Path, seed: int) -> Scene:
    """A scene with nothing in it."""
    workings = engine.generator.workings
    windows = plan_windows(len(source), workings.frames or len(source), workings.overlap)
    size = source.cameras.height, source.cameras.width
    settings = engine.settings.to_json()
    manifest = Manifest(
        method.model, engine.generator.fingerprint(), *size, source.fps, len(source), tuple(windows), seed, settings
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Scene.create(folder, manifest)


def _write_source(scene: Scene, source: View, with_depth: bool) -> None:
    """The source in memory, as far as it is not there."""
    scene.declare(SOURCE, "source", source.cameras)
    for number, window in enumerate(scene.manifest.windows):
        if not scene.has(SOURCE, number):
            index = window_index(window, len(source))
            depth = source.depth[index] if with_depth and source.depth is not None else None
            scene.write(SOURCE, number, source.frames[index], {"given": True}, {}, depth)
