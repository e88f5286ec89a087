from __future__ import annotations

import pytest

from plenodream.evaluation import harness
from plenodream.evaluation.agreement import CONDITIONS, UNSEEN
from plenodream.evaluation.harness import TARGETS, VIEWS, evaluate
from plenodream.evaluation.metrics.fidelity import psnr
from plenodream.evaluation.report import COVERAGE, EvalReport
from plenodream.evaluation.scenes import held_out
from plenodream.models.rays import camera_tokens
from plenodream.worlds.family import MILD

CONTROLS = ("truth", "warped source", "copy of source", "mean colour")


def same(one: dict, other: dict) -> bool:
    """Whether two rows hold the same numbers, up to the last digits."""
    return all(
        a == b or (None not in (a, b) and a == pytest.approx(b, abs=2e-3, rel=1e-3))
        for column in other
        for a, b in zip(one[column], other[column], strict=True)
    )


@pytest.fixture(scope="module")
def report(tiny_pipeline) -> EvalReport:
    return evaluate(tiny_pipeline(), scenes=2)


@pytest.fixture(scope="module")
def oracle_report(tiny_pipeline) -> EvalReport:
    """Of a network that knows what every camera of the four scenes sees, and takes no context."""
    pipeline = tiny_pipeline()
    data = held_out(MILD, 4, 1 + VIEWS, 3, 16, 16, "benchmark")
    rays = camera_tokens(data.cameras, data.anchor[:, None], 8).flatten(0, 1)
    truth = pipeline.codec.encode(data.rgb.flatten(0, 1).movedim(-1, 1) * 2 - 1)

    def predict(noisy, timestep, camera_tokens, *_):
        distance = (camera_tokens - rays).flatten(2).abs().amax(-1)
        assert (distance.amin(1) < 1e-6).all()
        return truth[distance.argmin(1)][:, None]

    pipeline.transformer.predict = predict
    return evaluate(pipeline, scenes=4)


def test_an_oracle_reaches_the_ceiling_everywhere(oracle_report):
    fidelity, agreement = oracle_report.values["fidelity"], oracle_report.values["agreement"]
    for row in ("sampled", "no motion"):
        assert same(fidelity[row], fidelity["truth"])
    for row in (*CONDITIONS, UNSEEN):
        assert same(agreement[row], agreement["truth"])
    assert max(fidelity["wrong camera"]["all"]) < 40 < min(fidelity["sampled"]["all"])


def test_floors_are_those_of_the_fidelity_functions(report):
    data = held_out(MILD, 2, 1 + VIEWS, 3, 16, 16, "benchmark")
    truth, seen = (values[:, 1 : 1 + TARGETS].flatten(1, 2) for values in (data.rgb, data.seen))
    copied = data.rgb[:, :1].expand(-1, TARGETS, *data.rgb.shape[2:]).flatten(1, 2)
    for column, mask in (("all", None), ("seen", seen), ("hidden", ~seen)):
        expected = psnr(copied, truth, mask).tolist()
        assert report.values["fidelity"]["copy of source"][column] == pytest.approx(expected, abs=1e-3)
    coverage = report.values["fidelity"][COVERAGE]
    assert coverage["seen"] == pytest.approx(seen.float().mean((1, 2, 3)).tolist(), abs=1e-4)


def test_rows_and_columns(report):
    fidelity, agreement = report.values["fidelity"], report.values["agreement"]
    assert fidelity.keys() == {*CONTROLS, "sampled", "wrong camera", "no motion", COVERAGE}
    assert agreement.keys() == {"truth", *CONDITIONS, UNSEEN, "copy of source", "mean colour", COVERAGE}
    for rows in (fidelity, agreement):
        assert len({tuple(columns) for columns in rows.values()}) == 1
        assert all(len(scores) == 2 for columns in rows.values() for scores in columns.values())
    assert fidelity["warped source"]["hidden"] == (None, None)
    warped = zip(*(fidelity[row]["seen"] for row in ("warped source", "copy of source")), strict=True)
    assert all(ceiling > floor + 3 for ceiling, floor in warped)
    assert fidelity["sampled"] != fidelity["wrong camera"] != fidelity["no motion"]


def test_more_scenes_are_the_same_and_further_ones(tiny_pipeline, report, monkeypatch):
    pipeline = tiny_pipeline()
    assert evaluate(pipeline, scenes=2) == report
    assert evaluate(pipeline, scenes=2, seed=1).values != report.values
    monkeypatch.setattr(harness, "GROUP", 2)
    steps: list[tuple[int, int]] = []
    more = evaluate(pipeline, scenes=4, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(step, steps[-1][1]) for step in range(1, len(steps) + 1)] and steps[-1][0] == steps[-1][1]
    for table, rows in report.values.items():
        for row, columns in rows.items():
            first = {column: scores[:2] for column, scores in more.values[table][row].items()}
            assert same(first, columns), (table, row)
    assert {len(videos) for videos in more.gallery.values()} == {4}


@pytest.mark.parametrize("scenes", [0, 3, -2])
def test_scenes_come_in_pairs(tiny_pipeline, scenes):
    with pytest.raises(ValueError, match=f"{scenes} scenes: expected an even number"):
        evaluate(tiny_pipeline(), scenes=scenes)


def test_unknown_family_and_split(tiny_pipeline):
    with pytest.raises(ValueError, match="unknown family 'wild': expected one of mild, full"):
        evaluate(tiny_pipeline(), "wild")
    with pytest.raises(ValueError, match="unknown split"):
        evaluate(tiny_pipeline(), split="test")


def test_a_joint_network_with_guidance_is_measured_too(tiny_pipeline):
    layout = ("context", "target", "context")
    pipeline = tiny_pipeline(guidance=1.0, context_attention="joint", layout=layout)
    report = evaluate(pipeline, "full", scenes=2)
    assert report.guidance == 1.0 and report.family == "full"
    agreement = report.values["agreement"]
    assert agreement["independent"] == agreement["source twice"] != agreement["retrieved history"]
