"""Videos and requests as people have them in Python; what is not understood is one clear error."""

import numpy as np
import pytest
import torch
from PIL import Image

from plenodream.rendering.inputs import view_size

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 20, 20, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("asked", "size"),
    [((None, None), (20, 36)), ((7, None), (6, 12)), ((None, 9), (4, 8)), ((8, None), (8, 14)), ((99, None), (20, 36))],
)
def test_a_height_is_what_views_have_at_most(asked, size):
    assert view_size(np.zeros((2, 20, 36, 3), np.uint8), None, *asked) == size


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a,
        torch.from_numpy,
        lambda a: torch.from_numpy(a).float() / 255,
        lambda a: torch.from_numpy(a).movedim(-1, 1),
        lambda a: [Image.fromarray(image) for image in a],
        list,
    ],
    ids=["array", "tensor", "floats", "channels first", "pictures", "list of arrays"],
)
def test_a_video_may_come_in_any_form(tiny_pipeline, form):
    pipeline = tiny_pipeline()
    assert torch.equal(pipeline.open(form(PIXELS)).frames, pipeline.open(PIXELS).frames)


@pytest.mark.parametrize("video", [3, None, [], PIXELS[0], PIXELS.astype(float), object(), "nothing.mp4"])
def test_what_is_no_video_is_one_clear_error(tiny_pipeline, video):
    with pytest.raises(ValueError, match="expected a"):
        tiny_pipeline().open(video)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trajectories": 5}, "trajectories 5: expected presets"),
        ({"settings": 3}, "settings 3: expected RenderSettings"),
        ({"guidance_scale": 0.5}, "guidance_scale 0.5: expected a number, 1"),
        ({"seed": "a"}, "seed 'a': expected a whole number"),
        ({"report": 3}, "report 3: expected a function"),
        ({"trajectories": {"a": 3}}, "view a: int; expected Cameras"),
        ({"out": 7}, "out 7: expected a folder's path"),
        ({"generator": 7}, "seed or generator: expected one of them, a number or a torch.Generator"),
    ],
)
def test_a_request_that_is_not_understood_is_one_clear_error(tiny_pipeline, wrong, message):
    with pytest.raises(ValueError, match=message):
        tiny_pipeline()(PIXELS, **{"trajectories": "arc-left", **wrong})


def test_without_a_folder_the_views_come_back_in_memory_at_the_size_that_is_asked_for(tiny_pipeline):
    views = tiny_pipeline()(PIXELS, "arc-left", num_inference_steps=1, guidance_scale=1.0, height=24, width=32)
    assert list(views) == ["arc-left"] and views["arc-left"].frames.shape == (3, 24, 32, 3)
    assert repr(views["arc-left"]) == "View(3 frames of 32x24 at 24 frames/s)"


def test_a_frame_rate_is_above_zero(tiny_pipeline):
    with pytest.raises(ValueError, match="fps 0: expected frames per second"):
        tiny_pipeline().open(PIXELS, fps=0)
