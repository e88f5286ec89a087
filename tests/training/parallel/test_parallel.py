"""Two gloo ranks as torchrun starts them, and four in a grid, against one process."""

import json
import shutil
from pathlib import Path

import forked
import parallel_worker as worker
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_config

from plenodream.models.sequences import choose_axis
from plenodream.training.config import RunOptions
from plenodream.training.parallel.ranks import Parallel, setup_parallel
from plenodream.training.trainer import Trainer


def assert_equal(actual: dict, expected: dict, tolerance: float = 1e-5) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(
            actual[name], expected[name], atol=tolerance, rtol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of one process, and everything that two ranks found."""
    folder = tmp_path_factory.mktemp("parallel")
    one = worker.Run(Parallel())
    one.take(range(2))
    one.save(folder / "one", 2)
    forked.ranks(2, worker.main, folder, said=folder / "said.txt")
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict:
    return torch.load(folder / "results.pt")


@pytest.fixture(scope="module")
def single() -> dict:
    """One process, never interrupted: its state after two steps, the losses of two more, the state after those."""
    run = worker.Run(Parallel())
    run.take(range(2))
    return {"before": run.state(), "losses": run.take(range(2, 4)), "after": run.state()}


@pytest.mark.parametrize("name", worker.SCENARIOS)
def test_losses_and_gradients_equal_those_of_one_process(name: str, found: dict) -> None:
    check_gradients(name, found)


def test_a_grid_of_four_ranks_shards_and_shares_at_once(tmp_path: Path) -> None:
    forked.ranks(4, worker.grid, tmp_path, said=tmp_path / "said.txt")
    found = torch.load(tmp_path / "grid.pt")
    assert set(found) == set(worker.GRID)
    for name in found:
        check_gradients(name, found, parts=range(2))


def check_gradients(name: str, found: dict, parts: range | None = None) -> None:
    """What the ranks found for a scenario equals what one process finds for all parts of the global batch."""
    context_parallel, attention, size, options = worker.SCENARIOS[name]
    model = worker.network(attention, **options)
    parts = parts or range(2 // context_parallel)
    loss = sum(worker.loss_of(model, size, part) for part in parts) / len(parts)
    loss.backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert found[name][0] == pytest.approx(loss.item(), rel=1e-5)
    assert_equal({n: g for n, g in found[name][1].items() if n in grads}, grads)
    assert all(g.abs().max() == 0 for n, g in found[name][1].items() if n not in grads)
    assert any(g.abs().max() > 1e-3 for g in grads.values())


def test_two_ranks_train_like_one(found: dict, single: dict) -> None:
    saved, losses, after = found["two"]
    assert_equal(saved, single["before"])
    assert losses == pytest.approx(single["losses"], rel=1e-5)
    assert_equal(after, single["after"])


def test_two_ranks_resume_from_one(found: dict, single: dict) -> None:
    progress, restored, losses, after = found["from-one"]
    assert progress == (2, 2)
    assert_equal(restored, single["before"], tolerance=0)
    assert losses == pytest.approx(single["losses"], rel=1e-5)
    assert_equal(after, single["after"])


def test_one_resumes_from_two_ranks(folder: Path, found: dict) -> None:
    saved, losses, after = found["two"]
    run = worker.Run(Parallel())
    progress = run.load(folder / "two")
    assert (progress.step, progress.updates, len(progress.shards)) == (2, 2, 2)
    assert_equal(run.state(), saved, tolerance=0)
    assert run.take(range(2, 4)) == pytest.approx(losses, rel=1e-5)
    assert_equal(run.state(), after)


def test_the_averaged_weights_are_there_whole(folder: Path, found: dict) -> None:
    saved = found["two"][0]
    average = {name.removeprefix("average."): value for name, value in saved.items() if name.startswith("average.")}
    assert_equal(load_file(folder / "two" / "weights.safetensors"), average, tolerance=0)


def test_a_full_disk_of_one_rank_fails_all_and_leaves_the_old_checkpoint(folder: Path, found: dict) -> None:
    assert "two: cannot be written (" in found["full disk"] and "--resume: the one before is" in found["full disk"]
    assert "\n" not in found["full disk"] and len(found["full disk"]) < 400
    assert torch.load(folder / "other.pt")["full disk"] == found["full disk"]
    assert not list(folder.glob(".*"))
    assert json.loads((folder / "two" / "progress.json").read_text())["step"] == 2


def test_ranks_draw_different_data_and_follow_the_main_clock(folder: Path, found: dict) -> None:
    assert found["from_main"] == 7
    assert found["data"] == [10, 2]
    assert torch.load(folder / "other.pt")["data"] == [11, 2]


def test_a_run_on_two_ranks_goes_on_in_one_process(folder: Path, found: dict, tmp_path: Path) -> None:
    step, weights, average = found["trainer"]
    config, lines = (
        tiny_config(),
        [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()],
    )
    assert step == 2 and [line["step"] for line in lines if "loss" in line] == [1, 2]  # one rank writes
    losses = []
    for part in range(2):
        alone = Trainer(config, RunOptions(out=tmp_path / str(part), stop_after=1, quiet=True))
        alone.first_batch = part
        alone.run()
        log = (tmp_path / str(part) / "log.jsonl").read_text().splitlines()
        losses.append(next(line["loss"] for line in map(json.loads, log) if "loss" in line))
    assert losses[0] != losses[1]
    assert next(line["loss"] for line in lines if "loss" in line) == pytest.approx(sum(losses) / 2, rel=1e-5)

    resumed = Trainer(config, RunOptions(out=folder / "run", resume=True, stop_after=1, quiet=True), worker.validate)
    assert resumed.step == 2
    assert_equal(dict(resumed.model.state_dict()), dict(weights), tolerance=0)
    assert_equal(resumed.average.weights, average, tolerance=0)
    scored = [line["seen"] for line in lines if "seen" in line][-1]
    assert scored == pytest.approx(worker.validate(resumed.averaged_model(), tmp_path, 2)["seen"], rel=1e-6)
    resumed.run()
    assert resumed.step == 3


def test_context_parallel_peers_draw_the_same_data() -> None:
    grid = [Parallel(rank=rank, world_size=8, context_parallel=4) for rank in range(8)]
    assert [parallel.data_step(3) for parallel in grid] == [6] * 4 + [7] * 4
    assert {parallel.data_step(step) for parallel in grid for step in range(50)} == set(range(100))


def test_a_checkpoint_with_a_shard_lost_is_refused_before_anything_changes(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "two", tmp_path / "two")
    lost = sorted((tmp_path / "two" / "shards").iterdir())[-1]
    lost.unlink()
    run = worker.Run(Parallel())
    before = run.state()
    with pytest.raises(ValueError, match=f"damaged checkpoint .{lost.name} is missing.*--init-from"):
        run.load(tmp_path / "two")
    assert_equal(run.state(), before, tolerance=0)


def test_the_published_setting_is_shared_by_frames() -> None:
    assert choose_axis((24, 27, 48), 8) == 0
    assert choose_axis((24, 27, 48), 9) == 1
    assert choose_axis((9, 27, 48), 8) == 2
    with pytest.raises(ValueError, match="multiple of context_parallel=5"):
        choose_axis((24, 27, 48), 5)


def test_more_sharing_ranks_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert setup_parallel() == Parallel()
    with pytest.raises(ValueError, match="torchrun --nproc-per-node 8"):
        setup_parallel(context_parallel=8)
