"""The three files of a COLMAP model, binary and text (colmap.github.io/format.html): records, nothing concluded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

# Models by their number in binary files, with their number of parameters; others cannot be read.
_MODELS = {
    0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12), 7: ("FOV", 5), 8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5), 10: ("THIN_PRISM_FISHEYE", 12), 11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
}  # fmt: skip


@dataclass(frozen=True)
class Lens:
    """A camera of COLMAP's: `parameters` are fx fy cx cy or f cx cy, then distortion, in pixels, centres at +0.5."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


@dataclass(frozen=True)
class Image:
    """An image: world-to-camera `quaternion` w x y z and `translation`, its lens, the points that it shows."""

    name: str
    lens: int
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    seen: tuple[int, ...] = ()


@dataclass(frozen=True)
class Model:
    """What a folder holds.

    Attributes:
        lenses: By their number.
        images: In the order of the file.
        points: x y z of the points in the world.
        numbers: What images call these points.
        colours: Their red, green and blue, 0..255.
    """

    lenses: dict[int, Lens]
    images: list[Image]
    points: list[tuple[float, ...]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    colours: list[tuple[int, ...]] = field(default_factory=list)


def read_model(folder: Path) -> Model:
    """The model in a folder, binary if it has both.

    Raises:
        ValueError: Missing or damaged files.
    """
    readers = (_binary_lenses, _binary_images, _binary_points) if (folder / "images.bin").is_file() else _TEXT
    suffix = ".txt" if readers is _TEXT else ".bin"
    lenses = _read(folder / f"cameras{suffix}", readers[0])
    images = _read(folder / f"images{suffix}", readers[1])
    points = _read(folder / f"points3D{suffix}", readers[2]) if (folder / f"points3D{suffix}").is_file() else []
    numbers, places, colours = ([row[part] for row in points] for part in range(3))
    return Model(dict(lenses), images, places, numbers, colours)


def _read(path: Path, read) -> list:
    try:
        return list(read(path.read_bytes()))
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or 'cannot be read').lower()}; expected a COLMAP model") from None
    except KeyError as error:
        raise ValueError(
            f"{path}: camera model number {error}; expected a pinhole camera: undistort the images"
        ) from None
    except (struct.error, ValueError, IndexError) as error:
        raise ValueError(f"{path}: damaged or cut off ({error}); export the model again") from None


def _binary_lenses(data: bytes) -> Iterator[tuple[int, Lens]]:
    (count,), at = struct.unpack_from("<Q", data), 8
    for _ in range(count):
        number, kind, width, height = struct.unpack_from("<iiQQ", data, at)
        model, parameters = _MODELS[kind]
        values = struct.unpack_from(f"<{parameters}d", data, at + 24)
        yield number, Lens(model, width, height, values)
        at += 24 + 8 * parameters


def _binary_images(data: bytes) -> Iterator[Image]:
    (count,), at = struct.unpack_from("<Q", data), 8
    for _ in range(count):
        values = struct.unpack_from("<I7dI", data, at)
        end = data.index(b"\0", at + 64)
        (points,) = struct.unpack_from("<Q", data, end + 1)
        name, start = data[at + 64 : end].decode(), end + 9
        at = start + 24 * points
        seen = tuple(number for _, _, number in struct.iter_unpack("<ddq", data[start:at]) if number >= 0)
        yield Image(name, values[8], values[1:5], values[5:8], seen)


def _binary_points(data: bytes) -> Iterator[tuple[int, tuple[float, ...], tuple[int, ...]]]:
    (count,), at = struct.unpack_from("<Q", data), 8
    for _ in range(count):
        values = struct.unpack_from("<Q3d3BdQ", data, at)
        yield values[0], values[1:4], values[4:7]
        at += 51 + 8 * values[8]


def _lines(data: bytes) -> list[str]:
    return [line for line in data.decode().splitlines() if not line.startswith("#")]


def _text_lenses(data: bytes) -> Iterator[tuple[int, Lens]]:
    for words in map(str.split, filter(str.strip, _lines(data))):
        yield int(words[0]), Lens(words[1], int(words[2]), int(words[3]), tuple(map(float, words[4:])))


def _text_images(data: bytes) -> Iterator[Image]:
    lines = _lines(data)
    while lines and not lines[0].strip():
        lines.pop(0)
    for line, after in zip_longest(lines[::2], lines[1::2], fillvalue=""):  # its points, which may be none
        if not line.strip():
            continue
        words, seen = line.split(maxsplit=9), tuple(number for number in map(int, after.split()[2::3]) if number >= 0)
        pose = tuple(map(float, words[1:5])), tuple(map(float, words[5:8]))
        yield Image(words[9].strip(), int(words[8]), *pose, seen)


def _text_points(data: bytes) -> Iterator[tuple[int, tuple[float, ...], tuple[int, ...]]]:
    for words in map(str.split, filter(str.strip, _lines(data))):
        yield int(words[0]), tuple(map(float, words[1:4])), tuple(map(int, words[4:7]))


_TEXT = (_text_lenses, _text_images, _text_points)


def model_files(model: Model, binary: bool) -> dict[str, bytes]:
    """The files of a model, by name: images without measured points, points without tracks."""
    if not binary:
        texts = {"cameras.txt": _lens_lines, "images.txt": _image_lines, "points3D.txt": _point_lines}
        return {name: "".join(f"{line}\n" for line in lines(model)).encode() for name, lines in texts.items()}
    lenses, images, points = struct.pack("<Q", len(model.lenses)), struct.pack("<Q", len(model.images)), b""
    numbers = {name: number for number, (name, _) in _MODELS.items()}
    for number, lens in model.lenses.items():
        lenses += struct.pack("<iiQQ", number, numbers[lens.model], lens.width, lens.height)
        lenses += struct.pack(f"<{len(lens.parameters)}d", *lens.parameters)
    for number, image in enumerate(model.images, start=1):
        images += struct.pack("<I7dI", number, *image.quaternion, *image.translation, image.lens)
        images += image.name.encode() + b"\0" + struct.pack("<Q", 0)
    points = b"".join(
        struct.pack("<Q3d3BdQ", number, *point, *colour, 0.0, 0)
        for number, (point, colour) in enumerate(zip(model.points, model.colours, strict=True), start=1)
    )
    return {"cameras.bin": lenses, "images.bin": images, "points3D.bin": struct.pack("<Q", len(model.points)) + points}


def _lens_lines(model: Model) -> Iterator[str]:
    yield "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"
    for number, lens in model.lenses.items():
        yield f"{number} {lens.model} {lens.width} {lens.height} {_words(lens.parameters)}"


def _image_lines(model: Model) -> Iterator[str]:
    yield "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; an empty line for its points"
    for number, image in enumerate(model.images, start=1):
        yield f"{number} {_words(image.quaternion)} {_words(image.translation)} {image.lens} {image.name}\n"


def _point_lines(model: Model) -> Iterator[str]:
    yield "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]"
    for number, (point, colour) in enumerate(zip(model.points, model.colours, strict=True), start=1):
        yield f"{number} {_words(point)} {' '.join(map(str, colour))} 0"


def _words(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.17g}" for value in values)
