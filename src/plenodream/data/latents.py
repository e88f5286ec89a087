"""Latents of a window of a view, encoded once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from plenodream.data.episode import Episode, decode_fitted
from plenodream.files.atomic import write_file
from plenodream.files.tars import archive_of

_log = logging.getLogger(__name__)


def cached_latents(
    episode: Episode,
    codec: str,
    encode: Callable[[Tensor], Tensor],
    name: str,
    start: int,
    stop: int,
    height: int,
    width: int,
) -> Tensor:
    """Latents of frames start <= index < stop of a view: from the cache, or encoded from pixels and then cached.

    The cache lies beside the data, in `<episode>/latents`.

    The key holds the codec, the size and the whole window, because a slice of latents is not the latents of a slice;
    it also holds the video's size and time of change. A damaged cache file is written again. A full or read-only disk
    costs a warning and the cache, not the run.

    Args:
        episode: Where the view is.
        codec: Name and hash of the codec's weights; another string means other latents.
        encode: Frames as uint8 (frames, height, width, 3) to latents of any shape.
        name: The view.
        start: First frame.
        stop: One past the last frame.
        height: Height to fit frames to.
        width: Width to fit frames to.

    Returns:
        What `encode` returned, on the CPU.

    Raises:
        UnreadableVideo: The video is damaged (when it has to be encoded).
    """
    video = episode.videos[name]
    status = (archive_of(video.path) or video.path).stat()
    key = {
        "codec": codec,
        "video": str(video.path.resolve()),
        "bytes": status.st_size,
        "changed": status.st_mtime_ns,
        "window": [start, stop],
        "size": [height, width],
    }
    text = json.dumps(key, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = episode.folder / "latents" / digest[:2] / f"{name}-{digest}.safetensors"
    if path.exists():
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") == text:
                    return file.get_tensor("latents")
        except (SafetensorError, OSError) as error:
            _log.warning("%s: unreadable cached latents (%s); encoding them again", path, error)
    latents = encode(decode_fitted(video, start, stop, height, width)).detach().cpu().contiguous()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, save({"latents": latents}, metadata={"key": text}))
    except OSError as error:
        _log.warning("%s: latents not cached (%s); free some space or choose another folder", path, error.strerror)
    return latents
