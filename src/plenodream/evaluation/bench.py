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
from plenodream.evaluation.methods.controls import control_options
from plenodream.evaluation.methods.method import Engine, Method, make_engine
from plenodream.evaluation.results import FOLDER
from plenodream.evaluation.run import Share, run
from plenodream.evaluation.samples import Sample
from plenodream.files.atomic import write_file
from plenodream.memory.manifest import FILE, Manifest
from plenodream.memory.scene import Scene
from plenodream.memory.windows import plan_windows, window_index
from plenodream.rendering.renderer import AutoregressiveRenderer
from plenodream.rendering.request import SOURCE
from plenodream.types import View

METRICS = ("fidelity", "sync", "homography", "distribution")
OTHER_SEED = 1000  # further than any seed that people take


def with_controls(methods: Sequence[Method], stills: bool = True) -> list[Method]:
    """The methods, and the controls of the first; that without motion where the benchmark can show it."""
    options = [chosen for chosen in control_options().values() if stills or "motion" not in chosen]
    return [*methods, *(methods[0].with_options(**chosen) for chosen in options)]


def run_benchmark(
    benchmark: Benchmark,
    methods: Sequence[Method],
    out: Path,
    scenes: int,
    shots: int | None = None,
    shuffled: bool = False,
    other: bool = True,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    share: Share = map,
) -> list[Report]:
    """Render and score; what is there already is kept, so that the same command goes on.

    Args:
        benchmark: Which.
        methods: What to compare.
        out: Folder: one folder of results a method, and the truth.
        scenes: The first so many.
        shots: The first so many trajectories; all if None.
        shuffled: Every scene in an order of its own.
        other: Whether the first method is rendered from other noise, too (unseen history, other seed).
        device: Of the models.
        progress: Called with scenes rendered and their number, over all methods.
        share: Has workers render and score scenes (`batch.pool.sharing`); one after another here if left out.

    Raises:
        ValueError: No such scene or shots, or a model that cannot be loaded.
    """
    check_scene(benchmark, scenes - 1, shots)
    out.mkdir(parents=True, exist_ok=True)
    total, done, reports = scenes * len(methods), 0, []
    for method in methods:
        folder = out / method.slug
        chains = _Chains(benchmark, shots, shuffled, method, device, folder, out / "truth", other and not reports)
        samples: list[Sample] = []
        for made in share(chains, range(scenes)):
            samples += made
            done += 1
            if progress is not None:
                progress(done, total)
        _write_about(folder, benchmark, method, chains.engine)
        write_manifest(folder / MANIFEST, sorted(samples, key=lambda sample: sample.scene))
        outcome = run(folder, folder / FOLDER, METRICS, method.text, share=share)
        assert outcome.report is not None
        reports.append(outcome.report)
    return reports


@dataclass(frozen=True)
class _Chains:
    """Renders the chain of a scene by one method, wherever it is sent; the model is loaded when it is first used."""

    benchmark: Benchmark
    shots: int | None
    shuffled: bool
    method: Method
    device: str | None
    folder: Path
    truth: Path
    other: bool

    @cached_property
    def engine(self) -> Engine:
        return make_engine(self.method, self.device)

    def __call__(self, number: int) -> list[Sample]:
        scene = self.benchmark.open(number, self.shots, self.shuffled)
        return render_scene(scene, self.method, self.engine, self.folder, self.truth, self.other)


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
    cameras = {name: chain.cameras(name) for name in (SOURCE, *chain.names("view"))}
    true = write_truth(truth, scene, cameras, chain.manifest.fps)
    samples = []
    for sample in scene_samples(folders[0], scene.name):
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
        for name, cameras in scene.targets.items():
            opened.declare(name, "view", cameras, scene.origins.get(name))
        AutoregressiveRenderer(opened, engine.generator, engine.settings, None).render()
    return opened


def _create(source: View, method: Method, engine: Engine, folder: Path, seed: int) -> Scene:
    """A scene with its source in memory."""
    workings = engine.generator.workings
    windows = plan_windows(len(source), workings.frames or len(source), workings.overlap)
    size = source.cameras.height, source.cameras.width
    settings = engine.settings.to_json()
    manifest = Manifest(
        method.model, engine.generator.fingerprint(), *size, source.fps, len(source), tuple(windows), seed, settings
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    scene = Scene.create(folder, manifest)
    scene.declare(SOURCE, "source", source.cameras)
    for number, window in enumerate(windows):
        index = window_index(window, len(source))
        depth = source.depth[index] if method.depth and source.depth is not None else None
        scene.write(SOURCE, number, source.frames[index], {"given": True}, {}, depth)
    return scene
