"""Scores on disk: a file a sample, written whole as soon as it is known, so that any run goes on where one stopped.

    evaluation/rows/SCENE--SHOT.json    scores of one sample, alone and with the shots before it
    evaluation/report.{json,csv,html,txt}, evaluation/.eval_results/plenodream.yaml

A row names what it was made from (hashes of all files, version and settings of every metric): it is taken as it is only
if that is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plenodream.evaluation.metrics.metric import Metric, Score
from plenodream.evaluation.reading import Reader
from plenodream.evaluation.samples import Sample
from plenodream.files.atomic import write_file

FOLDER = "evaluation"
FORMAT = 1


class Row(msgspec.Struct, frozen=True):
    """What is known of one sample.

    Attributes:
        scene: Its scene.
        shot: Its name in it.
        number: Its place in the scene.
        inputs: Hash of all it was made from.
        protocol: Hash of the metrics' versions and settings.
        scores: Sums, in the order of `Score`'s fields.
        features: By set metric and row, features of the sample.
        unavailable: By metric, what it needs and has not got.
        failures: By metric (or `delivery`), why it failed on this sample.
        format: Version of this form.
    """

    scene: str
    shot: str
    number: int
    inputs: str
    protocol: str
    scores: list[tuple[str, str, float, float, float, str | None]] = []
    features: dict[str, dict[str, list[float]]] = {}
    unavailable: dict[str, str] = {}
    failures: dict[str, str] = {}
    format: int = FORMAT

    def each(self) -> list[Score]:
        """The scores."""
        return [Score(*score) for score in self.scores]


def row_path(folder: Path, sample: Sample) -> Path:
    """Where a sample's row lies; names that would meet in one file are told apart by a hash."""
    plain = f"{sample.scene}--{sample.shot}"
    safe = "".join(letter if letter.isalnum() or letter in "._=+-," else "_" for letter in plain)[:150]
    mark = "" if safe == plain else "-" + hashlib.sha256(sample.name.encode()).hexdigest()[:8]
    return folder / "rows" / f"{safe}{mark}.json"


def write_row(folder: Path, sample: Sample, row: Row) -> None:
    """Put a row in its place, whole or not at all; equal rows are equal bytes."""
    path = row_path(folder, sample)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, msgspec.json.format(msgspec.json.encode(row), indent=1) + b"\n")


def read_row(folder: Path, sample: Sample) -> Row | None:
    """A sample's row; None where there is none, or none that can be read."""
    try:
        row = msgspec.json.decode(row_path(folder, sample).read_bytes(), type=Row)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return row if row.format == FORMAT and (row.scene, row.shot) == (sample.scene, sample.shot) else None


def hash_protocol(metrics: Sequence[Metric]) -> str:
    """Hash of the versions and settings of some metrics."""
    texts = [f"{FORMAT}", *(f"{metric.name} {metric.version} {metric.protocol()}" for metric in metrics)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def hash_inputs(sample: Sample, earlier: Sequence[Sample], reader: Reader) -> str:
    """Hash of all that a row depends on besides its metrics: files of the sample and of those before it."""
    digest = hashlib.sha256()
    for each in (*earlier, sample):
        for name, value in vars(each).items():
            if isinstance(value, Path):
                value = reader.digest(value) if value.exists() else "missing"
            elif not isinstance(value, str | int | None):
                value = f"{value.camera_to_world.tolist()} {value.intrinsics.tolist()}"
            digest.update(f"{name} {value}\n".encode())
    return digest.hexdigest()
