"""Depth files of other programs: npz, npy, EXR, 16-bit PNG; told apart by content, and said what they are taken for.

What is known of their layouts:

| program | file | what it holds |
|---|---|---|
| plenodream | depth.npz: `depth`, `unit` | metres |
| ViPE | depth/NAME.zip of EXR, channel Z | metres |
| VGGT | predictions.npz: `depth`, `extrinsic`, `intrinsic` | depth, up to one scale of cameras and depth |
| MegaSaM | NAME_sgd_cvd_hr.npz: `depths`, `cam_c2w` | depth, up to one scale of cameras and depth |
| DepthCrafter | NAME.npz: `depth`, from 0 to 1 over the clip | disparity, up to scale and shift |
| Video-Depth-Anything | NAME_depths.npz: `depths` | disparity up to scale and shift, or metres |
| Depth-Anything-V2, metric | NAME_raw_depth_meter.npy | metres |
| sensors, data sets | 16-bit PNG | millimetres |
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

METRIC, SCALED, DISPARITY = "metric", "scaled", "disparity"
KINDS = (METRIC, SCALED, DISPARITY)
METRES = "metres along z"  # the `unit` of an npz of ours
# What files of a folder may be, in the order in which they are looked for.
_SUFFIXES = (".exr", ".npy", ".npz", ".png")
_MILLIMETRES = 1000.0
_ASSUMED = ", scale and shift assumed"
# How much the shape of a depth map may differ from the video's: programs round to multiples of 14 and the like.
_SHAPE = 0.05


@dataclass(frozen=True)
class RawDepth:
    """Depth as some program left it.

    Attributes:
        values: 0 or not finite where nothing is known.
        kind: `metric`: metres along z; `scaled`: depth along z times an unknown factor; `disparity`: a / z + b with
            unknown a > 0 and b.
        found: What the file was taken for, one line.
        assumed: Whether scale and shift of these metres were assumed: points of a scene may change both.
    """

    values: Float[Tensor, "frames rows columns"]
    kind: str
    found: str
    assumed: bool = False


def load_depth(path: str | Path, kind: str | None = None) -> RawDepth:
    """Read depth of any of the known layouts.

    Args:
        path: A file, or a folder with one file a frame (in the order of their names) or one file of them all.
        kind: One of `KINDS`, for files that do not tell; else what they tell.

    Raises:
        ValueError: Nothing there, of no known layout, without a word on whether it is depth or disparity, or values
            that are none (NaN, negative, nothing but zeros, another kind than was said).
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; expected depth maps of the video")
    if kind not in (None, *KINDS):
        raise ValueError(f"depth kind {kind!r}: expected one of {', '.join(KINDS)}")
    try:
        raw = _folder(path) if path.is_dir() else _file(path)
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: damaged or no depth file ({' '.join(str(error).split())[:120]})") from None
    return _settled(path, raw, kind)


def match_depth(raw: RawDepth, frames: int, height: int, width: int, name: str) -> None:
    """Refuse depth that is not of a video of so many frames of such a size.

    Raises:
        ValueError: Another count, or another shape than that of the frames.
    """
    count, rows, columns = raw.values.shape
    if count != frames:
        raise ValueError(f"{name}: depth of {count} frames for a video of {frames}; expected one map for each frame")
    if abs(columns / rows / (width / height) - 1) > _SHAPE:
        raise ValueError(
            f"{name}: depth maps of {columns}x{rows} for frames of {width}x{height}; expected the same shape "
            "(any size of it): is it of another video, or cropped?"
        )


def save_depth(file: IO[bytes], depth: Float[Tensor, "frames height width"], assumed: bool = False) -> None:
    """Write depth in metres as our npz, without loss; `assumed` as of `RawDepth`."""
    unit = METRES + _ASSUMED * assumed
    np.savez_compressed(file, depth=depth.cpu().numpy().astype(np.float32), unit=np.array(unit))


def _settled(path: Path, raw: RawDepth, kind: str | None) -> RawDepth:
    """The kind that was said or found, and values that can be of it."""
    values, low, high = raw.values, *_range(path, raw.values)
    normalised = low == 0 and abs(high - 1) < 1e-6
    if kind in (METRIC, SCALED) and normalised:
        raise ValueError(f"{path}: values from 0 to 1 exactly, a normalised disparity; expected depth: say disparity")
    found = kind or raw.kind or (DISPARITY if normalised else None)
    if found is None:
        raise ValueError(
            f"{path}: {raw.found}, values from {low:g} to {high:g}; it does not say whether they are metres or "
            f"disparity: expected --depth-kind {' or '.join(KINDS)}"
        )
    known = values if found == DISPARITY else torch.where(values.isfinite() & (values > 0), values, 0)
    said = " (as you say)" if kind is not None and raw.kind != kind else ""
    return RawDepth(known, found, f"{raw.found}: {_WORDS[found]}{said}", raw.assumed and found == METRIC)


_WORDS = {
    METRIC: METRES,
    SCALED: "depth along z in an unknown scale",
    DISPARITY: "disparity of unknown scale and shift",
}


def _range(path: Path, values: Tensor) -> tuple[float, float]:
    if bool(values.isnan().any()):
        share = values.isnan().float().mean().item()
        raise ValueError(f"{path}: NaN in {100 * share:.2g}% of the pixels; expected numbers, 0 where nothing is known")
    if bool((values < 0).any()):
        raise ValueError(f"{path}: values down to {values.min():g}; expected none below 0")
    known = values.isfinite() & (values > 0)
    empty = (~known.flatten(1).any(1)).nonzero().flatten()
    if len(empty):
        raise ValueError(f"{path}: frame {empty[0].item()} is 0 or infinite everywhere; expected depth of every frame")
    finite = values[values.isfinite()]
    return finite.min().item(), finite.max().item()


def _folder(path: Path) -> RawDepth:
    for suffix in _SUFFIXES:
        files = sorted(path.glob(f"*{suffix}"))
        if len(files) == 1 and suffix in (".npz", ".npy"):
            return _file(files[0])
        if files:
            return _join([_file(file) for file in files])
    zips = sorted((*path.glob("*.zip"), *path.glob("depth/*.zip")))
    if len(zips) == 1:
        return _file(zips[0])
    raise ValueError(f"{path}: no depth maps; expected {', '.join(_SUFFIXES)} files, or one zip of EXR files")


def _file(path: Path) -> RawDepth:
    readers = {".npz": _npz, ".npy": _npy, ".exr": _exr, ".png": _png, ".zip": _zip}
    if path.suffix.lower() not in readers:
        raise ValueError(
            f"{path}: depth of an unknown format; expected one of {', '.join(readers)}, or a folder of them"
        )
    return readers[path.suffix.lower()](path)


def _join(parts: Sequence[RawDepth]) -> RawDepth:
    sizes = {tuple(part.values.shape[1:]) for part in parts}
    if len(sizes) > 1:
        raise ValueError(f"depth maps of {len(sizes)} different sizes: {sorted(sizes)[:3]}; expected one")
    return RawDepth(torch.cat([part.values for part in parts]), parts[0].kind, f"{len(parts)} x {parts[0].found}")


def _values(array: np.ndarray, name: str) -> Tensor:
    array = array[..., 0] if array.ndim in (3, 4) and array.shape[-1] == 1 else array
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or not np.issubdtype(array.dtype, np.number) or 0 in array.shape:
        raise ValueError(f"{name}: an array of shape {array.shape}; expected numbers (frames, rows, columns)")
    return torch.from_numpy(array.astype(np.float32))


def _npz(path: Path) -> RawDepth:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            name = next((n for n in ("depth", "depths") if n in names), None)
            if name is None:
                raise ValueError(f"{path}: arrays {', '.join(sorted(names))}; expected one called depth or depths")
            values, unit = _values(file[name], str(path)), str(file["unit"]) if "unit" in names else ""
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: not readable ({error})") from None
    if unit:
        return RawDepth(values, METRIC, "our own depth.npz", unit.endswith(_ASSUMED))
    if names & {"extrinsic", "extrinsics"}:
        return RawDepth(values, SCALED, "predictions as of VGGT")
    if "cam_c2w" in names:
        return RawDepth(values, SCALED, "depth as of MegaSaM")
    if name == "depths" and bool((values == 0).any()):
        # Its relative models end in a ReLU; a distance is never 0.
        return RawDepth(values, DISPARITY, "depths as of Video-Depth-Anything, 0 at the farthest")
    return RawDepth(values, "", f"an npz with {name}")


def _npy(path: Path) -> RawDepth:
    try:
        values = _values(np.load(path, allow_pickle=False), str(path))
    except ValueError as error:  # objects instead of numbers, or no array at all
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: not an array of numbers") from None
    return RawDepth(values, METRIC if path.stem.endswith("_raw_depth_meter") else "", "an npy array")


def _png(path: Path) -> RawDepth:
    with Image.open(path) as picture:
        if picture.mode not in ("I;16", "I;16B", "I"):
            raise ValueError(f"{path}: a {picture.mode} picture, made to be looked at; expected 16-bit grey levels")
        return RawDepth(_values(np.array(picture) / _MILLIMETRES, str(path)), METRIC, "16-bit PNG, in millimetres")


def _exr(path: Path) -> RawDepth:
    return RawDepth(_values(_exr_channel(str(path), str(path)), str(path)), METRIC, "EXR")


def _zip(path: Path) -> RawDepth:
    with zipfile.ZipFile(path) as file:
        names = sorted(name for name in file.namelist() if name.lower().endswith(".exr"))
        if not names:
            raise ValueError(f"{path}: no EXR files in it; expected a zip of them, as of ViPE")
        parts = [_values(_exr_channel(io.BytesIO(file.read(name)), f"{path}/{name}"), name) for name in names]
    joined = _join([RawDepth(part, METRIC, "EXR in a zip as of ViPE") for part in parts])
    return joined


def _exr_channel(source: str | io.BytesIO, name: str) -> np.ndarray:
    """The depth channel of an EXR picture: Z, or the only one."""
    try:
        import OpenEXR
    except ImportError:
        raise ValueError(
            f"{name}: reading EXR needs OpenEXR; expected it installed: pip install plenodream[depth]"
        ) from None
    try:
        with OpenEXR.File(source, separate_channels=True) as file:
            channels = {key: np.array(channel.pixels) for key, channel in file.channels().items()}
    except Exception as error:
        raise ValueError(f"{name}: damaged or no EXR file ({' '.join(str(error).split())[:80]})") from None
    for key in ("Z", "Depth.V", "Y", "R"):
        if key in channels:
            return channels[key]
    if len(channels) == 1:
        return next(iter(channels.values()))
    raise ValueError(f"{name}: channels {', '.join(sorted(channels))}; expected Z")
