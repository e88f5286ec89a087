"""What a run tells: a progress bar for people, one JSON line a step for programs, TensorBoard for who wants it."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from plenodream.files.atomic import write_file
from plenodream.files.documents import parse_document
from plenodream.files.folders import tidy

NAME = "log.jsonl"


class TrainingLog:
    """The log of a run, and its bar. A resumed run takes up where its checkpoint was: later lines are dropped.

    In a file or a pipe the bar is a line for every part in a hundred.

    Args:
        out: The run's folder.
        step: Step at which the run begins.
        writes: Whether this process writes at all.
        quiet: No bar.
        tensorboard: Write the same numbers to `tensorboard/`, too.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(
        self, out: Path, step: int, writes: bool = True, quiet: bool = False, tensorboard: bool = False
    ) -> None:
        self.path = out / NAME
        self._console = Console(stderr=True, quiet=quiet or not writes)
        self._file: Any = None
        self._board: Any = None
        self._percent = 0  # of the last line that was said of it
        self._bar = _bar(self._console)
        self._task = self._bar.add_task(out.name, total=100, state="")
        if not writes:
            return
        if tensorboard:
            self._board = _tensorboard(out / "tensorboard", step)
        out.mkdir(parents=True, exist_ok=True)
        tidy(out, files=[NAME])
        kept = [text for number, text in _lines(self.path) if step and number <= step]
        write_file(self.path, "".join(f"{text}\n" for text in kept).encode())
        self._file = open(self.path, "a")  # noqa: SIM115 - closed by __exit__
        self._bar.start()

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *exception) -> None:
        self._bar.stop()
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def finish(self, model: Path) -> None:
        """The run is over: the bar is full, and people learn where the model is and how to use it."""
        self._bar.update(self._task, completed=100)
        self._bar.stop()
        if self._bar.disable and self._percent < 100:
            self.note("100 %")
        self.note(f"model in {model}; to use it: plenodream render CLIP --model {model}")

    def note(self, text: str) -> None:
        """A sentence for people."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def step(self, line: dict[str, float]) -> None:
        """Write a step's line and move the bar."""
        if self._file is None:
            return
        self._write(line)
        state = (
            f"step {line['step']}, loss {line['loss']:.4f}, {line['frames_per_second']:.0f} frames/s, "
            f"MFU {line['mfu']:.0%}"
        )
        percent = 100 * min(line["progress"], 1)
        self._bar.update(self._task, completed=percent, state=state)
        if self._bar.disable and int(percent) > self._percent:
            self._percent = int(percent)
            self.note(f"{self._percent} %, {state}")

    def scores(self, line: dict[str, float]) -> None:
        """Write held-out scores."""
        if self._file is not None:
            self._write(line)
            self._file.flush()
            self.note(", ".join(f"{name} {value:g}" for name, value in line.items()))

    def _write(self, line: dict[str, float]) -> None:
        numbers = {name: value if math.isfinite(value) else None for name, value in line.items()}  # JSON has no NaN
        print(json.dumps(numbers), file=self._file, flush=line["step"] % 20 == 0)
        if self._board is not None:
            for name, value in line.items():
                if name != "step":
                    self._board.add_scalar(name, value, line["step"])


def _bar(console: Console) -> Progress:
    """A bar for a terminal; for all else one that does nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(15), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(
        *columns,
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
        console=console,
        disable=console.quiet or not console.is_terminal,
        refresh_per_second=2,
        speed_estimate_period=600,
    )


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer that hides what an interrupted run wrote after `step`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard: TensorBoard is not installed; pip install tensorboard") from None
    return SummaryWriter(str(folder), purge_step=step + 1)


class _Line(TypedDict):
    step: int


def _lines(path: Path) -> list[tuple[int, str]]:
    """The log's lines with their steps; what is none, such as a last one that a crash cut off, is left out."""
    lines = []
    for text in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError):
            lines.append((parse_document(text, _Line, str(path))["step"], text))
    return lines
