"""The paper's ablations of training at the size of pico: every variant trained, rendered in chains, and scored.

One folder, one command; what is there is kept, so that it goes on where it stopped. Variants that share their first
stage share its run. Seed n is the seed of weights, data and noise of all variants: their data come in one order.

<out>/runs/STAGE-sN                 a training run; one that has a `model` and is at its end is not run again
<out>/contexts/STAGE-sN-chainC      what its model made, for the second stage
<out>/scores/VARIANT-sN, table.*    chains of shots, their scores, and the table over seeds
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from plenodream.evaluation.aggregate import Report
from plenodream.evaluation.bench import Plan, run_benchmark
from plenodream.evaluation.benchmarks import get_benchmark
from plenodream.evaluation.methods.method import Method
from plenodream.evaluation.seeds import over_seeds
from plenodream.files.atomic import write_file
from plenodream.recipes.pico import pico
from plenodream.rendering.load import load_pipeline
from plenodream.training.batches.contexts import SceneSet, generate_contexts
from plenodream.training.batches.self_conditioning import SelfConditioning, second_stage
from plenodream.training.config import RunOptions, TrainConfig
from plenodream.training.curriculum import Curriculum, SecondStage, Stage
from plenodream.training.trainer import Trainer

BENCHMARK = "basic-mini"
_DONE = "finished.json"
_VIEWS = 6  # of the second stage's scenes: the source, four that may be a chain, the target
_TRIAL = 8  # steps that are timed to foresee the rest


def _progressive(config: TrainConfig) -> TrainConfig:
    return config


def _flat(config: TrainConfig) -> TrainConfig:
    """All context sizes from the first step on."""
    stages = tuple(replace(s, max_context=3, any_context=True, source_context=True) for s in config.curriculum.stages)
    return replace(config, curriculum=Curriculum(stages))


def _random(config: TrainConfig) -> TrainConfig:
    """Contexts drawn from all other views, the source no more often than they."""
    stages = tuple(replace(stage, source_context=False) for stage in config.curriculum.stages)
    return replace(config, curriculum=Curriculum(stages))


def _overlap(config: TrainConfig) -> TrainConfig:
    """Frames that are given clean have a part in the loss."""
    return replace(config, objective=replace(config.objective, overlap_in_loss=True))


def _alone(config: TrainConfig) -> TrainConfig:
    """One context view, the source: every view is rendered by itself, as ReCamMaster's are."""
    return replace(config, curriculum=replace(config.curriculum, max_context=1))


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Attributes:
        about: What of it is not as in `full`.
        first: Changes the recipe of the first stage.
        chain: Shots that are chained in the second stage's contexts; 0: there is none, the first is as much longer.
        options: Of the renders, where it is not rendered as all others are.
    """

    about: str
    first: Callable[[TrainConfig], TrainConfig] = _progressive
    chain: int = 1
    options: tuple[tuple[str, str], ...] = ()


VARIANTS = {
    "full": Variant("progressive context, then self-conditioning with contexts of one shot"),
    "no-self-conditioning": Variant("as many steps of the first stage instead", chain=0),
    "no-progressive": Variant("all context sizes from the first step on", _flat),
    "random-context": Variant("any views as context, in training and in rendering", _random, 1,
                              (("strategy", "random"), ("keep-source", "off"))),
    "chain-2": Variant("contexts made of contexts that were made: two shots", chain=2),
    "chain-4": Variant("four shots", chain=4),
    "overlap-in-loss": Variant("overlap frames have a part in the loss", _overlap),
    "alone": Variant("trained and rendered from the source alone", _alone, 0, (("memory", "source"),)),
}  # fmt: skip


@dataclass(frozen=True)
class Ablations:
    """What is run.

    Attributes:
        out: Folder.
        seeds: Training seeds.
        scenes: Of the benchmark.
        shots: Of every scene; all if None.
        steps: Of the first stage; the recipe's if None. The second takes a fifth of it.
        device: Where to train.
        variants: Which.
    """

    out: Path
    seeds: int = 3
    scenes: int = 8
    shots: int | None = None
    steps: int | None = None
    device: str = "cpu"
    variants: tuple[str, ...] = tuple(VARIANTS)

    def __post_init__(self) -> None:
        for name, count in (("training seeds", self.seeds), ("training steps", self.steps)):
            if count is not None and count < 1:
                raise ValueError(f"{count} {name}: expected at least 1")
        self.plan()  # refuses scenes and shots that there are not

    def config(self, variant: Variant, seed: int) -> TrainConfig:
        """Recipe of a variant's first stage."""
        base = pico()
        steps = self.steps or base.steps
        more = max(1, steps // 5)
        total = steps if variant.chain else steps + more
        second = SecondStage(more, base.second.probability)
        return replace(variant.first(base), steps=total, second=second, seed=seed, validate_every=max(1, total))

    def plan(self) -> Plan:
        """Of the benchmark."""
        return Plan(get_benchmark(BENCHMARK), self.scenes, self.shots, other=False, device=self.device)


def run_ablations(ablations: Ablations, quiet: bool = False) -> list[Report]:
    """Train, render and score whatever is missing.

    Returns:
        A report a variant, means over seeds; `full` first.

    Raises:
        ValueError: A folder of other settings, a full disk, what training or rendering refuses.
    """
    _check_folder(ablations)
    plan, reports = ablations.plan(), []
    for name in ablations.variants:
        variant, found = VARIANTS[name], []
        for seed in range(ablations.seeds):
            model = _trained(ablations, variant, seed, quiet)
            method = Method(f"{name}-s{seed}", str(model), dict(variant.options))
            found += run_benchmark(plan, [method], ablations.out / "scores")
        reports.append(over_seeds(name, found))
    return reports


def foresee(ablations: Ablations) -> str:
    """What it will cost, in a line; some steps are tried for it."""
    began, config = time.process_time(), ablations.config(VARIANTS["full"], 0)
    runs = {(v.first.__name__, v.chain == 0) for v in (VARIANTS[name] for name in ablations.variants)}
    seconds = _step_seconds(config)
    second = sum(VARIANTS[name].chain > 0 for name in ablations.variants)
    steps = ablations.seeds * (len(runs) * config.steps + second * (config.second.steps or 0))
    chains = ablations.seeds * len(ablations.variants) * ablations.scenes
    hours = steps * seconds / 3600
    tried = time.process_time() - began
    return (
        f"{ablations.seeds} seeds of {len(ablations.variants)} variants: {steps} training steps, about {hours:.1f} CPU "
        f"hours on this machine ({seconds:.2f} s a step, tried for {tried:.0f} s), and {chains} chains to render and "
        "score; what is there already is kept"
    )


def _step_seconds(config: TrainConfig) -> float:
    """CPU seconds of a step, the mean over the stages by their shares."""
    total = 0.0
    for stage in config.curriculum.stages:
        trial = replace(config, steps=_TRIAL, curriculum=Curriculum((replace(stage, share=1.0),)))
        total += stage.share * _timed(trial)
    return total


def _timed(config: TrainConfig) -> float:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        trainer = Trainer(config, RunOptions(Path(folder), quiet=True, stop_after=1))
        trainer.run()  # the first step counts operations
        trainer = Trainer(config, RunOptions(Path(folder), quiet=True, resume=True, stop_after=_TRIAL - 1))
        began = time.process_time()
        trainer.run()
        return (time.process_time() - began) / (_TRIAL - 1)


def _check_folder(ablations: Ablations) -> None:
    """Refuse a folder that holds something else: its runs would be taken for ours."""
    path = ablations.out / "ablations.json"
    content = json.dumps({"steps": ablations.config(VARIANTS["full"], 0).steps, "recipe": pico().to_json()}, indent=1)
    if path.is_file() and path.read_text() != content:
        raise ValueError(f"{ablations.out}: ablations of other steps or another recipe; choose another --out")
    ablations.out.mkdir(parents=True, exist_ok=True)
    write_file(path, content.encode())


def _trained(ablations: Ablations, variant: Variant, seed: int, quiet: bool) -> Path:
    """The model of a variant and seed, trained as far as it is not."""
    config = ablations.config(variant, seed)
    stage = f"{variant.first.__name__.strip('_')}{'-long' if not variant.chain else ''}-s{seed}"
    runs = ablations.out / "runs"
    first = _fit(config, runs / stage, ablations.device, quiet)
    if not variant.chain:
        return first
    name = f"{stage}-chain{variant.chain}"
    contexts = _contexts(ablations, config, first, ablations.out / "contexts" / name, variant.chain)
    second = second_stage(config)
    (last,) = second.curriculum.stages
    second = replace(second, curriculum=Curriculum((replace(last, views=_VIEWS),)))
    return _fit(second, runs / name, ablations.device, quiet, first, contexts)


def _fit(
    config: TrainConfig, out: Path, device: str, quiet: bool, start: Path | None = None, contexts: Path | None = None
) -> Path:
    """One training run to its end."""
    if (out / _DONE).is_file():
        return out / "model"
    resume = (out / "checkpoint").exists()
    options = RunOptions(out, resume=resume, init_from=None if resume else start, device=device, quiet=quiet)
    batches = None
    if contexts is not None:
        stages = config.curriculum.stages
        batches = SelfConditioning(contexts, stages, config.height, config.width, config.seed, device=device, workers=0)
    # No held-out scores: the best of them, with clean context, may be what the run began with.
    Trainer(config, options, None, batches).run()
    write_file(out / _DONE, json.dumps({"steps": config.steps}).encode())
    return out / "model"


def _contexts(ablations: Ablations, config: TrainConfig, model: Path, folder: Path, chain: int) -> Path:
    """Contexts that a first stage's model makes: each scene serves twice in the second stage; at most 200."""
    last: Stage = config.curriculum.stages[-1]
    count = min(200, max(4, last.batch * (config.second.steps or 1) // 2))
    scenes = SceneSet(count, _VIEWS, last.frames, config.height, config.width, seed=config.seed)
    pipeline = load_pipeline(str(model), ablations.device)
    parts = (pipeline.transformer, pipeline.codec, pipeline.scheduler, pipeline.own_sampling())
    with torch.no_grad():
        generate_contexts(*parts, scenes, folder, k=last.max_context, seed=config.seed, chain=chain)
    return folder
