"""JSON in and out, checked against a type: what does not fit is one line with file, field, found and expected."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from plenodream.files.tars import read_bytes

_Kind = TypeVar("_Kind")
_SHOWN = 40  # characters of a value that is quoted


def read_document(path: Path, kind: type[_Kind], todo: str = "") -> _Kind:
    """Read a JSON file as a value of a type.

    Args:
        path: The file.
        kind: Anything msgspec knows: dataclass, TypedDict, `dict[str, float]` ... Fields it has not are left out.
        todo: What the user can do about a bad file; ends the message.

    Raises:
        ValueError: In one line: missing, no JSON, too deep, or a field that does not fit.
    """
    return parse_document(_read(path, todo), kind, str(path), todo)


def parse_document(data: str | bytes, kind: type[_Kind], name: str, todo: str = "") -> _Kind:
    """Read JSON text that `name` stands for as a value of a type; else as `read_document`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(_line(name, _misfit(str(error), data), todo)) from None
    except RecursionError:
        raise ValueError(_line(name, "not valid JSON (nested too deep)", todo)) from None
    except ValueError as error:
        reason = str(error).removeprefix("JSON is malformed: ").lower()
        raise ValueError(_line(name, f"not valid JSON ({_no_number(reason, data) or reason})", todo)) from None


def read_object(path: Path, fields: type, todo: str = "") -> dict[str, Any]:
    """A JSON object as it stands, with whatever is in it, after its known fields were checked.

    Args:
        path: The file.
        fields: A TypedDict of the known ones.
        todo: As for `read_document`.

    Raises:
        ValueError: As `read_document`.
    """
    data = _read(path, todo)
    parse_document(data, fields, str(path), todo)
    return msgspec.json.decode(data)


def dump_document(content: Any) -> bytes:
    """JSON as we keep it: the same content gives the same bytes, floats come back exactly.

    What is no text (a file's name may not be) becomes "?".

    Raises:
        ValueError: NaN or infinite numbers, which JSON has not.
    """
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode(errors="replace")


def _read(path: Path, todo: str) -> bytes:
    try:
        return read_bytes(Path(path))
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror).lower()
        raise ValueError(_line(str(path), reason, todo)) from None


def _line(name: str, reason: str, todo: str) -> str:
    return f"{name}: {reason}" + (f"; {todo}" if todo else "")


def _no_number(reason: str, data: str | bytes) -> str | None:
    """What to say where other writers put what JSON has no number for; None if it is another defect."""
    text = data.encode() if isinstance(data, str) else data
    place = re.search(r"byte (\d+)", reason)
    start = int(place[1]) - 1 if place else len(text)
    return "NaN or infinite numbers" if re.match(rb".?-?(NaN|Infinity)", text[max(0, start) :]) else None


def _misfit(message: str, data: str | bytes) -> str:
    """msgspec's error as field, found, expected."""
    reason, _, place = message.removesuffix("`").partition(" - at `$")
    wanted = re.fullmatch(r"Expected `(?P<kind>[^`]+)`(?P<more>.*?)(, got .*)?", reason)
    field = f"{place.lstrip('.')}: " if place else ""
    if wanted is None:
        return field + reason[:1].lower() + reason[1:].replace("`", "")
    return f"{field}found {_found(place, data)}, expected {wanted['kind']}{wanted['more']}".replace("`", "")


def _found(place: str, data: str | bytes) -> str:
    """The value at msgspec's path (`.chunks[0][1]`), shortened; `[...]` is some entry of an object."""
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):  # there is more wrong with it, further on
        return "another type"
    for name, number in re.findall(r"\.([^.\[]+)|\[([^\]]+)\]", place):
        if number == "...":
            return "another type"
        value = value[name] if name else value[int(number)]
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
