"""Thresholded symmetric epipolar distance (TSED) between shots at equal times: exact also where things move.

Two cameras at one moment see one rigid scene, so points that look alike must lie on each other's epipolar lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.evaluation.metrics.metric import MEAN, Column, Score, Unavailable
from plenodream.evaluation.shots import Shot, pairs_of_videos
from plenodream.geometry.visibility import lens_matrix
from plenodream.types import Cameras

FEWEST, PIXELS_AT_256 = 10, 2.0
_BASELINE = 1e-2  # metres: cameras that are nearer have no epipolar lines to speak of
_FRAMES = 3


class Tsed:
    """Share of frame pairs whose SIFT matches fit the cameras that were asked for."""

    name, version = "tsed", 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """Share of frame pairs that pass, and matches in a pair."""
        return (
            Column("tsed", "", MEAN, "higher", pairs=True),
            Column("tsed.matches", "", MEAN, "higher", pairs=True, digits=1),
        )

    def protocol(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {
            "estimator": "SIFT of scikit-image, mutual nearest neighbours, ratio 0.8",
            "passes": f"{FEWEST} matches, median distance below {PIXELS_AT_256} px where the longer side is 256",
            "frames": f"first, middle and last ({_FRAMES}); cameras at least {_BASELINE} m apart",
            "reduction": "share of a scene's frame pairs, then the mean over scenes",
        }

    def score(self, shot: Shot, earlier: Sequence[Shot]) -> list[Score]:
        """See `Metric`."""
        try:
            from skimage.feature import SIFT, match_descriptors
        except ImportError:
            raise Unavailable("scikit-image") from None
        scores = []
        for a in earlier:
            frames = _apart(a.cameras, shot.cameras)
            if not frames:
                continue
            for row, videos in pairs_of_videos(a, shot).items():
                passed = matches = 0
                for frame in frames:
                    found = [_sift(video[frame], SIFT) for video in videos]
                    here, there = _matched(found[0], found[1], match_descriptors)
                    distance = epipolar_distance(here, there, a.cameras[frame], shot.cameras[frame])
                    limit = PIXELS_AT_256 * max(shot.cameras.height, shot.cameras.width) / 256
                    passed += len(distance) >= FEWEST and float(distance.median()) < limit
                    matches += len(distance)
                scores.append(Score("tsed", row, passed, len(frames), 1.0, a.sample.shot))
                scores.append(Score("tsed.matches", row, matches, len(frames), 1.0, a.sample.shot))
        if earlier and not scores:
            raise Unavailable("shots whose cameras are apart")
        return scores


def epipolar_distance(
    points_a: Float[Tensor, "points 2"], points_b: Float[Tensor, "points 2"], camera_a: Cameras, camera_b: Cameras
) -> Float[Tensor, "points"]:
    """Mean distance in pixels of matched points to each other's epipolar lines.

    Args:
        points_a: (x, y) in a.
        points_b: The same points in b.
        camera_a: One camera, float64.
        camera_b: Another one, elsewhere.
    """
    between = torch.linalg.inv(camera_b.camera_to_world) @ camera_a.camera_to_world
    x, y, z = between[:3, 3].tolist()
    cross = between.new_tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    lenses = [torch.linalg.inv(lens_matrix(camera)) for camera in (camera_a, camera_b)]
    fundamental = lenses[1].T @ cross @ between[:3, :3] @ lenses[0]
    a, b = (torch.cat([p.double(), torch.ones_like(p[:, :1]).double()], dim=1) for p in (points_a, points_b))
    lines_b, lines_a = a @ fundamental.T, b @ fundamental
    error = (b * lines_b).sum(1).abs()
    return (error / lines_b[:, :2].norm(dim=1) + error / lines_a[:, :2].norm(dim=1)) / 2


def _apart(a: Cameras, b: Cameras) -> list[int]:
    """First, middle and last frame, those of them in which the cameras stand apart."""
    frames = dict.fromkeys((0, (len(a) - 1) // 2, len(a) - 1))
    gap = (a.camera_to_world[:, :3, 3] - b.camera_to_world[:, :3, 3]).norm(dim=-1)
    return [frame for frame in frames if gap[frame] > _BASELINE]


def _sift(image: Float[Tensor, "height width 3"], kind: Any) -> tuple[np.ndarray, np.ndarray]:
    """Key points (x, y) with pixel centres at +0.5, and descriptors; none where there are none."""
    detector = kind()
    try:
        detector.detect_and_extract(image.double().mean(-1).numpy())
    except RuntimeError:  # it found nothing
        return np.zeros((0, 2)), np.zeros((0, 128))
    return detector.keypoints[:, ::-1] + 0.5, detector.descriptors


def _matched(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], match: Any) -> tuple[Tensor, Tensor]:
    if min(len(a[0]), len(b[0])) < 2:
        return torch.zeros(0, 2), torch.zeros(0, 2)
    pairs = match(a[1], b[1], cross_check=True, max_ratio=0.8)
    return torch.from_numpy(a[0][pairs[:, 0]].copy()), torch.from_numpy(b[0][pairs[:, 1]].copy())
