"""Checkpoints that any number of ranks write together and any other number goes on from, exactly; one is no exception.

shards/*.safetensors    weights, moments and averages, as torch.distributed.checkpoint shares them out
weights.safetensors     the averaged weights whole, readable on their own
progress.json           all else that resume needs
recipe.json             the run's config
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from plenodream.files.documents import dump_document, read_document
from plenodream.files.folders import tidy
from plenodream.training.checkpoint.folder import reading, whole_folder, writing
from plenodream.training.checkpoint.recipe import RECIPE, check_recipe
from plenodream.training.optim.optimizer import GuardState
from plenodream.training.parallel.ranks import Parallel

SHARDS, PROGRESS, WEIGHTS = "shards", "progress.json", "weights.safetensors"
_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


@dataclass(frozen=True)
class Trained:
    """Whose tensors a checkpoint keeps.

    Attributes:
        model: As given back by `Parallel.prepare`.
        optimizer: Of the model.
        average: Averaged weights by name, sharded like the model's.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]


@dataclass(frozen=True)
class Progress:
    """How far a run is, the same on all ranks.

    Attributes:
        step: Steps done.
        updates: Of the averaged weights.
        batches: That all processes have drawn since the weights were fresh.
        seconds: Of training.
        reserve: Seconds that the last scores will take.
        minutes: Budget; that of the recipe's steps if None.
        best: Held-out score of the model that is kept; None before there is one.
        data: What the run trains on.
        guard: Of the `SpikeGuard`.
        operations: FLOP of a step by "stage k".
        shards: Names of the files that all ranks have written; filled in by `save_checkpoint`.
    """

    step: int
    updates: int
    batches: int = 0
    seconds: float = 0.0
    reserve: float = 0.0
    minutes: float | None = None
    best: float | None = None
    data: str = ""
    guard: GuardState = field(default_factory=lambda: GuardState(mean=None, left_out=0, in_a_row=0))
    operations: dict[str, int] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)


def save_checkpoint(parallel: Parallel, folder: Path, trained: Trained, progress: Progress, recipe: str) -> None:
    """Write a checkpoint, every rank its shards; all ranks call it. Beside the old one, then in its place.

    Args:
        parallel: The ranks.
        folder: The checkpoint's folder, on a disk that all ranks see; a crash at any moment leaves the old or the new
            one there, whole.
        trained: Whose tensors.
        progress: Whatever else resume needs.
        recipe: The run's config as JSON.

    Raises:
        ValueError: On all ranks, if any cannot write; the old checkpoint is untouched.
    """
    state, weights = _tensors(trained), _to_main(parallel, trained.average)
    with ExitStack() as stack:
        fresh = Path(parallel.on_main(lambda: str(stack.enter_context(whole_folder(folder)))))
        with writing(folder):
            writer = dcp.HuggingFaceStorageWriter(str(fresh / SHARDS), save_distributed=True)
            dcp.save(state, storage_writer=writer, no_dist=parallel.mesh is None)

        def finish() -> None:
            with writing(folder):
                save_file(weights, fresh / WEIGHTS)
                content = asdict(progress) | {"shards": _shards(fresh)}
                (fresh / PROGRESS).write_bytes(dump_document(content))
                (fresh / RECIPE).write_text(recipe)
            stack.close()  # moves the folder into its place

        parallel.on_main(finish)


def load_checkpoint(parallel: Parallel, folder: Path, trained: Trained, recipe: str) -> Progress:
    """Go on from a checkpoint of any number of ranks, filling `trained` in place; all ranks call it.

    Raises:
        ValueError: No checkpoint there, a damaged one, or one of another recipe.
    """
    parallel.on_main(lambda: tidy(folder.parent, folders=[folder.name]))
    todo = f"use --init-from {folder / WEIGHTS}"
    if not (folder / PROGRESS).exists():
        if (folder / WEIGHTS).exists():
            raise ValueError(f"{folder}: checkpoint of an older plenodream, which this one cannot go on from; {todo}")
        raise ValueError(f"{folder}: no checkpoint to resume; expected {PROGRESS} there; leave --resume out")
    check_recipe(folder, recipe, todo)
    progress = read_document(folder / PROGRESS, Progress, todo)
    with reading(folder / SHARDS, todo):
        if missing := set(progress.shards) - set(_shards(folder)):
            raise ValueError(f"{min(missing)} is missing")
        _load_tensors(parallel, folder / SHARDS, trained)
    return progress


def _load_tensors(parallel: Parallel, folder: Path, trained: Trained) -> None:
    model, optimizer = trained.model, trained.optimizer
    optimizer.zero_grad(set_to_none=True)
    get_optimizer_state_dict(model, optimizer)  # makes moments, to be filled
    wanted, reader = _tensors(trained), dcp.HuggingFaceStorageReader(str(folder))
    stored = reader.read_metadata().state_dict_metadata
    # A weight that no step has used yet (the queries of attention to a single text token) has no moments.
    state: dict[str, Any] = {n: t for n, t in wanted.items() if n in stored or not n.startswith("optimizer.")}
    dcp.load(state, storage_reader=reader, no_dist=parallel.mesh is None)
    set_model_state_dict(model, _part(state, "model."))
    # Rates and betas belong to the recipe, not to the checkpoint.
    fresh: dict[str, Any] = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    set_optimizer_state_dict(model, optimizer, fresh | _part(state, "optimizer."), options=_FLAT)
    for name, parameter in model.named_parameters():
        if f"optimizer.state.{name}.step" not in stored:
            optimizer.state.pop(parameter, None)


def _tensors(trained: Trained) -> dict[str, Tensor]:
    """Everything that is sharded, under flat names; the tensors are those of the model, optimiser and average."""
    parts: dict[str, Any] = {"model": get_model_state_dict(trained.model), "average": trained.average}
    if trained.optimizer.state:  # to ask one that has made no step would be its first
        parts["optimizer"] = get_optimizer_state_dict(trained.model, trained.optimizer, options=_FLAT)
    return {
        f"{part}.{name}": tensor
        for part, tensors in parts.items()
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor)
    }


def _part(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _shards(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / SHARDS).glob("*.safetensors"))


def _to_main(parallel: Parallel, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors on the main rank's CPU, gathered one after the other; nothing on the other ranks."""
    gathered = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if parallel.is_main:
            gathered[name] = whole.detach().cpu().contiguous()
    return gathered
