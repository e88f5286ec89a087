"""Windows over long videos: laws, over every small case."""

import itertools

import pytest

from plenodream.media.chunks import Chunk, chunk_index, plan_chunks

CASES = [(f, w, o) for f, w in itertools.product(range(1, 40), range(1, 12)) for o in range(w)]


def test_laws():
    for frames, window, overlap in CASES:
        chunks = plan_chunks(frames, window, overlap)
        assert all(len(chunk) == window for chunk in chunks)
        assert chunks[0].start == 0 and chunks[0].clean == 0
        new = [frame for chunk in chunks for frame in range(chunk.start + chunk.clean, chunk.stop)]
        assert new == list(range(max(frames, window)))  # every frame once, in order
        assert chunks[-1].stop == max(frames, window)
        for before, chunk in itertools.pairwise(chunks):
            assert chunk.clean == before.stop - chunk.start
            assert overlap <= chunk.clean < window
        assert all(chunk.clean == overlap for chunk in chunks[1:-1])


def test_examples():
    assert plan_chunks(93, 93, 5) == [Chunk(0, 93, 0)]
    assert plan_chunks(20, 9, 1) == [Chunk(0, 9, 0), Chunk(8, 17, 1), Chunk(11, 20, 6)]
    assert plan_chunks(4, 9, 3) == [Chunk(0, 9, 0)]
    assert chunk_index(Chunk(0, 6, 0), 4).tolist() == [0, 1, 2, 3, 3, 3]
    assert chunk_index(Chunk(3, 6, 1), 20).tolist() == [3, 4, 5]


@pytest.mark.parametrize(("frames", "window", "overlap"), [(0, 9, 1), (5, 0, 0), (5, 4, 4), (5, 4, -1)])
def test_what_cannot_be(frames, window, overlap):
    with pytest.raises(ValueError, match="expected"):
        plan_chunks(frames, window, overlap)
