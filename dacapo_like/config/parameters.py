"""Parameters: ``${name}`` stands for a value that the document defines.

A string that is nothing but ``${name}`` becomes the value, of whatever type; inside of a longer text the value is inserted.
Parameters may use others. Of the environment only those variables are read that a parameter names; secret ones stay
``${secret:VARIABLE}`` in everything that is made of the document, see `dacapo_like.concealed`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import attrs

from dacapo_like.concealed import holds_secret, secret_reference
from dacapo_like.config._tree import MAX_BYTES, MAX_DEPTH, MAX_NODES, Position, too_deep, too_many
from dacapo_like.config._yaml import resolve
from dacapo_like.config.document import Document
from dacapo_like.config.scalars import shorten, wrong_type
from dacapo_like.errors import ConfigError, KeyPath, Problem, did_you_mean, format_key

KEY = "parameters"
"""Where a document defines them."""

_REFERENCE = re.compile(r"\$(?:\$\{|\{([^{}]*)\})")
_LEFT_ALONE = ("root:", "secret:")
_ESCAPED, _OPENING = "$${", "${"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS_OF_VARIABLES = ("env", "default", "secret")
_LONGEST_NUMBER = 100


class _Unresolved:
    """Stands for a value that cannot be told; what is wrong with it has been reported."""

    def __repr__(self) -> str:
        return "an unresolved parameter"


UNRESOLVED = _Unresolved()


class _Variable(NamedTuple):
    """A variable of the environment: its value, and its text for texts."""

    value: Any
    text: str


def resolve_parameters(document: Document) -> Document:
    r"""Put the values of parameters into a document.

    Parameters
    ----------
    document : Document
        Its problems stay; those of its parameters are added.

    Returns
    -------
    Document
        Without `parameters`. What lies inside of an inserted value is placed where that value was written, the value itself
        where it is used. Where a value cannot be told there is `UNRESOLVED`; `unresolved` has the key paths.

    Raises
    ------
    DocumentError
        Parameters insert too much, or too deep.

    Examples
    --------
    >>> from dacapo_like.config.document import parse_document
    >>> text = "parameters: {n: 3, folder: data}\narrays: {a: {level: '${n}', file_name: '${folder}/${n}.zarr'}}"
    >>> resolve_parameters(parse_document(text)).data
    {'arrays': {'a': {'level': 3, 'file_name': 'data/3.zarr'}}}
    """
    data = document.data
    if not isinstance(data, Mapping) or (KEY not in data and not _refers(data)):
        return document
    return _Resolution(document).resolved()


def escaped(data: Any) -> Any:
    """Write text that looks like a reference so that it is read as text again.

    Examples
    --------
    >>> escaped({"file_name": "a/${b}.zarr", "sizes": [1]})
    {'file_name': 'a/$${b}.zarr', 'sizes': [1]}
    """
    if isinstance(data, str):
        return _REFERENCE.sub(_escaped_reference, data)
    if isinstance(data, Mapping):
        return {key: escaped(item) for key, item in data.items()}
    return [escaped(item) for item in data] if isinstance(data, (list, tuple)) else data


def _escaped_reference(found: re.Match[str]) -> str:
    if found[1] is not None and found[1].startswith(_LEFT_ALONE):
        return found[0]
    return f"${found[0]}"


def _refers(data: Any) -> bool:
    """Whether there is a reference in plain data."""
    stack = [data]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if _OPENING in value:
                return True
        elif isinstance(value, Mapping):
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend(value)
    return False


def is_secret(definition: Any) -> bool:
    """Whether the definition of a parameter says that it is a secret."""
    return (
        isinstance(definition, Mapping) and "env" in definition and bool(definition.get("secret"))
    )


class _Resolution:
    """The resolving of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._positions: dict[KeyPath, Position] = {}
        self._key_positions: dict[KeyPath, Position] = {}
        self._problems: dict[Problem, None] = {}
        self._unresolved: set[KeyPath] = set()
        self._pending: list[str] = []
        self._circles: set[frozenset[str]] = set()
        self._room, self._characters = MAX_NODES, MAX_BYTES
        self._used = False  # whether a value is asked for by the document, not only looked at
        given = document.data.get(KEY, {})
        self._given: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        if not isinstance(given, Mapping):
            self._report(wrong_type(given, "a mapping of names to values"), (KEY,))

    def resolved(self) -> Document:
        for name in self._given:
            self._check_name(name)
            self._value(name, (KEY, name), None)
        self._used = True
        for places, found in (
            (self._document.positions, self._positions),
            (self._document.key_positions, self._key_positions),
        ):
            if () in places:
                found[()] = places[()]
        data = {
            key: self._put(value, (key,), (key,))
            for key, value in self._document.data.items()
            if key != KEY
        }
        return attrs.evolve(
            self._document,
            data=data,
            positions=self._positions,
            key_positions=self._key_positions,
            problems=(*self._document.problems, *self._problems),
            unresolved=frozenset(self._unresolved),
        )

    def _put(self, value: Any, at: KeyPath, to: KeyPath | None) -> Any:
        """Give a value that stands at a key path of the document, resolved; `to` is where it goes, if anywhere."""
        self._room -= 1
        if self._room < 0:
            raise too_many(self._position(at))
        if len(at if to is None else to) > MAX_DEPTH:
            raise too_deep(self._position(at))
        if to is not None:
            self._place(at, to)
        if isinstance(value, str):
            return self._put_text(value, at, to)
        if isinstance(value, Mapping):
            return {
                key: self._put(item, (*at, key), None if to is None else (*to, key))
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [
                self._put(item, (*at, i), None if to is None else (*to, i))
                for i, item in enumerate(value)
            ]
        return value

    def _place(self, at: KeyPath, to: KeyPath) -> None:
        if at in self._document.positions:
            self._positions[to] = self._document.positions[at]
        if at in self._document.key_positions:
            self._key_positions[to] = self._document.key_positions[at]

    def _put_text(self, text: str, at: KeyPath, to: KeyPath | None) -> Any:
        found = list(_REFERENCE.finditer(text))
        if len(found) == 1 and found[0][0] == text and not _stays(found[0]):
            value = self._value(found[0][1].strip(), at, to)
            if to is not None:
                self._place(at, to)
        else:
            parts = [self._part(reference, at, i) for i, reference in enumerate(found)]
            value = UNRESOLVED if None in parts else _joined(text, found, parts)
        if isinstance(value, str):
            self._characters -= len(value)
            if self._characters < 0:
                raise too_many(self._position(at))
            value = self._where_secrets_may_stand(value, at, to)
        if value is UNRESOLVED and to is not None:
            self._unresolved.add(to)
        return value

    def _part(self, reference: re.Match[str], at: KeyPath, number: int) -> str | None:
        """Give the text that a reference inside of a text stands for; ``None`` where it has none."""
        if reference[0] == _ESCAPED:
            return _OPENING
        if _stays(reference):
            return reference[0]
        name = reference[1].strip()
        value = self._value(name, at, None, number, inside=True)
        if value is UNRESOLVED:
            return None
        if value is None or isinstance(value, (Mapping, list)):
            error = ConfigError(
                "this parameter cannot stand inside of a text",
                got=f"{name!r}, {shorten(value)}",
                expected="text, a number, true or false",
                hint="write nothing beside it, to have the value itself",
                code="DL103",
            )
            self._report(error, at, number)
            return None
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _value(
        self, name: str, at: KeyPath, to: KeyPath | None, number: int = 0, *, inside: bool = False
    ) -> Any:
        """Give the value of a parameter that is used at a key path, as the reference of that number there."""
        if name not in self._given:
            error = ConfigError(
                "no parameter of this name",
                got=repr(name),
                expected=f"one of {', '.join(self._given)}" if self._given else f"`{KEY}`",
                hint=did_you_mean(name, self._given),
                code="DL120",
            )
            self._report(error, at, number)
            return UNRESOLVED
        with self._entered(name, at, number) as enters:
            if not enters:
                return UNRESOLVED
            definition, place = self._given[name], (KEY, name)
            if isinstance(definition, Mapping) and "env" in definition:
                variable = self._variable(definition, place, to)
                if isinstance(variable, _Variable):
                    return variable.text if inside else variable.value
                return variable
            return self._put(definition, place, to)

    @contextmanager
    def _entered(self, name: str, at: KeyPath, number: int) -> Iterator[bool]:
        if name in self._pending:
            circle = self._pending[self._pending.index(name) :]
            if frozenset(circle) not in self._circles:
                self._circles.add(frozenset(circle))
                shown_names = [f"{part} ({self._position((KEY, part))})" for part in circle]
                error = ConfigError(
                    "parameters refer to each other in a circle",
                    got=" -> ".join([*shown_names, name]),
                    code="DL121",
                )
                self._report(error, at, number)
            yield False
            return
        if len(self._pending) >= MAX_DEPTH:
            raise too_deep(self._position(at))
        self._pending.append(name)
        try:
            yield True
        finally:
            self._pending.pop()

    def _variable(self, definition: Mapping[str, Any], place: KeyPath, to: KeyPath | None) -> Any:
        """Give what a parameter of the environment is: a `_Variable`, its default, or the reference to a secret."""
        if not self._declares(definition, place):
            return UNRESOLVED
        variable = definition["env"]
        if definition.get("secret", False):
            return secret_reference(variable)
        text = os.environ.get(variable)
        if text is not None:
            return _Variable(_scalar(text), text)
        if "default" in definition:
            return self._put(definition["default"], (*place, "default"), to)
        if self._used:
            error = ConfigError(
                "an environment variable is not set",
                got=variable,
                hint="set it, or give the parameter a `default`",
                code="DL122",
            )
            self._report(error, (*place, "env"))
        return UNRESOLVED

    def _declares(self, definition: Mapping[str, Any], place: KeyPath) -> bool:
        """Whether a parameter names a variable of the environment as it should; what is wrong is reported."""
        errors = [
            (ConfigError(
                "unknown key",
                got=repr(key),
                expected=f"one of {', '.join(_KEYS_OF_VARIABLES)}",
                hint=did_you_mean(str(key), _KEYS_OF_VARIABLES),
                code="DL105",
            ), key)
            for key in definition
            if key not in _KEYS_OF_VARIABLES
        ]  # fmt: skip
        env, secret = definition["env"], definition.get("secret", False)
        if not isinstance(env, str) or not _VARIABLE.fullmatch(env):
            errors.append((wrong_type(env, "the name of an environment variable"), "env"))
        if not isinstance(secret, bool):
            errors.append((wrong_type(secret, "true or false"), "secret"))
        elif secret and "default" in definition:
            what = "a secret has no default: what a document says is no secret"
            errors.append((ConfigError(what, code="DL123"), "default"))
        for error, key in errors:
            self._report(error, (*place, key), of_key=error.code == "DL105")
        return not errors

    def _check_name(self, name: str) -> None:
        if not name or ":" in name or "{" in name or "}" in name or name != name.strip():
            error = ConfigError(
                "not a name of a parameter",
                got=repr(name),
                expected="no braces, no colon, no space around it",
            )
            self._report(error, (KEY, name), of_key=True)

    def _where_secrets_may_stand(self, text: str, at: KeyPath, to: KeyPath | None) -> Any:
        """Refuse a secret outside of the query of a URL, which messages leave out."""
        if to is None or not holds_secret(text):
            return text
        before_query = text.partition("?")[0]
        is_url = before_query.lower().startswith(("http://", "https://"))
        if to[-1] == "file_name" and is_url and not holds_secret(before_query):
            return text
        error = ConfigError(
            "a secret stands where it could be seen",
            expected="it behind the `?` of a URL http:// or https:// under `file_name`",
            code="DL123",
        )
        self._report(error, at if at[:1] != (KEY,) else to)
        return UNRESOLVED

    def _position(self, key: KeyPath) -> Position:
        return self._document.position(key) or Position(1, 1)

    def _report(
        self,
        error: ConfigError,
        key: KeyPath,
        number: int | None = None,
        *,
        of_key: bool = False,
    ) -> None:
        place = self._document.place(key, of_key=of_key)
        if number is not None and place["line"] is not None:
            position = self._document.find(key, _REFERENCE, number)
            place |= {"line": position.line, "column": position.column}
        problem = Problem(
            **place,
            key=format_key(key),
            code=error.code,
            message=error.message,
            hint=error.hint,
        )
        self._problems.setdefault(problem)


def _stays(reference: re.Match[str]) -> bool:
    """Whether what looks like a reference is left as it is, or is an escaped one."""
    return reference[1] is None or reference[1].startswith(_LEFT_ALONE)


def _joined(text: str, found: list[re.Match[str]], parts: list[Any]) -> str:
    pieces, start = [], 0
    for reference, part in zip(found, parts, strict=True):
        pieces += [text[start : reference.start()], part]
        start = reference.end()
    return "".join([*pieces, text[start:]])


def _scalar(text: str) -> Any:
    """Read the text of a variable as YAML reads a plain scalar."""
    if len(text) > _LONGEST_NUMBER:
        return text
    value = resolve(text, Position(1, 1))
    plain = value is None or isinstance(value, (str, int, float, Decimal))
    return value if plain else text
