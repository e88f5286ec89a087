"""Two hundred renders of the app in a row: memory and temporary files of the process, before and after.

python benchmarks/app_requests.py
"""

import tempfile
from pathlib import Path

import torch
from common import machine

from plenodream.media.preview import write_preview
from plenodream.rendering.model import reprojection_model
from plenodream.viewer.desk import Desk
from plenodream.viewer.limits import Limits
from plenodream.viewer.visits import Visits, Wish


def resident() -> float:
    """MB that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        clip = root / "clip.mp4"
        frames = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
        write_preview(clip, frames, 8)
        (root / "visits").mkdir()
        visits, desk = Visits(root / "visits", Limits(max_height=16)), Desk(reprojection_model, Limits(max_height=16))
        seen = []
        for number in range(201):
            visit = visits.of(str(number))
            desk.render(visit, Wish(clip, presets=("rotate-left",)), lambda *_: None)
            visits.leave(str(number))
            if number % 50 == 0:
                seen.append((number, round(resident(), 1), len(list(root.rglob("*")))))
        print(machine())
        for number, megabytes, files in seen:
            print(f"after {number + 1} renders: {megabytes} MB, {files} files and folders")


if __name__ == "__main__":
    main()
