"""JSON: the standard library judges the syntax, a tokenizer finds depth, duplicates and positions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dacapo_like.config._tree import (
    MAX_DEPTH,
    MAX_NODES,
    Cursor,
    Plain,
    Position,
    Tree,
    TreeBuilder,
    integer,
    real,
    refusal,
    too_deep,
    too_many,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dacapo_like.errors import DocumentError

# Strings (an unterminated one runs to the end), brackets, literals; commas and colons say nothing new.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]|[^\s"\[\]{},:]++', re.DOTALL)
_LITERALS = {"true": True, "false": False, "null": None}


def read_json(text: str) -> Tree:
    """Read one JSON document."""
    if not text.strip():
        raise refusal("the document is empty", Position(1, 1))
    _check_size(text)
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise _invalid(text, error) from error
    builder = TreeBuilder()
    for token, position in _tokens(text):
        match token[0]:
            case "{":
                builder.open({}, position)
            case "[":
                builder.open([], position)
            case "}" | "]":
                builder.close()
            case _:
                builder.add(_scalar(token, position), position, token)
    return builder.tree()


def _invalid(text: str, error: json.JSONDecodeError) -> DocumentError:
    """Give the error for what is no JSON; Pythons tell different places of a comma behind which nothing comes."""
    before = text[: error.pos + 1].rstrip()
    comma = before.rstrip("]}").rstrip()
    if comma.endswith(",") and text[len(comma) :].lstrip()[:1] in ("]", "}"):
        position = Cursor(text).at(len(comma) - 1)
        return refusal(
            "this is not valid JSON: a comma behind the last value", position, hint="remove it"
        )
    return refusal(f"this is not valid JSON: {error.msg}", Position(error.lineno, error.colno))


def _check_size(text: str) -> None:
    """Refuse deep nesting before the standard library recurses into it, and what is too long."""
    depth = 0
    for count, match in enumerate(_TOKEN.finditer(text)):
        if match[0] in ("{", "["):
            depth += 1
        elif match[0] in ("}", "]"):
            depth -= 1
        if depth > MAX_DEPTH:
            raise too_deep(Cursor(text).at(match.start()))
        if count >= 3 * MAX_NODES:  # a value has at most a key and two brackets
            raise too_many(Cursor(text).at(match.start()))


def _tokens(text: str) -> Iterator[tuple[str, Position]]:
    cursor = Cursor(text)
    return ((match[0], cursor.at(match.start())) for match in _TOKEN.finditer(text))


def _scalar(token: str, position: Position) -> Plain:
    """Read a token that is known to be a valid string, number or literal."""
    if token[0] == '"':
        return str(json.loads(token))
    if token in _LITERALS:
        return _LITERALS[token]
    if token.lstrip("-")[0].isalpha():
        raise refusal("JSON has no such number", position, got=token)
    if token.lstrip("-").isdigit():
        return integer(token, position)
    return real(token, position)
