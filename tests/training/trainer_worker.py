"""What every rank of the run in test_trainer.py does: python trainer_worker.py OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tiny import tiny_config

from plenodream.training.config import RunOptions
from plenodream.training.parallel.ranks import close_parallel, setup_parallel
from plenodream.training.trainer import Trainer

if __name__ == "__main__":
    torch.set_num_threads(1)
    parallel = setup_parallel()
    # Like real validation: on the main rank alone.
    validate = (lambda model, out, step: {"seen": float(step)}) if parallel.is_main else None
    options = RunOptions(Path(sys.argv[1]), quiet=True, stop_after=5)
    Trainer(tiny_config(), options, validate, parallel=parallel).run()
    close_parallel()
