"""What the tests of rendering share: settings in short, and a scene's content."""

import pytest

from plenodream.memory.retrieval import RetrievalConfig
from plenodream.sampling.autoregressive import RenderSettings
from plenodream.sampling.denoise import SamplingConfig


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


DIFFERS = {".lock", "timing.json"}  # the only files that two equal renders may differ in


@pytest.fixture(scope="session")
def settings():
    """Makes render settings of two steps."""

    def build(k=2, candidates=None, strategy="fov", guidance=0.0):
        return RenderSettings(RetrievalConfig(strategy, k), candidates or k, SamplingConfig(2, guidance))

    return build


@pytest.fixture(scope="session")
def content():
    """Reads a scene folder: bytes by path, without what may differ between equal renders."""

    def read(folder):
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in DIFFERS)
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    return read
