"""How a scene is rendered: the settings that are kept with it, and what can be said against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from plenodream.generators.protocol import Workings
from plenodream.memory.retrieval import RetrievalConfig
from plenodream.sampling.config import SamplingConfig


@dataclass(frozen=True)
class RenderSettings:
    """How a scene is rendered; kept in its manifest.

    Nothing has a default here: `pipeline.default_settings()` is what suits a model. To change a part of it:

        settings = pipeline.default_settings()
        settings = replace(settings, retrieval=replace(settings.retrieval, strategy="coverage"))

    Attributes:
        retrieval: Which stored views become context (Algorithm 1), and how many.
        candidates: How many of the best stored views compete; where they are more than `retrieval.k`, the least
            similar are merged (Algorithm 2). `retrieval.k` switches merging off; the strategies `random` and `last`,
            which do not say how alike views are, never merge.
        sampling: Steps and guidance.
        keep_source: Whether the source is always context, and never merged (ours; the paper lets it drop out).
    """

    retrieval: RetrievalConfig
    candidates: int
    sampling: SamplingConfig
    keep_source: bool

    def __post_init__(self) -> None:
        if self.candidates < self.retrieval.k:
            raise ValueError(
                f"{self.candidates} candidates for a context of k={self.retrieval.k} views: expected at least k"
            )

    def to_json(self) -> dict:
        """As the manifest keeps it."""
        return asdict(self)

    @staticmethod
    def from_json(content: dict) -> RenderSettings:
        """From a manifest.

        Raises:
            ValueError: Settings of an unknown form.
        """
        try:
            return RenderSettings(
                RetrievalConfig(**content["retrieval"]),
                content["candidates"],
                SamplingConfig(**content["sampling"]),
                content.get("keep_source", False),  # scenes from before it could be chosen
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"settings of the scene are not readable ({error}); render into another folder") from None


def check_slots(workings: Workings, settings: RenderSettings) -> None:
    """Refuse more context views than a generator takes.

    Raises:
        ValueError: If it takes fewer than `settings.retrieval.k`.
    """
    most, k = workings.most, settings.retrieval.k
    if most is not None and k > most:
        raise ValueError(f"context of k={k} views: this model's sequence has {most} slots; choose k up to {most}")


def cautions(settings: RenderSettings, guided_by: str | None) -> tuple[str, ...]:
    """Lines on settings that a model takes but that do not suit it; `guided_by` is that of its config."""
    guidance = settings.sampling.guidance
    if guidance == 0 or guided_by is not None:
        return ()
    return (
        f"guidance {guidance:g}: this model was not trained for it (its own is 0) and its pictures get worse: "
        "leave --guidance out",
    )


def changed_settings(settings: RenderSettings, stored: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are not those of a manifest."""
    old = _flat(RenderSettings.from_json(dict(stored)).to_json())
    return [name for name, value in _flat(settings.to_json()) if (name, value) not in old]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in settings.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return rows
