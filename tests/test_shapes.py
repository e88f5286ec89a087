"""The checks of arrays that run in all tests refuse what annotations do not allow, and cost other functions nothing."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError, config

from plenodream.flow import velocity
from plenodream.geometry.cameras import axis_rotation
from plenodream.rendering.source import still_cameras
from plenodream.words import printable


def test_wrong_arrays_are_refused_and_what_takes_none_is_left_alone(monkeypatch):
    cameras = still_cameras(3, 16, 16)
    wrong = (
        lambda: velocity(torch.zeros(2, 3), torch.zeros(3, 3)),
        lambda: velocity(torch.zeros(2, dtype=torch.int), torch.zeros(2)),
        lambda: replace(cameras, intrinsics=torch.zeros(2, 4)),
    )
    for call in wrong:
        with pytest.raises(TypeCheckError):
            call()
    assert hasattr(axis_rotation, "__wrapped__") and not hasattr(printable, "__wrapped__")
    monkeypatch.setattr(config, "jaxtyping_disable", True)
    with pytest.raises(AssertionError):
        wrong[2]()
