import json
import os
import shutil
import signal
from dataclasses import replace
from functools import partial

import forked
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from tiny import loss_of_views, tiny_config

from plenodream.data import episode
from plenodream.data.synth import synthesize
from plenodream.models.codecs.protocol import to_frames
from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
from plenodream.models.context import ViewTokens
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.rays import camera_tokens
from plenodream.models.weights import weights_hash
from plenodream.recipes import run as run_module
from plenodream.recipes.nano import nano
from plenodream.rendering.load import load_pipeline
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.sampler import Sampler
from plenodream.sampling.view import sample_view
from plenodream.training import trainer
from plenodream.training.batches import contexts as module
from plenodream.training.batches.batch import step_generator
from plenodream.training.batches.contexts import SceneSet, draw_clean_context, generate_contexts, generate_views
from plenodream.training.batches.procedural import synthetic_batch
from plenodream.training.batches.self_conditioning import SelfConditioning, second_stage
from plenodream.training.config import RunOptions
from plenodream.training.curriculum import Curriculum, SecondStage, Stage
from plenodream.training.objective import ObjectiveConfig
from plenodream.training.trainer import Trainer

SCENES = SceneSet(count=4, views=3, frames=2, height=16, width=16)
STAGE = Stage(1.0, frames=2, batch=2, views=3, max_context=2, any_context=True, targets=1, self_conditioning=0.5)
SAMPLING = SamplingConfig(steps=2)


@pytest.fixture(scope="module")
def parts(tiny_pipeline):
    pipeline = tiny_pipeline()
    return pipeline.transformer, pipeline.codec, pipeline.scheduler, SAMPLING


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("contexts")
    assert generate_contexts(*parts, SCENES, folder, k=2, seed=5) == 4
    return folder


def source(folder, stage=STAGE, **options):
    return SelfConditioning(folder, [stage], 16, 16, **{"workers": 0, **options})


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scene_numbers(loaded):
    return [int(path.folder.name.removeprefix("scene")) for path in loaded]


def sampled_one_by_one(parts, scene, contexts, noise):
    """Every view on its own, from the plain description: noise in, its context's true views beside it."""
    model, codec, scheduler, sampling = parts
    rays = camera_tokens(scene.cameras, torch.eye(4), 8)
    latents = codec.encode(scene.signal[0])[None]
    rows = [row for table in contexts for row in table.tolist()]
    frames = []
    for target, row in enumerate(rows, start=1):
        views = ViewTokens(latents[:, row], rays[:, row])
        given = model.encode(views)
        made = sample_view(model, scheduler, sampling, noise[target - 1][None], rays[:, target], given)
        frames.append(to_frames(codec.decode(made))[0])
    return torch.stack(frames)


def close(left, right):
    """Bytes that differ by rounding alone, and seldom."""
    difference = (left.int() - right.int()).abs()
    return difference.max() <= 1 and (difference > 0).float().mean() < 0.01


@pytest.mark.parametrize(("views", "k"), [(2, 1), (4, 1), (4, 2), (5, 3), (3, 9)])
def test_clean_context_is_the_source_and_earlier_views(views, k):
    seen = set()
    for seed in range(30):
        tables = draw_clean_context(views, k, torch.Generator().manual_seed(seed))
        rows = [row for table in tables for row in table.tolist()]
        assert len(rows) == views - 1
        for target, row in enumerate(rows, start=1):
            assert row[0] == 0 and len(set(row)) == len(row) == min(k, target) and max(row) < target
        seen.add(tuple(rows[-1]))
    assert len(seen) > 1 or k == 1 or views <= k + 1


@pytest.mark.parametrize("attention", ["independent", "joint"])
def test_views_are_what_the_model_samples(parts, tiny_pipeline, attention):
    model = tiny_pipeline(context_attention=attention, layout=("target", "context*")).transformer
    parts = (model, *parts[1:])
    scene = synthetic_batch(replace(STAGE, batch=1, views=4), 3, 16, 16, seed=0, device="cpu")
    contexts = draw_clean_context(4, 2, torch.Generator().manual_seed(1))
    made = generate_views(Sampler(*parts), scene, contexts, torch.Generator().manual_seed(2))
    noise = torch.randn(3, 192, 2, 2, 2, generator=torch.Generator().manual_seed(2))
    assert made.shape == (3, 2, 16, 16, 3) and made.dtype == torch.uint8
    assert close(made, sampled_one_by_one(parts, scene, contexts, noise))
    assert not close(made, to_frames(scene.signal[0, 1:]))
    other = generate_views(Sampler(*parts), scene, contexts, torch.Generator().manual_seed(3))
    assert not close(made, other)


def test_a_fixed_layout_is_filled_with_the_source(parts, tiny_pipeline):
    model = tiny_pipeline(context_attention="joint", layout=("context", "target", "context")).transformer
    parts = (model, *parts[1:])
    scene = synthetic_batch(replace(STAGE, batch=1), 0, 16, 16, seed=0, device="cpu")
    made = generate_views(Sampler(*parts), scene, [torch.tensor([[0], [0]])], torch.Generator().manual_seed(2))
    noise = torch.randn(2, 192, 2, 2, 2, generator=torch.Generator().manual_seed(2))
    assert close(made, sampled_one_by_one(parts, scene, [torch.tensor([[0, 0], [0, 0]])], noise))


def test_stored_contexts_are_generated_from_the_scenes_true_views(parts, folder):
    only_generated = replace(STAGE, batch=1, self_conditioning=1.0)
    batches = source(folder, only_generated)
    found = {}
    for number in range(4):
        batch = batches(only_generated, number)
        episode = batches.batches.load(only_generated, number).samples[0].episode
        found[episode] = batch
    assert sorted(found) == [0, 1, 2, 3]
    for number, batch in found.items():
        truth = synthetic_batch(replace(STAGE, batch=1), number, 16, 16, seed=0, device="cpu")
        assert (batch.signal - truth.signal).abs().max() <= 1 / 255 + 1e-5
        assert torch.equal(batch.cameras.camera_to_world, truth.cameras.camera_to_world)
        assert torch.equal(batch.cameras.intrinsics, truth.cameras.intrinsics)
        generator = step_generator(5, number, "noise")
        drawn = draw_clean_context(3, 2, generator)
        noise = torch.randn(2, 192, 2, 2, 2, generator=generator)
        expected = sampled_one_by_one(parts, truth, drawn, noise)
        assert close(to_frames(batch.context_signal[0, 1:]), expected)
        assert torch.equal(batch.context_signal[:, 0], batch.signal[:, 0])
        assert (batch.context_signal[:, 1:] - batch.signal[:, 1:]).abs().mean() > 0.1


def test_ratio_is_as_asked_and_targets_stay_true(folder):
    stage = replace(STAGE, batch=4, self_conditioning=0.3)
    batches = source(folder, stage)
    replaced, total = 0, 0
    for number in range(14):
        batch = batches(stage, number)
        changed = (batch.context_signal != batch.signal).flatten(2).any(-1)
        assert not changed[:, 0].any()
        replaced, total = replaced + int(changed[:, 1:].sum()), total + changed[:, 1:].numel()
        if number == 0:
            assert torch.equal(batch.signal, batches(replace(stage, self_conditioning=0.0), 0).signal)
    assert abs(replaced / total - 0.3) < 3 * (0.3 * 0.7 / total) ** 0.5
    never = batches(replace(stage, self_conditioning=0.0), 0)
    assert torch.equal(never.context_signal, never.signal)


def test_batches_are_a_function_of_their_number(folder):
    whole = [source(folder)(STAGE, n) for n in range(6)]
    resumed = source(folder)
    for number in (3, 4, 5):
        batch = resumed(STAGE, number)
        assert torch.equal(batch.context_signal, whole[number].context_signal)
        assert torch.equal(batch.signal, whole[number].signal)
    assert not torch.equal(whole[0].context_signal, source(folder, seed=1)(STAGE, 0).context_signal)


def test_loss_reads_generated_contexts_and_true_targets(parts, folder):
    model, codec = parts[:2]
    batch = source(folder, replace(STAGE, self_conditioning=1.0))(replace(STAGE, self_conditioning=1.0), 0)
    latents, given = (codec.encode(s.flatten(0, 1)).unflatten(0, (2, 3)) for s in (batch.signal, batch.context_signal))
    rays = camera_tokens(batch.cameras, torch.eye(4), 8)
    context = torch.tensor([[[0, 2], [0, 1]]] * 2)

    def loss(latents, given):
        generator = torch.Generator().manual_seed(0)
        return loss_of_views(
            model, latents, rays, context, range(1, 3), ObjectiveConfig(), generator, given=given
        ).item()

    assert loss(latents, latents) == loss(latents, None)
    assert abs(loss(latents, given) - loss(latents, None)) > 1e-6  # contexts matter
    assert loss(latents, given) != loss(given, given)  # and targets are not they


def generate_and_die(model, out):
    """Killed while it writes the third scene."""
    write, files = episode.write_file, []

    def dies(path, data):
        files.append(path)
        if len(files) == 13:  # five videos a scene: the third video of the third scene
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, data)

    episode.write_file = dies
    parts = SpaceToDepthCodec(8), FlowMatchEulerDiscreteScheduler(shift=3.0), SAMPLING
    generate_contexts(CosmosCameraTransformer.from_pretrained(model), *parts, SCENES, out, k=2, seed=5)


def test_generation_goes_on_after_a_kill(parts, folder, tmp_path):
    """A process killed while it writes the third scene; what it had written is not written again."""
    parts[0].save_pretrained(tmp_path / "model")
    out = tmp_path / "contexts"
    process = forked.start(generate_and_die, tmp_path / "model", out, said=tmp_path / "said.txt")
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "said.txt").read_text()
    names = sorted(path.name for path in out.iterdir())
    assert names[1:] == ["contexts.json", "scene00000", "scene00001"] and names[0].startswith(".tmp-scene00002")
    finished = {path: path.stat().st_mtime_ns for path in (out / "scene00001").rglob("*")}
    with pytest.raises(ValueError, match="contexts of 2 of 4 scenes; expected all: repeat the generation"):
        source(out)
    done = []
    assert generate_contexts(*parts, SCENES, out, k=2, seed=5, progress=done.append) == 2
    assert done == [1, 2, 3, 4]
    assert {path: path.stat().st_mtime_ns for path in (out / "scene00001").rglob("*")} == finished
    assert content(out) == content(folder)
    assert generate_contexts(*parts, SCENES, out, k=2, seed=5) == 0


def test_refused_contexts_leave_no_folder(parts, tmp_path):
    for changes in ({"seed": -1}, {"scenes": replace(SCENES, seed=2**70)}, {"scenes": replace(SCENES, views=10**13)}):
        with pytest.raises((ValueError, RuntimeError, OverflowError, MemoryError)):
            generate_contexts(*parts, **{"scenes": SCENES, "folder": tmp_path / "a", "k": 2, "seed": 5, **changes})
        assert not (tmp_path / "a").exists()


def test_processes_share_the_work(parts, folder, tmp_path):
    made = [generate_contexts(*parts, SCENES, tmp_path, k=2, seed=5, rank=rank, world_size=3) for rank in range(3)]
    assert made == [2, 1, 1] and content(tmp_path) == content(folder)


def test_other_weights_are_refused(parts, folder, tiny_pipeline):
    before = content(folder)
    other = tiny_pipeline(seed=1).transformer
    made, found = weights_hash(parts[0].state_dict()), weights_hash(other.state_dict())
    with pytest.raises(ValueError, match=f"made with weights {made}, this model has {found}; expected the same"):
        generate_contexts(other, *parts[1:], SCENES, folder, k=2, seed=5)
    with pytest.raises(ValueError, match=f"made with weights {made}, training goes on from {found}; expected the same"):
        source(folder, weights=found)
    source(folder, weights=made)
    assert content(folder) == before


def test_hash_sees_every_weight_and_not_its_type(parts):
    weights = parts[0].state_dict()
    whole = weights_hash(weights)
    assert whole == weights_hash({name: tensor.bfloat16() for name, tensor in reversed(weights.items())})
    for name in weights:
        changed = weights | {name: weights[name].clone()}
        changed[name].view(-1)[-1] += 1
        assert weights_hash(changed) != whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenes": replace(SCENES, frames=3)}, "contexts of other scenes"),
        ({"k": 1}, r"contexts of other k \(2, not 1\)"),
        ({"seed": 6}, r"contexts of other seed \(5, not 6\)"),
        ({"chain": 2}, r"contexts of other chain \(None, not 2\)"),
    ],
)
def test_other_settings_are_refused(parts, folder, changes, message):
    with pytest.raises(ValueError, match=message):
        generate_contexts(*parts, **{"scenes": SCENES, "folder": folder, "k": 2, "seed": 5, **changes})


def test_chained_contexts_are_not_gone_on_with_without_chains(parts, folder, tmp_path):
    manifest = json.loads((folder / "contexts.json").read_text())
    (tmp_path / "contexts.json").write_text(json.dumps(manifest | {"chain": 2}))
    with pytest.raises(ValueError, match=r"contexts of other chain \(2, not None\)"):
        generate_contexts(*parts, SCENES, tmp_path, k=2, seed=5)


def test_stages_that_do_not_fit_are_refused(folder, tmp_path):
    with pytest.raises(
        ValueError, match="contexts of 3 views of 2 frames of 16x16, but a stage of 3 views of 9 frames"
    ):
        source(folder, replace(STAGE, frames=9))
    with pytest.raises(ValueError, match="a stage of 4 views"):
        source(folder, replace(STAGE, views=4))
    with pytest.raises(ValueError, match=r"contexts\.json is missing; generate them first"):
        source(tmp_path)
    with pytest.raises(ValueError, match=r"expected any_context=True"):
        Stage(1.0, self_conditioning=0.5)
    with pytest.raises(ValueError, match=r"generated views were made from: expected targets=1"):
        replace(STAGE, targets=None)
    with pytest.raises(ValueError, match=r"self_conditioning is 1.5: expected a probability"):
        replace(STAGE, self_conditioning=1.5)


def test_second_stage_is_the_last_one_with_generated_contexts():
    config = nano()
    second = second_stage(replace(config, second=SecondStage(steps=70, probability=0.4)))
    assert second.steps == 70 and second_stage(config).steps == config.steps
    # What was generated for a view was made from those before it: the last one alone is in no context.
    assert second.curriculum.stages == (
        replace(config.curriculum.stages[-1], share=1.0, any_context=True, targets=1, self_conditioning=0.4),
    )
    assert second_stage(second) == second  # a recipe that says it itself stays as it is
    stages = (replace(config.curriculum.stages[-1], share=0.5), replace(second.curriculum.stages[0], share=0.5))
    mixed = replace(config, curriculum=replace(config.curriculum, stages=stages))
    with pytest.raises(ValueError, match="with and without self_conditioning in one run"):
        second_stage(mixed)


def test_damaged_scene_is_skipped_with_a_warning(parts, tmp_path, caplog):
    generate_contexts(*parts, replace(SCENES, count=2), tmp_path)
    (tmp_path / "scene00001" / "videos" / "generated1.mp4").write_bytes(b"cut")
    batches = source(tmp_path)
    assert {s.episode for n in range(3) for s in batches.batches.load(STAGE, n).samples} == {0}
    assert len(caplog.records) == 1 and "scene00001" in caplog.records[0].message


def test_contexts_of_episodes_on_disk(parts, tmp_path):
    synthesize(tmp_path / "data", scenes=2, views=3, frames=4, height=16, width=16)
    scenes = replace(SCENES, count=2, family="disk", data=str(tmp_path / "data"))
    generate_contexts(*parts, scenes, tmp_path / "contexts")
    stage = replace(STAGE, batch=1, family="disk", self_conditioning=1.0)
    batch = source(tmp_path / "contexts", stage)(stage, 0)
    load, number = scenes.opened(), source(tmp_path / "contexts", stage).batches.load(stage, 0).samples[0].episode
    assert torch.equal(batch.signal, load(number).signal)
    torch.testing.assert_close(batch.cameras.camera_to_world, load(number).cameras.camera_to_world)
    assert (batch.context_signal[:, 1:] - batch.signal[:, 1:]).abs().mean() > 0.1
    with pytest.raises(ValueError, match="expected a folder for `disk` alone"):
        replace(SCENES, family="disk")


def test_full_disk_says_what_to_do(parts, tmp_path, monkeypatch):
    real, calls = module.write_episode, []

    def fills(path, views):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(path, views)

    monkeypatch.setattr(module, "write_episode", fills)
    with pytest.raises(ValueError, match=r"No space left on device\) after 1 new scenes; make room and repeat"):
        generate_contexts(*parts, SCENES, tmp_path)
    assert json.loads((tmp_path / "contexts.json").read_text())["scenes"]["count"] == 4


def tiny_stage_two():
    stage = replace(STAGE, batch=1)
    return tiny_config(curriculum=Curriculum((stage,)), steps=4, validate_every=2)


def test_a_run_on_generated_contexts_resumes_exactly(parts, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "product_rate", lambda dtype, device: 1e12)
    config, losses = tiny_stage_two(), {}

    def run(out, **options):
        batches = source(folder, config.curriculum.stages[0])
        Trainer(config, RunOptions(tmp_path / out, quiet=True, **options), None, batches).run()
        lines = map(json.loads, (tmp_path / out / "log.jsonl").read_text().splitlines())
        losses[out] = [line["loss"] for line in lines if "loss" in line]

    run("whole")
    run("parts", stop_after=3)
    run("parts", resume=True)
    assert len(losses["whole"]) == 4 and losses["parts"] == losses["whole"]
    # Contexts of other weights are other data.
    manifest = json.loads((folder / "contexts.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "contexts.json").write_text(json.dumps(manifest | {"weights": "0" * 16}))
    with pytest.raises(ValueError, match="trained on other data"):
        options = RunOptions(tmp_path / "parts", quiet=True, resume=True)
        Trainer(config, options, None, source(other, config.curriculum.stages[0]))


def test_the_command_trains_from_the_weights_that_made_the_contexts_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "product_rate", lambda dtype, device: 1e12)
    monkeypatch.setattr(run_module, "get_recipe", lambda name: tiny_config(steps=2))
    monkeypatch.setattr(run_module, "make_validation", lambda *args: None)
    monkeypatch.setattr(run_module, "SelfConditioning", partial(SelfConditioning, workers=0))
    run_module.train("tiny", RunOptions(tmp_path / "first", quiet=True))
    pipeline = load_pipeline(str(tmp_path / "first" / "model"), "cpu")
    scenes = SceneSet(count=2, views=3, frames=3, height=16, width=16)
    made = (pipeline.transformer, pipeline.codec, pipeline.scheduler, SAMPLING, scenes)
    generate_contexts(*made, tmp_path / "contexts", k=2)

    def second(out, start, **options):
        options = RunOptions(tmp_path / out, quiet=True, init_from=start, **options)
        return run_module.train("tiny", options, contexts=tmp_path / "contexts")

    second("second", tmp_path / "first" / "model")
    recipe = json.loads((tmp_path / "second" / "checkpoint" / "recipe.json").read_text())
    (stage,) = recipe["curriculum"]["stages"]
    assert stage["self_conditioning"] == 0.5 and stage["frames"] == 3 and stage["share"] == 1
    with pytest.raises(ValueError, match="training goes on from"):
        second("third", tmp_path / "second" / "model")
    with pytest.raises(ValueError, match="expected --init-from, the weights that made them"):
        second("third", None)
    with pytest.raises(ValueError, match="trains on generated contexts: expected --contexts"):
        overrides = ["curriculum.stages.1.self_conditioning=0.5", "curriculum.stages.1.targets=1"]
        run_module.train("tiny", RunOptions(tmp_path / "third", quiet=True), overrides)
