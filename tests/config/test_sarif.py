"""SARIF, by the schema of the standard."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest

from dacapo_like.config.codes import CODES
from dacapo_like.config.findings import format_problems
from dacapo_like.config.sarif import sarif_log
from dacapo_like.config.verify import verify
from dacapo_like.errors import Problem

ROOT = Path(__file__).parent.parent.parent
BROKEN = sorted(path for path in (ROOT / "tests" / "broken").iterdir() if path.suffix != ".txt")
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
PLACELESS = Problem(path="/a b/c.yaml", code="DL001", message="not there")
FOREIGN = Problem(path="sqlite:////x.db#a b", line=1, code="XY123", message="of somebody's type")
SCHEMA = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"


@pytest.fixture(scope="module")
def validator():
    """Give a validator by the schema of the standard, as Microsoft packs it for tests."""
    named = os.environ.get("DACAPO_LIKE_PEERS_EDITOR")
    file = (Path(named) if named else ROOT / ".venv-editor") / SCHEMA
    if not file.exists():
        pytest.skip(
            "NOT VALIDATED BY THE SCHEMA OF SARIF, which is not installed: run `make peers`, "
            "or name a folder that it has made in DACAPO_LIKE_PEERS_EDITOR"
        )
    schema = json.loads(file.read_text())
    jsonschema.Draft4Validator.check_schema(schema)
    return jsonschema.Draft4Validator(schema)


def written(problems):
    return json.loads(format_problems(problems, "sarif", files=1))


@pytest.mark.parametrize(
    "problems", [[], [PROBLEM], [WARNING, PROBLEM, PLACELESS, FOREIGN, PROBLEM]]
)
def test_the_schema_of_the_standard_holds(validator, problems):
    log = written(problems)
    validator.validate(log)
    (run,) = log["runs"]
    assert len(run["results"]) == len(problems)
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_the_schema_of_the_standard_holds_for_every_broken_document(validator):
    problems = [problem for path in BROKEN for problem in verify(path)]
    assert len(problems) > len(BROKEN)
    validator.validate(written(problems))


def test_the_schema_of_the_standard_refuses_what_is_amiss(validator):
    log = written([PROBLEM])
    for path, value in [
        (("version",), "2.1"),
        (("runs", 0, "tool", "driver", "name"), None),
        (("runs", 0, "columnKind"), "characters"),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "message"), {}),
        (("runs", 0, "results", 0, "ruleIndex"), -2),
        (("runs", 0, "results", 0, "more"), 1),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"), 0),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "column"), 1),
    ]:
        wrong = copy.deepcopy(log)
        *above, last = path
        place = wrong
        for key in above:
            place = place[key]
        place[last] = value
        assert not validator.is_valid(wrong), path


def test_rules_are_described():
    (run,) = sarif_log([PROBLEM, FOREIGN, WARNING])["runs"]
    first, second, foreign = run["tool"]["driver"]["rules"]
    assert [first["id"], second["id"], foreign] == ["DL103", "DL401", {"id": "XY123"}]
    described = sarif_log([Problem(code="DL106", message="x")])["runs"][0]["tool"]["driver"]
    assert described["rules"][0]["shortDescription"] == {"text": "an array without type"}
    assert described["rules"][0]["help"]["markdown"] == CODES["DL106"] == "an array without `type`"


def test_results_name_places_and_levels():
    (run,) = sarif_log([PROBLEM, WARNING])["runs"]
    first, second = run["results"]
    assert (first["level"], second["level"]) == ("error", "warning")
    assert first["message"]["text"] == "50% wrong\nand more (mend it)"
    assert first["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "arrays.raw"
    assert first["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 7}
    assert second["locations"] == []


def uri_of(path):
    (run,) = sarif_log([Problem(path=path, line=1, column=1, code="DL001", message="wrong")])[
        "runs"
    ]
    return run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


@pytest.mark.parametrize("path", ["a b/c#d.yaml", "a,b:c.yaml", "/tmp/ä?.yaml"])
def test_files_are_named_by_uri(path):
    parts = urlsplit(uri_of(path))
    assert (parts.query, parts.fragment) == ("", "")
    assert unquote(parts.path) == path
    assert parts.scheme == ("file" if path.startswith("/") else "")
    assert uri_of(path).isascii()


def test_arrays_of_stores_are_named_by_the_url_of_the_store():
    assert uri_of("postgresql://host:1/db#été 1") == "postgresql://host:1/db#%C3%A9t%C3%A9%201"
