"""MultiCamVideo as it is published (a tar archive, compressed, in parts) as shards: plain tar archives of whole scenes.

The parts are read once, one after another, as a stream; nothing is unpacked to disk. A shard's members keep their
names, so that it can be read by anything that reads tar archives, and by `data.discover` at any place.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from plenodream.data.episode import Episode, open_views
from plenodream.data.multicamvideo import focal_length, load_multicamvideo_cameras
from plenodream.files.atomic import TEMPORARY, temporary_name
from plenodream.files.tars import members

_MEMBER = re.compile(r"(?P<scene>.+?)/(?:videos/(?P<view>[^/]+)\.mp4|cameras/camera_extrinsics\.json)")
_NAME = "shard-{:06d}.tar"


class Joined(io.RawIOBase):
    """Files one after another as one stream.

    Args:
        paths: In order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._left, self._file = list(paths), None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer) -> int:
        """Fill a buffer with what comes next; 0 at the end."""
        while True:
            if self._file is None:
                if not self._left:
                    return 0
                self._file = open(self._left.pop(0), "rb")  # noqa: SIM115 - closed at its end, or by close
            if count := self._file.readinto(buffer):
                return count
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the file that is being read."""
        if self._file is not None:
            self._file.close()
        super().close()


def in_order(parts: Sequence[Path]) -> list[Path]:
    """Parts by the numbers in their names, part2 before part10."""
    return sorted(parts, key=lambda path: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", path.name)])


def write_shards(
    parts: Sequence[Path], out: Path, scenes: int = 64, progress: Callable[[int], None] | None = None
) -> int:
    """Copy the scenes of a tar archive in parts into shards, each whole or not at all; those that are there stay.

    Args:
        parts: All of them, in order; compressed in any way that Python knows, or not.
        out: Folder of the shards.
        scenes: Of a shard.
        progress: Called with the number of scenes so far.

    Returns:
        How many scenes there are.

    Raises:
        ValueError: Not an archive, one that is cut off (a part is missing), or with a scene at two places.
        OSError: Disk full.
    """
    out.mkdir(parents=True, exist_ok=True)
    writer = _Writer(out, scenes, progress or (lambda count: None))
    try:
        with Joined(parts) as joined, tarfile.open(fileobj=io.BufferedReader(joined, 2**20), mode="r|*") as tar:
            for member in tar:
                found = _MEMBER.fullmatch(member.name)
                if member.isfile() and found and ".." not in member.name.split("/"):
                    writer.add(found["scene"], member, tar.extractfile(member))
            writer.finish()
    except (tarfile.TarError, EOFError) as error:
        names = f"{parts[0]} to {parts[-1].name}" if len(parts) > 1 else str(parts[0])
        raise ValueError(f"{names}: cannot be read to the end ({error}); expected all parts of a tar archive") from None
    finally:
        writer.abandon()
    if not writer.count:
        layout = "SCENE/videos/NAME.mp4 and SCENE/cameras/camera_extrinsics.json"
        raise ValueError(f"{parts[0]}: no scenes; expected {layout}")
    return writer.count


class _Writer:
    """Puts members into shards; a new scene begins a new one where the last is full."""

    def __init__(self, out: Path, scenes: int, progress: Callable[[int], None]) -> None:
        self._out, self._scenes, self._progress = out, scenes, progress
        self._seen, self._scene = set[str](), ""
        self._shard: tuple[tarfile.TarFile, Path, Path] | None = None
        self.count = 0

    def add(self, scene: str, member: tarfile.TarInfo, content) -> None:
        """Add a member of a scene."""
        if scene != self._scene:
            if scene in self._seen:
                raise ValueError(f"{scene}: at two places of the archive; expected the files of a scene together")
            if self.count % self._scenes == 0:
                self.finish()
                self._begin(self._out / _NAME.format(self.count // self._scenes))
            self._scene, self.count = scene, self.count + 1
            self._seen.add(scene)
            self._progress(self.count)
        if self._shard is not None:
            self._shard[0].addfile(member, content)

    def _begin(self, final: Path) -> None:
        if not final.is_file():
            temporary = temporary_name(final)
            self._shard = tarfile.open(temporary, "w"), temporary, final  # noqa: SIM115 - closed by finish or abandon

    def finish(self) -> None:
        """Put the shard that is being written in its place."""
        if self._shard is not None:
            tar, temporary, final = self._shard
            tar.close()
            temporary.rename(final)
            self._shard = None

    def abandon(self) -> None:
        """Remove what is unfinished."""
        if self._shard is not None:
            self._shard[0].close()
            self._shard[1].unlink(missing_ok=True)
            self._shard = None


def shard_scenes(archive: Path) -> Iterator[tuple[Path, Callable[[], Episode]]]:
    """The scenes of a shard, or of any plain tar archive of MultiCamVideo or SynCamVideo, and how to open each.

    Raises:
        ValueError: Not a plain tar archive.
    """
    scenes: dict[str, dict[str, Path]] = {}
    for name in members(archive):
        if (found := _MEMBER.fullmatch(name)) and not archive.name.startswith(TEMPORARY):
            views = scenes.setdefault(found["scene"], {})
            if found["view"] and not found["view"].startswith("."):
                views[found["view"]] = archive / name
    for scene, videos in scenes.items():
        yield archive / scene, partial(_open, archive, scene, videos)


def _open(archive: Path, scene: str, videos: dict[str, Path]) -> Episode:
    cameras = archive / scene / "cameras" / "camera_extrinsics.json"
    reader = partial(load_multicamvideo_cameras, cameras, focal_length(archive / scene))
    caches = archive.with_name(f"{archive.stem}.cache") / scene
    return open_views("/".join(scene.split("/")[-2:]), caches, dict(sorted(videos.items())), reader)
