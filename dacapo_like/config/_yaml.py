"""YAML, composed from PyYAML's events: no constructor of PyYAML runs, nothing is ever made of a tag.

Scalars follow the core schema of YAML 1.2 (section 10.3.2): ``on``, ``yes``, ``1:30`` and
``2024-01-01`` are strings, ``010`` is ten. Merge keys (``<<``) are understood; keys that are written
out win over merged ones.
"""

from __future__ import annotations

import re
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Protocol

import yaml

from dacapo_like.config._tree import (
    Container,
    Cursor,
    Plain,
    Position,
    Special,
    Tree,
    TreeBuilder,
    Value,
    integer,
    real,
    refusal,
)
from dacapo_like.errors import DocumentError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

NULL = re.compile(r"|~|null|Null|NULL")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")

_HINTS = {
    "\t": "indent with spaces, not tabs",
    **dict.fromkeys("@`%", "write a string that begins like this in quotes"),
}
_PREFIX = "tag:yaml.org,2002:"
_SEQUENCE_TAGS = (_PREFIX + "seq", _PREFIX + "python/tuple")  # DaCapo wrote the latter
_MAPPING_TAGS = (_PREFIX + "map",)
_SCALAR_TAGS: dict[str, tuple[type, ...]] = {
    _PREFIX + "str": (str,),
    _PREFIX + "null": (NoneType,),
    _PREFIX + "bool": (bool,),
    _PREFIX + "int": (int,),
    _PREFIX + "float": (float, Decimal),
}
_KNOWN_TAGS = {*_SEQUENCE_TAGS, *_MAPPING_TAGS, *_SCALAR_TAGS}
_NOT_PRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def read_yaml(text: str) -> Tree:
    """Read one YAML document."""
    if stray := _NOT_PRINTABLE.search(text):
        got = f"U+{ord(stray[0]):04X}"
        position = Cursor(text).at(stray.start())
        raise refusal("YAML does not allow this character", position, got=got)
    composer = _Composer()
    for event in _events(text):
        composer.take(event)
    return composer.builder.tree()


def resolve(text: str, position: Position) -> Plain | Special:
    """Read a plain scalar by the core schema.

    Examples
    --------
    >>> [resolve(text, Position(1, 1)) for text in ("0o17", "1e3", "yes", "~")]
    [15, 1000.0, 'yes', None]
    """
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text):
        return True
    if FALSE.fullmatch(text):
        return False
    if INTEGER.fullmatch(text):
        return integer(text, position)
    if REAL.fullmatch(text):
        return real(text, position)
    if NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return Special.MERGE if text == "<<" else text


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        what = f"this is not valid YAML: {error.problem} {error.context or ''}".rstrip()
        position = _position(error.problem_mark)
        start = _position(error.context_mark)
        if error.context_mark and start != position:
            what += f" that starts at {start}"
        line = "".join(text.splitlines()[position.line - 1 : position.line])
        hint = _HINTS.get(line[position.column - 1 : position.column])
        raise refusal(what, position, hint=hint) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML's own scanner, without libyaml, lets int() and chr() of what it met raise.
        raise DocumentError(f"this is not valid YAML: {error}") from error


class _Mark(Protocol):
    """A place as PyYAML and libyaml tell it, counted from 0."""

    line: int
    column: int


def _position(mark: _Mark | None) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


class _Composer:
    """Composes a tree from events, one by one: no recursion."""

    def __init__(self) -> None:
        self.builder = TreeBuilder()
        self._documents = 0
        self._open_anchors: list[str | None] = []
        # What each anchor stands for and how it was written; None while that is not complete.
        self._anchors: dict[str, tuple[Value, str] | None] = {}

    def take(self, event: yaml.Event) -> None:
        """Compose one event."""
        position = _position(event.start_mark)
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise refusal("a file must hold one document, here a second starts", position)
            case yaml.ScalarEvent():
                value = _scalar(event, position)
                if value is None and not event.value and self.builder.at_root:
                    raise refusal("the document is empty", position)
                if event.anchor is not None:
                    self._anchors[event.anchor] = value, event.value
                self.builder.add(value, position, event.value)
            case yaml.AliasEvent():
                self._alias(event.anchor or "", position)
            case yaml.SequenceStartEvent():
                _check_tag(event.tag, _SEQUENCE_TAGS, "a list", position)
                self._begin(event.anchor, [], position)
            case yaml.MappingStartEvent():
                _check_tag(event.tag, _MAPPING_TAGS, "a mapping", position)
                self._begin(event.anchor, {}, position)
            case yaml.CollectionEndEvent():
                container = self.builder.close()
                if (anchor := self._open_anchors.pop()) is not None:
                    self._anchors[anchor] = container, ""

    def _begin(self, anchor: str | None, container: Container, position: Position) -> None:
        self.builder.open(container, position)
        self._open_anchors.append(anchor)
        if anchor is not None:
            self._anchors[anchor] = None

    def _alias(self, name: str, position: Position) -> None:
        if name not in self._anchors:
            hint = did_you_mean(name, self._anchors)
            raise refusal(f"the alias *{name} has no anchor &{name} before it", position, hint=hint)
        target = self._anchors[name]
        if target is None:
            raise refusal(f"the alias *{name} is inside of what it stands for", position)
        self.builder.add(target[0], position, target[1])


def _scalar(event: yaml.ScalarEvent, position: Position) -> Plain | Special:
    if event.tag is None:
        return resolve(event.value, position) if event.implicit[0] else event.value
    _check_tag(event.tag, _SCALAR_TAGS, "a scalar", position)
    if event.tag == _PREFIX + "str":
        return event.value
    value = resolve(event.value, position)
    if event.tag == _PREFIX + "float" and type(value) is int:
        value = real(str(value), position)
    if type(value) not in _SCALAR_TAGS[event.tag]:
        raise _misfit(event.tag, f"'{event.value}'", position)
    return value


def _check_tag(tag: str | None, allowed: Collection[str], what: str, position: Position) -> None:
    """Refuse a tag that is not one of those that a kind of node may have."""
    if tag is None or tag in allowed:
        return
    if tag in _KNOWN_TAGS:
        raise _misfit(tag, what, position)
    raise refusal(
        f"the tag {_shown(tag)} is not allowed: documents hold plain data only",
        position,
        expected=", ".join(_shown(known) for known in sorted(_KNOWN_TAGS)),
        hint="remove the tag",
        code="DL005",
    )


def _misfit(tag: str, got: str, position: Position) -> DocumentError:
    what = f"the tag {_shown(tag)} does not fit its value"
    return refusal(what, position, got=got, hint="remove the tag", code="DL005")


def _shown(tag: str) -> str:
    return f"!!{tag.removeprefix(_PREFIX)}" if tag.startswith(_PREFIX) else tag
