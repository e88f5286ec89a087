"""How a model is made to fit the machine that it runs on: what may be asked for, checked before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass

DTYPES = ("fp32", "bf16", "fp16")
OFFLOADS = ("none", "model", "group", "disk")
QUANTIZERS = ("8bit", "4bit", "fp8", "nf4")
STEP_CACHES = ("first-block", "taylorseer")
CONTEXT_CACHES = ("device", "cpu", "fp8", "cpu-fp8", "recompute")


@dataclass(frozen=True)
class Fit:
    """All of it changes how a model runs, not which model it is: a scene can go on with another one.

    Attributes:
        dtype: Of weights and activations, one of `DTYPES`; None: bf16 on a GPU, fp32 on a CPU.
        offload: Where what is not at work waits: `none` (all stays on the device), `model` (network or codec in main
            memory), `group` (all blocks but one there), `disk` (all blocks but one on disk).
        quantize: How the network's matrices are stored: `8bit` and `4bit` (GGUF's Q8_0 and Q4_0, on every device),
            `fp8` (cast layer by layer), `nf4` (bitsandbytes); None: as they are.
        tiling: Whether the codec works tile by tile, view by view.
        attention: Attention backend of diffusers, such as `flash` or `sage`; None: torch's own.
        compiled: Whether blocks are compiled, once for all of them.
        step_cache: Which steps are shortened: `first-block` or `taylorseer`; None: no step. Pictures change a little.
        context_cache: Where keys and values of context views wait: `device`, `cpu` (fetched block by block), `fp8`
            (half of the memory, pictures change a little), `cpu-fp8`, or nowhere: `recompute` (read anew every step).
    """

    dtype: str | None = None
    offload: str = "none"
    quantize: str | None = None
    tiling: bool = False
    attention: str | None = None
    compiled: bool = False
    step_cache: str | None = None
    context_cache: str = "device"

    def __post_init__(self) -> None:
        for name, known in (
            ("dtype", DTYPES),
            ("offload", OFFLOADS),
            ("quantize", QUANTIZERS),
            ("step_cache", STEP_CACHES),
            ("context_cache", CONTEXT_CACHES),
        ):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ValueError(f"--{name.replace('_', '-')} {value}: expected {', '.join(known)}")
        if self.offload in ("group", "disk") and self.quantize in ("fp8", "nf4"):
            raise ValueError(
                f"--offload {self.offload} with --quantize {self.quantize}: expected --offload none or model, or "
                "--quantize 8bit or 4bit"
            )
        if self.compiled and self.offload != "none":
            raise ValueError(f"--compile with --offload {self.offload}: expected one of them")


AS_IT_IS = Fit()
