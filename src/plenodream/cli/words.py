"""The words of a scene: given, kept with it, or asked of a model that sees its first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plenodream.cli.render import Render


def words_of(args: Render) -> tuple[str | None, str | None]:
    """Prompt and negative prompt; of a scene that is there its own, unless others are given.

    Raises:
        ValueError: `--caption` beside `--prompt`.
    """
    from plenodream.memory.manifest import FILE
    from plenodream.rendering.prepare import scene_words

    if args.caption is not None and args.prompt is not None:
        raise ValueError("--prompt and --caption: expected one of them, both say what the video shows")
    kept = scene_words(args.out) if (args.out / FILE).exists() else None
    if kept is not None:
        return args.prompt or kept.get("prompt"), args.negative_prompt or kept.get("negative_prompt")
    return args.prompt or _caption(args), args.negative_prompt


def _caption(args: Render) -> str | None:
    if args.caption is None or args.clip is None:
        return None
    from plenodream.media.video import read_video
    from plenodream.models.caption import caption_picture
    from plenodream.models.hub import local_folder
    from plenodream.rendering.load import choose_device

    picture = read_video(args.clip, max_frames=2).frames[0]
    return caption_picture(local_folder(args.caption), picture, choose_device(args.device))
