"""The paper's tables in miniature: which methods stand in them. M is the model that is asked for."""

from __future__ import annotations

# The main table: ours; every shot from the source alone, as ReCamMaster renders; a point cloud without and with what
# was made (TrajectoryCrafter's way, and ours); random context (the paper's ablation), and the other strategies.
TABLES: dict[str, tuple[str, ...]] = {
    "table-1": (
        "M", "M:memory=source", "reprojection:update=off", "reprojection", "M:strategy=random", "M:strategy=last",
        "M:strategy=pose", "M:strategy=coverage",
    ),
    # Context size at inference.
    "context-size": ("M", "M:k=1", "M:k=2", "M:k=3", "M:k=4", "M:k=6"),
    # Merging (Algorithm 2), and whether the source may drop out, each alone and as the paper has them.
    "memory": ("M", "M:merging=on", "M:keep-source=off", "M:merging=on,keep-source=off"),
}  # fmt: skip


def table_methods(name: str, model: str) -> list[str]:
    """The methods of a table, by a model.

    Raises:
        ValueError: Unknown table.
    """
    if name not in TABLES:
        raise ValueError(f"unknown table {name!r}: expected one of {', '.join(TABLES)}")
    return [method.replace("M", model, 1) if method.startswith("M") else method for method in TABLES[name]]
