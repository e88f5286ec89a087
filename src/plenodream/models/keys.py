"""The names of a checkpoint's tensors, the publisher's and ours: one table that is read both ways."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = "#"


class KeyMap:
    """Renaming by prefixes; no tensor changes.

    Args:
        pairs: The publisher's beginning of a key and ours; `#` is any number, the same in both. The first that fits is
            taken.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._to_ours = [_rule(theirs, ours) for theirs, ours in pairs]
        self._to_theirs = [_rule(ours, theirs) for theirs, ours in pairs]

    def ours(self, key: str) -> str | None:
        """Our name of the publisher's key; None for one that is unknown."""
        return _renamed(key, self._to_ours)

    def published(self, key: str) -> str | None:
        """The publisher's name of our key; None for one that is unknown."""
        return _renamed(key, self._to_theirs)


def _rule(found: str, wanted: str) -> tuple[re.Pattern[str], str]:
    pattern = re.escape(found).replace(re.escape(_NUMBER), r"(\d+)")
    replacement = re.sub(_NUMBER, lambda _: r"\g<1>", wanted)
    return re.compile("^" + pattern), replacement


def _renamed(key: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, replacement in rules:
        if match := pattern.match(key):
            return match.expand(replacement) + key[match.end() :]
    return None
