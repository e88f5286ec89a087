"""The command line: parse, call, print. Errors of the user are one line and exit code 2."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from plenodream.words import printable

_GOES_ON = {"app": "", "view": "", "train": "; --resume goes on from the last checkpoint"}
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


def main() -> None:
    """Entry point."""
    words, debug = [word for word in sys.argv[1:] if word != "--debug"], "--debug" in sys.argv
    _prepare_streams()
    wait_asleep(os.environ)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left half-done
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `plenodream trajectories | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    except KeyboardInterrupt:
        _say(f"stopped{_GOES_ON.get((words or [''])[0], '; run the same command again to continue')}")
        code = 130
    except Exception as error:
        if debug:
            traceback.print_exc()
        message, code = _explained(error)
        _say(message)
    sys.exit(code)


def wait_asleep(environment: MutableMapping[str, str]) -> None:
    """Threads that wait for each other sleep, unless the user says otherwise; read when torch is loaded.

    By default they spin, and beside a core that other work holds, most of what they do is that.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & set(environment):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"


def _run(words: list[str]) -> int:
    from plenodream.cli.commands import commands
    from plenodream.cli.parse import parse_arguments
    from plenodream.cli.pipes import readable

    known = commands()
    args = parse_arguments({name: kind for name, (kind, _) in known.items()}, words)
    run: Callable[[Any], int] = next(run for kind, run in known.values() if kind is type(args))
    with warnings.catch_warnings():
        _choose_warnings(quiet=getattr(args, "quiet", False) or getattr(args, "json", False))
        with readable(args) as args:
            return run(args)


def _explained(error: Exception) -> tuple[str, int]:
    """An error in one line, and the exit code: 2 for what the user can mend, 1 for what nobody has foreseen."""
    if isinstance(error, OSError):
        return _reason(error), 2
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return str(error), 2
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
        return f"{error}: expected a file or folder", 2
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY):
        return "out of memory: expected more of it, a smaller model, or fewer views at once (--k, --candidates)", 2
    cause = _first_cause(error)
    if "torchvision::" in str(cause):  # diffusers and transformers import it, and say that it was they who failed
        return f"torchvision does not fit torch ({cause}); expected both of one index: reinstall or remove it", 2
    because = "" if cause is error else f", because of {type(cause).__name__}: {cause}"
    return f"unforeseen {type(error).__name__}: {error}{because} (--debug shows where: please report it)", 1


def _first_cause(error: BaseException) -> BaseException:
    """What an error was raised from in the end."""
    return error if error.__cause__ is None else _first_cause(error.__cause__)


def _prepare_streams() -> None:
    """Output that is closed is nowhere, and what a terminal cannot show is replaced: neither stops a command."""
    for number in range(3):  # else a file that is opened later gets the number, and what libraries print
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        with suppress(AttributeError):
            getattr(sys, name).reconfigure(errors="replace")


def _say(message: str) -> None:
    with suppress(OSError):
        print(f"plenodream: {printable(message)}", file=sys.stderr, flush=True)


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
