"""More candidates than the context holds: merge the least similar into one that sees what they see (Algorithm 2)."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import make_pose, project, stack_cameras, unproject
from plenodream.geometry.frustum import inside_frustum, sample_frustum, scene_depth_range
from plenodream.memory.manifest import Entry
from plenodream.types import Cameras

MAX_FOV = 110.0  # degrees over the longer side of the image; a pinhole stretches its corners too much beyond
MIN_AGREEMENT = 0.5  # mean axes shorter than this (two unit axes 120 degrees apart) give no direction to look in
RETREATS = (0.0, 0.5, 1.0)  # how far behind the mean centre to stand, in units of the inputs' spread
NEARLY_BEST = 0.02  # share of the inputs' points given up for a pose that stands less far back
SHORT, _MORE = 48, "more"  # characters of a merged view's name, and what stands for the views that it has no room for
SMOOTHING = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # over time

Score = Callable[[Cameras, Cameras], Sequence[float]]


@dataclass(frozen=True)
class MergeStep:
    """One merge of Algorithm 2, complete enough to render it.

    Attributes:
        name: Name of the merged view: a function of the inputs' names, so the same merge is found again.
        inputs: The views merged, and deleted from the candidates; sorted by name.
        context: The at most k inputs to generate it from, most similar to its trajectory first. Fewer than k inputs
            leave room for the caller to repeat the source, as for every other view.
        scores: Similarity of each input to the merged trajectory, in the order of `inputs`.
        cameras: The merged trajectory, batch shape (frames,).
    """

    name: str
    inputs: tuple[str, ...]
    context: tuple[str, ...]
    scores: tuple[float, ...]
    cameras: Cameras


@dataclass(frozen=True)
class Condensed:
    """What is left of the candidates.

    Attributes:
        names: At most k views, most similar to the target first; merged ones among them.
        scores: Their scores against the target.
        steps: The merges made, in order.
    """

    names: tuple[str, ...]
    scores: tuple[float, ...]
    steps: tuple[MergeStep, ...]


def condense(
    target: Cameras,
    candidates: Mapping[str, Cameras],
    k: int,
    score: Score,
    render: Callable[[MergeStep], None],
    subject_distance: float = 4.0,
    name: Callable[[Sequence[str]], str] | None = None,
) -> Condensed:
    """Reduce candidates to k views by merging the least similar ones, Algorithm 2 corrected.

    While l > k views are left, the m = min(l - k + 1, k) least similar, but at least 2, become one merged view, which
    is rendered, scored against the target like any other, and competes on: l shrinks by m - 1, so exactly k remain
    after finitely many merges for every l and k >= 1, and what is deleted is exactly what was merged. Where m > k (only
    for k = 1) the merged view is generated from the k inputs most similar to the merged trajectory (ours).

    Args:
        target: The cameras to generate, batch shape (frames,).
        candidates: Stored views by name, batch shape (frames,) each, without earlier merged views; ties in the score go
            to the earlier one.
        k: Context size, at least 1.
        score: Similarities of a batch (views, frames) to a trajectory, e.g. `retrieve(...).worth`; higher is more.
        render: Called once per merge, in order; must make the view `step.name` from `step.context`, unless it is there
            already, before it returns.
        subject_distance: As for `merge_cameras`.
        name: Gives the name of the view merged from some; `merged_name` if None.

    Raises:
        ValueError: k < 1, no candidates, a merged view next to its own inputs, or unequal frame counts.
    """
    if k < 1:
        raise ValueError(f"context of k={k} views: expected at least 1")
    if not candidates:
        raise ValueError("no candidates to condense: expected at least one stored view; add the source first")
    left, name = dict(candidates), name or merged_name
    steps: list[MergeStep] = []
    while True:
        names, scores = _rank(target, left, score)
        if len(names) <= k:
            return Condensed(tuple(names), tuple(scores), tuple(steps))
        size = max(2, min(len(names) - k + 1, k))
        inputs = {each: left.pop(each) for each in sorted(names[-size:])}
        cameras = merge_cameras(stack_cameras(list(inputs.values())), subject_distance)
        ranked, scores = _rank(cameras, inputs, score)
        by_name = dict(zip(ranked, scores, strict=True))
        scores = tuple(by_name[each] for each in inputs)
        step = MergeStep(name(tuple(inputs)), tuple(inputs), tuple(ranked[:k]), scores, cameras)
        if step.name in left:
            raise ValueError(f"{step.name} and the views it merges are both candidates: leave merged views out")
        render(step)
        left[step.name] = cameras
        steps.append(step)


def merged_name(inputs: Sequence[str], taken: Iterable[str] = ()) -> str:
    """Name of the view merged from the named views, in any order: theirs, as in `arc-left+tilt-up`.

    A name that would be long, that is taken, or that might mean other views, since one of these has a plus in its own
    name (as merged ones have), ends with 8 hex digits of the views' names, which keep it unique.
    """
    ordered = sorted(inputs)
    plain = "+".join(ordered)
    if len(plain) <= SHORT and plain.count("+") < len(ordered) and plain not in taken:
        return plain
    digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]
    merges = [re.sub(r"-[0-9a-f]{8}$", "", name) if "+" in name else name for name in ordered]
    words = [word for word in "+".join(merges).split("+") if word not in ("", _MORE)]
    tails = [f"{'+' + _MORE if count < len(words) else ''}-{digest}" for count in range(len(words) + 1)]
    fitting = [
        name for count in range(1, len(words) + 1) if len(name := "+".join(words[:count]) + tails[count]) <= SHORT
    ]
    return fitting[-1] if fitting else words[0][: SHORT - len(tails[1])] + tails[1]


def merge_names(entries: Iterable[Entry]) -> Callable[[Sequence[str]], str]:
    """How views merged for a scene are called: as the one of the same views that it has already, or else anew.

    Args:
        entries: The scene's views.
    """
    entries = tuple(entries)
    known = {tuple((e.trajectory or {}).get("merge_of", ())): e.name for e in entries if e.kind == "helper"}
    taken = {entry.name for entry in entries if entry.kind != "helper"}
    return lambda inputs: known.get(tuple(sorted(inputs))) or merged_name(inputs, taken)


def _rank(target: Cameras, views: Mapping[str, Cameras], score: Score) -> tuple[list[str], list[float]]:
    scores = score(target, stack_cameras(list(views.values())))
    assert len(scores) == len(views), (len(scores), len(views))
    ranked = sorted(zip(views, scores, strict=True), key=lambda pair: -pair[1])  # stable: ties stay in order
    return [name for name, _ in ranked], [float(value) for _, value in ranked]


def merge_cameras(cameras: Cameras, subject_distance: float = 4.0) -> Cameras:
    """One trajectory that sees the union of its inputs' views, as well as a pinhole of at most 110 degrees can. Ours.

    Tried are the mean pose of every frame (mean centre, mean viewing direction; without roll where the inputs have
    none), the same moved back by half and by all of the inputs' spread, and each input's own poses. Each gets the
    longest focal length that keeps the corners of all inputs' images in view from the subject's distance to the end of
    the depth range, within the limit. Taken is the first, in this order, that sees nearly as much of the inputs'
    frustums as the best one and no less than the best unchanged input. One choice serves the whole video, so the path
    is as smooth as its inputs; the focal length is smoothed over time, staying at or below what fits.

    Args:
        cameras: Batch shape (views, frames), all of one image size.
        subject_distance: Metres; sets the depths that matter (`scene_depth_range`).

    Returns:
        Batch shape (frames,): same image size and pixel shape, centred principal point. Identical inputs come back
        unchanged, except for the time smoothing of a focal length that changes.
    """
    assert len(cameras.shape) == 2, cameras.shape
    exact = cameras.to(torch.float64)
    near, far = scene_depth_range(exact, subject_distance=subject_distance)
    corners, points = _union(_corner_points(exact, far)), _union(sample_frustum(exact, near, far, 8, 6, 6))
    poses = torch.cat([_mean_poses(exact), exact.camera_to_world])
    tried = _fit_focals(poses, corners, exact)
    share = inside_frustum(points, tried, 0.0, math.inf).double().mean(dim=(1, 2))
    unchanged = inside_frustum(points, exact, 0.0, math.inf).double().mean(dim=(1, 2)).max()
    enough = share >= torch.maximum(unchanged, share.max() - NEARLY_BEST)
    return tried[int(enough.int().argmax())].to(cameras.camera_to_world)


def _union(points: Float[Tensor, "views frames points 3"]) -> Float[Tensor, "frames all_points 3"]:
    return points.transpose(0, 1).flatten(1, 2)


def _corner_points(cameras: Cameras, far: float) -> Float[Tensor, "views frames 8 3"]:
    """Image corners at the subject's distance (0.4 far, by `scene_depth_range`) and at far."""
    width, height = cameras.width, cameras.height
    corners = cameras.intrinsics.new_tensor([[0, 0], [width, 0], [0, height], [width, height]])
    depths = cameras.intrinsics.new_tensor([0.4 * far, far])
    return unproject(corners.repeat(2, 1), depths.repeat_interleave(4), cameras)


def _mean_poses(cameras: Cameras) -> Float[Tensor, "retreats frames 4 4"]:
    """Mean poses at increasing distances behind the mean centre; none where the inputs look opposite ways."""
    rotation, centres = cameras.camera_to_world[..., :3, :3], cameras.camera_to_world[..., :3, 3]
    right, forward = rotation[..., 0].mean(0), rotation[..., 2].mean(0)
    # The mean of horizontal axes is horizontal: keeping `right` and turning `forward` onto it keeps the horizon level.
    agreement = right.norm(dim=-1)
    right = right / agreement.clamp(min=1e-12)[..., None]
    forward = forward - (forward * right).sum(-1, keepdim=True) * right
    agreement = torch.minimum(agreement, forward.norm(dim=-1))
    if agreement.min() < MIN_AGREEMENT:
        return cameras.camera_to_world[:0]
    forward = forward / forward.norm(dim=-1, keepdim=True)
    mean = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-1)
    # The mean square, unlike its root, has no kink where inputs cross; over its greatest root it is a length again.
    square = (centres - centres.mean(0)).square().sum(-1).mean(0)
    spread = square / square.max().sqrt().clamp(min=1e-12)
    retreats = centres.new_tensor(RETREATS)[:, None, None]
    behind = centres.mean(0) - retreats * spread[:, None] * forward
    return make_pose(mean.expand(len(RETREATS), *mean.shape), behind)


def _fit_focals(
    poses: Float[Tensor, "tried frames 4 4"], corners: Float[Tensor, "frames points 3"], inputs: Cameras
) -> Cameras:
    """Cameras at the poses, zoomed in as far as all corners, or the widest field of view allowed, stay in view."""
    half_width, half_height = inputs.width / 2, inputs.height / 2
    fx, fy, cx, cy = inputs.intrinsics.unbind(-1)
    aspect = (fy / fx).mean(0)
    unit = torch.stack([torch.ones_like(aspect), torch.ones_like(aspect), 0 * aspect, 0 * aspect], dim=-1)
    slopes, depth = project(corners, replace(inputs, camera_to_world=poses, intrinsics=unit.expand(len(poses), -1, 4)))
    slopes = torch.where(depth[..., None] > 0, slopes.abs(), math.inf).amax(dim=-2)
    fits = torch.minimum(half_width / slopes[..., 0], half_height / slopes[..., 1] / aspect)
    # Inputs wider than the limit set it, so that no input is cut by its own merge.
    limit = torch.maximum(half_width + 0 * aspect, half_height / aspect) / math.tan(math.radians(MAX_FOV / 2))
    wide_x, wide_y = torch.maximum(cx, inputs.width - cx) / fx, torch.maximum(cy, inputs.height - cy) / fy
    widest = torch.minimum(half_width / wide_x, half_height / wide_y / aspect).amin(0)
    focal = torch.maximum(fits, torch.minimum(limit, widest))
    focal = _smooth(_lower_envelope(focal))
    intrinsics = torch.stack([focal, focal * aspect, half_width + 0 * focal, half_height + 0 * focal], dim=-1)
    return replace(inputs, camera_to_world=poses, intrinsics=intrinsics)


def _windows(values: Float[Tensor, "*batch frames"]) -> Float[Tensor, "*batch frames window"]:
    reach = len(SMOOTHING) // 2
    ends = [values[..., :1]] * reach, [values[..., -1:]] * reach
    return torch.cat([*ends[0], values, *ends[1]], dim=-1).unfold(-1, len(SMOOTHING), 1)


def _smooth(values: Float[Tensor, "*batch frames"]) -> Float[Tensor, "*batch frames"]:
    return (_windows(values) * values.new_tensor(SMOOTHING)).sum(-1)


def _lower_envelope(values: Float[Tensor, "*batch frames"]) -> Float[Tensor, "*batch frames"]:
    """Least value within the smoothing's reach: smoothed, it stays at or below the values themselves."""
    return _windows(values).amin(-1)
