"""Arguments that make a model fit the machine, shared by the commands that render."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from plenodream.cli.parse import MaybeText
from plenodream.rendering.fit import Fit


@dataclass(frozen=True)
class Fitting:
    """See `Fit`."""

    dtype: MaybeText = None
    """fp32, bf16 or fp16; left out: bf16 on a GPU, fp32 on a CPU."""
    offload: str = "none"
    """Where what is not at work waits: none (on the device), model or group (in main memory), disk."""
    quantize: MaybeText = None
    """8bit, 4bit (pip install gguf), fp8 or nf4 (pip install bitsandbytes); left out: weights as they are."""
    tiling: bool = False
    """Decode tile by tile: less memory, seams are blended."""
    attention: MaybeText = None
    """Attention backend of diffusers, such as flash or sage; left out: torch's own."""
    compile: bool = False
    """Compile the network's blocks: slow to begin, faster then."""
    step_cache: MaybeText = None
    """Shorten steps: first-block or taylorseer; pictures change a little."""
    context_cache: str = "device"
    """Where keys and values of context views wait: device, cpu, fp8 (half the size), cpu-fp8; or recompute."""

    def fit(self) -> Fit:
        """As the renderer takes it."""
        given = asdict(self)
        return Fit(compiled=given.pop("compile"), **given)
