"""Depth of footage by any depth-estimation model of transformers, and depth of any kind in metres."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from plenodream.geometry.metres import metres_by_points, metres_by_subject, steady_inverse
from plenodream.geometry.upsample import upsample_depth
from plenodream.media.depth import DISPARITY, METRIC, RawDepth, match_depth
from plenodream.types import View

# What models of a type give where their config does not say.
_TYPES = {"dpt": DISPARITY, "glpn": METRIC, "zoedepth": METRIC, "depth_pro": METRIC}
_FAR = 500.0  # metres: more in the middle is hardly in metres
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Longer side of what is kept of an estimate: models work at about this size.
_LONGEST = 640


def estimate_depth(
    frames: UInt8[Tensor, "frames height width 3"],
    model: str,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> RawDepth:
    """What a model makes of each frame alone; jumps of its scale and shift between frames are evened out.

    Args:
        frames: RGB, 0..255.
        model: A folder, or `owner/name` on the hub.
        device: Where it runs.
        progress: Called with the number of finished frames.

    Raises:
        ValueError: No transformers, no such model, or one of unknown output.
    """
    processor, network = _load(model)
    kind = _kind(network.config, model)
    network = network.to(device)
    found = []
    for number, frame in enumerate(frames):
        with torch.no_grad():
            inputs = processor(images=[frame.numpy()], return_tensors="pt").to(device)
            predicted = network(**inputs).predicted_depth.float().cpu()
        found.append(_shrunk(predicted[:, None])[0, 0].clamp(min=0))
        if progress is not None:
            progress(number + 1)
    values = torch.stack(found)
    if not bool(values.isfinite().all()):
        raise ValueError(f"{model}: gave NaN or infinite depth; expected numbers: check its weights")
    empty = (values == 0).flatten(1).all(1).nonzero().flatten()
    if len(empty):
        raise ValueError(f"{model}: gave no depth for frame {empty[0].item()} (0 everywhere); check its weights")
    raw = RawDepth(values, kind, f"estimated by {model}: {'metres' if kind == METRIC else 'disparity'}")
    steady = steady_inverse(_inverse(raw), kind == DISPARITY)
    return replace(raw, values=steady if kind == DISPARITY else _invert(steady))


def metric_depth(
    raw: RawDepth, subject_distance: float, points: Float[Tensor, "points 4"] | None = None
) -> tuple[Float[Tensor, "frames rows columns"], str]:
    """Depth in metres, 0 where it is not known, and how it was found, one line.

    Args:
        raw: Of any kind.
        subject_distance: Metres to what the picture's middle shows, for depth whose scale nothing else gives.
        points: Frame, x and y in 0..1, z in metres, where the cameras came with points: they decide, even on metres,
            since cameras must be in the same.

    Raises:
        ValueError: Points that do not fit.
    """
    inverse, shift = _inverse(raw), raw.kind == DISPARITY or raw.assumed
    if points is not None:
        return _invert(metres_by_points(inverse, points, shift, raw.found)), "in the scale of the cameras' points"
    if raw.kind == METRIC:
        known = raw.values[raw.values > 0]
        middle = known.median().item() if len(known) else 0.0
        doubt = f" - a median of {middle:.3g} m: if they are millimetres, divide them by 1000" if middle > _FAR else ""
        return raw.values, f"taken as they are{doubt}"
    inverse = metres_by_subject(inverse, subject_distance, shift)
    return _invert(inverse), f"the picture's middle taken to be {subject_distance:g} m away (--subject-distance)"


def with_depth(
    view: View,
    raw: RawDepth,
    subject_distance: float,
    points: Float[Tensor, "points 4"] | None = None,
    index: Sequence[int] | None = None,
) -> tuple[View, str]:
    """A view with depth at its own size, its steps at the picture's edges, and where that came from, one line.

    Args:
        view: Of the whole picture that the depth is of, at any size.
        raw: One map for each frame.
        subject_distance: As for `metric_depth`.
        points: As for `metric_depth`.
        index: The map behind each of the view's frames, where maps are of a file's frames and the view has others.

    Raises:
        ValueError: Depth of another number or shape of frames, or points that do not fit.
    """
    if index is not None and len(raw.values) != len(view) and len(raw.values) > max(index):
        raw = replace(raw, values=raw.values[list(index)])
    match_depth(raw, len(view), view.cameras.height, view.cameras.width, raw.found)
    values, how = metric_depth(raw, subject_distance, points)
    depth = torch.empty(view.frames.shape[:3])
    for number, (small, frame) in enumerate(zip(values, view.frames, strict=True)):
        if small.numel() >= depth[0].numel():
            depth[number] = interpolate(small[None, None], size=depth.shape[1:], mode="nearest-exact")[0, 0]
        else:
            depth[number] = upsample_depth(small, frame.permute(2, 0, 1).float())
    return replace(view, depth=depth), f"depth: {raw.found}; {how}"


def _inverse(raw: RawDepth) -> Tensor:
    if raw.kind != DISPARITY:
        return _invert(raw.values)
    # A disparity of 0 is the farthest (sky), not unknown.
    return raw.values + 1e-6 * raw.values.max()


def _invert(values: Tensor) -> Tensor:
    return torch.where((values > 0) & values.isfinite(), 1 / values.clamp(min=1e-9), 0)


def _shrunk(predicted: Tensor) -> Tensor:
    scale = _LONGEST / max(predicted.shape[-2:])
    if scale >= 1:
        return predicted
    size = [max(1, round(side * scale)) for side in predicted.shape[-2:]]
    return interpolate(predicted, size=size, mode="nearest-exact")


def _kind(config, model: str) -> str:
    said = getattr(config, "depth_estimation_type", None)
    kind = {"relative": DISPARITY, "metric": METRIC}.get(said or "", _TYPES.get(config.model_type))
    if kind is None:
        raise ValueError(
            f"{model}: a {config.model_type} model, which does not say whether it gives metres or disparity; expected "
            f"depth_anything, {', '.join(_TYPES)}"
        )
    return kind


def _load(model: str):
    try:
        from huggingface_hub import snapshot_download
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation
        from transformers.utils import logging
    except ImportError:
        raise ValueError(
            "estimating depth needs transformers; expected it installed: pip install plenodream[depth]"
        ) from None
    if not Path(model).is_dir() and (not _HUB_ID.fullmatch(model) or Path(model).parent.is_dir()):
        raise ValueError(
            f"depth model {model}: no such folder; expected one, or owner/name of a transformers depth-estimation "
            "model on a hub"
        )
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # A hub that cannot be reached is asked once here; transformers itself would try for minutes.
        folder = model if Path(model).exists() else snapshot_download(model, allow_patterns=["*.json", "*.safetensors"])
        return (
            AutoImageProcessor.from_pretrained(folder),
            AutoModelForDepthEstimation.from_pretrained(folder, use_safetensors=True).eval(),
        )
    except Exception as error:  # whatever comes of a network and of a stranger's files
        unreachable = type(error).__name__ in ("LocalEntryNotFoundError", "OfflineModeIsEnabled")
        reason = "the hub is not reached, and the cache has nothing of it" if unreachable else str(error)
        reason = shorten(reason, 240, placeholder=" ...")
        raise ValueError(
            f"depth model {model}: cannot be loaded ({reason}); expected a folder, or owner/name of a transformers "
            "depth-estimation model on a hub that can be reached"
        ) from None
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
