"""Windows over long videos: laws, over every small case."""

import itertools

import pytest

from plenodream.memory.windows import Window, plan_windows, window_index

CASES = [(f, w, o) for f, w in itertools.product(range(1, 40), range(1, 12)) for o in range(w)]


def test_laws():
    for frames, length, overlap in CASES:
        windows = plan_windows(frames, length, overlap)
        assert all(len(window) == length for window in windows)
        assert windows[0].start == 0 and windows[0].clean == 0
        new = [frame for window in windows for frame in range(window.start + window.clean, window.stop)]
        assert new == list(range(max(frames, length)))  # every frame once, in order
        assert windows[-1].stop == max(frames, length)
        for before, window in itertools.pairwise(windows):
            assert window.clean == before.stop - window.start
            assert overlap <= window.clean < length
        assert all(window.clean == overlap for window in windows[1:-1])


def test_examples():
    assert plan_windows(93, 93, 5) == [Window(0, 93, 0)]
    assert plan_windows(20, 9, 1) == [Window(0, 9, 0), Window(8, 17, 1), Window(11, 20, 6)]
    assert plan_windows(4, 9, 3) == [Window(0, 9, 0)]
    assert window_index(Window(0, 6, 0), 4) == [0, 1, 2, 3, 3, 3]
    assert window_index(Window(3, 6, 1), 20) == [3, 4, 5]


@pytest.mark.parametrize(("frames", "length", "overlap"), [(0, 9, 1), (5, 0, 0), (5, 4, 4), (5, 4, -1)])
def test_what_cannot_be(frames, length, overlap):
    with pytest.raises(ValueError, match="expected"):
        plan_windows(frames, length, overlap)
