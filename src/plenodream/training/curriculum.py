"""What a run is trained on when: the stages of its curriculum."""

from __future__ import annotations

from dataclasses import dataclass, replace

from plenodream.worlds.family import FAMILIES as SCENE_FAMILIES

MIXED = "mixed"
FAMILIES = (*SCENE_FAMILIES, MIXED, "disk")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of the choices.

    Raises:
        ValueError: Naming the field and the choices.
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: expected one of {', '.join(choices)}")


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum.

    Attributes:
        share: Part of the whole budget (steps or minutes); the shares of all stages add up to 1.
        family: Where scenes come from: procedural `mild` or `full`, `mixed` (the one and the other in turn), or `disk`
            (a folder of episodes).
        frames: Frames of a clip; 1 trains on single frames of view pairs.
        batch: Scenes a step.
        views: Views of a scene, the source among them.
        min_context: Fewest context views of a target.
        max_context: Most context views; every step draws one number between the two.
        any_context: Contexts are random other views; otherwise the source alone.
        context_shares: Weights of the context sizes, from the fewest views to the most; all alike if None.
        source_context: The source is always among the context; random views join it. Only with `any_context`.
        targets: How many of the views are targets, counted from the last; all but the source if None, and the source,
            too, if they are all (with `source_context`: a model with depth learns that of the source from it).
        footage: Share of the steps whose cameras are those of real footage (`worlds.cameras.Footage`); images, where
            the run has some, are on the surfaces of these steps alone.
        self_conditioning: Probability that a context view is one that the model generated (stage 2 of the paper); such
            stages take their scenes from a folder of generated contexts.
    """

    share: float
    family: str = "mild"
    frames: int = 1
    batch: int = 8
    views: int = 4
    min_context: int = 1
    max_context: int = 1
    any_context: bool = False
    context_shares: tuple[float, ...] | None = None
    source_context: bool = False
    targets: int | None = None
    footage: float = 0.0
    self_conditioning: float = 0.0

    def __post_init__(self) -> None:
        one_of("family", self.family, FAMILIES)
        if not 0 <= self.footage <= 1:
            raise ValueError(f"footage is {self.footage}: expected a share, 0 to 1")
        if self.source_context and not self.any_context:
            raise ValueError("source_context with the source as only context: expected any_context=True")
        if not self.share > 0:
            raise ValueError(f"stage with a share of {self.share:g}: expected more than 0")
        if self.frames < 1 or self.batch < 1:
            raise ValueError(f"stage of {self.batch} scenes of {self.frames} frames: expected at least 1 of each")
        if not 1 <= self.min_context <= self.max_context < self.views:
            raise ValueError(
                f"context of {self.min_context} to {self.max_context} views out of {self.views} views: expected "
                "1 <= min_context <= max_context < views"
            )
        if self.max_context > 1 and not self.any_context:
            raise ValueError(
                f"context of up to {self.max_context} views, but of the source alone: expected any_context=True"
            )
        most = self.views if self.source_context else self.views - 1
        if self.targets is not None and not 1 <= self.targets <= most:
            raise ValueError(f"{self.targets} targets out of {self.views} views: expected 1 to {most}")
        shares, sizes = self.context_shares, self.max_context - self.min_context + 1
        if shares is not None and (len(shares) != sizes or min(shares) < 0 or sum(shares) <= 0):
            raise ValueError(f"context_shares {list(shares)}: expected {sizes} weights, one a context size")
        if not 0 <= self.self_conditioning <= 1:
            raise ValueError(f"self_conditioning is {self.self_conditioning}: expected a probability, 0 to 1")
        if self.self_conditioning and not self.any_context:
            raise ValueError("self_conditioning with the source as only context: expected any_context=True")
        if self.self_conditioning and self.targets != 1:
            # A generated view was made from views before it (`batches.contexts`): only the last is in none of them.
            raise ValueError("self_conditioning with targets that generated views were made from: expected targets=1")

    @property
    def target_views(self) -> range:
        """Numbers of the views that are targets."""
        return range(self.views - (self.targets or self.views - 1), self.views)


@dataclass(frozen=True)
class SecondStage:
    """Self-conditioning of a recipe whose own stages have none (the paper's stage 2): its last stage, for a while.

    Attributes:
        steps: Budget in steps; the recipe's own if None.
        probability: For every context view, to be a generated one.
    """

    steps: int | None = None
    probability: float = 0.5

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"second.steps is {self.steps}: expected at least 1")
        if not 0 < self.probability <= 1:
            raise ValueError(f"second.probability is {self.probability}: expected a probability, more than 0, up to 1")


@dataclass(frozen=True)
class Curriculum:
    """The stages of a run, in order, and the part of them that this run goes through.

    Attributes:
        stages: One after another.
        max_context: Limit on the context size of every stage; no limit but the stages' own if None.
        start: Where this run begins, 0 to 1: an instalment begins where the one before ended.
        end: Where it ends.
    """

    stages: tuple[Stage, ...]
    max_context: int | None = None
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        total = sum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"stage shares add up to {total:g}; expected 1")
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(f"curriculum from {self.start:g} to {self.end:g}: expected 0 <= start < end <= 1")
        if self.max_context is not None and self.max_context < 1:
            raise ValueError(f"curriculum.max_context is {self.max_context}: expected at least 1")

    def at(self, progress: float) -> tuple[int, Stage]:
        """Number of the stage at a point of the run's budget (0 to 1), and the stage."""
        position, end = self.start + progress * (self.end - self.start), 0.0
        number = len(self.stages) - 1
        for index, stage in enumerate(self.stages):
            end += stage.share
            if position < end - 1e-9:
                number = index
                break
        stage = self.stages[number]
        if self.max_context is not None:
            low, high = (min(k, self.max_context) for k in (stage.min_context, stage.max_context))
            shares = stage.context_shares if stage.context_shares is None else stage.context_shares[: high - low + 1]
            stage = replace(stage, min_context=low, max_context=high, context_shares=shares)
        return number, stage

    @property
    def largest_context(self) -> int:
        """The most context views any stage trains with."""
        limit = self.max_context or max(stage.max_context for stage in self.stages)
        return min(limit, max(stage.max_context for stage in self.stages))
