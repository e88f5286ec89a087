from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from plenodream.training.sheet import _HEADER, save_sheet


def test_columns_are_source_then_truth_beside_result(tmp_path):
    """Every picture has a grey value of its own, which says where it went."""
    truth = torch.zeros(2, 3, 5, 4, 4, 3)
    truth += torch.arange(2).view(2, 1, 1, 1, 1, 1) * 0.5 + torch.arange(3).view(1, 3, 1, 1, 1, 1) * 0.1
    truth += torch.arange(5).view(1, 1, 5, 1, 1, 1) * 0.01
    made = truth[:, 1:] + 0.05
    save_sheet(tmp_path / "sheet.png", truth, made)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert pixels.shape == (_HEADER + 2 * 8, 15 * 8, 3)
    centres = pixels[_HEADER + 4 :: 8, 4::8, 0] / 255
    expected = [[scene * 0.5 + moment * 0.01 + view for moment in (0, 2, 4) for view in (0, 0.1, 0.15, 0.2, 0.25)]
                for scene in (0, 1)]  # fmt: skip
    np.testing.assert_allclose(centres, expected, atol=0.003)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
