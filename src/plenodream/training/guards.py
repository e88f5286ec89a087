"""What may stop a run: Ctrl-C, which waits for the step to end; memory, which says what to lower; no time at all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from plenodream.training.curriculum import Stage


@contextmanager
def ctrl_c_waits() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C was pressed; the second one interrupts at once.

    A step that is cut in two could not be resumed exactly. Outside of the main thread signals are left alone.
    """
    pressed = False

    def note(*_) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def memory_advice(number: int, stage: Stage) -> Iterator[None]:
    """Running out of memory in a stage becomes one line that says what to lower.

    Raises:
        ValueError: With that line.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in text.lower():
            raise
        raise ValueError(
            f"out of memory in stage {number} ({stage.batch} scenes of {stage.views} views of {stage.frames} frames): "
            f"lower curriculum.stages.{number}.batch or .views, or set gradient_checkpointing=True"
        ) from error


def nothing_done(step: int, steps: int, minutes: float | None) -> str:
    """What is said of a run whose budget is over as it begins.

    Raises:
        ValueError: It has never trained at all.
    """
    budget = f"{steps} steps" if minutes is None else f"{minutes:g} minutes"
    if not step:
        raise ValueError(f"{budget} were over before the first step: nothing is trained; expected more --minutes")
    return f"{budget} were over at step {step} already: nothing more is trained; more --minutes go on"
