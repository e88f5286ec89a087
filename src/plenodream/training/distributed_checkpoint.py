"""Checkpoints that many ranks write together and any other number of ranks, or one process, goes on from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from plenodream.files.folders import tidy
from plenodream.training.checkpoint import RECIPE, STATE, WEIGHTS, check_recipe, whole_folder
from plenodream.training.parallel.ranks import Parallel

SHARDS, PROGRESS = "shards", "progress.pt"
FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


def save_sharded(
    parallel: Parallel,
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    progress: dict[str, Any],
    recipe: str,
) -> None:
    """Write a checkpoint, every rank its shards; all ranks call it. Beside the old one, then in its place.

    Args:
        parallel: The ranks.
        folder: The checkpoint's folder, on a disk that all ranks see.
        model: As given back by `Parallel.prepare`.
        optimizer: Of the model.
        average: Averaged weights by name, sharded like the model's; also written whole, as plain safetensors.
        progress: Whatever else resume needs, the same on all ranks (tensors, numbers, strings).
        recipe: The run's config as JSON.

    Raises:
        ValueError: On all ranks, if any cannot write; the old checkpoint is untouched.
    """
    state = _tensors(model, optimizer, average)
    with ExitStack() as stack:
        fresh = _agree(parallel, lambda: str(stack.enter_context(whole_folder(folder))))
        with _quiet(folder, "cannot be written"):
            dcp.save(state, checkpoint_id=Path(fresh) / SHARDS, no_dist=parallel.mesh is None)
        weights = _to_main(parallel, average)

        def finish() -> None:
            with _quiet(folder, "cannot be written"):
                save_file(weights, Path(fresh) / WEIGHTS)
                torch.save(progress, Path(fresh) / PROGRESS)
                (Path(fresh) / RECIPE).write_text(recipe)
            stack.close()  # moves the folder into its place

        _agree(parallel, finish)


def load_sharded(
    parallel: Parallel,
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    recipe: str,
) -> dict[str, Any]:
    """Go on from a checkpoint of any number of ranks, or from one of a single process; all ranks call it.

    Model, optimiser and average are filled in place.

    Returns:
        The `progress` that was saved; of a single process's checkpoint, all entries but the three.

    Raises:
        ValueError: No checkpoint there, a damaged one, or one of another recipe.
    """
    _agree(parallel, lambda: tidy(folder.parent, folders=[folder.name]))
    single = (folder / STATE).exists()
    if not single and not (folder / SHARDS).exists():
        raise ValueError(f"{folder}: no checkpoint to resume; expected {STATE} or {SHARDS} there; leave --resume out")
    check_recipe(folder, recipe)
    if single:
        with _quiet(folder / STATE, "damaged checkpoint"):
            state = torch.load(folder / STATE, weights_only=True, map_location="cpu")
            _set_from_single(state, model, optimizer, average)
        return {name: value for name, value in state.items() if name not in ("model", "optimizer", "average")}
    optimizer.zero_grad(set_to_none=True)
    wanted = _tensors(model, optimizer, average)
    with _quiet(folder / SHARDS, "damaged checkpoint"):
        stored = dcp.FileSystemReader(folder / SHARDS).read_metadata().state_dict_metadata
        # A weight that no step has used yet (the queries of attention to a single text token) has no moments.
        state: dict[str, Any] = {
            name: t for name, t in wanted.items() if name in stored or not name.startswith("optimizer.")
        }
        dcp.load(state, checkpoint_id=folder / SHARDS, no_dist=parallel.mesh is None)
        progress = torch.load(folder / PROGRESS, weights_only=True, map_location="cpu")
    set_model_state_dict(model, _part(state, "model."))
    # Rates and betas belong to the recipe, not to the checkpoint.
    fresh: dict[str, Any] = get_optimizer_state_dict(model, optimizer, options=FLAT)
    set_optimizer_state_dict(model, optimizer, fresh | _part(state, "optimizer."), options=FLAT)
    for name, parameter in model.named_parameters():
        if f"optimizer.state.{name}.step" not in stored:
            optimizer.state.pop(parameter, None)
    return progress


def read_whole(folder: Path, part: str = "model") -> dict[str, Tensor]:
    """All tensors of one part of a sharded checkpoint, whole, in one process and without a model.

    Args:
        folder: The checkpoint's folder.
        part: `model`, `average` or `optimizer`.

    Raises:
        ValueError: Not a sharded checkpoint, or a damaged one.
    """
    if not (folder / SHARDS).exists():
        raise ValueError(f"{folder}: no sharded checkpoint; expected a folder {SHARDS} there")
    with _quiet(folder / SHARDS, "damaged checkpoint"):
        metadata = dcp.FileSystemReader(folder / SHARDS).read_metadata().state_dict_metadata
        state = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            for name, entry in metadata.items()
            if name.startswith(part + ".") and isinstance(entry, TensorStorageMetadata)
        }
        dcp.load(state, checkpoint_id=folder / SHARDS, no_dist=True)
    return _part(state, part + ".")


def export_weights(folder: Path, path: Path, part: str = "average") -> None:
    """A sharded checkpoint's weights as one plain safetensors file, the numbers unchanged.

    Raises:
        ValueError: See `read_whole`.
    """
    save_file(read_whole(folder, part), path)


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]) -> dict[str, Tensor]:
    """Everything that is sharded, under flat names; the tensors are those of the model, optimiser and average."""
    parts = {
        "model": get_model_state_dict(model),
        "optimizer": get_optimizer_state_dict(model, optimizer, options=FLAT),
        "average": average,
    }
    return {
        f"{part}.{name}": tensor
        for part, tensors in parts.items()
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor)
    }


def _part(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _set_from_single(
    state: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> None:
    """Fill (sharded) model, optimiser and average from a single process's state, which every rank has whole."""
    set_model_state_dict(model, state["model"], options=StateDictOptions(full_state_dict=True))
    get_optimizer_state_dict(model, optimizer)  # makes moments, to be filled
    # A plain optimiser numbers its weights in the order of its groups.
    order = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, parameter in enumerate(order):
        moments = state["optimizer"]["state"].get(index)
        if moments is None:
            optimizer.state.pop(parameter, None)
        else:
            for key, tensor in optimizer.state[parameter].items():
                _fill(tensor, moments[key])
    for name, tensor in average.items():
        _fill(tensor, state["average"][name])


@torch.no_grad()
def _fill(tensor: Tensor, value: Tensor) -> None:
    """Copy a whole value into a tensor, of which this rank may hold a shard."""
    value = value.to(tensor.device, tensor.dtype)
    if isinstance(tensor, DTensor):
        value = distribute_tensor(value, tensor.device_mesh, tensor.placements, src_data_rank=None)
    tensor.copy_(value)


def _to_main(parallel: Parallel, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors on the main rank's CPU, gathered one after the other; nothing on the other ranks."""
    gathered = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if parallel.is_main:
            gathered[name] = whole.detach().cpu().contiguous()
    return gathered


def _agree(parallel: Parallel, action: Callable[[], Any]) -> Any:
    """What `action` returns on the main rank, on all ranks; if it fails there, all ranks fail.

    Raises:
        ValueError: With the main rank's message.
    """
    outcome: list[Any] = [None, None]
    error: Exception | None = None
    if parallel.is_main:
        try:
            outcome[0] = action()
        except Exception as failed:
            error, outcome[1] = failed, str(failed)
    if parallel.mesh is not None:
        dist.broadcast_object_list(outcome, 0, device=parallel.device)
    if outcome[1] is not None:
        raise ValueError(outcome[1]) from error
    return outcome[0]


@contextmanager
def _quiet(path: Path, what: str) -> Iterator[None]:
    """One clear line for whatever goes wrong with a checkpoint's files.

    Raises:
        ValueError: Naming the file and the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
            yield
    except (CheckpointException, Exception) as error:
        cause = next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error
        reason = " ".join(str(cause).split())[:160]
        raise ValueError(f"{path}: {what} ({reason})") from error
