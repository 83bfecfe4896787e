"""What a process spends on reads: memory for decoded chunks, reads in flight. By environment, by call, or for a block of code."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from typing import Any

import attrs

from dacapo_like.errors import ConfigError, did_you_mean

CACHE_BYTES = 256 * 2**20
READS_IN_FLIGHT = 4
BYTES_AT_ONCE = 2**26

_PREFIX = "DACAPO_LIKE_"
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


@attrs.frozen(kw_only=True)
class Settings:
    """What a process spends on reads.

    Attributes
    ----------
    cache_bytes : int
        Decoded chunks that are kept, in bytes: so many by TensorStore, for the formats that it reads, and so many for all others. 0
        keeps none. A text such as ``"512MiB"`` is taken too.
    reads_in_flight : int
        Reads that are begun before the first of them is waited for, where several regions are read.
    bytes_at_once : int
        What one read may hold besides its result, where it can be cut into parts. A text such as ``"64MiB"`` is taken too.

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
