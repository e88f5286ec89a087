"""Points that frames of a clip have in common: SIFT, matched and verified by pycolmap."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

_FEATURES = 4096  # a frame, at most
_OVERLAP = 10  # frames matched with the next ones, and with the 1st, 2nd, 4th, 8th, ... 512th after them
_SEED = 0


@dataclass(frozen=True)
class Pair:
    """Points seen in two frames, in pixels, consistent with one motion of the camera.

    Attributes:
        first: The earlier frame.
        second: The later one.
        points: Where the points are in each of them.
    """

    first: int
    second: int
    points: tuple[Float[Tensor, "points 2"], Float[Tensor, "points 2"]]


def load_pycolmap(purpose: str = "estimating cameras") -> ModuleType:
    """pycolmap, which is no dependency of ours.

    Raises:
        ValueError: It is not installed.
    """
    try:
        return importlib.import_module("pycolmap")
    except ImportError as error:
        raise ValueError(
            f"{purpose} needs pycolmap ({error}); expected it: pip install 'plenodream[sfm]', or give cameras "
            "that another tool made"
        ) from None


@contextmanager
def quiet(pycolmap: ModuleType) -> Iterator[None]:
    """COLMAP says nothing: what goes wrong is said by us."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before


def match_frames(frames: UInt8[Tensor, "frames height width 3"], focal: float, folder: Path) -> list[Pair]:
    """Match the frames of a clip.

    Args:
        frames: The clip.
        focal: Focal length in pixels that the verification takes for true; one for all frames.
        folder: An empty folder; `images/` and the database `matches.db` are made in it.

    Returns:
        Pairs of frames with at least 15 points in common, in order.
    """
    pycolmap = load_pycolmap()
    (folder / "images").mkdir()
    for number, frame in enumerate(frames.cpu().numpy()):
        Image.fromarray(frame).save(folder / "images" / f"{number:06d}.png", compress_level=1)
    height, width = frames.shape[1:3]
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "SIMPLE_PINHOLE"
    reader.camera_params = f"{focal},{width / 2},{height / 2}"
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.sift.max_num_features = _FEATURES
    pairing = pycolmap.SequentialPairingOptions()
    pairing.overlap = _OVERLAP
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = _SEED
    database, cpu = folder / "matches.db", pycolmap.Device.cpu
    with quiet(pycolmap):
        # Images are numbered before threads take them in any order: the same frames give the same result.
        pycolmap.Database.open(database).close()
        pycolmap.import_images(database, folder / "images", pycolmap.CameraMode.SINGLE, options=reader)
        pycolmap.extract_features(database, folder / "images", extraction_options=extraction, device=cpu)
        pycolmap.match_sequential(database, pycolmap.FeatureMatchingOptions(), pairing, verification, device=cpu)
        return sorted(_pairs(pycolmap, database), key=lambda pair: (pair.first, pair.second))


def _pairs(pycolmap: ModuleType, path: Path) -> Iterator[Pair]:
    with pycolmap.Database.open(path) as database:
        numbers = {image.image_id: int(Path(image.name).stem) for image in database.read_all_images()}
        points = {key: torch.from_numpy(database.read_keypoints(key)[:, :2]).double() for key in numbers}
        for key, geometry in zip(*database.read_two_view_geometries(), strict=True):
            matches = torch.from_numpy(geometry.inlier_matches.astype("int64"))
            if len(matches) < 15:
                continue
            ends = pycolmap.pair_id_to_image_pair(key)
            seen = [(numbers[end], points[end][matches[:, side]]) for side, end in enumerate(ends)]
            (first, here), (second, there) = sorted(seen, key=lambda end: end[0])
            yield Pair(first, second, (here, there))
