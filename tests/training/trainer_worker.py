"""What every rank of the run in test_trainer.py does."""

from __future__ import annotations

from pathlib import Path

from tiny import tiny_config

from plenodream.training.config import RunOptions
from plenodream.training.parallel.ranks import close_parallel, setup_parallel
from plenodream.training.trainer import Trainer


def main(out: Path) -> None:
    """Train for five steps."""
    parallel = setup_parallel()
    # Like real validation: on the main rank alone.
    validate = (lambda model, out, step: {"seen": float(step)}) if parallel.is_main else None
    Trainer(tiny_config(), RunOptions(out, quiet=True, stop_after=5), validate, parallel=parallel).run()
    close_parallel()
