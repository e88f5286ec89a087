"""Decoding, lossless storage, previews: on files that the tests make themselves."""

from __future__ import annotations

import errno
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from plenodream.media.fit import fit_frames
from plenodream.media.preview import write_preview
from plenodream.media.video import read_lossless, read_video, write_lossless

RATES = [24, 30000 / 1001, 60000 / 1001, 12.5, 7.3]
# tkhd matrices (a b u c d v x y w) and what a viewer does with the stored picture.
ONE = 65536
MATRICES = {
    "90 clockwise": ((0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30), lambda f: np.rot90(f, -1, (1, 2))),
    "180": ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), lambda f: np.rot90(f, 2, (1, 2))),
    "270 clockwise": ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), lambda f: np.rot90(f, 1, (1, 2))),
    "mirrored": ((-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), lambda f: f[:, :, ::-1]),
    "transposed": ((0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), lambda f: f.transpose(0, 2, 1, 3)),
}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def smooth(frames: int, height: int, width: int) -> torch.Tensor:
    """A picture that every lossy codec keeps: gradients, another brightness in every frame."""
    y, x = torch.meshgrid(torch.linspace(20, 220, height), torch.linspace(20, 220, width), indexing="ij")
    image = torch.stack([x, y, (x + y) / 2], dim=-1)
    return torch.stack([image + 3 * k for k in range(frames)]).clamp(0, 255).byte()


def encode(path: Path, frames: torch.Tensor, pixel_format: str, source="rgb24", codec="ffv1", pts=None, **options):
    """Write a file by other means than the module does; `pts` in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixel_format
        stream.codec_context.time_base = Fraction(1, 1000) if pts else Fraction(1, 24)
        container.start_encoding()
        for number, image in enumerate(frames.numpy()):
            frame = av.VideoFrame.from_ndarray(image, format=source)
            frame.pts, frame.time_base = (pts[number] if pts else number), stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def message(path, **options) -> str:
    with pytest.raises(ValueError) as caught:
        read_video(path, **options)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


@pytest.mark.parametrize("shape", [(3, 48, 48, 3), (2, 33, 47, 3), (2, 1, 1, 3), (4, 2, 5, 3), (1, 16, 16, 3)])
def test_lossless_is_exact_on_noise(tmp_path, shape):
    frames = noise(*shape)
    write_lossless(tmp_path / "a.mkv", frames, 24)
    assert torch.equal(read_lossless(tmp_path / "a.mkv").frames, frames)
    assert os.listdir(tmp_path) == ["a.mkv"]


def test_lossless_takes_views_of_other_tensors(tmp_path):
    frames = noise(4, 20, 30, 3)
    for number, view in enumerate([frames[1:3, 2:19, 3:20], frames.transpose(1, 2), frames.flip(-1)]):
        write_lossless(tmp_path / f"{number}.mkv", view, 24)
        assert torch.equal(read_lossless(tmp_path / f"{number}.mkv").frames, view)


@pytest.mark.parametrize("fps", RATES)
def test_rates_survive_exactly(tmp_path, fps):
    frames = smooth(6, 32, 32)
    write_lossless(tmp_path / "a.mkv", frames, fps)
    write_preview(tmp_path / "a.mp4", frames, fps)
    assert read_lossless(tmp_path / "a.mkv").fps == fps
    clip = read_video(tmp_path / "a.mp4")
    assert clip.fps == fps and clip.notes == () and clip.index is None


def test_same_frames_same_bytes(tmp_path):
    frames = noise(5, 40, 48, 3)
    for write, suffix in ((write_lossless, "mkv"), (write_preview, "mp4")):
        contents = set()
        for _ in range(20):  # an encoder's rare variation shows
            write(tmp_path / f"a.{suffix}", frames.clone(), 30)
            contents.add((tmp_path / f"a.{suffix}").read_bytes())
        assert len(contents) == 1


def test_lossless_refuses_what_changed_on_disk(tmp_path):
    path = tmp_path / "a.mkv"
    write_lossless(path, noise(4, 48, 48, 3), 24)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) * 2 // 3], whole[:100], b"", whole[:20000] + b"\0\0\0\0" + whole[20004:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            read_lossless(path)
    encode(path, noise(4, 48, 48, 3), "bgr0")
    with pytest.raises(ValueError, match="not a lossless video of ours"):
        read_lossless(path)
    with pytest.raises(ValueError, match="no such file"):
        read_lossless(tmp_path / "none.mkv")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((48, 48), (288, 288)),
        ((33, 47), (198, 282)),
        ((129, 255), (258, 510)),
        ((300, 401), (300, 402)),
        ((1, 3), (86, 258)),
    ],
)
def test_preview_sizes(tmp_path, size, shown):
    frames = smooth(3, *size)
    write_preview(tmp_path / "a.mp4", frames, 24)
    back = read_video(tmp_path / "a.mp4").frames
    assert back.shape[1:3] == shown
    factor = shown[1] // size[1]
    enlarged = frames.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    assert (back[:, : size[0] * factor, : size[1] * factor].float() - enlarged.float()).abs().mean() < 6


def test_preview_repeats_the_edge_to_even_sizes(tmp_path):
    write_preview(tmp_path / "a.mp4", smooth(2, 301, 333), 24)
    back = read_video(tmp_path / "a.mp4").frames.float()
    assert back.shape[1:3] == (302, 334)
    assert (back[:, 301] - back[:, 300]).abs().mean() < 3 and (back[:, :, 333] - back[:, :, 332]).abs().mean() < 3


def test_preview_starts_before_it_is_loaded_whole_and_is_tagged(tmp_path):
    write_preview(tmp_path / "a.mp4", smooth(40, 64, 64), 24)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.frames) == ("h264", "yuv420p", 40)
        assert (frame.colorspace, frame.color_range, frame.color_primaries) == (1, 1, 1)


def test_preview_keeps_colours(tmp_path):
    frames = torch.tensor([200, 30, 90], dtype=torch.uint8).expand(3, 300, 300, 3)
    write_preview(tmp_path / "a.mp4", frames, 24)
    assert (read_video(tmp_path / "a.mp4").frames.int() - frames.int()).abs().max() <= 2


@pytest.mark.parametrize("write", [write_lossless, write_preview])
def test_full_disk_leaves_nothing(tmp_path, monkeypatch, write):
    target = tmp_path / "a.mkv"
    target.write_bytes(b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(target, noise(3, 16, 16, 3), 24)
    assert os.listdir(tmp_path) == ["a.mkv"] and target.read_bytes() == b"old"


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_rates_that_are_none(tmp_path, fps):
    with pytest.raises(ValueError, match="frame rate"):
        write_lossless(tmp_path / "a.mkv", noise(2, 8, 8, 3), fps)


@pytest.mark.parametrize("name", MATRICES)
def test_phone_videos_are_turned_upright(tmp_path, name):
    frames = smooth(3, 300, 260)
    write_preview(tmp_path / "a.mp4", frames, 24)
    stored = read_video(tmp_path / "a.mp4").frames.numpy()
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix, turn = MATRICES[name]
    start = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[start : start + 36]) == (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    data[start : start + 36] = struct.pack(">9i", *matrix)
    (tmp_path / "b.mp4").write_bytes(data)
    clip = read_video(tmp_path / "b.mp4")
    assert np.array_equal(clip.frames.numpy(), turn(stored))
    assert len(clip.notes) == 1 and "turned upright" in clip.notes[0]


def test_variable_frame_rate_is_resampled_by_timestamp(tmp_path):
    times = [0, 40, 80, 400, 440, 480, 520, 1000, 1040, 1080]
    path = encode(tmp_path / "a.mkv", noise(10, 16, 16, 3), "bgr0", pts=times)
    frames = noise(10, 16, 16, 3)
    clip = read_video(path)
    assert len(clip.notes) == 1 and "variable frame rate" in clip.notes[0]
    assert len(clip.frames) == 10 and clip.fps == pytest.approx(10 / 1.12, rel=2e-3)
    nearest = [min(range(10), key=lambda i: abs(times[i] - 1000 * k / clip.fps)) for k in range(10)]
    assert list(clip.index) == nearest
    assert torch.equal(clip.frames, frames[nearest])


def test_jitter_of_timestamps_changes_nothing(tmp_path):
    times = [0, 45, 80, 128, 165, 210, 250, 289]
    frames = noise(8, 16, 16, 3)
    clip = read_video(encode(tmp_path / "a.mkv", frames, "bgr0", pts=times))
    assert clip.notes == () and clip.index is None and clip.fps == pytest.approx(24, rel=0.01)
    assert torch.equal(clip.frames, frames)


def test_grey_and_alpha_become_rgb(tmp_path):
    grey = noise(3, 21, 33)
    clip = read_video(encode(tmp_path / "grey.mkv", grey, "gray", source="gray"))
    assert torch.equal(clip.frames, grey[..., None].expand(-1, -1, -1, 3)) and clip.notes == ("grey converted to RGB",)
    rgba = noise(3, 21, 33, 4)
    clip = read_video(encode(tmp_path / "alpha.mkv", rgba, "bgra", source="rgba"))
    assert torch.equal(clip.frames, rgba[..., :3]) and clip.notes == ("alpha channel dropped",)


def test_odd_sizes_and_max_frames_and_fitting_while_reading(tmp_path):
    frames = noise(7, 33, 47, 3)
    path = encode(tmp_path / "a.mkv", frames, "bgr0")
    assert torch.equal(read_video(path).frames, frames)
    assert torch.equal(read_video(path, max_frames=3).frames, frames[:3])
    assert read_video(path, max_frames=3).fps == 24
    clip = read_video(path, size=(24, 24))
    assert torch.equal(clip.frames, fit_frames(frames, 24, 24)[0]) and clip.source_size == (33, 47)


def test_pixels_are_made_square(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 40, 60, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for image in smooth(2, 40, 60).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    clip = read_video(path)
    assert clip.frames.shape[1:3] == (40, 80) and "made square" in clip.notes[0]


def test_files_that_are_no_video(tmp_path):
    assert "no such file" in message(tmp_path / "none.mp4")
    assert "is a folder" in message(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is no regular file" in message(tmp_path / "pipe.mp4")
    for name, content in (("junk.mp4", b"hello" * 100), ("empty.mp4", b""), ("notes.txt", b"hello world\n" * 100)):
        (tmp_path / name).write_bytes(content)
        assert "video" in message(tmp_path / name)
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    assert "no video stream" in message(tmp_path / "sound.wav")


def test_a_rate_too_slow_to_be_written_is_refused(tmp_path):
    with av.open(str(tmp_path / "slow.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(1, 5000))
        stream.height, stream.width, stream.pix_fmt = 16, 16, "bgr0"
        for image in noise(3, 16, 16, 3).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert "frame rate 1/5000" in message(tmp_path / "slow.mkv")


def test_zero_or_one_frame(tmp_path):
    assert "1 frames" in message(encode(tmp_path / "one.mkv", noise(1, 16, 16, 3), "bgr0"))
    av.VideoFrame.from_ndarray(noise(16, 16, 3).numpy(), format="rgb24").to_image().save(tmp_path / "picture.png")
    assert "1 frames" in message(tmp_path / "picture.png")
    assert "0 frames" in message(encode(tmp_path / "zero.avi", noise(0, 16, 16, 3), "bgr0"))
    assert "cannot be read" in message(encode(tmp_path / "zero.mkv", noise(0, 16, 16, 3), "bgr0"))
    assert "at least 2" in message(tmp_path / "one.mkv", max_frames=1)


@pytest.mark.parametrize(("first", "shown"), [(0, 15), (10, 12), (30, 20)])
def test_a_trim_by_edit_list_is_kept_and_not_taken_for_damage(tmp_path, trim, first, shown):
    write_preview(tmp_path / "a.mp4", smooth(60, 64, 64), 24)
    whole, data = read_video(tmp_path / "a.mp4").frames, trim(tmp_path / "a.mp4", first, shown)
    (tmp_path / "b.mp4").write_bytes(data)
    assert torch.equal(read_video(tmp_path / "b.mp4").frames, whole[first : first + shown])
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 4])
    assert "cut off" in message(tmp_path / "cut.mp4")


def test_files_cut_off(tmp_path):
    frames = noise(20, 64, 64, 3)
    write_preview(tmp_path / "a.mp4", frames, 24)
    encode(tmp_path / "a.mkv", frames, "bgr0")
    encode(tmp_path / "late.mp4", frames, "yuv420p", codec="libx264")  # its index is at the end
    for name in ("a.mp4", "a.mkv", "late.mp4"):
        data = (tmp_path / name).read_bytes()
        for part in (0.3, 0.6, 0.9):
            (tmp_path / f"cut-{name}").write_bytes(data[: int(len(data) * part)])
            assert any(word in message(tmp_path / f"cut-{name}") for word in ("cut off", "cannot be read"))
