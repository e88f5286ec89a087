"""Whether cameras go as far as a model has seen them go, and lengths are what they are taken for. Ours."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from plenodream.types import Cameras

# How much farther than in its training a model is trusted; and how much less than the subject's distance a camera that
# moves at all is believed to move: below that its lengths are hardly metres.
BEYOND, HARDLY = 1.5, 0.002
# How many times nearer or farther than the subject what points show is that its scale is doubted.
OTHER = 2.5


def travel_cautions(
    source: Cameras, targets: Mapping[str, Cameras], subject_distance: float, reach: float | None
) -> list[str]:
    """One line for all views that go too far for a model, one for a source that hardly moves.

    Args:
        source: The source's cameras, batch shape (frames,).
        targets: Cameras of the views by name.
        subject_distance: Of the scene, metres.
        reach: How far the cameras of the model's training went from the source's first, in units of the subject's
            distance; None: not known, and nothing is said of it.
    """
    lines, anchor = [], source.camera_to_world[0, :3, 3]
    own = _farthest(source, anchor)
    if 0 < own < HARDLY * subject_distance:
        lines.append(
            f"the source's camera moves {1000 * own:.2g} mm in all: if its lengths are not metres, give --scale FACTOR "
            "(and --subject-distance)"
        )
    if reach is None:
        return lines
    limit = reach * subject_distance
    travel = {name: _farthest(cameras, anchor) for name, cameras in ({"source": source} | dict(targets)).items()}
    far = {name: value for name, value in travel.items() if value > BEYOND * limit}
    if far:
        name, value = max(far.items(), key=lambda pair: pair[1])
        others = f" ({len(far)} views go too far)" if len(far) > 1 else ""
        lines.append(
            f"{name} goes {value:.3g} m from the source's first camera{others}; the model has seen up to {limit:.3g} m "
            f"around a subject at {subject_distance:g} m: expect less, or give --subject-distance or --scale"
        )
    return lines


def scale_caution(points: Float[Tensor, "observations 4"], scale: float, subject_distance: float) -> tuple[str, ...]:
    """One line where the points that came with cameras lie at quite another distance than the subject.

    Args:
        points: As `depth_of_points` gives them; the z of the first frame's counts.
        scale: Factor from their lengths to metres.
        subject_distance: Metres.
    """
    first = points[points[:, 0] == 0, 3]
    if len(first) == 0 or 1 / OTHER < (away := first.median().item() * scale) / subject_distance < OTHER:
        return ()
    return (
        f"the points of the camera file lie {away:.3g} m away (median of the first frame), the subject is taken to be "
        f"at {subject_distance:g} m: --scale {scale * subject_distance / away:.3g} would bring both together, or give "
        "--subject-distance",
    )


def _farthest(cameras: Cameras, anchor) -> float:
    return (cameras.camera_to_world[:, :3, 3] - anchor).norm(dim=-1).max().item()
