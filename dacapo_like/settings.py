"""What a process spends on reads, and which servers it asks: by environment, by call, or for a block of code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from dacapo_like.errors import ConfigError, did_you_mean

CACHE_BYTES = 256 * 2**20
READS_IN_FLIGHT = 4
BYTES_AT_ONCE = 2**26
REQUESTS_IN_FLIGHT = 32
REQUEST_RETRIES = 4
REMOTE_SECONDS = 600
OPEN_FILES = 128
URL_SCHEMES = ("http", "https", "s3", "gs")

_PREFIX = "DACAPO_LIKE_"
_CONTROL_GROUPS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
_UNITS = {"": 1, "B": 1} | {
    f"{letter}{infix}B": base**power
    for base, infix in ((1000, ""), (1024, "i"))
    for power, letter in enumerate("KMGT", start=1)
}
_SHOWN = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", re.ASCII)
_EXAMPLES = "a number of bytes such as 268435456, 256MiB or 1.5GiB"


def parse_bytes(text: str) -> int:
    """Read a number of bytes; units are B, KB, MB, GB and TB of 1000, KiB, MiB, GiB and TiB of 1024.

    Raises
    ------
    ConfigError
        It is none.

    Examples
    --------
    >>> parse_bytes("512MiB"), parse_bytes("1.5 GB"), parse_bytes("0")
    (536870912, 1500000000, 0)
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ConfigError("not a number of bytes", got=repr(text), expected=_EXAMPLES)
    if found[2] not in _UNITS:
        raise ConfigError(
            "an unknown unit of memory",
            got=repr(text),
            expected=f"one of {', '.join(filter(None, _UNITS))}",
            hint=did_you_mean(found[2], _UNITS),
        )
    amount = Fraction(found[1]) * _UNITS[found[2]]
    if amount.denominator != 1:
        raise ConfigError("not a whole number of bytes", got=repr(text), expected=_EXAMPLES)
    return int(amount)


def format_bytes(count: int) -> str:
    """Write a number of bytes as people read it.

    Examples
    --------
    >>> format_bytes(1000), format_bytes(3 * 2**20)
    ('1000 B', '3.0 MiB')
    """
    power = min(max(count.bit_length() - 1, 0) // 10, len(_SHOWN) - 1)
    if count.bit_length() > 1000:  # no float is as large
        return f"over 2^{count.bit_length() - 1} B"
    return f"{count} B" if power == 0 else f"{count / 1024**power:.1f} {_SHOWN[power]}"


def _parse_count(text: str) -> int:
    if not re.fullmatch(r"\d+", text.strip(), re.ASCII):
        raise ConfigError("not a whole number", got=repr(text), expected="digits, such as 4")
    return int(text)


def _as_bytes(value: Any) -> Any:
    return parse_bytes(value) if isinstance(value, str) else value


def _at_least(least: int) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, field: Any, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(
                f"`{field.name}` is not a number that it can be",
                got=repr(value),
                expected=f"a whole number, at least {least}",
                key=(field.name,),
            )

    return check


def _parse_words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


def _as_words(value: Any) -> Any:
    """Take words between commas, or several of them; what is neither is left to the check."""
    if isinstance(value, str):
        return _parse_words(value)
    return tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else value


def _words(_: Any, field: Any, value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(word, str) for word in value):
        raise ConfigError(
            f"`{field.name}` is not a list of words",
            got=repr(value),
            expected="words, such as `https, s3`",
            key=(field.name,),
        )


def _schemes(_: Any, field: Any, value: Any) -> None:
    _words(_, field, value)
    for word in value:
        if word not in URL_SCHEMES:
            raise ConfigError(
                "not a kind of URL that is read",
                got=repr(word),
                expected=f"some of {', '.join(URL_SCHEMES)}",
                hint=did_you_mean(word, URL_SCHEMES),
                key=(field.name,),
            )


@attrs.frozen(kw_only=True)
class Settings:
    """What a process spends on reads, and which servers it asks.

    Attributes
    ----------
    cache_bytes : int
        Decoded chunks that are kept, in bytes: so many by TensorStore, for the formats that it reads, and so many for all others. 0
        keeps none. A text such as ``"512MiB"`` is taken too.
    reads_in_flight : int
        Reads that are begun before the first of them is waited for, where several regions are read.
    bytes_at_once : int
        What one read may hold besides its result, where it can be cut into parts. A text such as ``"64MiB"`` is taken too.
    read_bytes : int or None
        What one read may take, its result included; more is an error before anything is read. A text such as ``"8GiB"`` is taken too.
        ``None``: the memory that the process may have at most, see `memory_bytes`.
    requests_in_flight : int
        Requests to servers at a time.
    request_retries : int
        How often a request to a server of files is repeated.
    remote_seconds : int
        After which a read from a server of files is given up, all of its repeats and pauses included.
    open_files : int
        Files that stay open for the next read, of formats that are read through one handle.
    url_schemes : tuple of str
        Kinds of URLs that are read: some of http, https, s3 and gs. A text such as ``"https, s3"`` is taken too; an empty tuple, or
        in the environment a single comma, allows none.
    url_hosts : tuple of str
        Servers that are asked, as ``data.example.org`` or ``*.example.org``; empty, as it is by default, all but those that never
        are, see `dacapo_like.hosts`. A text such as ``"localhost, *.example.org"`` is taken too.

    Examples
    --------
    >>> Settings(cache_bytes="1GiB").cache_bytes
    1073741824
    """

    cache_bytes: int = attrs.field(
        default=CACHE_BYTES,
        converter=_as_bytes,
        validator=_at_least(0),
        metadata={"parse": parse_bytes},
    )
    reads_in_flight: int = attrs.field(
        default=READS_IN_FLIGHT, validator=_at_least(1), metadata={"parse": _parse_count}
    )
    bytes_at_once: int = attrs.field(
        default=BYTES_AT_ONCE,
        converter=_as_bytes,
        validator=_at_least(1),
        metadata={"parse": parse_bytes},
    )
    read_bytes: int | None = attrs.field(
        default=None,
        converter=_as_bytes,
        validator=attrs.validators.optional(_at_least(1)),
        metadata={"parse": parse_bytes},
    )
    requests_in_flight: int = attrs.field(
        default=REQUESTS_IN_FLIGHT, validator=_at_least(1), metadata={"parse": _parse_count}
    )
    request_retries: int = attrs.field(
        default=REQUEST_RETRIES, validator=_at_least(0), metadata={"parse": _parse_count}
    )
    remote_seconds: int = attrs.field(
        default=REMOTE_SECONDS, validator=_at_least(1), metadata={"parse": _parse_count}
    )
    open_files: int = attrs.field(
        default=OPEN_FILES, validator=_at_least(1), metadata={"parse": _parse_count}
    )
    url_schemes: tuple[str, ...] = attrs.field(
        default=URL_SCHEMES,
        converter=_as_words,
        validator=_schemes,
        metadata={"parse": _parse_words},
    )
    url_hosts: tuple[str, ...] = attrs.field(
        default=(), converter=_as_words, validator=_words, metadata={"parse": _parse_words}
    )


@cache
def memory_bytes() -> int:
    """Give the memory that this process may have at most: that of the machine, or of its control group where that is less."""
    pages = os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in os.sysconf_names else 0
    most = pages * os.sysconf("SC_PAGE_SIZE") if pages > 0 else sys.maxsize
    for name in _CONTROL_GROUPS:
        with suppress(OSError, ValueError):  # there is none such here, or it says "max"
            most = min(most, int(Path(name).read_text(encoding="ascii")))
    return most


class _Process:
    settings: Settings | None = None  # the environment is asked when they are first needed


_in_block: ContextVar[Settings | None] = ContextVar("dacapo_like.settings", default=None)
_watchers: list[Callable[[Settings], None]] = []


def current() -> Settings:
    """Give the settings that hold here: those of the block of code, else those of the process.

    Raises
    ------
    ConfigError
        A variable of the environment is not what its setting can be.
    """
    return _in_block.get() or _Process.settings or _of_process()


def configure(**changes: Any) -> Settings:
    """Change settings of this process, from now on; the others stay.

    Chunks beyond a smaller ``cache_bytes`` are let go at once. Blocks of code under `using` keep their own settings. Processes
    that are started with the method ``spawn`` know nothing of it: they take theirs from the environment.

    Parameters
    ----------
    **changes
        Of the fields of `Settings`.

    Returns
    -------
    Settings
        Those of the process.

    Raises
    ------
    ConfigError
        There is no such setting, or it cannot have that value.

    Examples
    --------
    >>> import dacapo_like
    >>> dacapo_like.configure(cache_bytes="256MiB").cache_bytes
    268435456
    """
    _Process.settings = _changed(_of_process(), changes)
    _tell(_Process.settings)
    return _Process.settings


@contextmanager
def using(**changes: Any) -> Iterator[Settings]:
    """Change settings for a block of code, in this thread or asynchronous task alone.

    Parameters
    ----------
    **changes
        Of the fields of `Settings`.

    Yields
    ------
    Settings
        Those of the block.

    Raises
    ------
    ConfigError
        There is no such setting, or it cannot have that value.

    Examples
    --------
    >>> import dacapo_like
    >>> with dacapo_like.using(cache_bytes=0):  # what is read here does not push out what is kept
    ...     dacapo_like.settings.current().cache_bytes
    0
    """
    token = _in_block.set(_changed(current(), changes))
    try:
        yield current()
    finally:
        _in_block.reset(token)
        _tell(current())


def watch(changed: Callable[[Settings], None]) -> None:
    """Have a function called with the settings that hold from now on, whenever others held before."""
    _watchers.append(changed)


def _tell(now: Settings) -> None:
    for changed in _watchers:
        changed(now)


def _of_process() -> Settings:
    if _Process.settings is None:
        _Process.settings = from_environment(os.environ)
    return _Process.settings


def from_environment(variables: Any) -> Settings:
    """Read ``DACAPO_LIKE_CACHE_BYTES`` and its siblings, one per field of `Settings`; what is not set, or empty, is the default.

    Raises
    ------
    ConfigError
        A variable is not what its setting can be; it says which.

    Examples
    --------
    >>> from_environment({"DACAPO_LIKE_CACHE_BYTES": "1GiB"}).cache_bytes
    1073741824
    """
    found = {}
    for field in attrs.fields(Settings):
        name = _PREFIX + field.name.upper()
        text = variables.get(name, "")
        if not text:
            continue
        try:
            found[field.name] = field.metadata["parse"](text)
            Settings(**{field.name: found[field.name]})
        except ConfigError as error:
            error.where, error.key = f"environment variable {name}", ()
            raise
    return Settings(**found)


def changes_in(texts: Iterable[str]) -> dict[str, Any]:
    """Read changes of settings, each as ``name=value``, the value as in the environment.

    Raises
    ------
    ConfigError
        There is no such setting, or it cannot have that value.

    Examples
    --------
    >>> changes_in(["read_bytes=8GiB", "open_files=64"])
    {'read_bytes': 8589934592, 'open_files': 64}
    """
    fields = attrs.fields_dict(Settings)
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in fields:
            raise ConfigError(
                "not a setting and its value",
                got=repr(text),
                expected=f"NAME=VALUE, where NAME is one of {', '.join(fields)}",
                hint=did_you_mean(name, fields),
            )
        try:
            found[name] = fields[name].metadata["parse"](value)
        except ConfigError as error:
            error.where, error.key = f"setting {name}", ()
            raise
    return found


def _changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    known = [field.name for field in attrs.fields(Settings)]
    for name in changes:
        if name not in known:
            raise ConfigError(
                "no such setting",
                got=name,
                expected=f"one of {', '.join(known)}",
                hint=did_you_mean(name, known),
                key=(name,),
            )
    try:
        return attrs.evolve(settings, **changes)
    except ConfigError as error:
        error.where = error.where or "settings"
        raise
