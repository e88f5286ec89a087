"""Run every command and snippet of the README in a folder that holds a clip.mp4; the training run must help.

`make` lines are left out: .ci/run itself runs them.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

root = Path(__file__).resolve().parent.parent
blocks = re.findall(r"```(bash|python)\n(.*?)```", (root / "README.md").read_text(), flags=re.DOTALL)
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    shutil.copy(root / "src/plenodream/bundled/clip/source.mp4", folder / "clip.mp4")
    for language, text in blocks:
        lines = [text] if language == "python" else text.splitlines()
        for line in lines:
            if (language == "bash" and line.startswith("make ")) or not line.strip():
                continue
            print("README:", line.strip().splitlines()[0], flush=True)
            if language == "python":
                command = [sys.executable, "-c", line]
            else:
                command = ["bash", "-c", f'PATH="{Path(sys.executable).parent}:$PATH" {line}']
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(row) for row in (folder / "runs/taste/log.jsonl").read_text().splitlines()]
scores = [row["seen"] for row in rows if "seen" in row]
print(f"README: the short training run took its held-out PSNR from {scores[0]:.1f} to {scores[-1]:.1f} dB")
assert scores[-1] > scores[0] + 3, scores
