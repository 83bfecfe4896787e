"""What can go wrong, said so that it can be mended.

Every error of this package says *what* is wrong, what it *got*, what was *expected*, *where*, and a *hint* for mending it.
The parts are attributes, so that ``verify`` can report them without parsing messages.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning"]
KeyPath = tuple[str | int, ...]

_LONGEST_GOT = 4000


class DacapoLikeError(Exception):
    """Base of all errors that this package raises on purpose.

    Parameters
    ----------
    what : str
        One sentence: what is wrong.
    got, expected : Any, optional
        What was met and what would have been right; shown with ``str``.
    where : str, optional
        File, array or region that the error is about.
    hint : str, optional
        How to mend it.
    key : tuple of (str or int), optional
        Key path inside the config that the error is about, relative to that config.
    code : str, optional
        Stable code such as ``DL201``; by default the class's own.

    Attributes
    ----------
    region : str or None
        Of an error that came up in reading: which part of the array, in its world units. `key` then begins at the array that was read.

    Examples
    --------
    >>> print(SpecError("the region leaves the array", got=12, expected="at most 10", hint="pass pad="))
    the region leaves the array (got 12; expected at most 10). Hint: pass pad=
    """

    code = "DL200"

    def __init__(
        self,
        what: str,
        *,
        got: Any = None,
        expected: Any = None,
        where: str | None = None,
        hint: str | None = None,
        key: KeyPath = (),
        code: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.got = None if got is None else _shortened(str(got))
        self.expected = None if expected is None else str(expected)
        self.where = where
        self.hint = hint
        self.key = key
        self.region: str | None = None
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what,), dict(self.__dict__)

    @property
    def message(self) -> str:
        """The error without its hint and place, on one line."""
        parts = []
        if self.got is not None:
            parts.append(f"got {self.got}")
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        return f"{self.what} ({'; '.join(parts)})" if parts else self.what

    @property
    def trail(self) -> str:
        """What else tells which voxels it is about; empty for what is no matter of voxels."""
        return ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f". Hint: {self.hint}" if self.hint else ""
        return f"{place}{self.message}{self.trail}{hint}"


def _shortened(text: str) -> str:
    """Give the ends of a text that came from a file or document, of which nobody reads a hundred thousand characters."""
    half = _LONGEST_GOT // 2  # behind a chain of causes stands the first of them
    return text if len(text) <= _LONGEST_GOT else f"{text[:half]} … {text[-half:]}"


class DocumentError(DacapoLikeError):
    """A document cannot be read as YAML, TOML or JSON (``DL0xx``).

    Parameters
    ----------
    line, column : int, optional
        Place in the document, counted from 1.
    """

    code = "DL001"

    def __init__(
        self, what: str, *, line: int | None = None, column: int | None = None, **parts: Any
    ) -> None:
        super().__init__(what, **parts)
        self.line = line
        self.column = column


class ConfigError(DacapoLikeError, ValueError):
    """A value of a config is not one that the config allows (``DL1xx``)."""

    code = "DL110"


class SpecError(DacapoLikeError, ValueError):
    """An array cannot be derived from its inputs: grids, axes or dtypes do not fit (``DL2xx``)."""

    code = "DL210"


class RegionError(DacapoLikeError, IndexError):
    """A region that was asked for is not on the grid, leaves the array, or has the wrong rank."""

    code = "DL220"


class SourceError(DacapoLikeError, OSError):
    """A file or server cannot be opened or understood."""

    code = "DL201"


class StoreError(SourceError):
    """A store of arrays by name cannot be read, written or reached."""

    code = "DL240"


class ReadError(SourceError):
    """Voxels cannot be read: a short, corrupt or missing chunk."""

    code = "DL301"

    @property
    def trail(self) -> str:
        """The key path of the source in what was read, and the region in the world."""
        if self.region is None:  # it was not met in reading a tree
            return ""
        region = "" if self.region in (self.where or "") else self.region
        parts = ", ".join(filter(None, (format_key(self.key), region)))
        return f" [{parts}]" if parts else ""


class WriteError(SourceError):
    """Voxels cannot be written: the array is not writable, or the disk refuses."""

    code = "DL302"


class DataWarning(UserWarning):
    """What was read may not be what was written: chunks are not there."""


class MissingExtraError(DacapoLikeError, ImportError):
    """A package that this array needs is not installed; the hint names the extra."""

    code = "DL290"


class InvalidDocumentError(DacapoLikeError):
    """A document has problems; all of them are in ``problems``.

    Parameters
    ----------
    what : str
        One sentence.
    problems : iterable of Problem
        Every problem that was found.
    """

    code = "DL100"

    def __init__(self, what: str, *, problems: Iterable[Problem] = (), **parts: Any) -> None:
        super().__init__(what, **parts)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])


@attrs.frozen(kw_only=True)
class Problem:
    """One finding of ``verify``.

    Attributes
    ----------
    path : str or None
        The document; ``None`` for a mapping or config in memory.
    line, column : int or None
        Place in the document, counted from 1.
    key : str
        Key path, for example ``arrays.mito.groupings``.
    code : str
        Stable code, see the reference of codes.
    severity : {"error", "warning"}
        Only errors make a document invalid.
    message : str
        What is wrong, what was met and what was expected.
    hint : str or None
        How to mend it.
    """

    path: str | None = None
    line: int | None = None
    column: int | None = None
    key: str = ""
    code: str
    severity: Severity = "error"
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = ":".join(
            str(part) for part in (self.path, self.line, self.column) if part is not None
        )
        key = f" [{self.key}]" if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place or '<config>'}: {self.severity} {self.code}{key}: {self.message}{hint}"


@attrs.frozen(kw_only=True)
class Remark:
    """What ``verify`` says of a config that opens but may not be what its author meant, or is of no use.

    Attributes
    ----------
    severity : {"error", "warning"}
        Only errors make a document invalid.
    """

    code: str
    message: str
    hint: str | None = None
    key: KeyPath = ()
    severity: Severity = "warning"


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Suggest the known word nearest to a mistyped one.

    Examples
    --------
    >>> did_you_mean("binarise", ["binarize", "crop"])
    "did you mean 'binarize'?"
    >>> did_you_mean("zzz", ["binarize"]) is None
    True
    """
    near = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None


def check_choice(key: str, value: object, choices: Iterable[object]) -> None:
    """Refuse what is none of the values that a field, or an argument, may have.

    Raises
    ------
    ConfigError
        With the code DL104, and the nearest of the choices.

    Examples
    --------
    >>> check_choice("edge", "shift", ["shift", "pad"])
    """
    known = list(choices)
    if value not in known:
        names = [str(choice) for choice in known if choice is not None]
        raise ConfigError(
            "not one of the choices",
            got=repr(value),
            expected=f"one of {', '.join(names)}",
            hint=did_you_mean(str(value), names),
            key=(key,),
            code="DL104",
        )


def format_key(key: Iterable[str | int]) -> str:
    """Write a key path as people read it.

    Examples
    --------
    >>> format_key(("arrays", "mito", "sources", 2))
    'arrays.mito.sources[2]'
    """
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
