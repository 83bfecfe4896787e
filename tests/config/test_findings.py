"""Problems in the forms that other tools read."""

from __future__ import annotations

import json

import pytest

from dacapo_like.config.findings import format_problems
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
    ("problems", "summary"),
    [
        ([], "no problems"),
        ([PROBLEM], "1 error"),
        ([PROBLEM, PROBLEM, WARNING], "2 errors, 1 warning"),
    ],
)
def test_text_ends_with_a_summary(problems, summary):
    assert format_problems(problems, "text", files=1).splitlines()[-1] == f"1 document: {summary}"


def test_text_is_what_editors_jump_from():
    line = format_problems([PROBLEM], "text", files=1).splitlines()[0]
    assert line == "a,b:c.yaml:3:7: error DL103 [arrays.raw]: 50% wrong"


def test_json_holds_every_part():
    found = json.loads(format_problems([PROBLEM, WARNING], "json", files=2))
    assert found["files"] == 2
    assert [Problem(**item) for item in found["problems"]] == [PROBLEM, WARNING]


def test_github_annotations_are_escaped():
    text = format_problems([PROBLEM, WARNING], "github", files=1)
    assert text.splitlines() == [
        "::error file=a%2Cb%3Ac.yaml,line=3,col=7,title=DL103::arrays.raw: 50%25 wrong%0Aand more (mend it)",
        "::warning title=DL401::odd",
    ]


def test_sarif_names_rules_places_and_levels():
    sarif = json.loads(format_problems([PROBLEM, WARNING], "sarif", files=1))
    (run,) = sarif["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["DL103", "DL401"]
    first, second = run["results"]
    assert (first["level"], second["level"]) == ("error", "warning")
    assert first["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "arrays.raw"
    assert first["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 7}
    assert second["locations"] == []
