"""Which pairs of shots a table speaks of: the paper's, by the number of shots, or all that share hidden pixels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from plenodream.geometry.presets import GROUPS

ALL = "all"
# The paper's pairs by shot number, from 1: what every row adds to the rows before it (its Mat. Pix. table).
_ADDED = {3: ((1, 2), (1, 3)), 6: ((4, 5), (4, 6)), 9: ((7, 8), (9, 10)), 12: ((10, 11), (10, 12))}


def pair_sets(shots: Sequence[str], strict: bool = False) -> dict[str, frozenset[frozenset[str]] | None]:
    """Names of the sets that a scene's shots allow, and the pairs in each; None stands for all pairs.

    Shots of `basic12` are numbered as in the paper whatever order they were made in, any others by that order.

    Args:
        shots: Names in the order in which they were made.
        strict: Leave out the pair of the 9-shot row that uses shot 10, as `pairs=strict`.
    """
    paper = GROUPS["basic12"]
    numbered = paper if set(shots) <= set(paper) else shots
    sets: dict[str, frozenset[frozenset[str]] | None] = {}
    pairs: list[tuple[int, int]] = []
    for count, added in _ADDED.items():
        pairs += [pair for pair in added if not strict or max(pair) <= count]
        if all(n <= len(numbered) and numbered[n - 1] in shots for pair in pairs for n in pair):
            sets[f"paper {count}"] = frozenset(frozenset(numbered[n - 1] for n in pair) for pair in pairs)
    return sets | {ALL: None}


def in_set(pair: Collection[str], chosen: frozenset[frozenset[str]] | None) -> bool:
    """Whether a pair of shots belongs to a set."""
    return chosen is None or frozenset(pair) in chosen
