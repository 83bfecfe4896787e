"""Problems in the forms that people and other tools read."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from dacapo_like.config.findings import format_problems, summary
from dacapo_like.config.problems_schema import problems_schema
from dacapo_like.errors import Problem

PROBLEM = Problem(
    path="a,b:c.yaml",
    line=3,
    column=7,
    key="arrays.raw",
    code="DL103",
    message="50% wrong\nand more",
    hint="mend it",
)
WARNING = Problem(code="DL401", severity="warning", message="odd")


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        ([], "no problems"),
        ([PROBLEM], "1 error"),
        ([PROBLEM, PROBLEM, WARNING], "2 errors, 1 warning"),
    ],
)
def test_the_summary_counts(problems, expected):
    assert summary(problems, files=1) == f"1 document: {expected}"
    assert summary(problems, files=2, seconds=61.04) == f"2 documents in 61.0 s: {expected}"
    assert summary(problems, files=2, seconds=0.9) == f"2 documents: {expected}"


def test_the_summary_of_nothing():
    assert summary([], files=0) == "no documents: no problems"


# Text


def test_text_is_what_editors_jump_from():
    line = format_problems([PROBLEM], "text", files=1).splitlines()[0]
    assert line == "a,b:c.yaml:3:7: error DL103 [arrays.raw]: 50% wrong"


def shown(tmp_path, text, line, column, name="a.yaml"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    problem = Problem(path=str(path), line=line, column=column, code="DL101", message="wrong")
    return format_problems([problem], "text", files=1).splitlines()[1:]


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("a: 1\ntype: crap\n", 2, 7, ["  2 | type: crap", "    |       ^"]),
        ("a: 1\r\ntype: crap\r\n", 2, 7, ["  2 | type: crap", "    |       ^"]),
        ("\ufefftype: crap", 1, 7, ["  1 | type: crap", "    |       ^"]),
        ("\tb: 1", 1, 2, ["  1 | \tb: 1", "    | \t^"]),
        ("名: x", 1, 4, ["  1 | 名: x", "    |     ^"]),
        ("e\u0301: x", 1, 5, ["  1 | e\u0301: x", "    |    ^"]),
        ("a: [1", 2, 1, []),
        ("a: [1\n", 2, 1, ["  2 | ", "    | ^"]),
        ("a\n" * 99 + "type: crap", 100, 7, ["  100 | type: crap", "      |       ^"]),
        ("a: 1\x85b: 2", 2, 4, ["  2 | b: 2", "    |    ^"]),
    ],
    ids=["line", "crlf", "bom", "tab", "wide", "combining", "beyond", "end", "100", "next-line"],
)
def test_a_caret_stands_under_the_column(tmp_path, text, line, column, expected):
    assert shown(tmp_path, text, line, column) == expected


def test_a_long_line_is_cut_around_the_column(tmp_path):
    text = "x" * 500 + "HERE" + "y" * 500
    first, second = shown(tmp_path, text, 1, 501)
    assert len(first) < 110
    assert first[second.index("^") :].startswith("HERE")
    assert first.startswith("  1 | …")
    assert first.endswith("…")


def test_lines_of_json_and_toml_end_where_their_readers_end_them(tmp_path):
    assert shown(tmp_path, '{"a": "\u2028",\n"b": 1}', 2, 6, "a.json") == [
        '  2 | "b": 1}',
        "    |      ^",
    ]


@pytest.mark.parametrize("path", ["nowhere.yaml", "a\0b.yaml"])
def test_what_cannot_be_shown_is_left_out(path):
    problem = Problem(path=path, line=1, column=1, code="DL001", message="wrong")
    assert format_problems([problem], "text", files=1) == f"{path}:1:1: error DL001: wrong"


def test_a_document_that_is_not_utf8_is_shown_all_the_same(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: \xff")
    problem = Problem(path=str(path), line=1, column=4, code="DL001", message="wrong")
    assert format_problems([problem], "text", files=1).splitlines()[1:] == [
        "  1 | a: \ufffd",
        "    |    ^",
    ]


def test_colours_change_nothing_but_colours(tmp_path):
    path = tmp_path / ": error DL101.yaml"
    path.write_text("type: crap")
    problem = Problem(path=str(path), line=1, column=7, key="a", code="DL101", message="wrong")
    plain = format_problems([problem, WARNING], "text", files=1)
    coloured = format_problems([problem, WARNING], "text", files=1, coloured=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b[1;31merror\x1b[0m DL101" in coloured
    assert "\x1b[1;33mwarning\x1b[0m DL401" in coloured


# JSON


def test_json_holds_every_part():
    found = json.loads(format_problems([PROBLEM, WARNING], "json", files=2))
    assert found["files"] == 2
    assert [Problem(**item) for item in found["problems"]] == [PROBLEM, WARNING]


def test_json_is_as_its_schema_says():
    schema = problems_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for problems in ([], [PROBLEM, WARNING]):
        validator.validate(json.loads(format_problems(problems, "json", files=2)))
    found = json.loads(format_problems([PROBLEM], "json", files=1))
    for wrong in (
        {"files": -1},
        {"more": 1},
        {"problems": [{}]},
        {"problems": [found["problems"][0] | {"line": 0}]},
        {"problems": [found["problems"][0] | {"severity": "note"}]},
        {"problems": [found["problems"][0] | {"code": "X"}]},
    ):
        assert not validator.is_valid(found | wrong)


def test_every_property_is_described():
    (problem,) = [problems_schema()["properties"]["problems"]["items"]]
    assert all(described["description"] for described in problem["properties"].values())


# GitHub


def test_github_annotations_are_escaped():
    text = format_problems([PROBLEM, WARNING], "github", files=1)
    assert text.splitlines() == [
        "::error file=a%2Cb%3Ac.yaml,line=3,col=7,title=DL103::arrays.raw: 50%25 wrong%0Aand more (mend it)",
        "::warning title=DL401::odd",
    ]
