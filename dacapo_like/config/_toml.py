"""TOML: the standard library reads values and judges the syntax, a scanner finds the positions.

Dates and times become strings in ISO 8601: they would be strings in YAML and JSON too.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from typing import TYPE_CHECKING, Any, Literal

from dacapo_like.config._tree import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_NODES,
    Cursor,
    Position,
    Tree,
    real,
    refusal,
    too_deep,
    too_long,
    too_many,
)

if TYPE_CHECKING:
    from dacapo_like.errors import KeyPath

# No alternative can fail once begun (an unterminated string ends where it must): time stays linear.
_LEXEME = re.compile(
    r"""
      \#[^\n]*+ | [^\S\n]++
    | (?P<lexeme>
        \"{3} (?: [^"\\]++ | \\. | "(?!"") )*+ (?: "{3,5} )?
      | '{3} (?: [^']++ | '(?!'') )*+ (?: '{3,5} )?
      | " (?: [^"\\\n]++ | \\[^\n] )*+ "?
      | ' [^'\n]*+ '?
      | [\[\]{}=,.\n]
      | [^\s\[\]{}=,.\#"']++
      )
    """,
    re.VERBOSE | re.DOTALL,
)
_MAX_LEXEMES = 8 * MAX_NODES  # `key = 1.5` and its line's end are six
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class _Number(str):
    """A float as it was written."""

    __slots__ = ()


def read_toml(text: str) -> Tree:
    """Read a TOML document."""
    _check_size(text)
    try:
        data = tomllib.loads(text, parse_float=_Number)
    except tomllib.TOMLDecodeError as error:
        what, position = str(error), Cursor(text).at(len(text))
        if place := _PLACE.search(what):
            what = what[: place.start()]
            if place[1]:
                position = Position(int(place[1]), int(place[2]))
        raise refusal(f"this is not valid TOML: {what}", position) from error
    scanner = _Scanner(text)
    if len(scanner.positions) > MAX_NODES:
        raise too_many(list(scanner.positions.values())[MAX_NODES])
    return Tree(_plain(data, (), scanner.positions), scanner.positions, scanner.key_positions)


def _check_size(text: str) -> None:
    """Refuse what the standard library would recurse into, or take very long for."""
    depth = dots = count = 0

    def position() -> Position:
        return Cursor(text).at(match.start("lexeme"))

    for match in _LEXEME.finditer(text):
        lexeme = match["lexeme"]
        if lexeme is None:
            continue
        count += 1
        if lexeme == ".":
            dots += 1
        elif lexeme in ("[", "{"):
            depth += 1
            dots = 0
        elif lexeme in ("]", "}"):
            depth = max(depth - 1, 0)
        elif lexeme in ("=", ","):
            dots = 0
        elif len(lexeme) > MAX_DIGITS and lexeme[0] in "+-0123456789":
            raise too_long(lexeme, position())
        if max(depth, dots) > MAX_DEPTH:
            raise too_deep(position())
        if count > _MAX_LEXEMES:
            raise too_many(position())


def _plain(value: Any, path: KeyPath, positions: dict[KeyPath, Position]) -> Any:
    position = positions.get(path, Position(1, 1))
    match value:
        case dict() | list() if len(path) >= MAX_DEPTH:
            raise too_deep(position)
        case dict():
            return {key: _plain(item, (*path, key), positions) for key, item in value.items()}
        case list():
            return [_plain(item, (*path, i), positions) for i, item in enumerate(value)]
        case _Number():
            finite = value.lstrip("+-") not in ("inf", "nan")
            return real(value, position) if finite else float(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            return value


class _Scanner:
    """Finds where the keys and values of a valid TOML document stand."""

    def __init__(self, text: str) -> None:
        self.positions: dict[KeyPath, Position] = {(): Position(1, 1)}
        self.key_positions: dict[KeyPath, Position] = {(): Position(1, 1)}
        self._awaits: Literal["key", "header", "value", "end"] = "key"
        self._parts: list[tuple[str, Position]] = []  # of the key being read
        self._table: KeyPath = ()  # that the last header opened
        self._lengths: dict[KeyPath, int] = {}  # of arrays of tables, up to here
        self._brackets = 0  # of the header being read
        self._value: KeyPath = ()  # that is awaited
        self._open: list[tuple[KeyPath, bool]] = []  # arrays and inline tables; is it an array?
        self._cursor = Cursor(text)
        for match in _LEXEME.finditer(text):
            if match["lexeme"]:
                self._take(match["lexeme"], match.start())

    def _take(self, lexeme: str, offset: int) -> None:
        match self._awaits:
            case "key":
                self._take_key(lexeme, offset)
            case "header":
                self._take_header(lexeme, offset)
            case "value":
                self._take_value(lexeme, offset)
            case "end":
                self._take_end(lexeme)

    def _take_key(self, lexeme: str, offset: int) -> None:
        if lexeme == "[":
            self._awaits, self._brackets = "header", 1
        elif lexeme == "}":
            self._leave()
        elif lexeme == "=":
            self._value = self._open[-1][0] if self._open else self._table
            for name, place in self._parts:
                self._place(self._value, place)
                self._value = (*self._value, name)
                self.key_positions.setdefault(self._value, place)
            self._parts.clear()
            self._awaits = "value"
        elif lexeme not in (".", ",", "\n"):
            self._parts.append((_name(lexeme), self._cursor.at(offset)))

    def _take_header(self, lexeme: str, offset: int) -> None:
        if lexeme == "[":
            self._brackets = 2
        elif lexeme == "]" and self._parts:
            self._enter_table()
        elif lexeme == "\n":
            self._awaits = "key"
        elif lexeme not in (".", "]"):
            self._parts.append((_name(lexeme), self._cursor.at(offset)))

    def _enter_table(self) -> None:
        path: KeyPath = ()
        for name, place in self._parts:
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
            path = (*path, name)
            self._place(path, place)
        position = self._parts[-1][1]
        if self._brackets == 2:
            self._lengths[path] = self._lengths.get(path, 0) + 1
            path = (*path, self._lengths[path] - 1)
        # A table's own header tells more than the header of a table inside it, met before.
        self.positions[path] = self.key_positions[path] = position
        self._table = path
        self._parts.clear()

    def _take_value(self, lexeme: str, offset: int) -> None:
        if lexeme == "\n":
            return
        if lexeme == "]":
            self._leave()
            return
        self._place(self._value, self._cursor.at(offset))
        self._awaits = "end"
        if lexeme == "[":
            self._open.append((self._value, True))
            self._value = (*self._value, 0)
            self._awaits = "value"
        elif lexeme == "{":
            self._open.append((self._value, False))
            self._awaits = "key"

    def _take_end(self, lexeme: str) -> None:
        """Take what follows a value; the rest of a float or of a date says nothing."""
        if lexeme == "\n" and not self._open:
            self._awaits = "key"
        elif lexeme in ("]", "}"):
            self._leave()
        elif lexeme == "," and self._open[-1][1]:
            *array, index = self._value
            self._value = (*array, int(index) + 1)
            self._awaits = "value"
        elif lexeme == ",":
            self._awaits = "key"

    def _leave(self) -> None:
        self._value = self._open.pop()[0]
        self._awaits = "end"

    def _place(self, path: KeyPath, position: Position) -> None:
        self.positions.setdefault(path, position)
        self.key_positions.setdefault(path, position)


def _name(lexeme: str) -> str:
    """Return the key that a bare or quoted part of a key names."""
    return str(tomllib.loads(f"name = {lexeme}")["name"]) if lexeme[0] in "\"'" else lexeme
