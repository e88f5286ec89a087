"""Target trajectories as people write them: `name:parameter=value,...`. `paths` gives their cameras."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plenodream.geometry.presets import GROUPS, PRESETS, Parameter
from plenodream.words import suggestion


@dataclass(frozen=True)
class Trajectory:
    """A preset with all its parameters.

    Attributes:
        name: Unique for what it does and safe as a folder's name: the preset, then every parameter not at its default.
        preset: Key of `PRESETS`.
        parameters: Every parameter of the preset, JSON-able: degrees, metres, millimetres as floats, choices as words.
    """

    name: str
    preset: str
    parameters: dict[str, float | str]


def make_trajectory(
    preset: str, parameters: Mapping[str, float | str] | None = None, subject_distance: float | None = None
) -> Trajectory:
    """A trajectory from a preset's name and the parameters that differ from its defaults.

    Args:
        preset: Key of `PRESETS`.
        parameters: Those that are given.
        subject_distance: Metres, in the place of the preset's default.

    Raises:
        ValueError: Unknown preset, parameter or choice; a value that is not a number or out of its range; a camera that
            would move into the subject.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown trajectory {preset!r}; {suggestion(preset, [*PRESETS, *GROUPS])}")
    known, given = PRESETS[preset].all_parameters, dict(parameters or {})
    if subject_distance is not None:
        known["subject_distance"] = replace(known["subject_distance"], default=subject_distance)
    for key in given:
        if key not in known:
            raise ValueError(f"{preset}: unknown parameter {key!r}; {suggestion(key, known)}")
    values = {key: _check_value(preset, key, given.get(key, known[key].default), known[key]) for key in known}
    distance = float(values["subject_distance"])
    for key, parameter in known.items():
        if parameter.reaches_subject and float(values[key]) >= distance:
            raise ValueError(
                f"{preset}: {key}={values[key]:g} m reaches the subject at subject_distance={distance:g} m; "
                f"expected less: lower {key} or raise subject_distance"
            )
    changed = [f"{key}-{_slug(values[key])}" for key in known if values[key] != known[key].default]
    name = "-".join([preset, *changed]).replace("_", "-")
    return Trajectory(name, preset, values)


def parse_trajectories(specs: Sequence[str], subject_distance: float | None = None) -> list[Trajectory]:
    """Trajectories of specifications like `arc-right` or `arc-right:angle=40,ease=smooth`, in their order.

    A group's name (`basic12`: the twelve shots of the Basic benchmark, in the paper's order) stands for its members;
    parameters after it go to each of them. `subject_distance` in metres takes the place of the presets' default.

    Raises:
        ValueError: As `make_trajectory`; a specification that cannot be read; two that are the same.
    """
    trajectories: dict[str, Trajectory] = {}
    for spec in specs:
        preset, parameters = _split_spec(spec)
        for member in GROUPS.get(preset, (preset,)):
            trajectory = make_trajectory(member, parameters, subject_distance)
            if trajectory.name in trajectories:
                raise ValueError(
                    f"trajectory {trajectory.name!r} is given twice; expected different ones: "
                    "drop one or change a parameter"
                )
            trajectories[trajectory.name] = trajectory
    return list(trajectories.values())


def at_subject(trajectory: Trajectory, subject_distance: float) -> Trajectory:
    """A trajectory that has the presets' default distance of the subject, under its name at another one, in metres.

    Raises:
        ValueError: A camera that would move into the subject.
    """
    default = PRESETS[trajectory.preset].all_parameters["subject_distance"].default
    if trajectory.parameters["subject_distance"] != default:
        return trajectory
    others = {key: value for key, value in trajectory.parameters.items() if key != "subject_distance"}
    return replace(make_trajectory(trajectory.preset, others, subject_distance), name=trajectory.name)


def describe_presets() -> list[dict]:
    """What a listing shows: name, description and parameters (name, default, unit, choices) of presets, then groups."""
    rows = [
        {
            "name": name,
            "description": preset.description,
            "parameters": [
                {"name": key, "default": value.default, "unit": value.unit, "choices": list(value.choices)}
                for key, value in preset.all_parameters.items()
            ],
        }
        for name, preset in PRESETS.items()
    ]
    return rows + [
        {"name": name, "description": f"stands for {', '.join(members)}", "parameters": []}
        for name, members in GROUPS.items()
    ]


def _split_spec(spec: str) -> tuple[str, dict[str, str]]:
    """`name:key=value,...` to name and parameters; values stay text."""
    preset, colon, rest = (part.strip() for part in spec.partition(":"))
    parameters: dict[str, str] = {}
    for item in rest.split(",") if colon else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (key and equals and value):
            raise ValueError(f"trajectory {spec!r}: cannot read {item.strip()!r}; expected name:parameter=value,...")
        if key in parameters:
            raise ValueError(f"trajectory {spec!r}: parameter {key!r} is given twice; expected once")
        parameters[key] = value
    return preset, parameters


def _check_value(preset: str, key: str, value: float | str, parameter: Parameter) -> float | str:
    """The value as a float or as one of the choices, within its range."""
    if parameter.choices:
        if value not in parameter.choices:
            raise ValueError(f"{preset}: {key}={value}; expected {' or '.join(parameter.choices)}")
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{preset}: {key}={value}; expected a number in {parameter.unit}") from None
    if not (math.isfinite(number) and parameter.low <= number <= parameter.high):
        raise ValueError(
            f"{preset}: {key}={number:g}; expected from {parameter.low:g} to {parameter.high:g} {parameter.unit}"
        )
    return number + 0.0  # -0.0 becomes 0.0


def _slug(value: float | str) -> str:
    """A value as part of a folder's name; different values give different text."""
    text = value if isinstance(value, str) else repr(value).removesuffix(".0")
    return text.replace("-", "minus").replace("+", "")
