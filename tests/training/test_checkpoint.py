from __future__ import annotations

import errno

import pytest
import torch
from safetensors.torch import save_file

import plenodream.training.checkpoint as checkpoint
from plenodream.training.checkpoint import load_checkpoint, load_weights, save_checkpoint

RECIPE = '{"name": "a", "optimizer": {"clip": 1.0}}'


def save(folder, value=1.0, recipe=RECIPE):
    weights = {"w": torch.full((2, 2), value)}
    save_checkpoint(folder, {"step": int(value), "model": weights, "optimizer": {}, "average": {}}, weights, recipe)


def full_disk(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("torch.save", OSError(errno.ENOSPC, "No space left on device")),
        ("torch.save", RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed writing file")),
        ("save_file", OSError(errno.ENOSPC, "No space left on device")),
        ("os.fsync", OSError(errno.EIO, "Input/output error")),
    ],
)
def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch, name, error):
    folder = tmp_path / "checkpoint"
    save(folder, 1)
    owner, _, attribute = name.rpartition(".")
    monkeypatch.setattr(getattr(checkpoint, owner) if owner else checkpoint, attribute, full_disk(error))
    with pytest.raises(
        ValueError, match=r"cannot be written .* then --resume: the one before is still there, whole"
    ) as raised:
        save(folder, 2)
    assert "\n" not in str(raised.value)
    monkeypatch.undo()
    assert load_checkpoint(folder, RECIPE)["step"] == 1
    assert load_weights(folder)["w"].unique().item() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_comes_back_and_is_replaced(tmp_path):
    save(tmp_path / "checkpoint", 1)
    save(tmp_path / "checkpoint", 2)
    assert load_checkpoint(tmp_path / "checkpoint", RECIPE)["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("content", [{"model": {}, "step": 3}, [1, 2], 7])
def test_a_file_of_other_content_is_no_checkpoint(tmp_path, content):
    save(tmp_path / "checkpoint", 1)
    torch.save(content, tmp_path / "checkpoint" / "state.pt")
    with pytest.raises(ValueError, match=r"damaged checkpoint .* --init-from"):
        load_checkpoint(tmp_path / "checkpoint", RECIPE)


def test_a_crash_between_the_two_renames_is_mended(tmp_path):
    save(tmp_path / "checkpoint", 1)
    (tmp_path / "checkpoint").rename(tmp_path / ".old-checkpoint")
    assert load_checkpoint(tmp_path / "checkpoint", RECIPE)["step"] == 1


def test_what_cannot_be_resumed_says_why(tmp_path):
    folder = tmp_path / "checkpoint"
    with pytest.raises(ValueError, match="no checkpoint to resume"):
        load_checkpoint(folder, RECIPE)
    save(folder)
    with pytest.raises(ValueError, match=r"another recipe \(optimizer.clip is 1.0 there, 2.0 now\)"):
        load_checkpoint(folder, RECIPE.replace("1.0", "2.0"))
    (folder / "state.pt").write_bytes(b"cut off")
    with pytest.raises(ValueError, match=r"damaged checkpoint .* --init-from"):
        load_checkpoint(folder, RECIPE)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_checkpoint(folder, RECIPE)


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
