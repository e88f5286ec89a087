"""Lines of numbers."""

from __future__ import annotations

from plenodream.geometry.formats.content import Content


def text_refusal(content: Content, columns: int) -> str | None:
    """Why a text is not lines of so many numbers, judged by its first line of numbers; None if it is."""
    rows = content.rows()
    if not rows:
        return "no line of numbers, only comments"
    number, words = next(((number, words) for number, words in rows if _all_numbers(words)), rows[0])
    if not _all_numbers(words):
        return f"line {number} starts with {' '.join(words)[:30]!r}"
    return None if len(words) == columns else f"{len(words)} numbers on line {number}, not {columns}"


def number_lines(content: Content, columns: int, meaning: str, head: int = 0) -> list[list[float]]:
    """The numbers of every line; the first `head` lines with words in them may be something else.

    Raises:
        ValueError: A line of anything but so many numbers.
    """
    rows, lines = [], content.rows()
    for index, (number, words) in enumerate(lines):
        if not _all_numbers(words):
            if index < head:
                continue
            raise ValueError(
                f"{content.path}: line {number} starts with {' '.join(words)[:30]!r}; expected {columns} numbers "
                f"({meaning})"
            )
        if len(words) != columns:
            raise ValueError(f"{content.path}: {len(words)} numbers on line {number}; expected {columns} ({meaning})")
        rows.append([float(word) for word in words])
    return rows


def _all_numbers(words: list[str]) -> bool:
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return True
