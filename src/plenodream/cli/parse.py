"""Arguments to a command: tyro's reading of them and its help, but what is wrong with them in one line."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path
from typing import Annotated, Any

import tyro

from plenodream import __version__

# Arguments that may be left out, shown in the help without a word of None.
MaybeInt = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
MaybeFloat = Annotated[float | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")]
MaybeText = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]


def parse_arguments(commands: Mapping[str, type], words: list[str]) -> Any:
    """The command that was asked for, an instance of one of `commands`.

    Args:
        commands: By the name that they are called by.
        words: What follows the program's name.

    Raises:
        ValueError: Arguments that tyro refuses.
        SystemExit: The help, the version or a completion script was asked for and printed.
    """
    by_name = dict(commands)
    if words == ["--version"]:
        print(f"plenodream {__version__}")
        raise SystemExit(0)
    if "-".join(words[:2]) in by_name:  # `eval run` is the command eval-run
        words = ["-".join(words[:2]), *words[2:]]
    shown = io.StringIO()
    try:
        with redirect_stderr(shown):
            return tyro.extras.subcommand_cli_from_dict(
                by_name,
                prog="plenodream",
                args=words,
                config=(tyro.conf.FlagCreatePairsOff,),
                description="Re-render a video along any number of camera trajectories, so that all results agree.",
            )
    except SystemExit as stop:
        if not stop.code:
            raise
    asked = next((f" {word}" for word in words[:1] if word in by_name), "")
    raise ValueError(f"{unframed(shown.getvalue())}; see `plenodream{asked} --help`")


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


def part_of(args: Any) -> slice:
    """The part of the video that `--start`, `--frames` and `--stride` ask for.

    Raises:
        ValueError: None that there can be.
    """
    for name, least in (("frames", 2), ("start", 0), ("stride", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} {value}: expected at least {least}")
    whole = args.frames is None and args.start == 0 and args.stride == 1
    stop = None if args.frames is None else args.start + (args.frames - 1) * args.stride + 1
    return slice(None) if whole else slice(args.start, stop, args.stride)
