"""Importing the package, and parsing a command line, loads no heavy library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import plenodream

HEAVY = ("torch", "diffusers", "matplotlib", "av", "numpy")


@pytest.mark.parametrize("module", ["plenodream", "plenodream.cli"])
def test_heavy_libraries_are_loaded_when_they_are_used(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", plenodream.__all__)
def test_every_public_name_is_there(name):
    assert getattr(plenodream, name).__name__ == name


def test_the_two_names_that_a_render_starts_with_are_public():
    assert {"load_pipeline", "open_source"} <= set(plenodream.__all__)


def test_editors_and_dir_see_every_public_name_at_its_home():
    tree = ast.parse(Path(plenodream.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == {name: home for name, home in plenodream._HOMES.items() if name in plenodream.__all__}
    assert set(plenodream.__all__) <= set(dir(plenodream))


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = plenodream.nope
