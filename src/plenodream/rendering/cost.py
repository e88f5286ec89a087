"""What rendering will cost, before it is begun: seconds and memory, within a factor of two or three. Ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plenodream.generators.composite import Composite
from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.own_depth import LOOKS
from plenodream.generators.protocol import Generator
from plenodream.generators.reprojection import LOOKS as MOMENTS
from plenodream.models.denoiser import Pass
from plenodream.models.pace import product_rate

# Pixels a second that a core carries from one view to another, all that goes with it included (benchmarks).
_CARRIED = 2.5e6
# Share of the speed of plain matrix products that a network reaches.
REACHED = 0.4


@dataclass(frozen=True)
class Cost:
    """Of a whole render.

    Attributes:
        seconds: Of all views.
        memory: Bytes, at most at once: weights, context, pictures.
    """

    seconds: float
    memory: float


def estimate_cost(generator: Generator, contexts: Iterable[int], frames: int, height: int, width: int) -> Cost:
    """Estimate a render.

    Args:
        generator: What renders.
        contexts: Of every window of every view, how many views it is made from.
        frames: Of a window.
        height: Of the views, pixels.
        width: Of the views, pixels.
    """
    contexts = list(contexts)
    most = max(contexts, default=0)
    pixels = frames * height * width
    pictures = (most + 1) * pixels * 8 + 400 * height * width  # colours, depth and a mask; what one frame is worked in
    carried = sum(pixels * (count + MOMENTS / 2) / _CARRIED for count in contexts)
    if isinstance(generator, Composite):
        small = generator.small
        if isinstance(small, DiffusionGenerator):
            small = small.in_steps(small.workings.steps + LOOKS)
        small = estimate_cost(small, contexts, frames, height, width)
        return Cost(small.seconds + carried, small.memory + pictures)
    if not isinstance(generator, DiffusionGenerator):
        return Cost(carried, pictures)
    return _network(generator, contexts, frames, height, width)


def _network(generator: DiffusionGenerator, contexts: list[int], frames: int, height: int, width: int) -> Cost:
    """Of a denoiser: its operations by its parameters and tokens, at this machine's speed of products."""
    sampler, config = generator.sampler, generator.sampler.denoiser.config
    rows, columns = (side // sampler.codec.spatial_factor for side in generator.workings.size or (height, width))
    _, *patch = config.patch_size
    tokens = sampler.codec.latent_frames(frames) * (rows // patch[0]) * (columns // patch[1])
    weights = list(sampler.denoiser.parameters())
    parameters, layers = sum(w.numel() for w in weights), len(sampler.denoiser.blocks)
    inner = config.num_attention_heads * config.attention_head_dim
    guided = 2 if sampler.config.guidance else 1

    def operations(part: Pass) -> float:
        sequence, keys = part.views * tokens, part.seen * tokens
        return part.count * (2 * parameters * sequence + 4 * layers * inner * sequence * keys)

    flop = 0.0
    for count in contexts:
        *reading, step = sampler.denoiser.passes(1, count, 1)  # one view is new to the memory
        share = operations(step) / generator.workings.targets  # of a sequence in which several views are made
        flop += sampler.config.steps * guided * share + sum(map(operations, reading))
    size = weights[0].element_size()
    kept = (max(contexts, default=0) + 2) * 2 * layers * tokens * inner * size
    return Cost(
        flop / (REACHED * product_rate(weights[0].dtype, weights[0].device)),
        parameters * size + kept + 40 * tokens * inner * size,
    )
