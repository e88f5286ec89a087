"""The page of every command, against the commands themselves."""

import dataclasses
import sys
import typing
from pathlib import Path

import pytest

from plenodream.cli.commands import commands

sys.path.append(str(Path(__file__).parents[1] / "docs"))

from list_commands import section


def arguments(kind):
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from arguments(hints[field.name])
        else:
            yield field.name


@pytest.mark.parametrize("name", commands())
def test_every_argument_has_its_row(name):
    kind, _ = commands()[name]
    page = section(name, kind)
    missing = [x for x in arguments(kind) if f"`--{x.replace('_', '-')}`" not in page and f"`{x.upper()}`" not in page]
    assert not missing and page.count("\n|") == 2 + len(list(arguments(kind)))
