"""The diffusion generator alone: sizes, depth, known frames."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from plenodream.geometry.cameras import resize_cameras
from plenodream.media.fit import stretch_frames
from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
from plenodream.rendering.pipeline import PlenopticPipeline
from plenodream.types import View

ANCHOR = torch.eye(4)


def noise():
    return torch.Generator().manual_seed(3)


@pytest.fixture
def with_depth(tiny_denoiser):
    """A generator whose codec has depth."""
    numbers = {"in_channels": 257, "out_channels": 256, "camera_numbers": 6 * 64, "prediction": "x0"}
    sizes = {"height": 16, "width": 16, "frames": 3, "overlap": 1, "steps": 2, "guidance": 0.0}
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return PlenopticPipeline(tiny_denoiser(**numbers), SpaceToDepthCodec(8, depth=True), scheduler, **sizes).generator()


def test_a_view_of_another_size_is_stretched_and_what_is_made_stretched_back(tiny_pipeline, tiny_video):
    generator, wide = tiny_pipeline().generator(), tiny_video(height=24, width=48)
    small = View(stretch_frames(wide.frames, 16, 16), resize_cameras(wide.cameras, 16, 16), wide.fps)
    made = [
        generator.generate([view.cameras], [generator.encode(view, ANCHOR)], ANCHOR, [None], noise(), 12.0)[0]
        for view in (wide, small)
    ]
    assert made[0].frames.shape == (3, 24, 48, 3) and made[0].cameras is wide.cameras
    assert torch.equal(made[0].frames, stretch_frames(made[1].frames, 24, 48))


def test_depth_is_told_and_made_where_the_codec_has_it(with_depth, tiny_pipeline, tiny_video):
    video = tiny_video()
    deep = View(video.frames, video.cameras, video.fps, depth=torch.full((3, 16, 16), 2.0))
    contexts = [with_depth.encode(view, ANCHOR) for view in (video, deep)]
    assert not torch.equal(contexts[0].kept[0], contexts[1].kept[0])
    (view,) = with_depth.generate([video.cameras], contexts, ANCHOR, [deep[:1]], noise(), 12.0)
    assert view.depth is not None and view.depth.shape == (3, 16, 16) and bool((view.depth > 0).all())
    assert torch.equal(view.depth[:1], deep.depth[:1]) and torch.equal(view.frames[:1], deep.frames[:1])

    without = tiny_pipeline().generator()
    same = [without.encode(view, ANCHOR) for view in (video, deep)]
    assert torch.equal(same[0].kept[0], same[1].kept[0])
    assert without.generate([video.cameras], same, ANCHOR, [None], noise(), 12.0)[0].depth is None


def test_numbers_that_are_no_picture_are_refused(tiny_pipeline, tiny_video):
    pipeline = tiny_pipeline()
    with torch.no_grad():
        pipeline.transformer.proj_out.weight.fill_(float("nan"))
    generator, video = pipeline.generator(), tiny_video()
    with pytest.raises(ValueError, match="the model gave NaN or infinite numbers"):
        generator.generate([video.cameras], [generator.encode(video, ANCHOR)], ANCHOR, [None], noise(), 12.0)
