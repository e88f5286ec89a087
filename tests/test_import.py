"""Importing the package, and parsing a command line, loads no heavy library."""

import subprocess
import sys

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


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = plenodream.nope
