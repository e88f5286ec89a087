"""Folders of a model hub, copied here when the user names one; nothing else of the package asks the network."""

from __future__ import annotations

from pathlib import Path


def local_folder(name: str, patterns: list[str] | None = None) -> Path:
    """A path that is here, or the copy of the hub's `owner/name`.

    Args:
        name: A path, or a hub id where there is no such path and no folder `owner`.
        patterns: Which files of it; all if None.

    Raises:
        ValueError: Neither; cannot be reached; needs a login.
    """
    path = Path(name)
    if path.exists():
        return path
    owner = name.partition("/")[0]
    if name.count("/") != 1 or name.startswith((".", "/")) or Path(owner).is_dir():
        raise ValueError(f"{name}: not here; expected a file, a folder, or owner/name on the hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError

    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except GatedRepoError:
        raise ValueError(consent_needed(name)) from None
    except Exception as error:  # whatever comes of a network
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{name}: cannot be downloaded ({reason}); expected a network, or its folder here") from None


def consent_needed(name: str) -> str:
    """What is to be done about a gated model."""
    return (
        f"{name}: its owner asks for consent first; accept it on the hub's page of the model, then log in with "
        "`hf auth login`"
    )


def is_gated(error: BaseException) -> bool:
    """Whether a download failed for want of consent, whatever a library made of it on the way."""
    found: BaseException | None = error
    while found is not None:
        if type(found).__name__ == "GatedRepoError":
            return True
        found = found.__cause__ or found.__context__
    return False
