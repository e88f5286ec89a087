from __future__ import annotations

import errno
import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from plenodream.training.checkpoint import state as module
from plenodream.training.checkpoint.state import Progress, Trained, load_checkpoint, save_checkpoint
from plenodream.training.checkpoint.weights import load_weights
from plenodream.training.parallel.ranks import Parallel

RECIPE = '{"name": "a", "optimizer": {"clip": 1.0}}'


def trained(value=0.0, steps=1):
    """A linear map of which all weights are `value`, after steps that move nothing but the optimiser."""
    model = nn.Linear(2, 2)
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    for _ in range(steps):
        model(torch.full((1, 2), value + 1.0)).sum().backward()
        optimizer.step()
    return Trained(model, optimizer, {name: p.detach().clone() for name, p in model.named_parameters()})


def save(folder, value=1.0, steps=1):
    save_checkpoint(Parallel(), folder, trained(value, steps), Progress(int(value), 0), RECIPE)


def load(folder, into=None, recipe=RECIPE):
    return load_checkpoint(Parallel(), folder, into or trained(), recipe)


def full_disk(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (os, "fsync", OSError(errno.ENOSPC, "No space left on device")),
        (
            module.dcp,
            "save",
            RuntimeError("PytorchStreamWriter failed writing file"),
        ),
        (module, "save_file", OSError(errno.ENOSPC, "No space left on device")),
        (module, "dump_document", OSError(errno.EIO, "Input/output error")),
    ],
)
def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch, owner, name, error):
    folder = tmp_path / "checkpoint"
    save(folder, 1)
    monkeypatch.setattr(owner, name, full_disk(error))
    with pytest.raises(
        ValueError, match=r"cannot be written .* then --resume: the one before is still there, whole"
    ) as raised:
        save(folder, 2)
    assert "\n" not in str(raised.value)
    monkeypatch.undo()
    assert load(folder).step == 1
    assert load_weights(folder)["weight"].unique().item() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_comes_back_and_is_replaced(tmp_path):
    save(tmp_path / "checkpoint", 1)
    save(tmp_path / "checkpoint", 2, steps=3)
    found = trained(steps=0)
    assert load(tmp_path / "checkpoint", found).step == 2
    assert {tensor.unique().item() for tensor in (*found.model.state_dict().values(), *found.average.values())} == {2.0}
    states, expected = (each.optimizer.state_dict()["state"] for each in (found, trained(2.0, steps=3)))
    assert all(torch.equal(states[n][key], value) for n in expected for key, value in expected[n].items())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_to_save_before_the_first_step_is_no_step(tmp_path):
    """torch makes an optimiser that is asked for its moments take a step."""
    fresh = trained(steps=0)
    save_checkpoint(Parallel(), tmp_path / "checkpoint", fresh, Progress(0, 0), RECIPE)
    assert not fresh.optimizer.state
    found = trained(steps=1)
    load(tmp_path / "checkpoint", found)
    assert not found.optimizer.state


def test_no_file_of_a_checkpoint_is_a_pickle(tmp_path):
    save(tmp_path / "checkpoint")
    files = [path for path in (tmp_path / "checkpoint").rglob("*") if path.is_file()]
    for path in files:
        load_file(path) if path.suffix == ".safetensors" else json.loads(path.read_text())
    assert len(files) == 4


def test_a_crash_between_the_two_renames_is_mended(tmp_path):
    save(tmp_path / "checkpoint", 1)
    (tmp_path / "checkpoint").rename(tmp_path / ".old-checkpoint")
    assert load(tmp_path / "checkpoint").step == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"step": 3}, "progress.json: object missing required field updates"),
        ({"step": "three", "updates": 3}, r'progress.json: step: found "three", expected int'),
        ({"step": 3, "updates": 3, "guard": {"mean": 1.0}}, "progress.json: guard: object missing required field"),
        ([1, 2], r"progress.json: found \[1, 2\], expected object"),
    ],
)
def test_progress_of_other_content_is_refused(tmp_path, content, words):
    save(tmp_path / "checkpoint", 1)
    (tmp_path / "checkpoint" / "progress.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{words}.* --init-from"):
        load(tmp_path / "checkpoint")


def test_what_cannot_be_resumed_says_why(tmp_path):
    folder = tmp_path / "checkpoint"
    with pytest.raises(ValueError, match="no checkpoint to resume"):
        load(folder)
    save(folder)
    with pytest.raises(ValueError, match=r"another recipe \(optimizer.clip is 1.0 there, 2.0 now\)"):
        load(folder, recipe=RECIPE.replace("1.0", "2.0"))
    (shard,) = (folder / "shards").iterdir()
    whole = shard.read_bytes()
    for damaged in (whole[:-1], b"cut off", b""):
        shard.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"shards: damaged checkpoint .* --init-from") as error:
            load(folder)
        assert "\n" not in str(error.value)
    shard.write_bytes(whole)
    other = trained()
    other.average["more"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"damaged checkpoint .*more"):
        load(folder, other)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        load(folder)
    (folder / "progress.json").unlink()  # as it was when one process wrote state.pt
    with pytest.raises(ValueError, match=r"older plenodream.*--init-from .*weights.safetensors"):
        load(folder)


def test_weights_are_read_from_files_shards_and_pipelines(tmp_path):
    shards = tmp_path / "model" / "transformer"
    shards.mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, shards / "w-00001-of-00002.safetensors")
    save_file({"b": torch.ones(1)}, shards / "w-00002-of-00002.safetensors")
    (shards / "w.safetensors.index.json").write_text(
        '{"weight_map": {"a": "w-00001-of-00002.safetensors", "b": "w-00002-of-00002.safetensors"}}'
    )
    assert sorted(load_weights(tmp_path / "model")) == sorted(load_weights(shards)) == ["a", "b"]
    assert list(load_weights(shards / "w-00002-of-00002.safetensors")) == ["b"]
    (shards / "w-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"1 shards missing, e.g. w-00002"):
        load_weights(tmp_path / "model")
    (shards / "w.safetensors.index.json").unlink()
    (shards / "w-00001-of-00002.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="not readable as safetensors"):
        load_weights(shards)
    with pytest.raises(ValueError, match="no weights"):
        load_weights(tmp_path)
