"""Words that people mistype, and text that a terminal must not obey."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to say to an unknown word: the nearest known one or, where none is near, all of them."""
    names = list(known)
    near = get_close_matches(word.lower(), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}"


def printable(text: str) -> str:
    """One line without what a terminal would take for commands, or cannot encode: "?" for each such letter."""
    return shown(" ".join(text.split()))


def shown(path: object) -> str:
    """A path as a terminal may see it: "?" for each letter that it would obey or cannot encode."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(path))
