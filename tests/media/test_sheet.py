from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from plenodream.media.sheet import draw_sheet, save_sheet


def test_every_frame_is_where_it_belongs():
    """Plain reference: scenes, ends and columns one by one, each frame a colour of its own."""
    videos = {
        name: torch.rand(3, 4, 1, 1, 3, generator=torch.Generator().manual_seed(number)).expand(3, 4, 40, 56, 3)
        for number, name in enumerate(("source", "truth"))
    }
    sheet = draw_sheet(videos)
    scale = 3  # 40 pixels become at least 112
    for column, video in enumerate(videos.values()):
        for scene in range(3):
            for end, frame in enumerate((0, -1)):
                row = 16 + scene * (2 * 40 * scale + 4) + end * 40 * scale
                place = sheet[row : row + 40 * scale, 4 + column * (56 * scale + 4) :][:, : 56 * scale]
                colour = (video[scene, frame, 0, 0] * 255).round().byte()
                assert (place == colour).all()
    assert sheet.shape == (16 + 3 * (2 * 120 + 4), 4 + 2 * (168 + 4), 3)
    assert (sheet[:16] > 200).any()


def test_the_file_is_the_picture(tmp_path):
    videos = {"only": torch.rand(1, 2, 8, 8, 3, generator=torch.Generator().manual_seed(0))}
    save_sheet(tmp_path / "sheet.png", videos)
    assert (np.asarray(Image.open(tmp_path / "sheet.png")) == draw_sheet(videos).numpy()).all()
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_videos_of_different_shapes():
    with pytest.raises(ValueError, match="expected one or more, all of the same shape"):
        draw_sheet({"a": torch.zeros(1, 2, 8, 8, 3), "b": torch.zeros(1, 3, 8, 8, 3)})
