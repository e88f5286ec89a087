"""Training on many devices under torchrun: sharded weights, shared sequences, and the same code on one process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from diffusers import ModelMixin
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from plenodream.models.sequences import share_sequences
from plenodream.training.parallel.records import tie_records


@dataclass(frozen=True)
class Parallel:
    """This process among all that train together; one alone by default.

    Ranks form a grid of data groups by context-parallel peers, peers next to each other (so inside one machine).
    Peers hold parts of the same sequences and must draw the same data; data groups must draw different data. Weights,
    gradients and the optimiser's state are sharded over all ranks.

    Attributes:
        rank: Of this process among all.
        world_size: Processes in all.
        context_parallel: Ranks that share one sequence.
        device: Where this rank computes.
        mesh: Axes `data` and `context`; None for one process.
    """

    rank: int = 0
    world_size: int = 1
    context_parallel: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    mesh: DeviceMesh | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process logs, validates and writes plain files."""
        return self.rank == 0

    @property
    def data_rank(self) -> int:
        """Which part of the global batch this rank draws, 0 .. data_size - 1."""
        return self.rank // self.context_parallel

    @property
    def data_size(self) -> int:
        """Parts of the global batch."""
        return self.world_size // self.context_parallel

    def data_step(self, step: int) -> int:
        """A number for this rank's data of a step that no other data group and no other step has."""
        return step * self.data_size + self.data_rank

    def prepare(self, model: ModelMixin, dtype: torch.dtype | None = None) -> ModelMixin:
        """Move a model to the device and, on several ranks, shard it in place (FSDP2: every block, then the rest).

        To be called before the optimiser is made. All ranks must come with the same weights.

        Args:
            model: A `Denoiser`.
            dtype: Type in which weights are gathered for computing (bfloat16 under bfloat16 autocast); None: their own.
                The shards, gradients and optimiser stay in the weights' own type.

        Raises:
            ValueError: If the attention heads cannot be shared by the context-parallel ranks.
        """
        nn.Module.to(model, self.device)
        if self.mesh is None:
            return model
        shards = init_device_mesh(self.device.type, (self.world_size,))
        policy = MixedPrecisionPolicy(
            param_dtype=dtype, reduce_dtype=dtype and torch.float32, cast_forward_inputs=False
        )
        for block in model.blocks:
            fully_shard(block, mesh=shards, mp_policy=policy)
        fully_shard(model, mesh=shards, mp_policy=policy)
        if self.context_parallel > 1:
            share_sequences(model, self.mesh.get_group("context"))
        tie_records(model)
        return model

    def mean(self, value: float) -> float:
        """Mean of a number over all ranks, the same everywhere (a loss, before deciding whether to take its step)."""
        if self.mesh is None:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item() / self.world_size

    def from_main(self, value: float) -> float:
        """The main rank's number, everywhere (clocks differ; all ranks must agree when to stop)."""
        if self.mesh is None:
            return value
        box = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(box, 0)
        return box.item()

    def on_main(self, action: Callable[[], Any]) -> Any:
        """What `action` returns on the main rank, on all ranks; if it fails there, all ranks fail.

        Raises:
            ValueError: With the main rank's message.
        """
        outcome: list[Any] = [None, None]
        error: Exception | None = None
        if self.is_main:
            try:
                outcome[0] = action()
            except Exception as failed:
                error, outcome[1] = failed, str(failed)
        if self.mesh is not None:
            dist.broadcast_object_list(outcome, 0, device=self.device)
        if outcome[1] is not None:
            raise ValueError(outcome[1]) from error
        return outcome[0]

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.mesh is not None:
            dist.barrier()


def setup_parallel(context_parallel: int = 1, device: str | torch.device = "cpu") -> Parallel:
    """Join the processes that torchrun started; one process needs no torchrun and opens nothing.

    Args:
        context_parallel: Ranks that share one sequence.
        device: `cpu`, or `cuda` (each rank then takes the GPU of its local rank).

    Raises:
        ValueError: If the number of processes is not a multiple of `context_parallel`.
    """
    world_size, device = int(os.environ.get("WORLD_SIZE", "1")), torch.device(device)
    if context_parallel < 1 or world_size % context_parallel:
        raise ValueError(
            f"context_parallel={context_parallel} with {world_size} process(es): expected a divisor of their number; "
            f"start with torchrun --nproc-per-node {max(context_parallel, 1)}"
        )
    if world_size == 1:
        return Parallel(device=device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        # The other ranks wait while the main one scores sampled videos.
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=2))
    grid = (world_size // context_parallel, context_parallel)
    mesh = init_device_mesh(device.type, grid, mesh_dim_names=("data", "context"))
    return Parallel(dist.get_rank(), world_size, context_parallel, device, mesh)


def close_parallel() -> None:
    """Leave the processes that train together, if this one is among several."""
    if dist.is_initialized():
        dist.destroy_process_group()


def whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sharded tensors gathered on every rank; others as they are. All ranks must call it."""
    return {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in tensors.items()}
