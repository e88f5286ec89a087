"""Seeds from text: what is random depends on what it is for, and on nothing that came before."""

from __future__ import annotations

import hashlib


def seed_from(text: str) -> int:
    """A seed (32 bits) that is a function of the text alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
