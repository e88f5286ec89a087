"""The command line: parse, call, print. Errors of the user are one line and exit code 2."""

from __future__ import annotations

import errno
import os
import sys
import warnings

from plenodream.cli.benchmark import Benchmark, Reproduce, benchmark, reproduce
from plenodream.cli.cameras import Cameras, cameras
from plenodream.cli.convert import Convert, Models, convert, models
from plenodream.cli.demo import Demo, demo
from plenodream.cli.depth import Depth, depth
from plenodream.cli.export import Export, export
from plenodream.cli.learn import Contexts, Eval, Synth, Train, contexts, evaluate, synth, train
from plenodream.cli.parse import parse_arguments
from plenodream.cli.plan import Plan, plan
from plenodream.cli.render import Render, render
from plenodream.cli.score import EvalRun, EvalTable, eval_run, eval_table
from plenodream.cli.trajectories import Trajectories, trajectories

_COMMANDS = {
    Render: render,
    Trajectories: trajectories,
    Demo: demo,
    Cameras: cameras,
    Depth: depth,
    Plan: plan,
    Synth: synth,
    Train: train,
    Contexts: contexts,
    Eval: evaluate,
    EvalRun: eval_run,
    EvalTable: eval_table,
    Benchmark: benchmark,
    Reproduce: reproduce,
    Export: export,
    Convert: convert,
    Models: models,
}
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


def main() -> None:
    """Entry point."""
    try:
        args = parse_arguments(_COMMANDS)
        with warnings.catch_warnings():
            _choose_warnings(quiet=getattr(args, "quiet", False) or getattr(args, "json", False))
            code = _COMMANDS[type(args)](args)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `plenodream trajectories | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    except (ValueError, OSError) as error:
        _say(_reason(error) if isinstance(error, OSError) else str(error))
        code = 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            raise
        _say("out of memory: expected more of it, a smaller model, or fewer views at once (--k, --candidates)")
        code = 2
    except KeyboardInterrupt:
        _say("stopped; run the same command again to continue (a training run with --resume)")
        code = 130
    sys.exit(code)


def _say(message: str) -> None:
    print(f"plenodream: {' '.join(message.split())}", file=sys.stderr)


def _reason(error: OSError) -> str:
    """An error of the operating system as a sentence."""
    if error.errno == errno.ENOSPC:
        return f"disk full ({error.filename or 'while writing'}): free some space and run again to continue"
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{str(error.filename)[:200]}: {error.strerror.lower()}; check the path and its permissions"


def _choose_warnings(quiet: bool) -> None:
    """Our own warnings become one line each, those of libraries nothing."""
    warnings.simplefilter("ignore")
    if not quiet:
        warnings.filterwarnings("default", category=UserWarning, module=r"plenodream\.")
    warnings.showwarning = lambda message, *_: _say(str(message))
