"""Run every command and snippet of the README; the training run must help.

The folder holds a clip.mp4 and depth-model, a tiny one of random weights. Blocks do not need each other, so
two run side by side, each in order and on one core.

`make` lines are left out: .ci/run itself runs them. The program is on the PATH only as far as the README puts it there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

root = Path(__file__).resolve().parent.parent
elsewhere = [folder for folder in os.environ["PATH"].split(":") if Path(folder) != Path(sys.executable).parent]
environment = {**os.environ, "PATH": ":".join(elsewhere), "OMP_NUM_THREADS": "1"}
blocks = re.findall(r"```(bash|python)\n(.*?)```", (root / "README.md").read_text(), flags=re.DOTALL)
(activated,) = (line for _, text in blocks for line in text.splitlines() if line.startswith(". "))


def run(language: str, text: str) -> None:
    """Run a block of the README."""
    for line in [text] if language == "python" else text.splitlines():
        if line.startswith("make ") or not line.strip():
            continue
        script = 'python -c "$0"' if language == "python" else line
        command = ["bash", "-c", f"{activated}\n{script}", text]
        began = time.monotonic()
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        print(f"README, {time.monotonic() - began:.0f} s:", line.strip().splitlines()[0], flush=True)


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / ".venv").symlink_to(root / ".venv")
    shutil.copy(root / "src/plenodream/bundled/clip/source.mp4", folder / "clip.mp4")
    subprocess.run([sys.executable, root / "tests/tiny_depth.py", folder / "depth-model"], check=True)
    with ThreadPoolExecutor(2) as lanes:
        list(lanes.map(run, *zip(*sorted(blocks, key=lambda block: "train" not in block[1]), strict=True)))
    rows = [json.loads(row) for row in (folder / "runs/taste/log.jsonl").read_text().splitlines()]
scores = [row["seen"] for row in rows if "seen" in row]
print(f"README: the short training run took its held-out PSNR from {scores[0]:.1f} to {scores[-1]:.1f} dB")
assert scores[-1] > scores[0] + 3, scores
