"""The table of trajectory presets: each is a curve through the parameters of the camera rig. Ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SENSOR_WIDTH_MM = 36.0
"""Focal lengths in millimetres are those of a camera whose image is 36 mm wide."""

# Tensors are `Any` here: what a command line asks for is read before torch is loaded.
Curve = Callable[[Any, Mapping[str, Any]], dict[str, Any]]
"""Progress 0..1 of every frame and the parameters (with `source_focal`, mm) to the `rig.Rig` fields not at rest."""


@dataclass(frozen=True)
class Parameter:
    """One keyword of a preset.

    Attributes:
        default: Value when it is not given.
        unit: "degrees", "m", "mm", or "" for a choice.
        low: Smallest value allowed.
        high: Largest value allowed.
        choices: The words allowed, for a parameter that is not a number.
        reaches_subject: Whether a value of `subject_distance` or more would put the camera into the subject.
    """

    default: float | str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()
    reaches_subject: bool = False


@dataclass(frozen=True)
class Preset:
    """A named trajectory.

    Attributes:
        description: One line for people.
        parameters: Its own keywords; `COMMON` ones come on top.
        curve: What the rig does.
        static: Whether the camera stands at the end of the curve from the first frame on.
    """

    description: str
    parameters: dict[str, Parameter]
    curve: Curve
    static: bool = False

    @property
    def all_parameters(self) -> dict[str, Parameter]:
        """Own parameters, then the common ones."""
        return self.parameters | COMMON


EASES: dict[str, Callable[[Any], Any]] = {
    "linear": lambda u: u,
    "smooth": lambda u: u * u * (3 - 2 * u),  # velocity 0 at both ends
}

COMMON = {
    "subject_distance": Parameter(4.0, "m", 0.01, 10_000),
    "ease": Parameter("linear", choices=tuple(EASES)),
    "of": Parameter("start", choices=("start", "source")),
}


def _angle(default: float, high: float = 360.0) -> dict[str, Parameter]:
    return {"angle": Parameter(default, "degrees", 0, high)}


def _metres(default: float, reaches_subject: bool = False) -> dict[str, Parameter]:
    return {"distance": Parameter(default, "m", 0, 10_000, reaches_subject=reaches_subject)}


def _moves(**fields: tuple[str, float]) -> Curve:
    """Rig fields that go in proportion to the progress: field = (parameter, sign)."""
    return lambda u, p: {field: sign * p[name] * u for field, (name, sign) in fields.items()}


def _vertical_aimed(sign: float) -> Curve:
    """A straight vertical line through the anchor, aimed at the subject: elevation and radius of a right triangle."""

    def curve(u: Any, p: Mapping[str, Any]) -> dict[str, Any]:
        height, ahead = p["distance"] * u, p["subject_distance"]
        return {
            "elevation": sign * (height / ahead).atan().rad2deg(),
            "radius": (height**2 + ahead**2).sqrt(),
        }

    return curve


def _dolly_zoom(u: Any, p: Mapping[str, Any]) -> dict[str, Any]:
    return {"forward": p["forward"] * u, "focal": 1 - p["forward"] * u / p["subject_distance"]}


def _focal(u: Any, p: Mapping[str, Any]) -> dict[str, Any]:
    """Constant ratio per frame, so that the picture grows at an even pace."""
    return {"focal": p["from"] * (p["to"] / p["from"]) ** u / p["source_focal"]}


PRESETS: dict[str, Preset] = {
    "static": Preset("stays at the source's first camera", {}, _moves()),
    "rotate-left": Preset("turns to the left on the spot", _angle(20), _moves(pan=("angle", -1))),
    "rotate-right": Preset("turns to the right on the spot", _angle(20), _moves(pan=("angle", +1))),
    "tilt-up": Preset("turns up on the spot", _angle(10, 90), _moves(tilt=("angle", +1))),
    "tilt-down": Preset("turns down on the spot", _angle(10, 90), _moves(tilt=("angle", -1))),
    "arc-left": Preset("circles to the left around the subject", _angle(30), _moves(azimuth=("angle", -1))),
    "arc-right": Preset("circles to the right around the subject", _angle(30), _moves(azimuth=("angle", +1))),
    "azimuth-left": Preset(
        "stands to the left on the circle around the subject", _angle(30), _moves(azimuth=("angle", -1)), static=True
    ),
    "azimuth-right": Preset(
        "stands to the right on the circle around the subject", _angle(30), _moves(azimuth=("angle", +1)), static=True
    ),
    "elevation-up": Preset(
        "stands above on the circle around the subject", _angle(20, 89), _moves(elevation=("angle", +1)), static=True
    ),
    "elevation-down": Preset(
        "stands below on the circle around the subject", _angle(20, 89), _moves(elevation=("angle", -1)), static=True
    ),
    "translate-up": Preset("rises straight, aimed at the subject", _metres(1), _vertical_aimed(+1)),
    "translate-down": Preset("sinks straight, aimed at the subject", _metres(1), _vertical_aimed(-1)),
    "zoom-in": Preset("moves forward (dolly)", _metres(2, reaches_subject=True), _moves(forward=("distance", +1))),
    "zoom-out": Preset("moves backward (dolly)", _metres(2), _moves(forward=("distance", -1))),
    "distance-closer": Preset(
        "stands closer to the subject",
        _metres(1, reaches_subject=True),
        _moves(forward=("distance", +1)),
        static=True,
    ),
    "distance-away": Preset(
        "stands farther from the subject", _metres(1), _moves(forward=("distance", -1)), static=True
    ),
    "truck-left": Preset("slides to the left without turning", _metres(1), _moves(right=("distance", -1))),
    "truck-right": Preset("slides to the right without turning", _metres(1), _moves(right=("distance", +1))),
    "pedestal-up": Preset("rises without turning", _metres(1), _moves(up=("distance", +1))),
    "pedestal-down": Preset("sinks without turning", _metres(1), _moves(up=("distance", -1))),
    "orbit": Preset(
        "goes all the way around the subject; a negative angle goes to the left",
        {"angle": Parameter(360.0, "degrees", -3600, 3600)},
        _moves(azimuth=("angle", +1)),
    ),
    "spiral": Preset(
        "goes around the subject while it rises and closes in; negative values go left, down, away",
        {
            "angle": Parameter(360.0, "degrees", -3600, 3600),
            "rise": Parameter(20.0, "degrees", -89, 89),
            "closer": Parameter(1.0, "m", -10_000, 10_000, reaches_subject=True),
        },
        _moves(azimuth=("angle", +1), elevation=("rise", +1), forward=("closer", +1)),
    ),
    "dolly-zoom": Preset(
        "moves forward while the focal length keeps the subject's size; a negative value moves backward",
        {"forward": Parameter(1.5, "m", -10_000, 10_000, reaches_subject=True)},
        _dolly_zoom,
    ),
    "focal": Preset(
        f"stays in place while the focal length changes ({SENSOR_WIDTH_MM:g} mm wide image)",
        {"from": Parameter(24.0, "mm", 1, 10_000), "to": Parameter(100.0, "mm", 1, 10_000)},
        _focal,
    ),
}

# The shots of the paper's Basic benchmark, in its order; the angles and metres are ours.
GROUPS: dict[str, tuple[str, ...]] = {
    "basic12": (
        "rotate-left",
        "arc-right",
        "azimuth-right",
        "rotate-right",
        "arc-left",
        "azimuth-left",
        "tilt-up",
        "translate-down",
        "tilt-down",
        "translate-up",
        "elevation-up",
        "zoom-out",
    ),
}
