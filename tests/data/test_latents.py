import os

import pytest
import torch
from episodes import make_view

from plenodream.data import latents as latents_module
from plenodream.data.episode import open_episode, write_episode
from plenodream.data.latents import cached_latents


@pytest.fixture
def episode(tmp_path):
    write_episode(tmp_path / "scene", {"a": make_view(seed=1), "b": make_view(seed=2)})
    return open_episode(tmp_path / "scene")


class Encoder:
    """A codec with memory of its calls; causal along time, as real ones are."""

    def __init__(self):
        self.calls = 0

    def __call__(self, frames):
        self.calls += 1
        return frames.float().permute(3, 0, 1, 2).cumsum(1) / 255


def test_latents_are_encoded_once(tmp_path, episode):
    encode = Encoder()
    first = cached_latents(episode, "codec-1", encode, "a", 1, 5, 8, 8)
    assert torch.equal(first, Encoder()(episode.view("a", 1, 5, 8, 8).frames))
    assert torch.equal(cached_latents(open_episode(tmp_path / "scene"), "codec-1", encode, "a", 1, 5, 8, 8), first)
    assert encode.calls == 1


@pytest.mark.parametrize(
    "change", [{"codec": "codec-2"}, {"name": "b"}, {"start": 2}, {"stop": 4}, {"height": 16}, {"width": 12}]
)
def test_anything_else_is_encoded_anew(episode, change):
    encode = Encoder()
    key = {"codec": "codec-1", "name": "a", "start": 1, "stop": 5, "height": 8, "width": 8}
    cached_latents(episode, encode=encode, **key)
    other = key | change
    found = cached_latents(episode, encode=encode, **other)
    assert encode.calls == 2
    pixels = episode.view(other["name"], other["start"], other["stop"], other["height"], other["width"]).frames
    assert torch.equal(found, Encoder()(pixels))


def test_changed_video_and_damaged_cache_are_encoded_anew(episode, caplog):
    encode = Encoder()
    first = cached_latents(episode, "c", encode, "a", 0, 4, 8, 8)
    (path,) = (episode.folder / "latents").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:50])
    assert torch.equal(cached_latents(episode, "c", encode, "a", 0, 4, 8, 8), first)
    assert encode.calls == 2 and "unreadable cached latents" in caplog.text
    os.utime(episode.videos["a"].path, ns=(1, 1))
    cached_latents(episode, "c", encode, "a", 0, 4, 8, 8)
    assert encode.calls == 3


def test_full_disk_costs_the_cache_only(episode, monkeypatch, caplog):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(latents_module, "write_file", full)
    encode = Encoder()
    for _ in range(2):
        cached_latents(episode, "c", encode, "a", 0, 4, 8, 8)
    assert encode.calls == 2 and "latents not cached (No space left on device)" in caplog.text
