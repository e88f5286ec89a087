"""What is compared: a generator with settings, written `mini:strategy=random,k=2`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from plenodream.evaluation.methods.altered import AlongTrajectories, altered, at_once
from plenodream.evaluation.methods.controls import NoContextBut
from plenodream.generators.composite import Composite
from plenodream.generators.protocol import Generator
from plenodream.generators.reprojection import Reprojection
from plenodream.memory.retrieval import STRATEGIES, RetrievalConfig
from plenodream.rendering.catalog import REPROJECTION
from plenodream.rendering.load import load_model
from plenodream.rendering.settings import RenderSettings
from plenodream.sampling.config import SamplingConfig

SWITCHES = {"on": True, "off": False}
# What each view is made from instead of what is retrieved: how often the source stands in for all of it.
_SOURCES = {"source": 1, "source-twice": 2}
TRAJECTORIES = "trajectories"
MEMORIES = ("all", *_SOURCES, TRAJECTORIES)
OPTIONS = (
    "strategy", "k", "merging", "keep-source", "steps", "guidance", "seed", "memory", "motion", "update", "depth",
    "together", "overlap", "detail",
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A method as it was asked for.

    Attributes:
        text: As it was written; its name in tables.
        model: Bundled model, model folder, or another generator's name.
        options: Settings that are not the generator's own; `OPTIONS` has their names.
    """

    text: str
    model: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """A folder's name."""
        return "".join(letter if letter.isalnum() or letter in "._=+-," else "_" for letter in self.text)

    @property
    def seed(self) -> int:
        """Of the noise."""
        return int(self.options.get("seed", 0))

    @property
    def noisy(self) -> bool:
        """Whether its seed matters: a point cloud draws nothing, unless its context is drawn."""
        return self.model != REPROJECTION or self.options.get("strategy") == "random"

    @property
    def motion(self) -> bool:
        """Whether the source moves as it should, or stands still as a control."""
        return SWITCHES[self.options.get("motion", "on")]

    @property
    def depth(self) -> bool:
        """Whether it is given the source's true depth; what carries pixels by it is, a model by itself is not."""
        carries = self.model == REPROJECTION or self.options.get("memory") == TRAJECTORIES
        return SWITCHES[self.options.get("depth", "on" if carries else "off")]

    def with_options(self, **options: str) -> Method:
        """The same with other options."""
        merged = self.options | options
        rest = ",".join(f"{name}={value}" for name, value in merged.items())
        return Method(f"{self.model}:{rest}", self.model, merged)


@dataclass(frozen=True)
class Engine:
    """A method ready to render.

    Attributes:
        generator: What makes its views.
        settings: How.
    """

    generator: Generator
    settings: RenderSettings


def parse_method(text: str) -> Method:
    """A method from `MODEL` or `MODEL:option=value,...`.

    Raises:
        ValueError: An option that is none, or a value that cannot be.
    """
    model, colon, rest = text.partition(":")
    options: dict[str, str] = {}
    for item in rest.split(",") if colon else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (equals and value) or key not in OPTIONS:
            raise ValueError(f"method {text!r}: cannot read {item!r}; expected one of {', '.join(OPTIONS)} = a value")
        options[key] = value
    switches = ("merging", "keep-source", "motion", "update", "depth", "overlap", "detail")
    for key, values in ({"strategy": STRATEGIES, "memory": MEMORIES} | dict.fromkeys(switches, SWITCHES)).items():
        if key in options and options[key] not in values:
            raise ValueError(f"method {text!r}: {key}={options[key]}; expected one of {', '.join(values)}")
    for key in ("k", "steps", "seed", "together"):
        if key in options and not options[key].isdecimal():
            raise ValueError(f"method {text!r}: {key}={options[key]}; expected a whole number")
    if "guidance" in options and re.fullmatch(r"\d+(\.\d+)?", options["guidance"]) is None:
        raise ValueError(f"method {text!r}: guidance={options['guidance']}; expected a number, 0 or more")
    if options.get("memory") == TRAJECTORIES and options.get("depth") == "off":
        raise ValueError(f"method {text!r}: trajectories are found by depth; expected depth=on, or leave it out")
    return Method(text, model, options)


def make_engine(method: Method, device: str | None = None) -> Engine:
    """Load what a method needs.

    Raises:
        ValueError: No such model, or settings that it does not take.
    """
    if method.model == REPROJECTION:
        generator: Generator = Reprojection(update=SWITCHES[method.options.get("update", "on")])
        k = generator.workings.most or 1
        settings = _changed(RenderSettings(RetrievalConfig(k=k), k, SamplingConfig(1), True), method.options)
    else:
        model = load_model(method.model, device)
        settings = _changed(model.settings, method.options)
        generator = model.make(settings)
    return Engine(_remade(generator, method.options), settings)


def _remade(generator: Generator, options: dict[str, str]) -> Generator:
    """A generator with a method's options that are not settings."""
    if not SWITCHES[options.get("detail", "on")] and isinstance(generator, Composite):
        generator = generator.small
    if "together" in options:
        generator = at_once(generator, max(1, int(options["together"])))
    if not SWITCHES[options.get("overlap", "on")]:
        generator = altered(generator, overlap=0)
    memory = options.get("memory", "all")
    if memory == TRAJECTORIES:
        return AlongTrajectories(generator)
    return NoContextBut(generator, _SOURCES[memory]) if memory in _SOURCES else generator


def _changed(settings: RenderSettings, options: dict[str, str]) -> RenderSettings:
    """Settings with a method's options."""
    if options.get("memory", "all") != "all":  # the source, and nothing else, comes first
        options = options | {"k": "1", "merging": "off", "keep-source": "on"}
    k = int(options.get("k", settings.retrieval.k))
    retrieval = replace(settings.retrieval, strategy=options.get("strategy", settings.retrieval.strategy), k=k)
    candidates = max(k, settings.candidates)
    if "merging" in options:
        candidates = k + 1 if SWITCHES[options["merging"]] else k
    keep = SWITCHES[options["keep-source"]] if "keep-source" in options else settings.keep_source
    sampling = SamplingConfig(
        int(options.get("steps", settings.sampling.steps)), float(options.get("guidance", settings.sampling.guidance))
    )
    return RenderSettings(retrieval, candidates, sampling, keep)
