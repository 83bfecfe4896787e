"""What a document holds and where it stands, whatever its format; the limits that keep reading it safe.

The readers of YAML and JSON report what they meet, in reading order, to a `TreeBuilder`; what it
builds is unfolded into plain data and the positions of every key path. Nothing recurses deeper than
`MAX_DEPTH`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypeAlias

import attrs

from dacapo_like.errors import DocumentError, KeyPath, Problem, format_key

MAX_BYTES = 8 * 2**20
"""Size of a document."""
MAX_DEPTH = 64
"""Lists and mappings inside each other."""
MAX_NODES = 100_000
"""Values in a document, each alias counted as all that it stands for."""
MAX_DIGITS = 400
"""Characters of a number, and its decimal exponent: reading longer ones is quadratic in Python."""

SURROGATE = re.compile("[\ud800-\udfff]")

Plain: TypeAlias = "str | int | float | Decimal | bool | None"
Container: TypeAlias = "list[Entry] | dict[str, Entry]"
Value: TypeAlias = "Plain | Special | Container"


class Special(Enum):
    """Values that are no data."""

    MERGE = "<<"


@attrs.frozen(order=True)
class Position:
    """A place in a document.

    Attributes
    ----------
    line, column : int
        Counted from 1, in characters.
    """

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class Cursor:
    r"""Turns growing offsets into a text into positions.

    Examples
    --------
    >>> print(Cursor("a: 1\nb: 2").at(8))
    line 2, column 4
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._line = 1
        self._line_start = 0

    def at(self, offset: int) -> Position:
        """Position of an offset that is not before the last one asked for."""
        self._line += self._text.count("\n", self._offset, offset)
        newline = self._text.rfind("\n", self._offset, offset)
        if newline >= 0:
            self._line_start = newline + 1
        self._offset = offset
        return Position(self._line, offset - self._line_start + 1)


def nearest(positions: Mapping[KeyPath, Position], path: KeyPath) -> Position | None:
    """Return the position of a key path, or of the longest part of it that has one."""
    for length in range(len(path), -1, -1):
        if path[:length] in positions:
            return positions[path[:length]]
    return None


def refusal(what: str, position: Position, **parts: Any) -> DocumentError:
    """Return the error that ends the reading of a document at a position."""
    return DocumentError(what, line=position.line, column=position.column, **parts)


def too_deep(position: Position) -> DocumentError:
    """Return the error for one level of nesting too many."""
    return refusal(
        "lists and mappings are nested too deep",
        position,
        expected=f"at most {MAX_DEPTH} levels",
        code="DL002",
    )


def too_many(position: Position) -> DocumentError:
    """Return the error for one value too many."""
    return refusal(
        "the document holds too much",
        position,
        expected=f"at most {MAX_NODES} values, aliases counted as all that they stand for",
        code="DL002",
    )


def too_long(text: str, position: Position) -> DocumentError:
    """Return the error for a number too long or too large to be meant."""
    got = text if len(text) <= 40 else f"{text[:20]}… of {len(text)} characters"
    expected = f"at most {MAX_DIGITS} characters and a decimal exponent within ±{MAX_DIGITS}"
    return refusal("the number is too long", position, got=got, expected=expected, code="DL002")


def integer(text: str, position: Position) -> int:
    """Read a decimal integer, or a hexadecimal or octal one behind ``0x`` or ``0o``."""
    if len(text) > MAX_DIGITS:
        raise too_long(text, position)
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    return int(text, base)


def real(text: str, position: Position) -> float | Decimal:
    """Read a decimal number exactly: a float if its repr is that very number, else a Decimal.

    Examples
    --------
    >>> real("9.80", Position(1, 1))
    9.8
    >>> real("0.12345678901234567890123", Position(1, 1))
    Decimal('0.12345678901234567890123')
    """
    exponent = text.lower().partition("e")[2] or "0"
    if len(text) > MAX_DIGITS or abs(int(exponent)) > 2 * MAX_DIGITS:
        raise too_long(text, position)
    exact, nearest = Decimal(text), float(text)
    if math.isfinite(nearest) and Decimal(repr(nearest)) == exact:
        return nearest
    if abs(exact.adjusted()) > MAX_DIGITS:
        raise too_long(text, position)
    return exact


@attrs.frozen(eq=False)
class Entry:
    """A value where it stands: under a key, in a list, or as the whole document.

    Lists hold entries, mappings hold them by key. Containers are shared by the aliases that name
    them.
    """

    key_position: Position
    position: Position
    value: Value


@attrs.frozen(eq=False)
class Tree:
    """A document's data, the positions of its values and keys, and what was wrong on the way."""

    data: Any
    positions: dict[KeyPath, Position]
    key_positions: dict[KeyPath, Position]
    problems: tuple[Problem, ...] = ()


@attrs.define(eq=False)
class _Open:
    """A list or mapping of which the end was not met yet."""

    container: Container
    position: Position
    path: KeyPath
    has_key: bool = False  # a mapping that awaits the value of the key
    key: str = ""
    key_position: Position = attrs.field(default=Position(1, 1))
    key_use: Literal["keep", "drop", "merge"] = "keep"
    seen: dict[str, Position] = attrs.field(factory=dict)
    merged: dict[str, Entry] = attrs.field(factory=dict)


class TreeBuilder:
    """Builds the tree of a document from what is met in reading it.

    Mappings take a key and its value by turns. Problems that let reading go on are collected: a
    duplicate key (the first one's value is kept), a key that is no string.
    """

    def __init__(self) -> None:
        self._root: Entry | None = None
        self._problems: list[Problem] = []
        self._open: list[_Open] = []
        self._count = 0

    @property
    def at_root(self) -> bool:
        """Whether the next value is the whole document."""
        return not self._open

    def open(self, container: Container, position: Position) -> None:
        """Begin an empty list or mapping."""
        if len(self._open) >= MAX_DEPTH:
            raise too_deep(position)
        self._open.append(_Open(container, position, self._path()))

    def close(self) -> Container:
        """End the innermost list or mapping; it is returned, for aliases."""
        closed = self._open.pop()
        value = closed.container
        if isinstance(value, dict) and closed.merged:
            value = closed.merged | value
        self.add(value, closed.position)
        return value

    def add(self, value: Value, position: Position, text: str = "") -> None:
        """Put a whole value in the next place; `text` is how a scalar was written."""
        if isinstance(value, str) and SURROGATE.search(value):
            raise refusal("a string holds half of a surrogate pair, which is no text", position)
        parent = self._open[-1] if self._open else None
        if parent and isinstance(parent.container, dict) and not parent.has_key:
            self._take_key(parent, value, position, text)
            return
        self._tally(1, position)
        if parent is None:
            self._root = Entry(position, position, value)
        elif isinstance(parent.container, list):
            parent.container.append(Entry(position, position, value))
        else:
            if parent.key_use == "keep":
                parent.container[parent.key] = Entry(parent.key_position, position, value)
            elif parent.key_use == "merge":
                self._merge(parent, value, position)
            parent.has_key = False

    def tree(self) -> Tree:
        """Return the whole document, when all of it was put in."""
        if self._root is None:
            raise refusal("the document is empty", Position(1, 1))
        return attrs.evolve(_unfold(self._root), problems=tuple(self._problems))

    def _tally(self, number: int, position: Position) -> None:
        self._count += number
        if self._count > MAX_NODES:
            raise too_many(position)

    def _path(self) -> KeyPath:
        """Return the path of the place that the next value takes."""
        if not self._open:
            return ()
        parent = self._open[-1]
        if isinstance(parent.container, list):
            return (*parent.path, len(parent.container))
        return (*parent.path, parent.key) if parent.has_key else parent.path

    def _take_key(self, parent: _Open, value: Value, position: Position, text: str) -> None:
        parent.key_position = position
        if isinstance(value, list | dict):
            message = f"a key must be a string, got {kind(value)}"
            hint = "write braces and brackets that belong to a string in quotes"
            self._report("DL004", position, message, hint=hint)
            parent.has_key, parent.key, parent.key_use = True, "?", "drop"
            return
        parent.has_key = True
        parent.key = value if isinstance(value, str) else text
        parent.key_use = "merge" if value is Special.MERGE else "keep"
        first = parent.seen.setdefault(parent.key, position)
        if first is not position:
            parent.key_use = "drop"
            message = f"the key '{parent.key}' is there twice; its first value, at {first}, counts"
            self._report("DL003", position, message, hint="rename or remove one of them")
        elif not isinstance(value, str | Special):
            message = f"a key must be a string, got {kind(value)} {text}".rstrip()
            self._report("DL004", position, message, hint=f'write it in quotes: "{text}"')

    def _merge(self, parent: _Open, value: Value, position: Position) -> None:
        """Take over the keys of the mappings behind ``<<``; the first of equal keys counts."""
        named = [item.value for item in value] if isinstance(value, list) else [value]
        for mapping in named:
            if not isinstance(mapping, dict):
                message = f"'<<' takes a mapping or a list of mappings, got {kind(mapping)}"
                self._report("DL004", position, message)
                continue
            self._tally(len(mapping), position)
            for key, entry in mapping.items():
                parent.merged.setdefault(key, entry)

    def _report(self, code: str, position: Position, message: str, hint: str | None = None) -> None:
        self._problems.append(
            Problem(
                line=position.line,
                column=position.column,
                key=format_key(self._path()),
                code=code,
                message=message,
                hint=hint,
            )
        )


def kind(value: object) -> str:
    """Name the kind of a value as documents have it.

    Examples
    --------
    >>> kind([1, 2])
    'a list'
    """
    match value:
        case None:
            return "null"
        case bool():
            return "the boolean"
        case int():
            return "the integer"
        case float() | Decimal():
            return "the number"
        case str() | Special():
            return "a string"
        case list():
            return "a list"
        case _:
            return "a mapping"


def check_plain(data: Any) -> None:
    """Refuse data that was read from no text where it is too deep, too much, without end, or has keys that are no strings.

    Raises
    ------
    DocumentError
        What it is, and under which key.
    """
    stack: list[tuple[KeyPath, Any]] = [((), data)]
    count = 0
    while stack:
        path, value = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise DocumentError(
                "the document holds too much",
                expected=f"at most {MAX_NODES} values",
                code="DL002",
            )
        if not isinstance(value, (Mapping, list, tuple)):
            continue
        if len(path) >= MAX_DEPTH:
            raise DocumentError(
                "lists and mappings are nested too deep",
                expected=f"at most {MAX_DEPTH} levels",
                code="DL002",
            )
        if isinstance(value, Mapping):
            for key, item in value.items():
                if not isinstance(key, str):
                    under = f" under {format_key(path)}" if path else ""
                    raise DocumentError(
                        f"a key must be a string{under}", got=type(key).__name__, code="DL004"
                    )
                stack.append(((*path, key), item))
        else:
            stack.extend(((*path, index), item) for index, item in enumerate(value))


def _unfold(root: Entry) -> Tree:
    """Turn entries into plain data; what aliases share is copied, counted and limited."""
    tree = Tree(None, {}, {})

    def plain(entry: Entry, path: KeyPath) -> Any:
        if len(tree.positions) >= MAX_NODES:
            raise too_many(entry.position)
        tree.positions[path] = entry.position
        tree.key_positions[path] = entry.key_position
        if not isinstance(entry.value, list | dict):
            return "<<" if entry.value is Special.MERGE else entry.value
        if len(path) >= MAX_DEPTH:
            raise too_deep(entry.position)
        if isinstance(entry.value, list):
            return [plain(item, (*path, index)) for index, item in enumerate(entry.value)]
        return {key: plain(item, (*path, key)) for key, item in entry.value.items()}

    return attrs.evolve(tree, data=plain(root, ()))
