"""Processes of their own for tests that kill them, interrupt them or join several: forked off one that has everything
imported, since a start from nothing takes seconds. The tests' checks of shapes are not in them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["plenodream.rendering.load", "plenodream.training.trainer"])


def start(function: Callable, *arguments: object, said: Path, environment: dict[str, str] | None = None) -> BaseProcess:
    """Start a function of some module; what the process says goes to a file.

    Args:
        function: Found by its name in the new process.
        arguments: Of the function.
        said: File for stdout and stderr.
        environment: Variables that it has besides.
    """
    process = _FORKS.Process(target=_run, args=(function, arguments, said, environment or {}), daemon=True)
    process.start()
    return process


def _run(function: Callable, arguments: tuple, said: Path, environment: dict[str, str]) -> None:
    import torch

    os.environ.update(environment)
    file = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    function(*arguments)


def command(*words: object) -> None:
    """What a process does that runs `plenodream`."""
    from plenodream import cli

    sys.argv = ["plenodream", *map(str, words)]
    cli.main()


def ranks(count: int, function: Callable, *arguments: object, said: Path) -> None:
    """Run a function in so many processes that find each other as torchrun's do; all must end well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}
    numbers = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    processes = [start(function, *arguments, said=said, environment=address | number) for number in numbers]
    try:
        for process in processes:
            process.join(240)
        assert [process.exitcode for process in processes] == [0] * count, said.read_text()[-4000:]
    finally:
        for process in processes:
            process.kill()
