"""What a hub may answer, without asking one."""

from __future__ import annotations

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError

from plenodream.models.hub import local_folder
from plenodream.rendering.load import load_pipeline
from plenodream.rendering.pipeline import PlenopticPipeline

REFUSAL = r"nvidia/gated: its owner asks for consent first; .* log in with `hf auth login`"


def gated(*args, **options):
    answer = httpx.Response(403, request=httpx.Request("GET", "https://hub.example"))
    raise GatedRepoError("Access to model nvidia/gated is restricted", response=answer)


def wrapped(*args, **options):
    try:
        gated()
    except GatedRepoError as error:
        raise OSError("not a valid model identifier") from error


def test_a_gated_model_says_how_to_log_in(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    with pytest.raises(ValueError, match=REFUSAL):
        local_folder("nvidia/gated")
    for answer in (gated, wrapped):
        monkeypatch.setattr(PlenopticPipeline, "download", answer)
        with pytest.raises(ValueError, match=REFUSAL) as refusal:
            load_pipeline("nvidia/gated", "cpu")
        assert "\n" not in str(refusal.value)


def test_a_hub_without_network_and_a_path_that_is_not_there_are_one_line(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def unreachable(*args, **options):
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ValueError, match=r"a/b: cannot be downloaded \(no route to host\); expected a network"):
        local_folder("a/b")
    with pytest.raises(ValueError, match="nothing: not here; expected a file, a folder, or owner/name"):
        local_folder("nothing")
