"""How a scene is rendered: the settings that are kept with it, and what can be said against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from plenodream.memory.strategies import FRUSTUMS, SIMILARITIES, RetrievalConfig
from plenodream.sampling.config import SamplingConfig

_PAPER_STRATEGY, _PAPER_CANDIDATES = "fov-paper", 6


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
        _check_candidates(self.candidates, self.retrieval.k)

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


@dataclass(frozen=True)
class Changes:
    """Settings that are asked for by name; None is what the scene has, or else what suits the model.

    Attributes:
        k: Context views.
        strategy: Of retrieval.
        near: Start of the frustums, metres.
        far: Their end, metres.
        subject_distance: How far the subject of the scene is, metres.
        candidates: Stored views that compete for the context.
        steps: Sampling steps.
        guidance: g in v_c + g (v_c - v_u).
        as_paper: The paper's choices where nothing else is asked for: `fov-paper`, six candidates, merging, and the
            source may drop out.

    Raises:
        ValueError: Values that no scene can have, or that do not go together.
    """

    k: int | None = None
    strategy: str | None = None
    near: float | None = None
    far: float | None = None
    subject_distance: float | None = None
    candidates: int | None = None
    steps: int | None = None
    guidance: float | None = None
    as_paper: bool = False

    def __post_init__(self) -> None:
        RetrievalConfig(**self._given("strategy", "k", "near", "far", "subject_distance"))
        SamplingConfig(**self._given("steps", "guidance"))
        if self.k is not None and self.candidates is not None:
            _check_candidates(self.candidates, self.k)
        if self.strategy is not None or self.as_paper:
            self._check_strategy(self.strategy or _PAPER_STRATEGY)

    def of(self, base: RenderSettings) -> RenderSettings:
        """Some settings with these changes.

        Raises:
            ValueError: Changes that do not go with them.
        """
        if self.as_paper:
            paper = replace(base.retrieval, strategy=_PAPER_STRATEGY)
            candidates = max(_PAPER_CANDIDATES, base.retrieval.k)
            base = replace(base, retrieval=paper, candidates=candidates, keep_source=False)
        retrieval = replace(base.retrieval, **self._given("strategy", "k", "near", "far", "subject_distance"))
        self._check_strategy(retrieval.strategy)
        candidates = self.candidates
        if candidates is None:  # as many as k where nothing is merged
            candidates = max(base.candidates, retrieval.k) if base.candidates > base.retrieval.k else retrieval.k
        sampling = replace(base.sampling, **self._given("steps", "guidance"))
        return RenderSettings(retrieval, candidates, sampling, base.keep_source)

    def _given(self, *names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _check_strategy(self, strategy: str) -> None:
        ignored = [f"--{name}" for name in self._given("near", "far")]
        if ignored and strategy not in FRUSTUMS:
            raise ValueError(
                f"{' and '.join(ignored)}: strategy {strategy} does not use it; expected --strategy "
                f"{' or '.join(FRUSTUMS)}, or neither of them"
            )
        if self.candidates is not None and self.candidates != self.k and strategy not in SIMILARITIES:
            raise ValueError(
                f"--candidates {self.candidates}: strategy {strategy} merges no views; leave it out, or choose "
                f"--strategy {', '.join(SIMILARITIES)}"
            )


def _check_candidates(candidates: int, k: int) -> None:
    if not isinstance(candidates, int) or candidates < k:
        raise ValueError(f"{candidates} candidates for a context of k={k} views: expected at least k")


def usual_settings(
    settings: RenderSettings | None, num_inference_steps: int | None, guidance_scale: float | None
) -> RenderSettings | Changes | None:
    """Settings given whole, or by the names of diffusers; a guidance scale of 1 + g is guidance g.

    Raises:
        ValueError: Both, or a scale below 1.
    """
    if num_inference_steps is None and guidance_scale is None:
        return settings
    if settings is not None:
        raise ValueError("settings beside num_inference_steps or guidance_scale: expected one of them: change settings")
    if guidance_scale is not None and not (isinstance(guidance_scale, int | float) and guidance_scale >= 1):
        raise ValueError(f"guidance_scale {guidance_scale!r}: expected a number, 1 (no guidance) or more")
    return Changes(steps=num_inference_steps, guidance=None if guidance_scale is None else guidance_scale - 1)


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
