"""Words that people mistype, and text that a terminal must not obey."""

from plenodream.seeds import seed_from
from plenodream.words import printable, suggestion


def test_the_nearest_word_or_all():
    assert suggestion("ARC-lefft", ["arc-left", "arc-right"]) == "did you mean 'arc-left'?"
    assert suggestion("xyz", ("a", "b")) == "expected one of a, b"


def test_nothing_commands_the_terminal():
    assert printable("a\x1b[31mred\x07\n b\udcff ö ☕") == "a?[31mred? b? ö ☕"


def test_seeds_are_functions_of_the_text():
    assert seed_from("0/arc-left/0/noise") == 966855877 != seed_from("0/arc-left/1/noise")
