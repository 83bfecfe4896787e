"""Overrides: ``key.path=value`` puts a value into a document from outside of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import attrs

from dacapo_like.config._tree import check_plain
from dacapo_like.config.document import Document, parse_document
from dacapo_like.config.parameters import KEY, is_secret
from dacapo_like.config.scalars import shorten
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    KeyPath,
    Problem,
    did_you_mean,
    format_key,
)

Overrides: TypeAlias = Mapping[str, Any] | Iterable[str]

_PART = re.compile(
    r'\[(?P<index>[0-9]{1,9})\]|(?:^|\.)(?:"(?P<quoted>[^"]+)"|(?P<name>[^.\[\]"=]+))'
)


def override(document: Document, overrides: Overrides) -> Document:
    r"""Put values into a document.

    Parameters
    ----------
    document : Document
        Its data are not changed.
    overrides : mapping, or iterable of str
        Values by key path; or ``key.path=value`` each, the value as in YAML. A name with dots is written in double quotes.

    Returns
    -------
    Document
        Problems of what was put in have no line: their place is ``override``.

    Examples
    --------
    >>> document = parse_document("arrays: {raw: {level: 0}}\ndatasets: [{name: a}]")
    >>> override(document, ["arrays.raw.level=1", "datasets[0].weight=0.5"]).data
    {'arrays': {'raw': {'level': 1}}, 'datasets': [{'name': 'a', 'weight': 0.5}]}
    """
    given = overrides.items() if isinstance(overrides, Mapping) else map(_split, overrides)
    data, problems, done = document.data, list(document.problems), set(document.overridden)
    for key, value in given:
        path: KeyPath = ()
        try:
            path = key_path(key)
            changed = _with(data, path, _parsed(value))
            check_plain(changed)
            _refuse_secret(data, path)
        except DacapoLikeError as error:
            problems.append(_problem(error, key, path))
            continue
        data = changed
        done.add(path)
    return attrs.evolve(
        document,
        data=data,
        problems=tuple(problems),
        overridden=frozenset(done),
        positions=_without(document.positions, done),
        key_positions=_without(document.key_positions, done),
    )


def key_path(text: object) -> KeyPath:
    """Read a key path as messages write it.

    Raises
    ------
    ConfigError
        It is none.

    Examples
    --------
    >>> key_path('datasets[0]."crop.1"')
    ('datasets', 0, 'crop.1')
    """
    path: list[str | int] = []
    end = 0
    if not isinstance(text, str):
        raise _no_key_path(text)
    while end < len(text):
        part = _PART.match(text, end)
        if part is None or (not path and part["index"]):
            break
        path.append(int(part["index"]) if part["index"] else part["quoted"] or part["name"])
        end = part.end()
    if not path or end < len(text):
        raise _no_key_path(text)
    return tuple(path)


def _no_key_path(text: object) -> ConfigError:
    return ConfigError(
        "not a key path",
        got=shorten(text),
        expected="names with dots between them, such as arrays.raw.level or datasets[0].weight",
        code="DL124",
    )


class _Said(NamedTuple):
    """A value as it was typed; ``None`` where there was none."""

    text: str | None


def _split(text: str) -> tuple[str, _Said]:
    key, equals, value = text.partition("=")
    return key.strip(), _Said(value if equals else None)


def _parsed(said: Any) -> Any:
    if not isinstance(said, _Said):
        return said
    if said.text is None:
        raise ConfigError("an override without a value", expected="key.path=value", code="DL124")
    return parse_document(said.text).data if said.text.strip() else None


def _with(data: Any, path: KeyPath, value: Any, above: KeyPath = ()) -> Any:
    """Copy what lies on a path, with a value at the end of it."""
    part, below = path[0], path[1:]
    if isinstance(part, int):
        if not isinstance(data, (list, tuple)) or part >= len(data):
            raise _no_place((*above, part), [])
        return [
            (_with(item, below, value, (*above, part)) if below else value) if i == part else item
            for i, item in enumerate(data)
        ]
    if not isinstance(data, Mapping):
        raise _no_place((*above, part), [])
    if part not in data and (below or above == (KEY,)):
        raise _no_place((*above, part), list(data))
    return {**data, part: _with(data[part], below, value, (*above, part)) if below else value}


def _no_place(path: KeyPath, known: list[str]) -> ConfigError:
    return ConfigError(
        "an override names no place of the document",
        got=format_key(path),
        expected=f"one of {', '.join(known)}" if known else None,
        hint=did_you_mean(str(path[-1]), known),
        code="DL124",
    )


def _refuse_secret(data: Any, path: KeyPath) -> None:
    if len(path) > 1 and path[0] == KEY and is_secret(data[KEY].get(path[1])):
        raise ConfigError(
            "a secret is not given on the command line, where others see it",
            expected="its environment variable to be set",
            code="DL123",
        )


def _problem(error: DacapoLikeError, key: str, path: KeyPath) -> Problem:
    """Say what is wrong with an override; of its value nothing is repeated."""
    return Problem(
        path="override",
        key=format_key(path) or str(key),
        code=error.code,
        message=error.message,
        hint=error.hint,
    )


def _without(places: Mapping[KeyPath, Any], done: set[KeyPath]) -> Mapping[KeyPath, Any]:
    """Leave out the places of what was replaced, and of all that was in it."""
    if not done:
        return places
    return {
        key: place
        for key, place in places.items()
        if not any(key[: len(path)] == path for path in done)
    }
