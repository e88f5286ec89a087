"""Action strings, `w-40,j-20`: keys and for how many steps each is held (HY-WorldPlay: hyvideo/generate.py).

`w s a d` move forward, backward, left and right by 0.08; `up down left right`, or `i k j l`, turn by 3 degrees. A step
is one latent frame there, 4 frames of the video; N steps are N + 1 cameras, the first at the identity.
"""

from __future__ import annotations

import torch

from plenodream.geometry.cameras import axis_rotation, make_pose
from plenodream.geometry.formats.content import Content, is_actions
from plenodream.geometry.formats.found import CameraFile, Format, Size

_STRIDE = 0.08  # units a step
_TURN = 3.0  # degrees a step
_FRAMES = 4  # of the video, a step
_MOVES = {"w": (0, 0, 1), "s": (0, 0, -1), "a": (-1, 0, 0), "d": (1, 0, 0)}
_TURNS = {"up": ("x", 1), "down": ("x", -1), "left": ("y", -1), "right": ("y", 1)}
_TURNS |= {"i": _TURNS["up"], "k": _TURNS["down"], "j": _TURNS["left"], "l": _TURNS["right"]}
_STEPS = 10_000  # more is a slip of the keyboard


def _read(content: Content, asked: Size) -> CameraFile:
    steps = []
    for word in filter(None, (part.strip().lower() for part in content.text.split(","))):
        key, _, count = word.partition("-")
        if key not in _MOVES and key not in _TURNS:
            known = ", ".join([*_MOVES, *_TURNS])
            raise ValueError(f"{content.path}: unknown action {key!r}; expected one of {known}")
        if not count.isdigit() or not 0 < int(count) <= _STEPS - len(steps):
            raise ValueError(f"{content.path}: {word!r}; expected a whole number of steps, at most {_STEPS} in all")
        steps += [key] * int(count)
    rotation, centre = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    poses = [make_pose(rotation, centre)]
    for key in steps:
        if key in _MOVES:
            centre = centre + rotation @ (_STRIDE * torch.tensor(_MOVES[key], dtype=torch.float64))
        else:
            axis, sign = _TURNS[key]
            rotation = rotation @ axis_rotation(axis, torch.tensor(sign * _TURN, dtype=torch.float64))
        poses.append(make_pose(rotation, centre))
    return CameraFile(
        torch.stack(poses),
        f"{len(steps)} steps from the identity, each from where the last one ended",
        f"HY-WorldPlay's: {_STRIDE:g} a step, {_TURN:g} degrees a step",
        numbers=tuple(_FRAMES * index for index in range(len(poses))),
        remarks=(f"a step is {_FRAMES} frames, or one frame of a clip with {len(poses)} of them",),
    )


def _refusal(content: Content) -> str | None:
    return None if is_actions(content.text) else "not like w-40,j-20"


FORMAT = Format("action string", "text", _refusal, _read)
