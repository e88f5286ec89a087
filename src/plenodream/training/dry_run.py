"""What a training step would take on many devices: memory, tokens, operations and time, from the recipe alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.sequences import choose_axis
from plenodream.training.build import build_model, set_trainable
from plenodream.training.card import GIB, H100, Card
from plenodream.training.config import TrainConfig
from plenodream.training.curriculum import Stage
from plenodream.training.operations import TokenPass, pass_flop

# Bytes of a small GPU, for which batches are offered beside those for the card itself.
SMALL = 8 * GIB


@dataclass(frozen=True)
class Plan:
    """One training step of one stage, as it falls on every rank.

    Attributes:
        parameters: Weights of the network.
        trained: Of these, how many are trained.
        context: Context views of every target.
        view_grid: Latent frames, token rows and token columns of a view.
        view_tokens: Their product.
        sequence_tokens: Tokens that a target's queries attend to: of the target and its context.
        samples: Samples in the global batch.
        stage: Which stage of the recipe it is, counted from 0.
        batch: Scenes of that stage's step, on every data group.
        fitting: By bytes a rank, the largest batch of every stage whose own would not fit; 0 if not even one would.
        memory: Bytes per rank, by what they hold.
        flop: Operations of a step on all ranks together, recomputation included, without the codec.
        seconds: Time of a step.
        tokens_per_second: Tokens of target views, on all ranks.
        world_size: Ranks.
        context_parallel: Ranks that share one sequence.
        utilisation: Share of the peak rate that is assumed.
        card: What every rank computes on.
    """

    parameters: int
    trained: int
    context: int
    view_grid: tuple[int, int, int]
    view_tokens: int
    sequence_tokens: int
    samples: int
    stage: int
    batch: int
    fitting: dict[float, dict[int, int]]
    memory: dict[str, float]
    flop: float
    seconds: float
    tokens_per_second: float
    world_size: int
    context_parallel: int
    utilisation: float
    card: Card

    @property
    def memory_total(self) -> float:
        """Bytes per rank."""
        return sum(self.memory.values())

    def table(self) -> str:
        """As text for people."""
        frames, rows, columns = self.view_grid
        groups, rate = self.world_size // self.context_parallel, f"{self.card.peak / 1e12:.3g}"
        lines = [
            ("ranks", f"{self.world_size} = {groups} data groups x {self.context_parallel} context-parallel"),
            ("parameters", f"{self.parameters / 1e9:.3f} G, trained {self.trained / 1e9:.3f} G"),
            ("tokens of a view", f"{self.view_tokens:,} = {frames} x {rows} x {columns}"),
            (f"tokens of a sequence, k={self.context}", f"{self.sequence_tokens:,}"),
            ("samples of a step", f"{self.samples}"),
            ("of stage, scenes", f"{self.stage}, {self.batch} a step"),
            ("memory per rank, GiB", f"{self.memory_total / GIB:.2f}"),
            *((f"  {name}", f"{size / GIB:.2f}") for name, size in self.memory.items()),
            ("PFLOP of a step", f"{self.flop / 1e15:.2f}"),
            ("card of a rank", f"{self.card.name}, {self.card.memory / GIB:.0f} GiB, {rate} TFLOP/s"),
            ("seconds of a step", f"{self.seconds:.2f} at {self.utilisation:.0%} of that"),
            ("target tokens a second", f"{self.tokens_per_second:,.0f}"),
        ]
        width = max(len(name) for name, _ in lines)
        return "\n".join([*(f"{name:<{width}}  {value}" for name, value in lines), *self._advice()])

    def _advice(self) -> list[str]:
        """Whether it fits the card, and how to make it fit that or a small one."""
        lines = [] if self.fitting[self.card.memory] else [f"Fits the {self.card.name}"]
        for memory, batches in self.fitting.items():
            device = (
                f"{memory / GIB:.0f} GiB a rank ({self.card.name if memory == self.card.memory else 'a small GPU'})"
            )
            if not all(batches.values()):
                lines.append(f"Not even one scene a step fits {device}: more ranks, or a smaller model")
            elif batches:
                options = [f"  --set curriculum.stages.{stage}.batch={batch}" for stage, batch in batches.items()]
                lines += [f"To fit {device}, with a fifth of it free:", *options]
        return lines


def plan(
    config: TrainConfig,
    world_size: int = 32,
    context_parallel: int = 8,
    context: int | None = None,
    utilisation: float = 0.4,
    card: Card = H100,
) -> Plan:
    """Estimate a training step without running it. Ours.

    Weights, gradients, both moments and the average are fp32 and sharded over all ranks; two blocks at a time and
    all that is not in a block are gathered in the computing type. Activations are those of the largest pass: inputs
    of all blocks and the inside of one with checkpointing, the inside of all without. In independent mode keys and
    values of all clean views, and each target's copy of its context, stay until the backward pass. Not counted: the
    codec, the data, the allocator's waste, and NCCL's buffers; keep a fifth of the device free.

    Args:
        config: The recipe.
        world_size: Ranks.
        context_parallel: Ranks that share one sequence.
        context: Context views k; the largest of the recipe if None.
        utilisation: Share of the peak rate that training reaches, of all operations that run (recomputation too).
        card: What every rank computes on.

    Raises:
        ValueError: Sizes that the network, the codec or the ranks cannot share out.
    """
    if context_parallel < 1 or world_size < 1 or world_size % context_parallel:
        raise ValueError(f"{world_size} ranks, {context_parallel} to a sequence: expected a divisor of their number")
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation is {utilisation:g}: expected more than 0, at most 1")
    stages = config.curriculum.stages
    number = max(range(len(stages)), key=lambda n: (stages[n].max_context, stages[n].frames))
    stage = stages[number]
    context = config.curriculum.largest_context if context is None else context
    if context < 1:
        raise ValueError(f"context of {context} views: expected at least 1")
    with torch.device("meta"):
        model = build_model(config)
    set_trainable(model, config.trainable)
    grid = _view_grid(config, stage.frames, model)
    tokens = grid[0] * grid[1] * grid[2]
    passes = _passes(config, stage, context, tokens, model)
    heads = model.config.num_attention_heads
    if heads % context_parallel:
        raise ValueError(f"{heads} attention heads; expected a multiple of context_parallel={context_parallel}")
    if context_parallel > 1:
        slots = passes[0].tokens // tokens
        choose_axis((grid[0] * slots, *grid[1:]), context_parallel)

    groups = world_size // context_parallel
    flop = groups * stage.batch * sum(pass_flop(each, model, config) for each in passes)
    seconds = flop / (world_size * utilisation * card.peak)
    targets = len(stage.target_views)
    return Plan(
        parameters=sum(p.numel() for p in model.parameters()),
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
        context=context,
        view_grid=grid,
        view_tokens=tokens,
        sequence_tokens=passes[-1].keys,
        samples=groups * stage.batch,
        stage=number,
        batch=stage.batch,
        fitting={
            memory: _fitting(config, model, context, world_size, context_parallel, memory)
            for memory in (card.memory, SMALL)
            if memory == card.memory or card == H100
        },
        memory=_memory(passes, model, config, stage, context, tokens, world_size, context_parallel),
        flop=flop,
        seconds=seconds,
        tokens_per_second=groups * stage.batch * targets * tokens / seconds,
        world_size=world_size,
        context_parallel=context_parallel,
        utilisation=utilisation,
        card=card,
    )


def _fitting(
    config: TrainConfig,
    model: CosmosCameraTransformer,
    context: int,
    world_size: int,
    context_parallel: int,
    room: float,
) -> dict[int, int]:
    """See `Plan.fitting`, for `room` bytes a rank and contexts of up to `context` views.

    Memory is a line in the batch: two points say all.
    """
    found = {}
    for number, stage in enumerate(config.curriculum.stages):
        k = min(stage.max_context, context)
        grid = _view_grid(config, stage.frames, model)
        tokens = grid[0] * grid[1] * grid[2]
        passes = _passes(config, stage, k, tokens, model)
        own, one, two = (
            sum(_memory(passes, model, config, sized, k, tokens, world_size, context_parallel).values())
            for sized in (stage, replace(stage, batch=1), replace(stage, batch=2))
        )
        if own > room:
            found[number] = max(0, 1 + int((0.8 * room - one) // (two - one)))
    return found


def _view_grid(config: TrainConfig, frames: int, model: CosmosCameraTransformer) -> tuple[int, int, int]:
    """Latent frames, token rows and columns of one view."""
    cell_frames, cell, _ = config.latent_cell
    side = cell * model.config.patch_size[1]
    if (frames - 1) % cell_frames or config.height % side or config.width % side:
        raise ValueError(
            f"{config.height}x{config.width}x{frames}: expected multiples of {side} pixels and a multiple of "
            f"{cell_frames} frames plus 1"
        )
    return (frames - 1) // cell_frames + 1, config.height // side, config.width // side


def _passes(
    config: TrainConfig, stage: Stage, context: int, tokens: int, model: CosmosCameraTransformer
) -> list[TokenPass]:
    """What one sample sends through the network; see `training_loss`."""
    targets = len(stage.target_views)
    clean = max(stage.views, context + 1) if stage.any_context else 1
    passes = model.passes(targets, context, clean)
    return [TokenPass(each.count, each.views * tokens, each.seen * tokens) for each in passes]


def block_bytes(mlp_ratio: float, trainable: str, half: bool) -> float:
    """Bytes that autograd keeps of one block, per token and unit of width.

    Counted with `torch.autograd.graph.saved_tensors_hooks` (the tests count again): half of what is kept under bf16
    autocast is fp32 all the same, around the normalisations.
    """
    if half:
        base, hidden = (52.2, 5) if trainable == "all" else (39.3, 3)
    else:
        base, hidden = (76, 8) if trainable == "all" else (52, 4)
    return base + hidden * mlp_ratio


def _memory(
    passes: list[TokenPass],
    model: CosmosCameraTransformer,
    config: TrainConfig,
    stage: Stage,
    context: int,
    tokens: int,
    world_size: int,
    context_parallel: int,
) -> dict[str, float]:
    """Bytes per rank; what each entry holds is in `plan`."""
    c, half = model.config, config.precision != "fp32"
    size = 2 if half else 4
    width, layers = c.num_attention_heads * c.attention_head_dim, c.num_layers
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    in_block = sum(p.numel() for p in model.blocks[0].parameters())
    trained_in_block = sum(p.numel() for p in model.blocks[0].parameters() if p.requires_grad)
    gathered = 0
    if world_size > 1:
        gathered = (total - layers * in_block + 2 * in_block) * size + trained_in_block * (size + 4)

    share = stage.batch / context_parallel * width
    inputs = [share * each.count * each.tokens for each in passes]
    inside = [part * block_bytes(c.mlp_ratio, config.trainable, half) for part in inputs]
    activations = layers * size * sum(inputs) + max(inside) if config.gradient_checkpointing else layers * sum(inside)
    memory = {
        "weights": 4 * total / world_size,
        "gradients": 4 * trained / world_size,
        "moments": 8 * trained / world_size,
        "average": 4 * trained / world_size,
        "gathered weights": gathered,
        "activations": activations,
        # Rays come whole to every rank of a group, in fp32.
        "rays": 4 * stage.batch * sum(p.count * p.tokens for p in passes) * c.camera_numbers,
    }
    if config.distillation.teacher_steps:
        memory["teacher"] = 4 * total / world_size
    if len(passes) > 1:  # clean views in a pass of their own
        views = passes[0].count + passes[1].count * context
        memory["context keys and values"] = share * views * tokens * 2 * layers * size
    return memory
