"""Problems as text for people, and in the forms that other tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import attrs

from dacapo_like.config.excerpt import excerpt
from dacapo_like.config.sarif import sarif_log
from dacapo_like.errors import Problem

Format = Literal["text", "json", "github", "sarif"]
Styles: TypeAlias = "dict[str, str]"

_PLAIN = dict.fromkeys(("error", "warning", "place", "faint", "end"), "")
_COLOURED = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "place": "\x1b[1m",
    "faint": "\x1b[2m",
    "end": "\x1b[0m",
}
_SLOW = 1.0  # seconds; what took less is not worth saying


def format_problems(
    problems: Sequence[Problem],
    form: Format,
    *,
    files: int,
    coloured: bool = False,
    texts: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Write problems down.

    Parameters
    ----------
    problems : sequence of Problem
        As ``verify`` gives them.
    form : {"text", "json", "github", "sarif"}
        Lines for people, each with the line of the document that it is about; JSON, as ``schemas/problems.schema.json`` says;
        annotations of GitHub's workflows; SARIF 2.1.0.
    files : int
        How many documents were verified.
    coloured : bool
        Whether text is for a terminal.
    texts : mapping of str to str
        Of those documents that are no files, by the paths of the problems.

    Returns
    -------
    str
        For a file, or standard output; text and annotations of no problems are empty.

    Examples
    --------
    >>> problem = Problem(code="DL401", severity="warning", message="the region leaves its source")
    >>> print(format_problems([problem], "text", files=1))
    <config>: warning DL401: the region leaves its source
    """
    if form == "text":
        styles = _COLOURED if coloured else _PLAIN
        return "\n".join(line for problem in problems for line in _lines(problem, styles, texts))
    if form == "github":
        return "\n".join(map(_annotation, problems))
    return json.dumps(_json(problems, files) if form == "json" else sarif_log(problems), indent=2)


def summary(problems: Sequence[Problem], *, files: int, seconds: float = 0.0) -> str:
    """Say on one line what was found.

    Parameters
    ----------
    problems : sequence of Problem
        Of all documents.
    files : int
        How many documents were verified.
    seconds : float
        How long that took; said where it is over one.

    Examples
    --------
    >>> summary([], files=2), summary([], files=5000, seconds=3.21)
    ('2 documents: no problems', '5000 documents in 3.2 s: no problems')
    """
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [_count(errors, "error"), _count(len(problems) - errors, "warning")]
    found = ", ".join(count for count in counts if count) or "no problems"
    taken = f" in {seconds:.1f} s" if seconds >= _SLOW else ""
    return f"{_count(files, 'document') or 'no documents'}{taken}: {found}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}" if n else ""


def _lines(problem: Problem, styles: Styles, texts: Mapping[str, str]) -> list[str]:
    """Write a problem on one line, and below it what it is about."""
    strong, end = styles[problem.severity], styles["end"]
    said = str(problem)
    place = said[: said.index(f": {problem.severity} {problem.code}", len(problem.path or ""))]
    rest = said[len(f"{place}: {problem.severity}") :]
    first = f"{styles['place']}{place}{end}: {strong}{problem.severity}{end}{rest}"
    if problem.path is None or problem.line is None or problem.column is None:
        return [first]
    shown = excerpt(problem.path, problem.line, problem.column, texts.get(problem.path))
    if shown is None:
        return [first]
    text, lead = shown
    number = str(problem.line)
    faint, blank = styles["faint"], " " * len(number)
    return [
        first,
        f"{faint}  {number} |{end} {text}",
        f"{faint}  {blank} |{end} {lead}{strong}^{end}",
    ]


def _json(problems: Sequence[Problem], files: int) -> dict[str, Any]:
    return {"problems": [attrs.asdict(problem) for problem in problems], "files": files}


# GitHub


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
    key = f"{problem.key}: " if problem.key else ""
    text = _escape(f"{key}{_with_hint(problem)}")
    return f"::{problem.severity} {properties}::{text}"


def _escape(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _with_hint(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
