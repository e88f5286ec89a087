"""Video in and out by PyAV: decode anything to upright RGB, keep frames and depth without loss."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from plenodream.files.atomic import write_file
from plenodream.media.decode import decode
from plenodream.media.images import decode_images, is_sequence
from plenodream.media.opening import open_container
from plenodream.media.rate import exact_rate
from plenodream.media.timestamps import constant_rate


@dataclass(frozen=True)
class Clip:
    """A decoded video.

    Attributes:
        frames: Upright RGB, 0..255.
        fps: Frames per second, constant.
        notes: What was done to the file's content on the way in (turned, resampled, ...), one line each.
        index: The file's frame behind each frame; None when they are the same. Cameras of the file follow by it.
        source_size: Height and width of the upright video before it was fitted; None when that is the frames' size.
    """

    frames: UInt8[Tensor, "frames height width 3"]
    fps: float
    notes: tuple[str, ...] = ()
    index: tuple[int, ...] | None = None
    source_size: tuple[int, int] | None = None


def read_video(
    path: str | Path, max_frames: int | None = None, size: tuple[int, int] | None = None, fps: float = 24.0
) -> Clip:
    """Decode a video file, or images as a video.

    Phone videos are turned upright, non-square pixels made square, a variable frame rate made constant (nearest
    frame), grey and alpha made RGB; `Clip.notes` says which.

    Args:
        path: File of any format that FFmpeg knows, a folder of images, or a pattern for them (`frames/%05d.png`).
        max_frames: Stop after so many frames of the file (at least 2).
        size: Height and width to fit every frame to while decoding (`fit_frames`), so that a long 4K video needs no
            more memory than its small copy. The notes do not mention it.
        fps: Frames per second of images, and of files that state none.

    Raises:
        ValueError: Missing, not a video, fewer than two frames, damaged or cut off; images that cannot be read or
            differ in size.
    """
    path = Path(path)
    if max_frames is not None and max_frames < 2:
        raise ValueError(f"at most {max_frames} frames of {path}: expected at least 2")
    if not path.exists() and not is_sequence(path):
        raise ValueError(f"{path}: no such file; expected a video")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path}: is no regular file; expected a video file")
    decoded = (decode_images if is_sequence(path) else decode)(path, max_frames, size)
    notes = decoded.notes
    if len(decoded.frames) < 2:
        raise ValueError(f"{path}: {len(decoded.frames)} frames; expected a video of at least 2")
    frames = torch.from_numpy(np.stack(decoded.frames))
    times = [float("nan") if time is None else time for time in decoded.times]
    seconds = torch.tensor(times, dtype=torch.float64)
    if not bool((seconds.diff() > 0).all()):
        declared = _checked_rate(path, decoded.declared or exact_rate(fps))
        notes.append(f"no usable timestamps: taken as {float(declared):g} frames/s")
        return Clip(frames, float(declared), tuple(notes), source_size=decoded.size)
    rate, index = constant_rate(seconds, decoded.last_duration, decoded.declared)
    _checked_rate(path, rate)
    if bool((index == torch.arange(len(index))).all()):
        return Clip(frames, float(rate), tuple(notes), source_size=decoded.size)
    notes.append(
        f"variable frame rate: resampled to a constant {float(rate):.4g} frames/s by nearest timestamp "
        f"({len(index.unique())} of {len(index)} frames used)"
    )
    return Clip(frames[index], float(rate), tuple(notes), tuple(index.tolist()), decoded.size)


def write_lossless(path: str | Path, frames: UInt8[Tensor, "frames height width 3"], fps: float) -> None:
    """Store frames exactly: FFV1 in Matroska (.mkv), with the exact rate and a SHA-256 of the pixels in its tags.

    The same frames give the same bytes.

    Raises:
        ValueError: Frame rate not positive.
        OSError: Disk full or folder not writable; nothing is left behind.
    """
    _write_exact(path, frames.cpu().numpy(), fps, "rgb24", "bgr0")


def read_lossless(path: str | Path) -> Clip:
    """Read what `write_lossless` wrote, and check that every pixel is as it was.

    Raises:
        ValueError: Missing, not written by `write_lossless`, cut off or changed since.
    """
    pixels, rate = _read_exact(Path(path), "rgb24")
    return Clip(torch.from_numpy(pixels), rate)


def write_depth(path: str | Path, depth: Float[Tensor, "frames height width"], fps: float) -> None:
    """Store depth in metres as half-precision floats, and those exactly: their bits as 16-bit grey in FFV1 (Ours).

    Bits of positive floats grow with their value, about as its logarithm: a smooth depth stays a smooth picture that
    packs well, and every distance keeps 11 binary digits (0.05 %). More than 65504 m becomes 65504 m; 0 (not known)
    stays.

    Raises:
        ValueError: Frame rate not positive; NaN or negative depth.
        OSError: Disk full or folder not writable; nothing is left behind.
    """
    if not bool((depth >= 0).all()):
        raise ValueError(f"{path}: depth is NaN or negative somewhere; expected metres, 0 where it is not known")
    _write_exact(path, half_depth(depth).cpu().numpy().view(np.uint16), fps, "gray16le", "gray16le")


def half_depth(depth: Float[Tensor, "*shape"]) -> Float16[Tensor, "*shape"]:
    """Depth as `write_depth` keeps it."""
    return depth.clamp(max=torch.finfo(torch.float16).max).half()


def read_depth(path: str | Path) -> Float[Tensor, "frames height width"]:
    """Read what `write_depth` wrote, in float32, and check that every value is as it was.

    Raises:
        ValueError: As `read_lossless`.
    """
    bits, _ = _read_exact(Path(path), "gray16le")
    return torch.from_numpy(bits.view(np.float16)).float()


def _write_exact(path: str | Path, images: np.ndarray, fps: float, given: str, stored: str) -> None:
    """Images of pixel format `given` in FFV1's format `stored`, with rate and checksum."""
    rate = exact_rate(fps)
    tags = {"FRAME_RATE": str(rate), "PIXELS_SHA256": _pixels_hash(images)}
    options = {"level": "3", "g": "1", "slices": "4" if min(images.shape[1:3]) > 1 else "1"}
    frames = (av.VideoFrame.from_ndarray(image, format=given) for image in images)
    size = (images.shape[1], images.shape[2])
    write_file(path, encode(frames, size, rate, "matroska", "ffv1", stored, options, {}, tags))


def _read_exact(path: Path, wanted: str) -> tuple[np.ndarray, float]:
    """Images in pixel format `wanted`, checked, and frames per second."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a lossless video")
    try:
        with open_container(path) as container:
            tags = dict(container.metadata)
            images = np.stack([frame.to_ndarray(format=wanted) for frame in container.decode(video=0)])
        rate = Fraction(tags["FRAME_RATE"])
    except (av.FFmpegError, IndexError, KeyError, ValueError) as error:
        reason = f"no {error} tag" if isinstance(error, KeyError) else getattr(error, "strerror", error)
        raise ValueError(f"{path}: damaged, or not a lossless video of ours ({reason})") from None
    if tags.get("PIXELS_SHA256") != _pixels_hash(images):
        raise ValueError(f"{path}: damaged or cut off (its pixels differ from the checksum stored with them)")
    return images, float(rate)


def _checked_rate(path: Path, rate: Fraction) -> Fraction:
    """A rate that the scene's videos can be written at."""
    try:
        exact_rate(rate)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; re-encode it") from None
    return rate


def _pixels_hash(images: np.ndarray) -> str:
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def encode(
    images: Iterable[av.VideoFrame],
    size: tuple[int, int],
    rate: Fraction,
    container_format: str,
    codec: str,
    pixel_format: str,
    options: dict[str, str],
    muxer_options: dict[str, str],
    tags: dict[str, str],
) -> bytes:
    """The bytes of a video file: encoded in memory, so that a full disk is met by `write_file` alone.

    The same images give the same bytes.
    """
    buffer = io.BytesIO()
    if codec.startswith("libx264") and torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        options = options | {"x264-params": "asm=avx2"}  # its AVX-512 code gives other bytes every now and then
    # bitexact: no random identifiers and dates; one thread: bytes do not depend on the number of cores.
    with av.open(buffer, "w", format=container_format, options={"fflags": "+bitexact", **muxer_options}) as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        context = stream.codec_context
        context.thread_count = 1
        context.time_base = 1 / rate
        if pixel_format == "yuv420p":
            context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for number, image in enumerate(images):
            image.pts, image.time_base = number, 1 / rate
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return buffer.getvalue()
