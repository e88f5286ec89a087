"""What every rank of test_parallel.py runs; also imported there for the single process that it is compared with."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import torch
from tiny import loss_of_views, tiny_config
from torch.distributed.tensor import DTensor

from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.training.checkpoint.state import Progress, Trained, load_checkpoint, save_checkpoint
from plenodream.training.config import OptimizerConfig, RunOptions
from plenodream.training.objective import ObjectiveConfig
from plenodream.training.optim.optimizer import Average, make_optimizer
from plenodream.training.parallel.ranks import Parallel, close_parallel, setup_parallel
from plenodream.training.trainer import Trainer

RECIPE = '{"name": "test"}'
OVERLAP = ObjectiveConfig(overlap_probability=1.0, overlap_frames=1)
# name: context-parallel ranks, context attention, (frames, rows, columns), other arguments
SCENARIOS = {
    "sharded-independent": (1, "independent", (3, 4, 4), {}),
    "sharded-joint": (1, "joint", (3, 4, 4), {}),
    "sharded-checkpointed": (1, "independent", (2, 4, 4), {"checkpointed": True}),
    "sharded-attention-only": (1, "independent", (2, 4, 4), {"only": "attn1"}),
    "context-frames": (2, "independent", (4, 2, 6), {}),
    "context-rows": (2, "independent", (3, 4, 2), {}),
    "context-columns": (2, "independent", (3, 2, 4), {"checkpointed": True}),
    "context-one-frame": (2, "independent", (1, 4, 2), {}),
    "context-joint": (2, "joint", (2, 2, 4), {}),
    "context-joint-rows": (2, "joint", (1, 4, 2), {}),
}
# Those that four ranks compute, too.
GRID = ("context-frames", "context-joint")


def network(attention: str = "independent", checkpointed: bool = False, only: str = "") -> CosmosCameraTransformer:
    """The same small network with weights that leave nothing at zero, in every process."""
    torch.manual_seed(0)
    model = CosmosCameraTransformer(
        in_channels=5,
        out_channels=4,
        num_attention_heads=4,
        attention_head_dim=16,
        num_layers=2,
        text_embed_dim=8,
        adaln_lora_dim=8,
        max_size=(16, 16, 16),
        patch_size=(1, 2, 1),
        context_attention=attention,
        camera_numbers=12,
    )
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.1)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(only in name)
    if checkpointed:
        model.enable_gradient_checkpointing()
    return model.train()


def loss_of(model: CosmosCameraTransformer, size: tuple[int, int, int], part: int, step: int = 0) -> torch.Tensor:
    """Loss of one part of the global batch."""
    generator = torch.Generator().manual_seed(100 * step + part)
    frames, rows, columns = size
    latents = torch.randn(1, 3, 4, frames, rows, columns, generator=generator)
    rays = torch.randn(1, 3, frames, rows // 2, columns, 12, generator=generator)
    context = torch.tensor([[[0, 2], [0, 1]]])
    objective = OVERLAP if frames > 1 else ObjectiveConfig()
    return loss_of_views(model, latents, rays, context, range(1, 3), objective, generator)


@torch.no_grad()
def validate(model: CosmosCameraTransformer, out: Path, step: int) -> dict[str, float]:
    """A score that says which weights it was given."""
    return {"seen": float(sum(parameter.double().sum() for parameter in model.parameters()))}


class Run:
    """A model in training: plain on one process, sharded on several."""

    def __init__(self, parallel: Parallel) -> None:
        self.parallel = parallel
        self.model = parallel.prepare(network())
        config = OptimizerConfig(learning_rate=1e-2, muon=0.2)
        self.optimizer, self.average = make_optimizer(self.model, config), Average(self.model, config.ema_decay)
        self.trained = Trained(self.model, self.optimizer, self.average.weights)

    def take(self, steps: range) -> list[float]:
        """Train on a global batch of two parts; returns the losses."""
        losses, own = [], range(self.parallel.data_rank, 2, self.parallel.data_size)
        for step in steps:
            self.optimizer.zero_grad()
            loss = sum(loss_of(self.model, (2, 4, 4), part, step) for part in own) / len(own)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 0.1)
            self.optimizer.step()
            self.average.update(self.model)
            losses.append(self.parallel.mean(loss.item()))
        return losses

    def save(self, folder: Path, step: int) -> None:
        """Write a checkpoint."""
        progress = Progress(step, self.average.updates)
        save_checkpoint(self.parallel, folder, self.trained, progress, RECIPE)

    def load(self, folder: Path) -> Progress:
        """Go on from a checkpoint."""
        progress = load_checkpoint(self.parallel, folder, self.trained, RECIPE)
        self.average.updates = progress.updates
        return progress

    def state(self) -> dict[str, torch.Tensor]:
        """Weights, moments and averages, whole."""
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        state = {f"model.{name}": parameter.detach() for parameter, name in names.items()}
        for parameter, entry in self.optimizer.state.items():
            state |= {f"optimizer.{names[parameter]}.{key}": value for key, value in entry.items()}
        return whole(state | {f"average.{name}": value for name, value in self.average.weights.items()})


def whole(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies of tensors, gathered where they are sharded."""
    return {name: (t.full_tensor() if isinstance(t, DTensor) else t).clone() for name, t in tensors.items()}


def gradients(name: str) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of a scenario, over all ranks."""
    context_parallel, attention, size, options = SCENARIOS[name]
    parallel = setup_parallel(context_parallel)
    model = parallel.prepare(network(attention, **options))
    loss = loss_of(model, size, parallel.data_rank)
    loss.backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return parallel.mean(loss.item()), whole(grads)


def grid(folder: Path) -> None:
    """Four ranks, two and two to a sequence: sharded and shared at once."""
    results = {name: gradients(name) for name in GRID}
    if setup_parallel().is_main:
        torch.save(results, folder / "grid.pt")
    close_parallel()


def main(folder: Path) -> None:
    """All checks of two ranks; what rank 0 finds goes to results.pt."""
    results = {name: gradients(name) for name in SCENARIOS}
    parallel = setup_parallel()
    run = Run(parallel)
    run.take(range(2))
    run.save(folder / "two", 2)
    saved = run.state()
    results["two"] = (saved, run.take(range(2, 4)), run.state())
    resumed = Run(parallel)
    progress = resumed.load(folder / "one")
    results["from-one"] = (progress.step, progress.updates), resumed.state(), resumed.take(range(2, 4)), resumed.state()

    options = RunOptions(out=folder / "run", stop_after=2, quiet=True)
    trainer = Trainer(tiny_config(), options, validate, parallel=parallel)
    trainer.run()
    results["trainer"] = (trainer.step, whole(trainer.model.state_dict()), whole(trainer.average.weights))

    # The disk of one rank is full (a file can grow to 1 kB only): nobody replaces the old checkpoint.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if parallel.rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        run.save(folder / "two", 4)
    except ValueError as error:
        results["full disk"] = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    results["from_main"] = parallel.from_main(float(parallel.rank + 7))
    results["data"] = [parallel.data_step(5), parallel.data_size]
    if parallel.is_main:
        torch.save(results, folder / "results.pt")
    else:
        torch.save({"full disk": results["full disk"], "data": results["data"]}, folder / "other.pt")
    close_parallel()
