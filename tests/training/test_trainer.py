from __future__ import annotations

import json
import math
import signal
import sys
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import forked
import pytest
import torch
import trainer_worker
from safetensors.torch import load_file
from tiny import tiny_config

import plenodream.training.trainer as module
from plenodream.rendering.load import load_pipeline
from plenodream.training.build import build_model, set_trainable
from plenodream.training.checkpoint.weights import load_weights
from plenodream.training.config import OptimizerConfig, RunOptions
from plenodream.training.curriculum import Curriculum, Stage
from plenodream.training.export import quality
from plenodream.training.throughput import count_operations
from plenodream.training.trainer import Trainer


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Measuring the device and counting operations takes longer than training this network."""
    monkeypatch.setattr(module, "product_rate", lambda dtype, device: 1e12)
    monkeypatch.setattr(module, "count_operations", lambda: nullcontext(SimpleNamespace(get_total_flops=lambda: 1000)))


def make(out, config=None, validate=None, batches=None, **options):
    return Trainer(config or tiny_config(), RunOptions(out, quiet=True, **options), validate, batches)


def take_time(monkeypatch, step):
    """A clock that stands still but for the steps."""
    clock, step_of = {"now": 0.0}, Trainer._step

    def timed(self, progress, meter):
        clock["now"] += step
        return step_of(self, progress, meter)

    monkeypatch.setattr(module.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(Trainer, "_step", timed)
    return clock


def lines(out, key="loss"):
    return [line for line in map(json.loads, (out / "log.jsonl").read_text().splitlines()) if key in line]


def test_an_interrupted_run_goes_on_exactly(tmp_path, monkeypatch):
    """Interrupted twice, in the middle of a stage and between checkpoints: same losses and weights, bit for bit."""
    monkeypatch.setattr(module, "count_operations", count_operations)
    make(tmp_path / "a").run()
    make(tmp_path / "b", stop_after=3).run()
    make(tmp_path / "b", resume=True, stop_after=2).run()
    make(tmp_path / "b", resume=True).run()
    keys = ("step", "loss", "rate", "gradient_norm", "k", "stage")
    whole, parts = ([tuple(line[key] for key in keys) for line in lines(tmp_path / x)] for x in "ab")
    assert parts == whole and [step for step, *_ in whole] == list(range(1, 9))
    one, other = (load_file(next((tmp_path / x / "checkpoint" / "shards").iterdir())) for x in "ab")
    assert one.keys() == other.keys() and {name.split(".")[0] for name in one} == {"model", "average", "optimizer"}
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_ctrl_c_ends_after_the_step_and_loses_nothing(tmp_path):
    make(tmp_path / "a").run()
    handler = signal.getsignal(signal.SIGINT)
    stopped = make(tmp_path / "b")
    batches = stopped.batches

    def press(stage, number):
        if number == 2:
            signal.raise_signal(signal.SIGINT)
        return batches(stage, number)

    stopped.batches = press
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert stopped.step == 3 and signal.getsignal(signal.SIGINT) is handler
    make(tmp_path / "b", resume=True).run()
    whole, parts = ([(line["step"], line["loss"]) for line in lines(tmp_path / x)] for x in "ab")
    assert parts == whole


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    stopped = make(tmp_path)

    def press(stage, number):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on")

    stopped.batches = press
    with pytest.raises(KeyboardInterrupt):
        stopped.run()


def test_a_score_that_is_none_is_never_the_best(tmp_path):
    scores = iter([{"seen": 1.0}, {}, {"seen": 2.0}])
    make(tmp_path, validate=lambda *_: next(scores)).run()
    assert json.loads((tmp_path / "model" / "training.json").read_text())["scores"] == {"seen": 2.0}


def test_an_instalment_keeps_its_last_weights(tmp_path):
    """Before the rate has decayed, the best score says little; the next instalment goes on from the last step."""
    config = tiny_config(curriculum=replace(tiny_config().curriculum, end=0.5))
    scores = iter([3.0, 2.0, 1.0])
    make(tmp_path, config, lambda *_: {"seen": next(scores)}).run()
    assert json.loads((tmp_path / "model" / "training.json").read_text())["steps"] == 8


def test_videos_from_disk_keep_the_last_weights(tmp_path):
    """What is scored are rooms: weights that begin as a model of rooms would be handed back as they came."""
    config, inner = tiny_config(), make(tmp_path).batches
    stages = tuple(replace(stage, family="disk") for stage in config.curriculum.stages)
    scores = iter([3.0, 2.0, 1.0])
    disk = replace(config, curriculum=replace(config.curriculum, stages=stages))
    rooms = lambda stage, number: inner(replace(stage, family="mild"), number)  # noqa: E731
    make(tmp_path, disk, lambda *_: {"seen": next(scores)}, rooms).run()
    assert json.loads((tmp_path / "model" / "training.json").read_text())["steps"] == 8


def test_lines_after_the_checkpoint_are_dropped_on_resume(tmp_path):
    make(tmp_path, stop_after=3).run()
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write('{"step": 4, "loss": 99.0}\n{"step": 5, "lo')
    make(tmp_path, resume=True).run()
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, 9))
    assert all(line["loss"] < 99 for line in lines(tmp_path))


def test_tensorboard_is_given_the_same_numbers(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    make(tmp_path, stop_after=2, tensorboard=True).run()
    assert written[0] == (str(tmp_path / "tensorboard"), 1) and written[-1] == "closed"
    assert [w[1:] for w in written if w[0] == "loss"] == [(line["loss"], line["step"]) for line in lines(tmp_path)]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        make(tmp_path, resume=True, tensorboard=True).run()


def test_the_best_model_is_chosen_by_depth_too():
    grown, trained = {"seen": 24.0, "depth": 0.43}, {"seen": 22.5, "depth": 0.05}
    assert quality(trained) > quality(grown) > quality({"seen": 23.0, "depth": 0.43}) > quality({})
    assert quality({"seen": 24.0}) == 24.0


@pytest.mark.parametrize("terminal", [True, False])
def test_a_finished_run_has_a_full_bar_and_then_says_where_its_model_is(tmp_path, capsys, monkeypatch, terminal):
    monkeypatch.setattr("rich.console.Console.is_terminal", terminal)
    Trainer(tiny_config(), RunOptions(tmp_path, stop_after=3)).run()
    assert "plenodream render" not in capsys.readouterr().err
    Trainer(tiny_config(), RunOptions(tmp_path, resume=True)).run()
    told = capsys.readouterr().err
    assert told.rindex("100%" if terminal else "100 %") < told.index(f"render CLIP --model {tmp_path / 'model'}")
    assert ("\x1b" in told) is terminal


def test_in_a_file_the_bar_is_lines(tmp_path, capsys):
    Trainer(tiny_config(steps=200, validate_every=300), RunOptions(tmp_path, stop_after=5)).run()
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in told[1:]] == ["1 %", "2 %"]
    assert "step 5, loss" in told[2]  # after that step
    Trainer(
        tiny_config(steps=200, validate_every=300), RunOptions(tmp_path, resume=True, stop_after=1, quiet=True)
    ).run()
    assert not capsys.readouterr().err


def test_the_log_says_what_a_run_does(tmp_path):
    make(tmp_path).run()
    logged = lines(tmp_path)
    assert [line["stage"] for line in logged] == [0] * 4 + [1] * 4
    assert {line["k"] for line in logged[:4]} == {1} and {line["k"] for line in logged[4:]} <= {1, 2}
    for line in logged:
        assert line["frames_per_second"] > 0 and 0 < line["mfu"] < 1 and 0 < line["data_share"] < 1
        assert line["gradient_norm"] > 0


def test_resuming_needs_the_same_recipe_and_a_new_run_a_new_folder(tmp_path):
    make(tmp_path, stop_after=1).run()
    with pytest.raises(ValueError, match="holds a run already"):
        make(tmp_path)
    changed = replace(tiny_config(), optimizer=OptimizerConfig(learning_rate=0.5))
    with pytest.raises(ValueError, match=r"optimizer.learning_rate is 0.001 there, 0.5 now"):
        make(tmp_path, changed, resume=True)
    with pytest.raises(ValueError, match="no checkpoint"):
        make(tmp_path / "nothing", resume=True)


def test_only_the_named_weights_change(tmp_path):
    config = tiny_config(trainable="attention")
    before = {name: value.clone() for name, value in build_model(config).state_dict().items()}
    trainer = make(tmp_path, config)
    trainer.run()
    changed = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(".attn1." in name for name in changed)
    assert any("cam_encoder" in name for name in changed) and any("to_q" in name for name in changed)
    assert set(load_file(tmp_path / "checkpoint" / "weights.safetensors")) == {
        name for name in before if ".attn1." in name
    }


def test_all_weights_change_otherwise(tmp_path):
    before = {name: value.clone() for name, value in build_model(tiny_config()).state_dict().items()}
    trainer = make(tmp_path)
    trainer.run()
    same = {name for name, value in trainer.model.state_dict().items() if torch.equal(value, before[name])}
    # Over one null text token the softmax is 1: queries and keys of the text have no part in the output.
    assert all(".attn2." in name for name in same)
    model = build_model(tiny_config())
    set_trainable(model, "attention")
    set_trainable(model, "all")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_bad_batch_is_left_out(tmp_path):
    """A batch of NaN changes nothing, and the steps after it go on."""

    class Sometimes:
        def __init__(self, inner):
            self.inner = inner

        def __call__(self, stage, number):
            batch = self.inner(stage, number)
            return replace(batch, signal=batch.signal * math.nan) if number == 2 else batch

    trainer = make(tmp_path, stop_after=5)
    trainer.batches = Sometimes(trainer.batches)
    trainer.run()
    make(tmp_path, resume=True).run()
    logged = lines(tmp_path)
    assert [line["step"] for line in logged] == list(range(1, 9))
    assert logged[2]["loss"] is None and [line["left_out"] for line in logged] == [0, 0] + [1] * 6
    assert all(torch.isfinite(value).all() for value in trainer.model.state_dict().values())
    assert math.isfinite(logged[-1]["loss"])


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory")]
)
def test_out_of_memory_says_what_to_lower(tmp_path, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(module, "training_loss", fail)
    with pytest.raises(
        ValueError, match=r"stage 0 \(2 scenes of 3 views of 1 frames\): lower curriculum.stages.0.batch"
    ):
        make(tmp_path).run()


def test_a_full_disk_ends_the_run_and_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    make(tmp_path, stop_after=4).run()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("plenodream.training.checkpoint.state.save_file", fail)
    with pytest.raises(ValueError, match="free some space, then --resume"):
        make(tmp_path, resume=True).run()
    monkeypatch.undo()
    make(tmp_path, resume=True).run()
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, 9))


def test_a_budget_in_minutes_is_kept_and_decays_to_zero(tmp_path, monkeypatch):
    """3 s a step and none for the scores: 0.5 minutes are 10 steps, half of them in each stage."""
    take_time(monkeypatch, step=3.0)
    config = tiny_config(optimizer=OptimizerConfig(decay_share=0.5), validate_every=100)
    make(tmp_path, config, minutes=0.5, stop_after=6).run()
    make(tmp_path, config, resume=True).run()
    logged = lines(tmp_path)
    assert [line["seconds"] for line in logged] == [3.0 * n for n in range(1, 11)]
    assert [line["stage"] for line in logged] == [0] * 5 + [1] * 5
    assert logged[0]["rate"] == pytest.approx(1e-3 / 200) and logged[2]["rate"] == pytest.approx(1e-3)
    assert logged[-1]["rate"] == pytest.approx(1e-3 * 0.1 / 0.5)


def test_the_scores_are_within_the_minutes(tmp_path, monkeypatch):
    """Scores take 6 s before and after: of 42 s, 30 are left for steps of 3 s, and the rate has come down by then."""
    clock = take_time(monkeypatch, step=3.0)

    def validate(model, out, step):
        clock["now"] += 6.0
        return {"seen": 1.0}

    config = tiny_config(optimizer=OptimizerConfig(decay_share=0.5), validate_every=100)
    make(tmp_path, config, validate, minutes=0.7).run()
    assert len(lines(tmp_path)) == 10 and clock["now"] == 42.0
    assert lines(tmp_path)[-1]["rate"] < 2e-4


def test_a_budget_without_a_step_makes_no_model_and_one_line(tmp_path, monkeypatch, capsys):
    clock = take_time(monkeypatch, step=3.0)

    def validate(model, out, step):
        clock["now"] += 6.0
        return {"seen": 1.0}

    with pytest.raises(ValueError, match=r"0.1 minutes were over before the first step: nothing is trained; expected"):
        make(tmp_path, tiny_config(), validate, minutes=0.1).run()
    assert not (tmp_path / "model").exists() and not (tmp_path / "checkpoint").exists()
    make(tmp_path, tiny_config(), minutes=0.1).run()  # the same folder, with time for steps
    before = lines(tmp_path)
    capsys.readouterr()
    Trainer(tiny_config(), RunOptions(tmp_path, resume=True, minutes=0.05)).run()
    assert "0.05 minutes were over at step 2 already: nothing more is trained" in capsys.readouterr().err
    assert lines(tmp_path) == before and len(before) == 2


def test_a_killed_run_loses_no_more_than_five_minutes(tmp_path, monkeypatch):
    take_time(monkeypatch, step=101.0)
    saved = []
    trainer = make(tmp_path)
    monkeypatch.setattr(trainer, "save", lambda: saved.append(trainer.step))
    trainer.config = replace(trainer.config, validate_every=100)
    trainer.run()
    assert saved == [3, 6, 8]


def test_the_best_weights_are_kept_as_a_model_that_renders(tmp_path):
    scores = iter([1.0, 5.0, 3.0])
    seen = []

    def validate(model, out, step):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"seen": next(scores)}

    last = make(tmp_path, validate=validate, shard_mb=0.05).run()
    assert last == {"seen": 3.0} and len(seen) == 3
    assert [line["seen"] for line in lines(tmp_path, "seen")] == [1.0, 5.0, 3.0]
    notes = json.loads((tmp_path / "model" / "training.json").read_text())
    assert notes["steps"] == notes["batches"] == 4 and notes["scores"] == {"seen": 5.0}
    shards = list((tmp_path / "model" / "transformer").glob("*.safetensors"))
    assert len(shards) > 2 and max(path.stat().st_size for path in shards) < 80_000
    pipeline = load_pipeline(str(tmp_path / "model"), "cpu")
    assert (pipeline.config.height, pipeline.config.frames, pipeline.config.context_views) == (16, 3, 2)
    for name, value in pipeline.transformer.state_dict().items():
        torch.testing.assert_close(value.float(), seen[1][name].bfloat16().float(), rtol=0, atol=0)


def test_an_instalment_takes_the_weights_and_new_data(tmp_path):
    make(tmp_path / "a").run()
    numbers = []
    trainer = make(tmp_path / "b", init_from=tmp_path / "a" / "model")
    weights = load_weights(tmp_path / "a" / "model")
    assert all(torch.equal(trainer.model.state_dict()[name], value.float()) for name, value in weights.items())
    inner = trainer.batches
    trainer.batches = lambda stage, number: numbers.append(number) or inner(stage, number)
    trainer.run()
    assert numbers == list(range(8, 16)) and trainer.optimizer.state  # 0 to 7 were the first instalment's
    assert json.loads((tmp_path / "b" / "model" / "training.json").read_text())["batches"] == 16


def test_weights_of_another_network_are_refused(tmp_path):
    make(tmp_path / "a").run()
    model = tiny_config().model
    for changes, words in (({"num_layers": 3}, "missing"), ({"attention_head_dim": 32}, "size mismatch")):
        with pytest.raises(ValueError, match=f"another network.*{words}") as error:
            make(tmp_path / "b", tiny_config(model=model | changes), init_from=tmp_path / "a" / "model")
        assert "\n" not in str(error.value)


def test_a_backbone_without_cameras_is_accepted_for_fine_tuning(tmp_path):
    from safetensors.torch import save_file

    weights = {name: v for name, v in build_model(tiny_config()).state_dict().items() if "cam_encoder" not in name}
    save_file(weights, tmp_path / "base.safetensors")
    trainer = make(tmp_path / "run", tiny_config(trainable="attention"), init_from=tmp_path / "base.safetensors")
    assert not trainer.model.transformer_blocks[0].attn1.cam_encoder.weight.any()  # zero: the backbone as it was
    with pytest.raises(ValueError, match="2 missing"):
        make(tmp_path / "other", init_from=tmp_path / "base.safetensors")


def test_gradient_checkpointing_changes_no_number(tmp_path):
    losses = []
    for name, setting in (("a", False), ("b", True)):
        make(tmp_path / name, tiny_config(gradient_checkpointing=setting)).run()
        losses.append([(line["loss"], line["gradient_norm"]) for line in lines(tmp_path / name)])
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]))


def test_bf16_autocast_keeps_weights_in_fp32_and_losses_near(tmp_path):
    losses = []
    for name in ("fp32", "bf16"):
        trainer = make(tmp_path / name, tiny_config(precision=name))
        trainer.run()
        assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())
        losses.append([line["loss"] for line in lines(tmp_path / name)])
    assert losses[0] != losses[1]
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), rtol=0.05, atol=0)


def test_joint_networks_train_with_their_layout_filled(tmp_path):
    layout = ("context", "context", "target")
    model = tiny_config().model | {"context_attention": "joint", "layout": layout, "prediction": "velocity"}
    stage = Stage(share=1, frames=2, batch=1, views=4, max_context=2, any_context=True, targets=1)
    trainer = make(tmp_path, tiny_config(model=model, curriculum=Curriculum((stage,)), steps=4))
    trainer.run()
    assert {line["k"] for line in lines(tmp_path)} == {1, 2}


def test_training_learns(tmp_path):
    """40 steps on one and the same batch: the loss falls well below where it was."""
    stage = Stage(share=1, frames=1, batch=4, views=3)
    config = tiny_config(
        curriculum=Curriculum((stage,)), steps=40, validate_every=100, optimizer=OptimizerConfig(warmup_steps=5)
    )
    trainer = make(tmp_path, config)
    inner = trainer.batches
    trainer.batches = lambda stage, number: inner(stage, 0)
    trainer.run()
    losses = [line["loss"] for line in lines(tmp_path)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_two_processes_train_together_and_one_goes_on(tmp_path):
    """As under torchrun, sharded; validated and interrupted; the same run is finished by a single process."""
    forked.ranks(2, trainer_worker.main, tmp_path, said=tmp_path / "said.txt")
    make(tmp_path, validate=lambda model, out, step: {"seen": float(step)}, resume=True).run()
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, 9))
    assert [line["step"] for line in lines(tmp_path, "seen")] == [0, 4, 5, 8]
    assert all(math.isfinite(line["loss"]) and line["left_out"] == 0 for line in lines(tmp_path))


def test_options_that_contradict_are_refused(tmp_path):
    for minutes in (0, math.nan, math.inf):
        with pytest.raises(ValueError, match="more than 0"):
            RunOptions(tmp_path, minutes=minutes)
    with pytest.raises(ValueError, match="shards of 0 MB"):
        RunOptions(tmp_path, shard_mb=0)
    with pytest.raises(ValueError, match="leave --init-from out"):
        RunOptions(tmp_path, resume=True, init_from=tmp_path)
