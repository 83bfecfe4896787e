"""The JSON Schema of what ``verify --format json`` prints."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from dacapo_like.errors import Problem, Severity

_DESCRIPTIONS = {
    "path": "The document, as it was named; null for one in memory.",
    "line": "Line of the document, counted from 1; null where the problem has no place.",
    "column": "Column, counted from 1 in characters.",
    "key": "Key path, for example `arrays.mito.groupings`; empty for the whole document.",
    "code": "Stable code, see the reference of codes.",
    "severity": "Only errors make a document invalid.",
    "message": "What is wrong, what was met and what was expected.",
    "hint": "How to mend it.",
}
_COUNTED = {"type": "integer", "minimum": 1}


def problems_schema() -> dict[str, Any]:
    """Make the JSON Schema, draft 2020-12, of problems as JSON.

    Examples
    --------
    >>> problems_schema()["required"]
    ['problems', 'files']
    """
    hints = get_type_hints(Problem)
    properties = {
        field.name: {"description": _DESCRIPTIONS[field.name]} | _type(hints[field.name])
        for field in attrs.fields(Problem)
    }
    properties["code"]["pattern"] = "^DL[0-9]{3}$"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dacapo_like problems",
        "type": "object",
        "description": "What `dacapo-like verify --format json` prints.",
        "properties": {
            "problems": {
                "type": "array",
                "description": "Every problem, document by document, each in the order of its lines.",
                "items": {
                    "type": "object",
                    "properties": properties,
                    "required": list(properties),
                    "additionalProperties": False,
                },
            },
            "files": {
                "type": "integer",
                "minimum": 0,
                "description": "How many documents were verified.",
            },
        },
        "required": ["problems", "files"],
        "additionalProperties": False,
    }


def _type(hint: Any) -> dict[str, Any]:
    if hint == Severity:
        return {"enum": list(get_args(Severity))}
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    known: dict[Any, dict[str, Any]] = {
        str: {"type": "string"},
        int: _COUNTED,
        type(None): {"type": "null"},
    }
    found = [known[member] for member in members]
    return found[0] if len(found) == 1 else {"anyOf": found}
