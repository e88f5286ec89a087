from __future__ import annotations

import guest
import numpy as np
import pytest

from plenodream.evaluation.run import run


def test_one_seam_is_found_and_a_constant_error_is_none(tmp_path):
    spoils = {
        "true": lambda s, n, x: x,
        "darker": lambda s, n, x: np.clip(x - 0.05, 0, 1),
        "seam": lambda s, n, x: np.concatenate([x[:2], np.clip(x[2:] - 0.1, 0, 1)]),
    }
    found = {}
    for name, spoil in spoils.items():
        (tmp_path / name).mkdir()
        guest.deliver(tmp_path / name, scenes=1, spoil=spoil)
        report = run(tmp_path / name, tmp_path / name / "evaluation", ("change",), name).report
        assert report is not None
        found[name] = [report.number(column).mean for column in ("psnr.change", "psnr.change.worst")]
    assert found["true"] == [100, 100] and min(found["darker"]) > 45
    steps = guest.FRAMES - 1
    assert found["seam"] == [pytest.approx(20 + 10 * np.log10(steps), abs=0.1), pytest.approx(20, abs=0.1)]
