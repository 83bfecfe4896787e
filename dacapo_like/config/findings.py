"""Problems as text for people, and in the forms that other tools read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import attrs

from dacapo_like.errors import Problem

Format = Literal["text", "json", "github", "sarif"]


def format_problems(problems: Sequence[Problem], form: Format, *, files: int) -> str:
    """Write problems down.

    Parameters
    ----------
    problems : sequence of Problem
        As ``verify`` gives them.
    form : {"text", "json", "github", "sarif"}
        Lines for people; JSON; annotations of GitHub's workflows; SARIF 2.1.0.
    files : int
        How many documents were verified.

    Examples
    --------
    >>> print(format_problems([], "text", files=2))
    2 documents: no problems
    """
    return {"text": _text, "json": _json, "github": _github, "sarif": _sarif}[form](problems, files)


def _text(problems: Sequence[Problem], files: int) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [_count(errors, "error"), _count(len(problems) - errors, "warning")]
    summary = ", ".join(count for count in counts if count) or "no problems"
    return "\n".join([*map(str, problems), f"{_count(files, 'document')}: {summary}"])


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}" if n else ""


def _json(problems: Sequence[Problem], files: int) -> str:
    return json.dumps(
        {"problems": [attrs.asdict(problem) for problem in problems], "files": files}, indent=2
    )


def _github(problems: Sequence[Problem], files: int) -> str:  # noqa: ARG001  # annotations stand for themselves
    return "\n".join(map(_annotation, problems))


def _annotation(problem: Problem) -> str:
    place = {
        "file": problem.path,
        "line": problem.line,
        "col": problem.column,
        "title": problem.code,
    }
    properties = ",".join(
        f"{key}={_escape(str(value), ':,')}" for key, value in place.items() if value is not None
    )
    hint = f" ({problem.hint})" if problem.hint else ""
    key = f"{problem.key}: " if problem.key else ""
    text = _escape(f"{key}{problem.message}{hint}")
    return f"::{problem.severity} {properties}::{text}"


def _escape(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _sarif(problems: Sequence[Problem], files: int) -> str:  # noqa: ARG001  # SARIF counts results only
    run = {
        "tool": {
            "driver": {
                "name": "dacapo-like verify",
                "rules": [{"id": code} for code in sorted({problem.code for problem in problems})],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem) for problem in problems],
    }
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [run],
        },
        indent=2,
    )


def _result(problem: Problem) -> dict[str, Any]:
    hint = f" ({problem.hint})" if problem.hint else ""
    location: dict[str, Any] = (
        {"logicalLocations": [{"fullyQualifiedName": problem.key}]} if problem.key else {}
    )
    if problem.path is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": problem.path.replace("\\", "/")}}
        if problem.line is not None:
            physical["region"] = {"startLine": problem.line, "startColumn": problem.column or 1}
        location["physicalLocation"] = physical
    return {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": f"{problem.message}{hint}"},
        "locations": [location] if location else [],
    }
