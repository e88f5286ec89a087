"""Which pairs of shots a table speaks of: the paper's, by the number of shots, or all that share hidden pixels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from plenodream.geometry.presets import GROUPS

ALL = "all"
# The paper's pairs by shot number, from 1: what every row adds to the rows before it (its Mat. Pix. table).
_ADDED = {3: ((1, 2), (1, 3)), 6: ((4, 5), (4, 6)), 9: ((7, 8), (9, 10)), 12: ((10, 11), (10, 12))}


def pair_sets(shots: Sequence[str]) -> dict[str, frozenset[frozenset[str]] | None]:
    """Names of the sets that a scene's shots allow, and the pairs in each; None stands for all pairs.

    Shots of `basic12` are numbered as in the paper whatever order they were made in, any others by that order. The
    paper's row of 9 shots has a pair with shot 10; `strict 9` leaves it out.
    """
    paper = GROUPS["basic12"]
    numbered = paper if set(shots) <= set(paper) else shots
    pairs: list[tuple[int, int]] = []
    sets: dict[str, list[tuple[int, int]]] = {}
    for count, added in _ADDED.items():
        pairs = [*pairs, *added]
        strict = [pair for pair in pairs if max(pair) <= count]
        sets |= {f"paper {count}": pairs} | ({f"strict {count}": strict} if strict != pairs else {})
    there = {
        name: frozenset(frozenset(numbered[n - 1] for n in pair) for pair in chosen)
        for name, chosen in sets.items()
        if all(n <= len(numbered) and numbered[n - 1] in shots for pair in chosen for n in pair)
    }
    return there | {ALL: None}


def in_set(pair: Collection[str], chosen: frozenset[frozenset[str]] | None) -> bool:
    """Whether a pair of shots belongs to a set."""
    return chosen is None or frozenset(pair) in chosen
