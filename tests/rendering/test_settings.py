"""Settings: kept by the manifest, with nothing in them that a model has not been asked for."""

import dataclasses

import pytest

from plenodream.memory.retrieval import RetrievalConfig
from plenodream.rendering.settings import RenderSettings, cautions


def test_settings_survive_the_manifest(settings):
    original = settings(3, 5, strategy="coverage", guidance=1.5)
    assert RenderSettings.from_json(original.to_json()) == original


def test_unfit_settings_are_refused(settings):
    with pytest.raises(ValueError, match="2 candidates for a context of k=3 views: expected at least k"):
        settings(3, 2)
    for damaged in ({}, {**settings().to_json(), "sampling": {"stepz": 3}}):
        with pytest.raises(ValueError, match="settings of the scene are not readable"):
            RenderSettings.from_json(damaged)


def test_no_setting_has_a_default_that_suits_no_model(tiny_pipeline):
    with pytest.raises(TypeError, match="candidates"):
        RenderSettings(RetrievalConfig(strategy="coverage"))
    own = tiny_pipeline(k=3).default_settings()
    changed = dataclasses.replace(own, retrieval=dataclasses.replace(own.retrieval, strategy="coverage"))
    assert (changed.retrieval.strategy, changed.retrieval.k, changed.sampling) == ("coverage", 3, own.sampling)


def test_guidance_is_cautioned_against_where_the_models_own_is_none(settings):
    (line,) = cautions(settings(guidance=1.0), guided_by=None)
    assert "guidance 1: this model was not trained for it" in line
    assert not cautions(settings(guidance=1.0), guided_by="text") and not cautions(settings(), guided_by=None)
