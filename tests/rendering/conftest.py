"""What the tests of rendering share: a scene's content."""

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


DIFFERS = {".lock", "timing.json"}  # the only files that two equal renders may differ in


@pytest.fixture(scope="session")
def content():
    """Reads a scene folder: bytes by path, without what may differ between equal renders."""

    def read(folder):
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in DIFFERS)
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    return read
