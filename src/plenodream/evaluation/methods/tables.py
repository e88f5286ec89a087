"""The paper's tables in miniature: on which benchmark, and which methods stand in them. M is the model asked for."""

from __future__ import annotations

from dataclasses import dataclass

_MAIN = ("M", "M:memory=source", "M:together=3", "M:memory=trajectories", "reprojection:update=off", "reprojection")
_WAYS = ("M:strategy=random", "M:strategy=random,keep-source=off", "M:strategy=last", "M:strategy=pose",
         "M:strategy=visible", "M:strategy=coverage")  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        about: What it is of, in a line.
        benchmark: Its scenes.
        methods: Differences are to the first.
    """

    about: str
    benchmark: str
    methods: tuple[str, ...]


TABLES: dict[str, Table] = {
    # ours; every shot from the source alone, as ReCamMaster renders; three views at once; attention along reprojected
    # trajectories; a point cloud without and with what was made (TrajectoryCrafter's way, and ours); other retrieval.
    "table-1": Table(
        "the main table, with agreement at 3, 6, 9 and 12 shots",
        "basic-mini",
        (*_MAIN, *_WAYS),
    ),
    "table-2": Table(
        "the robot: head, left gripper, right gripper",
        "agibot-mini",
        ("M", "M:memory=source", "M:together=2", "M:memory=trajectories", "reprojection:update=off", "reprojection"),
    ),
    "table-4": Table(
        "how many views are context at inference", "basic-mini", ("M", *(f"M:k={number}" for number in range(1, 9)))
    ),
    "r1": Table(
        "merging (Algorithm 2) and whether the source may drop out, each alone and as the paper has them",
        "basic-mini",
        ("M", "M:merging=on", "M:keep-source=off", "M:merging=on,keep-source=off"),
    ),
    "r2": Table(
        "a video of three windows and more, with and without overlap", "basic-mini-long", ("M", "M:overlap=off")
    ),
}
# What trains models before it can score them: recipes/ablations.py.
TRAINED = "table-3"


def get_table(name: str) -> Table:
    """A table by its name.

    Raises:
        ValueError: Unknown table.
    """
    if name not in TABLES:
        known = "; ".join(f"{each} ({table.about})" for each, table in TABLES.items())
        raise ValueError(f"unknown table {name!r}: expected {known}; {TRAINED} (ablations of training)")
    return TABLES[name]


def table_methods(name: str, model: str) -> list[str]:
    """The methods of a table, by a model.

    Raises:
        ValueError: Unknown table.
    """
    methods = get_table(name).methods
    return [method.replace("M", model, 1) if method.startswith("M") else method for method in methods]
