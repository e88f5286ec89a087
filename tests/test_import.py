"""Importing the package, and parsing a command line, loads no heavy library."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "diffusers", "matplotlib", "av", "numpy")


@pytest.mark.parametrize("module", ["plenodream", "plenodream.cli"])
def test_heavy_libraries_are_loaded_when_they_are_used(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
