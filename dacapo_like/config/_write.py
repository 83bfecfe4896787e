"""Plain data written as YAML, TOML or JSON, for people to read and for the readers to read back."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

import yaml

from dacapo_like.config import _yaml
from dacapo_like.config._tree import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_NODES,
    SURROGATE,
    Position,
    real,
)
from dacapo_like.errors import DocumentError, KeyPath, format_key

_SHORT = 72  # characters of a list of scalars that is still written on one line
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def write_yaml(data: Any) -> str:
    """Write block style, but lists of few scalars in brackets."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31)


def write_json(data: Any) -> str:
    """Write two spaces per level, but lists of few scalars on one line."""
    return _json(data, "") + "\n"


def write_toml(data: Any) -> str:
    """Write tables under headers where the order of keys allows it, inline where not."""
    if not isinstance(data, dict):
        raise DocumentError("a TOML document is a table", got=type(data).__name__, expected="dict")
    return "\n".join(_toml_table(data, ())).lstrip("\n") + "\n"


def plain(data: Any, *, null: bool = True, finite_only: bool = False) -> Any:
    """Copy data into the types that documents have, or refuse what they cannot hold.

    Parameters
    ----------
    data : Any
        Nested dict, list, tuple, str, int, float, Decimal, bool, None.
    null : bool
        Whether the format has a null.
    finite_only : bool
        Whether the format has neither infinity nor NaN.
    """
    count = 0

    def copy(value: Any, path: KeyPath) -> Any:
        nonlocal count
        count += 1
        if count > MAX_NODES:
            raise _refusal("too many values", path, expected=f"at most {MAX_NODES}", code="DL002")
        match value:
            case dict() | list() | tuple() if len(path) >= MAX_DEPTH:
                expected = f"at most {MAX_DEPTH} levels"
                raise _refusal("nested too deep", path, expected=expected, code="DL002")
            case dict():
                return {_key(key, path): copy(item, (*path, key)) for key, item in value.items()}
            case list() | tuple():
                return [copy(item, (*path, index)) for index, item in enumerate(value)]
            case None if not null:
                raise _refusal("TOML has no null", path, hint="drop the key")
            case float() | Decimal() if finite_only and not _is_finite(value):
                raise _refusal("JSON has no such number", path, got=value)
            case _:
                return _scalar(value, path)

    return copy(data, ())


def _refusal(what: str, path: KeyPath, **parts: Any) -> DocumentError:
    place = f" at '{format_key(path)}'" if path else ""
    return DocumentError(f"cannot write this document: {what}{place}", key=path, **parts)


def _key(key: object, path: KeyPath) -> str:
    if not isinstance(key, str):
        raise _refusal("a key must be a string", path, got=repr(key), code="DL004")
    return str(_scalar(key, path))


def _scalar(value: Any, path: KeyPath) -> Any:
    match value:
        case None | bool():
            return value
        case str() if SURROGATE.search(value):
            raise _refusal("a string holds half of a surrogate pair", path, got=ascii(value))
        case str():
            return str.__str__(value)  # of an enum, its text
        case int() if abs(value) >= 10 ** (MAX_DIGITS - 1):
            expected = f"less than {MAX_DIGITS} digits"
            raise _refusal("the integer is too long", path, expected=expected, code="DL002")
        case int():
            return int(value)
        case Decimal() if value.is_finite():
            return _readable(value, path)
        case Decimal() if not value.is_snan():
            return float(value)
        case float():
            return float(value)
        case _:
            expected = "dict, list, str, int, float, Decimal, bool or None"
            got = type(value).__name__
            raise _refusal("this is not plain data", path, got=got, expected=expected)


def _is_finite(number: float | Decimal) -> bool:
    return number.is_finite() if isinstance(number, Decimal) else math.isfinite(number)


def _readable(number: Decimal, path: KeyPath) -> Decimal:
    """Return a finite number, unless it could not be read back."""
    try:
        real(_decimal(number), Position(1, 1))
    except DocumentError as error:
        got, expected = error.got, error.expected
        raise _refusal(error.what, path, got=got, expected=expected, code=error.code) from error
    return number


def _decimal(number: Decimal) -> str:
    """Write a Decimal in full, or with an exponent where that would be all zeros."""
    text = format(number, "f") if abs(number.adjusted()) <= 20 else str(number)
    mantissa, e, exponent = text.partition("E")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + e + exponent


def _is_short(items: list[Any]) -> bool:
    """Whether a list is one of scalars that fit on a line."""
    return not any(isinstance(item, dict | list) for item in items) and (
        sum(len(str(item)) + 2 for item in items) <= _SHORT
    )


class _Dumper(yaml.SafeDumper):
    """Quotes what our reader, or one of YAML 1.1, would take for something else than a string."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  PyYAML's signature
        return True


def _represent_str(dumper: _Dumper, text: str) -> yaml.Node:
    # What is not printable, line breaks among it, is escaped: folding would make it guesswork.
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_list(dumper: _Dumper, items: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=_is_short(items))


def _represent_decimal(dumper: _Dumper, number: Decimal) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:float", _decimal(number))


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(Decimal, _represent_decimal)
for _tag, _pattern in (("int", _yaml.INTEGER), ("float", _yaml.REAL)):
    # PyYAML's own resolver is YAML 1.1's: it does not know 1e3 and 0o17 for numbers.
    _whole = re.compile(rf"^(?:{_pattern.pattern})$")
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _whole, list("-+.0123456789"))


def _text(value: Any) -> str:
    """Write a scalar as JSON and TOML have it."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Decimal():
            return _decimal(value)
        case float():
            return repr(value)
        case _:
            return json.dumps(value)


def _json(value: Any, indent: str) -> str:
    inner = indent + "  "
    match value:
        case dict() if value:
            lines = [f"{inner}{_text(key)}: {_json(item, inner)}" for key, item in value.items()]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        case dict():
            return "{}"
        case list() if _is_short(value):
            return f"[{', '.join(map(_text, value))}]"
        case list():
            lines = [inner + _json(item, inner) for item in value]
            return "[\n" + ",\n".join(lines) + f"\n{indent}]"
        case _:
            return _text(value)


def _toml_table(table: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    """Write the lines of a table; the tables at its end get headers, if one of them needs it."""
    names = list(table)
    first = len(names)
    while first and _may_have_header(table[names[first - 1]]):
        first -= 1
    while first < len(names) and len(_toml_inline(table[names[first]])) <= _SHORT:
        first += 1
    lines = [f"{_toml_key(name)} = {_toml_value(table[name], '')}" for name in names[:first]]
    for name in names[first:]:
        header = ".".join(map(_toml_key, (*path, name)))
        if isinstance(table[name], dict):
            lines += ["", f"[{header}]", *_toml_table(table[name], (*path, name))]
        else:
            for element in table[name]:
                lines += ["", f"[[{header}]]", *_toml_table(element, (*path, name))]
    return lines


def _may_have_header(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict)


def _toml_value(value: Any, indent: str) -> str:
    """Write a value, its lists over several lines where they are long."""
    inline = _toml_inline(value)
    if not isinstance(value, list) or len(inline) <= _SHORT:
        return inline
    lines = [f"{indent}  {_toml_value(item, indent + '  ')}," for item in value]
    return "\n".join(["[", *lines, f"{indent}]"])


def _toml_inline(value: Any) -> str:
    match value:
        case dict() if value:
            pairs = (f"{_toml_key(key)} = {_toml_inline(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case dict():
            return "{}"
        case list():
            return f"[{', '.join(map(_toml_inline, value))}]"
        case _:
            return _text(value)


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)
