"""Codecs: space-to-depth loses nothing; the Wan VAE is checked where it would drop frames silently."""

import pytest
import torch
from diffusers import AutoencoderKLWan

from plenodream.models.codecs.depth import DEPTH_UNIT, depth_to_signal, signal_to_depth
from plenodream.models.codecs.protocol import to_frames, to_signal
from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec
from plenodream.models.codecs.wan import WanCodec


def random_video(frames, height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, frames, height, width, 3), dtype=torch.uint8, generator=generator)


def test_every_byte_survives_the_way_to_a_signal_and_back():
    frames = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    signal = to_signal(frames)
    assert signal.shape == (3, 1, 16, 16)
    assert (signal.min(), signal.max()) == (-1, 1)
    assert torch.equal(to_frames(signal), frames)


def test_a_signal_beyond_its_range_is_clipped_and_between_bytes_rounded():
    signal = torch.tensor([-7.0, 1.3, 0.6 / 127.5 - 1]).view(3, 1, 1, 1)
    assert to_frames(signal).flatten().tolist() == [0, 255, 1]
    assert to_frames(signal.bfloat16()).dtype == torch.uint8


@pytest.mark.parametrize("patch", [1, 4, 8])
def test_space_to_depth_gives_every_byte_back(patch):
    codec, video = SpaceToDepthCodec(patch), random_video(3, 16, 24)
    latents = codec.encode(to_signal(video))
    assert latents.shape == (2, codec.channels, codec.latent_frames(3), 16 // patch, 24 // patch)
    assert torch.equal(codec.decode(latents), to_signal(video))
    assert torch.equal(to_frames(codec.decode(latents)), video)


def test_a_latent_cell_holds_the_pixels_of_its_square():
    codec, signal = SpaceToDepthCodec(4), to_signal(random_video(2, 8, 12))
    cell = codec.encode(signal)[1, :, 1, 1, 2]
    square = signal[1, :, 1, 4:8, 8:12]
    assert torch.equal(cell.view(3, 4, 4), square)


@pytest.mark.parametrize(("height", "width"), [(17, 16), (16, 20)])
def test_sizes_that_do_not_fit_are_refused(height, width):
    with pytest.raises(ValueError, match=f"video of {height}x{width}: expected multiples of 8"):
        SpaceToDepthCodec(8).encode(torch.zeros(1, 3, 2, height, width))


def test_space_to_depth_is_saved_and_loaded_like_any_part_of_a_pipeline(tmp_path):
    SpaceToDepthCodec(4).save_pretrained(tmp_path)
    loaded = SpaceToDepthCodec.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert (loaded.config.patch, loaded.spatial_factor, loaded.temporal_factor, loaded.channels) == (4, 4, 1, 48)


def test_depth_is_inverse_in_the_unit_of_the_trained_range_and_0_is_not_known():
    depth = torch.tensor([[0.1, DEPTH_UNIT, 12.0, 150.0]])
    signal = depth_to_signal(depth)
    torch.testing.assert_close(signal, torch.tensor([[8 / 4.1 - 1, 0.0, -0.5, 8 / 154 - 1]]))
    torch.testing.assert_close(signal_to_depth(signal), depth)
    unknown = torch.tensor([[0.0, -1.0, torch.inf, torch.nan]])
    assert depth_to_signal(unknown).tolist() == [[0, 0, 0, 0]]
    assert signal_to_depth(torch.tensor([[-7.0, 7.0]])).isfinite().all()


def test_depth_comes_back_beside_the_colours_and_colours_alone_have_unknown_depth():
    codec, video = SpaceToDepthCodec(4, depth=True), to_signal(random_video(2, 8, 12))
    depth = depth_to_signal(torch.rand(2, 1, 2, 8, 12) + 2)
    signal = torch.cat([video, depth], dim=1)
    latents = codec.encode(signal)
    assert codec.channels == latents.shape[1] == 64
    assert torch.equal(codec.decode(latents), signal)
    assert torch.equal(to_frames(codec.decode(latents)), random_video(2, 8, 12))
    alone = codec.encode(video)
    assert torch.equal(alone[:, :48], latents[:, :48]) and not alone[:, 48:].any()
    assert torch.equal(latents[:, :48], SpaceToDepthCodec(4).encode(video))


@pytest.fixture(scope="module")
def wan_config():
    return {
        "base_dim": 4,
        "z_dim": 3,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "latents_mean": [0.5, -1.0, 2.0],
        "latents_std": [2.0, 0.5, 4.0],
    }


@pytest.fixture(scope="module")
def wan(wan_config):
    torch.manual_seed(0)
    return WanCodec(**wan_config).eval()


@torch.no_grad()
def test_wan_latents_are_the_stock_ones_normalised(wan, wan_config):
    stock = AutoencoderKLWan(**wan_config).eval()
    stock.load_state_dict(wan.state_dict())
    video = torch.rand(2, 3, 5, 16, 24) * 2 - 1
    latents = wan.encode(video)
    assert latents.shape == (2, wan.channels, wan.latent_frames(5), 2, 3) == (2, 3, 2, 2, 3)
    mean, std = (torch.tensor(wan_config[f"latents_{name}"]).view(1, 3, 1, 1, 1) for name in ("mean", "std"))
    expected = stock.encode(video).latent_dist.mode()
    torch.testing.assert_close(latents * std + mean, expected, rtol=1e-5, atol=1e-5)
    decoded = wan.decode(latents)
    assert decoded.shape == video.shape
    torch.testing.assert_close(decoded, stock.decode(expected).sample, rtol=1e-4, atol=1e-5)


def test_wan_frame_counts_other_than_4n_plus_1_are_refused(wan):
    assert [wan.latent_frames(n) for n in (1, 5, 93)] == [1, 2, 24]
    for frames in (2, 4, 8, 92):
        with pytest.raises(ValueError, match=f"{frames} frames for the Wan VAE: expected 4 n \\+ 1"):
            wan.latent_frames(frames)
    with pytest.raises(ValueError, match="4 frames"):
        wan.encode(torch.zeros(1, 3, 4, 16, 16))
    with pytest.raises(ValueError, match="video of 16x20: expected multiples of 8"):
        wan.encode(torch.zeros(1, 3, 5, 16, 20))


@torch.no_grad()
def test_wan_of_low_precision_takes_and_gives_the_callers_precision(wan_config):
    codec = WanCodec(**wan_config).eval().to(torch.bfloat16)
    latents = codec.encode(torch.zeros(1, 3, 1, 16, 16))
    assert latents.dtype == codec.decode(latents).dtype == torch.float32
