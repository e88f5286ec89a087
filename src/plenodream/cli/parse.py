"""Arguments to a command: tyro's reading of them and its help, but what is wrong with them in one line."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr
from typing import Any

import tyro


def parse_arguments(commands: Iterable[type]) -> Any:
    """The command that was asked for, an instance of one of `commands` (called by their names, see `command_name`).

    Raises:
        ValueError: Arguments that tyro refuses.
        SystemExit: The help, or a completion script, was asked for and printed.
    """
    by_name = {command_name(command): command for command in commands}
    words = sys.argv[1:]
    if "-".join(words[:2]) in by_name:  # `eval run` is the command eval-run
        words = ["-".join(words[:2]), *words[2:]]
    shown = io.StringIO()
    try:
        with redirect_stderr(shown):
            return tyro.extras.subcommand_cli_from_dict(
                by_name,
                prog="plenodream",
                args=words,
                description="Re-render a video along any number of camera trajectories, so that all results agree.",
            )
    except SystemExit as stop:
        if not stop.code:
            raise
    asked = next((f" {word}" for word in words[:1] if word in by_name), "")
    raise ValueError(f"{unframed(shown.getvalue())}; see `plenodream{asked} --help`")


def command_name(command: type) -> str:
    """`EvalRun` is called eval-run."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", command.__name__).lower()


def unframed(box: str) -> str:
    """What a framed error of tyro says, in one line: of each part the first paragraph, without the help texts in it.

    The last part, a pointer to the help, is left out.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    # A line starts with the frame, or a blank where the terminal has no such letter, then a blank (not so the title).
    rows = [line[1:].rstrip(" │") for line in plain.splitlines() if line[:1] in ("│", " ")]
    parts = re.split(r"\n [─-]+\n", "\n".join(row for row in rows if row[:1] in ("", " ")))
    said = []
    for part in parts[:-1] or parts:
        paragraph = part.partition("\n\n")[0].splitlines()
        said.append(" ".join(row.strip() for row in paragraph if not row.startswith(" " * 6)))
    return "; ".join(text.rstrip(".") for text in said)
