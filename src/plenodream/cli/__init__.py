"""The command line: parse, call, print. Errors of the user are one line and exit code 2."""

from __future__ import annotations

import errno
import sys

import tyro

from plenodream.cli.demo import Demo, demo
from plenodream.cli.learn import Contexts, Eval, Synth, Train, contexts, evaluate, synth, train
from plenodream.cli.render import Render, render
from plenodream.cli.trajectories import Trajectories, trajectories

_COMMANDS = {
    Render: render,
    Trajectories: trajectories,
    Demo: demo,
    Synth: synth,
    Train: train,
    Contexts: contexts,
    Eval: evaluate,
}


def main() -> None:
    """Entry point."""
    args = tyro.extras.subcommand_cli_from_dict(
        {command.__name__.lower(): command for command in _COMMANDS},
        prog="plenodream",
        description="Re-render a video along any number of camera trajectories, so that all results agree.",
    )
    try:
        code = _COMMANDS[type(args)](args)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            error = f"disk full ({error.filename or 'while writing'}): free some space and run again to continue"
        print(f"plenodream: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("plenodream: stopped; run the same command again to continue", file=sys.stderr)
        code = 130
    sys.exit(code)
