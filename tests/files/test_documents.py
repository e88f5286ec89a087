"""Every document that does not fit is one line that names file, field, found, expected."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from plenodream.files.documents import dump_document, parse_document, read_document, read_object


@dataclass(frozen=True)
class Part:
    name: str
    spans: list[tuple[int, int, int]]

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("an empty name")


class Known(TypedDict, total=False):
    seconds: float
    scores: dict[str, float]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON (input data was truncated)"),
        ('{"name": ', "not valid JSON (input data was truncated)"),
        ("\0\0", "not valid JSON (invalid character (byte 0))"),
        ("[]", "found [], expected object"),
        ('{"name": 5, "spans": []}', "name: found 5, expected str"),
        ('{"name": "a", "spans": [[1, 2, 3], [1, "x", 2]]}', 'spans[1][1]: found "x", expected int'),
        ('{"name": "a", "spans": [[1, 2]]}', "spans[0]: found [1, 2], expected array of length 3"),
        ('{"name": 5, "other": ' + "[" * 99999, "name: found another type, expected str"),
        ('{"name": "a"}', "object missing required field spans"),
        ('{"name": "", "spans": []}', "an empty name"),
        ('{"name": "a", "spans": [[1, 2, NaN]]}', "not valid JSON"),
        ('{"name": "a", "spans": [[1, 2, 1e999]]}', "spans[0][2]: number out of range"),
        ('{"name": "a", "spans": [[1, 2, ' + "9" * 9999 + "]]}", "spans[0][2]: integer value out of range"),
        ('{"name": {"a": "' + "x" * 999 + '"}, "spans": []}', 'name: found {"a": "xxxx'),
        ('{"other": ' + "[" * 99999 + "]" * 99999 + "}", "not valid JSON (nested too deep)"),
    ],
)
def test_one_line_for_what_does_not_fit(tmp_path, text, words):
    (tmp_path / "part.json").write_text(text)
    with pytest.raises(ValueError) as caught:
        read_document(tmp_path / "part.json", Part, "make it again")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'part.json'}: {words}") and message.endswith("; make it again")
    assert "\n" not in message and len(message) < 300


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"none.json: no such file$"):
        read_document(tmp_path / "none.json", Part)
    with pytest.raises(ValueError, match="is a directory"):
        read_document(tmp_path, Part)
    (tmp_path / "latin").write_bytes('{"name": "ö", "spans": []}'.encode("latin-1"))
    with pytest.raises(ValueError, match="latin: not valid JSON"):
        read_document(tmp_path / "latin", Part)


def test_objects_keep_what_is_not_known(tmp_path):
    content = {"seconds": 1 / 3, "other": [1, {"a": None}], "scores": {"a": 0.1}}
    (tmp_path / "a.json").write_bytes(dump_document(content))
    assert read_object(tmp_path / "a.json", Known) == content
    for bad in ({"seconds": "long"}, {"scores": {"a": []}}, {"scores": 7}):
        (tmp_path / "a.json").write_bytes(dump_document(bad))
        with pytest.raises(ValueError, match="expected"):
            read_object(tmp_path / "a.json", Known)
    assert parse_document("[1, 2]", list[Any], "list") == [1, 2]


def test_names_that_are_no_text_do_not_spoil_a_document(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    (tmp_path / "a.json").write_bytes(dump_document({"notes": [name, "café → ☕"], name: 1}))
    assert read_document(tmp_path / "a.json", dict[str, Any]) == {"notes": ["caf?.mp4", "café → ☕"], "caf?.mp4": 1}
