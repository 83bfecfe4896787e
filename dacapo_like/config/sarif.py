"""Problems as SARIF 2.1.0, the form that code scanning takes.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from dacapo_like.config.codes import CODES
from dacapo_like.errors import Problem

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_NAME = "dacapo-like verify"
_OF_URLS = "/:@?&=+,;%[]#"  # what stands in a URL already


def sarif_log(problems: Sequence[Problem]) -> dict[str, Any]:
    """Make the log of one run: its tool with the rules, which are the codes that occur, and a result for each problem.

    Parameters
    ----------
    problems : sequence of Problem
        As ``verify`` gives them.

    Returns
    -------
    dict
        What JSON has.

    Examples
    --------
    >>> log = sarif_log([Problem(code="DL401", severity="warning", message="the region leaves its source")])
    >>> log["runs"][0]["results"][0]["message"]
    {'text': 'the region leaves its source'}
    """
    codes = sorted({problem.code for problem in problems})
    release = version("dacapo_like")
    driver = {
        "name": _NAME,
        "fullName": f"{_NAME} {release}",
        "version": release,
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, codes.index(problem.code)) for problem in problems],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    """Describe a code, as often as GitHub wants it described; those of types from elsewhere are not known here."""
    marked = CODES.get(code)
    if marked is None:
        return {"id": code}
    plain = {"text": marked.replace("`", "")}
    return {
        "id": code,
        "shortDescription": plain,
        "fullDescription": plain,
        "help": {**plain, "markdown": marked},
    }


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    location: dict[str, Any] = (
        {"logicalLocations": [{"fullyQualifiedName": problem.key}]} if problem.key else {}
    )
    if problem.path is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(problem.path)}}
        if problem.line is not None:
            physical["region"] = {"startLine": problem.line, "startColumn": problem.column or 1}
        location["physicalLocation"] = physical
    text = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": text},
        "locations": [location] if location else [],
    }


def _uri(path: str) -> str:
    """Write a path, or the URL of a store, as a reference: relative ones stay relative, with what is no URI escaped."""
    if "://" in path:
        return quote(path, safe=_OF_URLS)
    if PurePath(path).is_absolute():
        return Path(path).as_uri()
    return quote(PurePath(path).as_posix(), safe="/")
