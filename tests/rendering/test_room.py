"""What a model needs in memory with what is turned on, and what is refused before it is loaded."""

from __future__ import annotations

import pytest
from test_published import make_model

from plenodream.models.needs import Needs
from plenodream.rendering import load
from plenodream.rendering.fit import Fit
from plenodream.rendering.load import load_pipeline
from plenodream.rendering.room import GIB, check_room, memory_with, ways_to_fit

SIZES_OF_A_VIEW = {"network": 40, "weights": 50, "context": 30, "views": 2, "activations": 20, "codec": 60}
NETWORK = {"encode_flop": 0, "step_flop": 0, "evaluations": 1, "blocks": 20, "pixels": 4 * 256**2, "keys": True}
NEEDS = Needs(**SIZES_OF_A_VIEW, **NETWORK)


def memory(**fit):
    return memory_with(NEEDS, Fit(**fit))


def test_memory_is_that_of_what_is_there_at_a_time():
    assert memory() == NEEDS.memory == 50 + 60
    assert memory(tiling=True) == 50 + max(30 + 20, 60 / 4)
    assert memory(offload="model") == max(40 + 30 + 20, 10 + 60)
    assert memory(offload="model", tiling=True, context_cache="cpu") == 40 + 30 * 2 / 20 + 20
    assert memory(offload="group", tiling=True, context_cache="fp8") == 40 * 2 / 20 + 15 + 20
    assert memory(context_cache="recompute", tiling=True) == 50 + 3 * 20
    assert memory(quantize="8bit") == 40 * 8.5 / 16 + 10 + 60
    memories = [size for _, size in ways_to_fit(NEEDS)]
    assert memories[-1] == min(memories)


def test_what_has_no_room_is_refused_with_what_would_fit():
    ways = [("", 110 * GIB), ("--offload model", 90 * GIB), ("--offload group --tiling", 30 * GIB)]
    check_room(110 * GIB, 110 * GIB, "m", ways)
    with pytest.raises(ValueError, match=r"m: a view needs 110.0 GiB, 95.0 are free; expected --offload model"):
        check_room(110 * GIB, 95 * GIB, "m", ways)
    with pytest.raises(ValueError, match=r"20.0 are free; expected a smaller size or fewer frames"):
        check_room(110 * GIB, 20 * GIB, "m", ways)


def test_a_model_without_room_is_not_loaded(tmp_path, monkeypatch):
    folder = make_model("recammaster", tmp_path)
    monkeypatch.setattr(load, "free_memory", lambda device: 1e6)
    with pytest.raises(ValueError, match=r"recammaster: a view needs 0.0 GiB, 0.0 are free; expected a smaller size"):
        load_pipeline(str(folder), "cpu")
