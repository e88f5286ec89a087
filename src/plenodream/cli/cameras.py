"""`plenodream cameras`: cameras of a clip, estimated, or taken from another program's file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.cli.parse import MaybeFloat, MaybeInt, MaybePath, check_distance
from plenodream.words import shown


@dataclass(frozen=True)
class Cameras:
    """Write a clip's cameras as `render --cameras` reads them, and say what was found.

    From a video, a folder of images or a pattern like frames/%05d.png they are estimated (pycolmap: install
    plenodream[sfm]); from a camera file of another program they are converted.
    """

    given: Annotated[str, tyro.conf.Positional]
    """The clip; or a camera file or folder (docs/cameras.md lists the formats; FILE#NAME takes one of several)."""
    out: Path = Path("cameras.json")
    """What to write: a .json of ours, or a folder for a COLMAP model; with the points of the scene that were found."""
    clip: MaybePath = None
    """The clip that a camera file is for: its size and number of frames are checked."""
    fov: MaybeFloat = None
    """Horizontal field of view in degrees, where it is known or the file has none."""
    subject_distance: float = 4.0
    """Metres to the middle of what an estimated clip shows: it does not tell its scale."""
    start: int = 0
    """First frame of the clip to estimate from."""
    frames: MaybeInt = None
    """How many frames of it; left out: all."""
    split_cuts: bool = False
    """Estimate every shot of a clip with cuts by itself, as `render --split-cuts` takes them; into one .json."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object on stdout and nothing else."""


def cameras(args: Cameras) -> int:
    """`plenodream cameras`."""
    from plenodream.files.atomic import write_file
    from plenodream.files.folders import check_new_folder, new_folder
    from plenodream.geometry.formats.colmap import colmap_files
    from plenodream.geometry.formats.ours import cameras_json

    if args.fov is not None and not 0 < args.fov < 180:
        raise ValueError(f"--fov {args.fov:g}: expected more than 0 and less than 180 degrees")
    check_distance(args.subject_distance)
    if args.start < 0 or (args.frames is not None and args.frames < 2):
        raise ValueError("--start and --frames: expected a first frame of 0 or more, and 2 frames or more")
    file = args.out.suffix == ".json"
    if not file and args.out.suffix[1:].isalpha() and not args.out.is_dir():
        raise ValueError(
            f"{args.out}: {args.out.suffix} files are not written; expected NAME.json, or a folder for a COLMAP model "
            "(`plenodream export` writes other formats of scenes)"
        )
    if not file:
        check_new_folder(args.out, "a COLMAP model (or a file NAME.json)")
    found, points, fps, unit, lines = (_estimate if _is_clip(args.given) else _convert)(args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if file:
        write_file(args.out, cameras_json(found, fps, points, unit).encode())
    else:
        names = [f"{index:05d}.png" for index in range(len(found))]
        with new_folder(args.out) as folder:
            for name, data in colmap_files(found, names, None if points is None else points.places).items():
                write_file(folder / name, data)
    if args.json:
        print(json.dumps({"out": str(args.out), "frames": len(found), "notes": lines}))
    elif not args.quiet:
        print("\n".join([*lines, f"wrote {shown(args.out)}"]))
    return 0


def _is_clip(given: str) -> bool:
    """Whether a path is a video or images, and not what another program says of cameras."""
    from plenodream.geometry.formats import is_camera_file
    from plenodream.geometry.formats.content import in_colmap_model
    from plenodream.media.images import SUFFIXES, is_sequence

    path = Path(given)
    if path.is_file():
        with open(path, "rb") as file:
            start = file.read(4096)
        arrays = start.startswith((b"PK\x03\x04", b"\x93NUMPY"))  # which no video is, and few are cameras
        return b"\0" in start and not arrays and not in_colmap_model(path) and not is_camera_file(given)
    if path.is_dir() and not any(file.suffix.lower() in SUFFIXES for file in path.iterdir()):
        return False
    return is_sequence(path) and not is_camera_file(given)


def _estimate(args: Cameras):
    from plenodream.estimate.cameras import estimate_cameras, estimate_shots
    from plenodream.geometry.formats.ours import METRES
    from plenodream.media.video import read_video

    if args.clip is not None:
        raise ValueError(f"{args.given} is a clip itself; expected a camera file before --clip")
    stop = None if args.frames is None else args.start + args.frames
    video = read_video(args.given, stop)
    frames = video.frames[args.start : stop]
    if len(frames) < 2:
        raise ValueError(f"{args.given}: {len(frames)} frames from --start {args.start} on; expected at least 2")
    estimate = estimate_shots if args.split_cuts else estimate_cameras
    found = estimate(frames, args.fov, args.subject_distance)
    resampled = () if video.index is None else ("these cameras are for the frames at the constant rate",)
    unit = (
        METRES if found.points is None else f"metres if what the first frame sees is {args.subject_distance:g} m away"
    )
    return found.cameras, found.points, video.fps, unit, [*video.notes, *found.notes, *resampled]


def _convert(args: Cameras):
    import torch

    from plenodream.geometry.cameras import intrinsics_from_fov
    from plenodream.geometry.formats import read_cameras, stated_size
    from plenodream.media.video import read_video

    unused = [f"--{name.replace('_', '-')}" for name in ("start", "frames", "split_cuts") if getattr(args, name)]
    if unused:
        raise ValueError(f"{', '.join(unused)}: {args.given} is a camera file, taken whole; expected them with a clip")
    video = None if args.clip is None else read_video(args.clip)
    size = stated_size(args.given) if video is None else (video.frames.shape[1], video.frames.shape[2])
    if size is None:
        read_cameras(args.given, 1, 1, intrinsics=torch.ones(4))  # what is wrong with the file itself comes first
        raise ValueError(f"{args.given}: says no image size; expected --clip: the clip that the cameras are for")
    frames, fps = (None, None) if video is None else (len(video.frames), video.fps)
    try:
        found = read_cameras(args.given, *size, frames)
    except ValueError:  # no focal length in it, or no fit file: the same call says so
        if args.fov is None:
            raise
        found = read_cameras(args.given, *size, frames, intrinsics_from_fov(args.fov, *size))
    else:
        if args.fov is not None:
            raise ValueError(
                f"--fov {args.fov:g} beside {args.given}, which gives focal lengths; expected one of them: leave it out"
            )
    return found.cameras, found.points, fps, found.scale, list(found.lines())
