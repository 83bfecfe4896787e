"""What may be the name of an array in a store, and which names are too alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from dacapo_like.errors import ConfigError

MAX_BYTES = 200
"""Of a name as UTF-8: file systems have 255 for the name of a file, some of which temporary files need."""

_SEPARATORS = "/\\"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_name(name: str) -> str:
    r"""Give a name as stores keep it: in Unicode's normal form C.

    Raises
    ------
    ConfigError
        It is no name: empty, too long, with a separator, a leading dot, space around it, or invisible characters.

    Examples
    --------
    >>> check_name("me\u0301rou") == "m\u00e9rou"
    True
    >>> check_name("../raw")
    Traceback (most recent call last):
    ...
    dacapo_like.errors.ConfigError: not a name for an array (got '../raw'; expected no '/' and no '\')
    """
    normal = unicodedata.normalize("NFC", name)
    expected = _wrong_with(normal)
    if expected is not None:
        shown = repr(name if len(name) <= 60 else f"{name[:60]}…")
        raise ConfigError(
            "not a name for an array",
            got=shown,
            expected=expected,
            code="DL133",
        )
    return normal


def is_name(name: str) -> bool:
    """Whether something, in normal form C, is a name."""
    return _wrong_with(name) is None


def _wrong_with(name: str) -> str | None:
    """Say what is expected of a name that is none; ``None``: it is one."""
    if not name:
        return "a character at least"
    if any(separator in name for separator in _SEPARATORS):
        return r"no '/' and no '\'"
    if any(unicodedata.category(character) in _INVISIBLE for character in name):
        return "characters that can be seen"
    if name.startswith("."):
        return "no dot at its beginning"
    if name != name.strip():
        return "no space around it"
    if len(name.encode()) > MAX_BYTES:
        return f"at most {MAX_BYTES} bytes as UTF-8"
    return None


def folded(name: str) -> str:
    r"""Give what names have in common that differ in case only: on some file systems they are one.

    Examples
    --------
    >>> folded("Straße") == folded("STRASSE")
    True
    """
    return unicodedata.normalize("NFC", name.casefold())


def in_the_way(name: str, names: Iterable[str]) -> str | None:
    """Find a name that is there in another case; a store has one of them.

    Examples
    --------
    >>> in_the_way("Raw", ["raw", "labels"]), in_the_way("raw", ["raw"])
    ('raw', None)
    """
    key = folded(name)
    return next((other for other in names if other != name and folded(other) == key), None)
