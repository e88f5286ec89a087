"""What starting costs: CPU seconds of the commands' help, of wrong arguments, of what a render imports, of the demo.

python benchmarks/startup.py
python benchmarks/startup.py --demo   # the whole demo, too

CPU seconds of the child process, user and system: on an idle core they are what one waits, and a busy one hardly
changes them.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile

from common import machine

IMPORTS = {
    "torch": "import torch",
    "torch, diffusers and its pipelines": "import torch; from diffusers import DiffusionPipeline",
    "all that a render imports": "import plenodream.rendering.load",
}


def cpu_seconds(command: list[str], expected: int = 0) -> float:
    """Least CPU time of three runs of a child process that ends with the expected code."""
    times = []
    for _ in range(3 if expected or "demo" not in command else 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = subprocess.run(command, capture_output=True, check=False).returncode
        assert code == expected, (command, code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", action="store_true", help="time the demo, too")
    program = [sys.executable, "-m", "plenodream"]
    asked = parser.parse_args()
    print(machine())
    print(f"{cpu_seconds([*program, '--help']):6.2f} s  --help")
    print(f"{cpu_seconds([*program, 'render', '--help']):6.2f} s  render --help")
    for wrong in (
        ["render", "--bogus"],
        ["render", "none.mp4", "--trajectory", "arc-left"],
        ["render", "--steps", "x"],
    ):
        print(f"{cpu_seconds([*program, *wrong], 2):6.2f} s  {' '.join(wrong)}")
    for what, code in IMPORTS.items():
        print(f"{cpu_seconds([sys.executable, '-c', code]):6.2f} s  {what}")
    if asked.demo:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{cpu_seconds([*program, 'demo', '--out', f'{folder}/demo', '--json']):6.2f} s  demo: four views")


if __name__ == "__main__":
    main()
