"""Arguments to a command: tyro's reading of them and its help, but what is wrong with them in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from dataclasses import fields, is_dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import tyro

from plenodream import __version__
from plenodream.words import suggestion

# Arguments that may be left out, shown in the help without a word of None.
MaybeInt = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
MaybeFloat = Annotated[float | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")]
MaybeText = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]

_MOST_FRAMES = 10**9
_NUMBERS = {int: "a whole number", float: "a number"}


def parse_arguments(commands: Mapping[str, type], words: list[str]) -> Any:
    """The command that was asked for, an instance of one of `commands`.

    Args:
        commands: By the name that they are called by.
        words: What follows the program's name.

    Raises:
        ValueError: No such command, or arguments that are not its own.
        SystemExit: The help, the version or a completion script was asked for and printed.
    """
    by_name = dict(commands)
    if words == ["--version"]:
        print(f"plenodream {__version__}")
        raise SystemExit(0)
    if "-".join(words[:2]) in by_name:  # `eval run` is the command eval-run
        words = ["-".join(words[:2]), *words[2:]]
    kind = by_name.get(words[0]) if words else None
    if kind is None and not (words and words[0].startswith("-")):
        found = repr(words[0]) + ": no such command" if words else "no command"
        known = [name.replace("eval-", "eval ") for name in by_name]
        raise ValueError(f"{found}; {suggestion((words or [''])[0], known)}; see `plenodream --help`")
    asked = f"plenodream {words[0]}" if kind else "plenodream"

    def refuse(event: Any) -> None:
        raise ValueError(f"{_reason(event, kind, words)}; see `{asked} --help`")

    shown = StringIO()
    try:
        with _told(refuse), redirect_stderr(shown):
            return tyro.extras.subcommand_cli_from_dict(
                by_name,
                prog="plenodream",
                args=words,
                config=(tyro.conf.FlagCreatePairsOff,),
                description="Re-render a video along any number of camera trajectories, so that all results agree. "
                "`plenodream --version` says which this is.",
            )
    except SystemExit as stop:
        if not stop.code:
            raise
    raise ValueError(f"{' '.join(words)}: not understood; see `{asked} --help`")


def _told(refuse: Callable[[Any], None]) -> AbstractContextManager[Any]:
    """Has `refuse` called with what is wrong: tyro's one way to say it other than in a drawn box, and private to it.

    Where a tyro has it no more, wrong arguments are refused without the reason; `_reason` knows its kinds of events.
    """
    try:
        from tyro._errors import on_parse_error
    except ImportError:
        return nullcontext()
    return on_parse_error(refuse)


def _reason(event: Any, kind: type | None, words: Sequence[str]) -> str:
    """What is wrong with the arguments of a command, by tyro's event."""
    argument = getattr(event, "argument", None)
    name = "" if argument is None else argument.display_name()
    match type(event).__name__:
        case "UnrecognizedArgs":
            flags = [] if kind is None else _flags(kind)
            unknown = next((word for word in event.tokens if word.startswith("-")), None)
            hint = f"; {suggestion(unknown.partition('=')[0], flags)}" if unknown and flags else ""
            return f"{' '.join(event.tokens)}: unknown argument{hint}"
        case "MissingArgs":
            return f"expected {' and '.join(each.arg.display_name() for each in event.missing_arguments)} too"
        case "InvalidChoice":
            return f"{name} {event.value}: expected one of {', '.join(event.choices)}"
        case "BadValue":
            return f"{name}: expected a value"
        case "InstantiationFailure":
            rest = words[words.index(name) + 1 :] if name in words else ()
            joined = (word.partition("=")[2] for word in words if word.startswith(f"{name}="))
            return f"{name} {next(iter(rest), '') or next(joined, '')}: expected {_wanted(kind, name)}"
    return f"{' '.join(words)}: not understood"


def _flags(kind: type) -> list[str]:
    """All that a command takes; those of a group within it stand beside its own."""
    flags = []
    for field in fields(kind):
        group = field.default_factory
        flags += _flags(group) if isinstance(group, type) and is_dataclass(group) else [field.name]
    return [f"--{flag.removeprefix('--').replace('_', '-')}" for flag in flags]


def _wanted(kind: type | None, flag: str) -> str:
    """What an argument of a command is, in words."""
    hint = get_type_hints(kind).get(flag.lstrip("-").replace("-", "_")) if kind else None
    return next((words for number, words in _NUMBERS.items() if number in (hint, *get_args(hint))), "another value")


def check_folder(out: Path) -> None:
    """Refuse a file as the folder that a command writes into, before it says what it will do.

    Raises:
        ValueError: It is a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file; expected a folder, new or of an earlier run")


def check_clip(clip: Path) -> None:
    """Refuse a video that is not there.

    Raises:
        ValueError: No such file, or an address.
    """
    if "%" in clip.name or clip.exists():
        return
    if clip.parts[0] in ("http:", "https:", "s3:"):
        raise ValueError(f"{clip.parts[0]}//{'/'.join(clip.parts[1:])}: is an address; expected a file on this machine")
    raise ValueError(f"{clip}: no such file; expected a video")


def check_distance(distance: float) -> None:
    """Refuse a `--subject-distance` that is none.

    Raises:
        ValueError: It is none.
    """
    if not 0 < distance < float("inf"):
        raise ValueError(f"--subject-distance {distance:g}: expected more than 0 m")


def check_depth_kind(args: Any) -> None:
    """Refuse a `--depth-kind` without the `--depth` that it is said of.

    Raises:
        ValueError: Nothing to say it of.
    """
    if args.depth_kind is not None and args.depth is None:
        raise ValueError(f"--depth-kind {args.depth_kind} says what --depth holds: expected --depth with it")


def part_of(args: Any) -> slice:
    """The part of the video that `--start`, `--frames` and `--stride` ask for.

    Raises:
        ValueError: None that there can be.
    """
    for name, least in (("frames", 2), ("start", 0), ("stride", 1)):
        value = getattr(args, name)
        if value is not None and not least <= value <= _MOST_FRAMES:
            raise ValueError(f"--{name} {value}: expected at least {least}, at most {_MOST_FRAMES}")
    whole = args.frames is None and args.start == 0 and args.stride == 1
    stop = None if args.frames is None else args.start + (args.frames - 1) * args.stride + 1
    return slice(None) if whole else slice(args.start, stop, args.stride)


def check_options(args: Any) -> None:
    """Refuse values of `render` that none can have, whatever files there are.

    Raises:
        ValueError: Such values.
    """
    part_of(args)
    check_depth_kind(args)
    if args.height is not None and args.height < 2:
        raise ValueError(f"--height {args.height}: expected a number of pixels, at least 2")
    if args.scale is not None and not 0 < args.scale < float("inf"):
        raise ValueError(f"--scale {args.scale:g}: expected a factor from the files' lengths to metres, more than 0")
    args.fitting.fit()
