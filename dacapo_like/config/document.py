"""Documents read into plain data that knows where each of its keys and values was written.

YAML, TOML and JSON are read safely: nothing is constructed, sizes and depths are limited, and the
problems that let reading go on are collected instead of ending it.

======  =====================================================================
code    meaning
======  =====================================================================
DL001   cannot be read: missing, unreadable, not UTF-8, empty, a syntax error
DL002   too large, nested too deep, too many values, a number too long
DL003   a duplicate key
DL004   a key that is not a string
DL005   a tag that is not allowed, or does not fit its value
======  =====================================================================
"""

from __future__ import annotations

import itertools
import re
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from dacapo_like.config import _write
from dacapo_like.config._json import read_json
from dacapo_like.config._toml import read_toml
from dacapo_like.config._tree import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_NODES,
    SURROGATE,
    Cursor,
    Position,
    Tree,
    nearest,
    refusal,
)
from dacapo_like.config._yaml import read_yaml
from dacapo_like.errors import DocumentError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dacapo_like.errors import KeyPath, Problem

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_NODES",
    "Document",
    "Format",
    "Position",
    "format_of",
    "parse_document",
    "read_document",
    "read_text",
    "write_document",
]

Format = Literal["yaml", "toml", "json"]

_SUFFIXES: dict[str, Format] = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}
_READERS: dict[str, Callable[[str], Tree]] = {
    "yaml": read_yaml,
    "toml": read_toml,
    "json": read_json,
}
_WRITERS: dict[str, Callable[[Any], str]] = {
    "yaml": _write.write_yaml,
    "toml": _write.write_toml,
    "json": _write.write_json,
}


@attrs.frozen(eq=False)
class Document:
    """Plain data and where it was written.

    Attributes
    ----------
    data : dict, list, str, int, float, Decimal, bool or None
        Numbers are exact: a decimal that no float shows in full is a Decimal.
    path : str or None
        The file as it was named, for messages; ``None`` for text without one.
    directory : Path
        Where relative paths in the data start.
    positions : mapping of key path to Position
        Where the values begin; what came through an alias is where its anchor has it.
    key_positions : mapping of key path to Position
        Where the keys stand; for the items of lists, the items themselves.
    problems : tuple of Problem
        What is wrong but let reading go on.
    text : str or None
        What was read.
    overridden : set of key path
        Where values were put in from outside of it.
    unresolved : set of key path
        Where parameters stand whose values cannot be told.
    moved : mapping of key path to key path
        Of what does not lie in the data where it was written: where that is.
    """

    data: Any
    path: str | None
    directory: Path
    positions: Mapping[KeyPath, Position]
    key_positions: Mapping[KeyPath, Position]
    problems: tuple[Problem, ...]
    text: str | None = attrs.field(default=None, repr=False)
    overridden: frozenset[KeyPath] = frozenset()
    unresolved: frozenset[KeyPath] = frozenset()
    moved: Mapping[KeyPath, KeyPath] = attrs.field(factory=dict)

    def position(self, key: KeyPath, *, of_key: bool = False) -> Position | None:
        r"""Return where a value begins, or the nearest one around it that has a place.

        Parameters
        ----------
        key : tuple of (str or int)
            Key path of the value; it need not exist.
        of_key : bool
            Return where the value's key stands instead.

        Examples
        --------
        >>> document = parse_document("type: crop\nroi: [1, 2]")
        >>> print(document.position(("roi", 1)))
        line 2, column 10
        >>> print(document.position(("roi", "shape"), of_key=True))
        line 2, column 1
        """
        places = self.key_positions if of_key else self.positions
        return nearest(places, key)

    def place(self, key: KeyPath, *, of_key: bool = False) -> dict[str, Any]:
        """Return where a value begins as the fields ``path``, ``line`` and ``column`` of a `Problem`.

        What was put in from outside of the document is at ``override``, which has no lines.
        """
        written = self.written(key)
        if any(written[: len(path)] == path for path in self.overridden):
            return {"path": "override", "line": None, "column": None}
        position = self.position(key, of_key=of_key)
        line, column = (position.line, position.column) if position else (None, None)
        return {"path": self.path, "line": line, "column": column}

    def written(self, key: KeyPath) -> KeyPath:
        """Return the key path under which something was written, where it lies under another one."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.moved:
                return (*self.moved[key[:length]], *key[length:])
        return key

    def find(self, key: KeyPath, pattern: re.Pattern[str], number: int) -> Position:
        """Return where inside of a text, as it was written, a pattern matches for the so-manieth time, counted from 0.

        That is where the text begins, if it cannot be found there: behind an alias.
        """
        start = self.position(key) or Position(1, 1)
        if self.text is None or key not in self.positions:
            return start
        lines = self.text.split("\n")
        offset = sum(len(line) + 1 for line in lines[: start.line - 1]) + start.column - 1
        if self.text[offset : offset + 1] == "*":
            return start
        matches = itertools.islice(pattern.finditer(self.text, offset), number, None)
        match = next(matches, None)
        return Cursor(self.text).at(match.start()) if match else start


def read_document(path: str | Path) -> Document:
    """Read a YAML, TOML or JSON file.

    Parameters
    ----------
    path : str or Path
        A file of at most 8 MiB with the suffix ``.yaml``, ``.yml``, ``.toml`` or ``.json``.

    Raises
    ------
    DocumentError
        The file is missing, unreadable, too large, or not a valid document of its format.
    """
    file = Path(path)
    form = format_of(file)
    directory = file.absolute().parent
    return parse_document(read_text(path), format=form, path=path, directory=directory)


def read_text(path: str | Path) -> str:
    """Read a text file as documents are read: it is regular, of at most 8 MiB, and UTF-8.

    Raises
    ------
    DocumentError
        It is not, or cannot be read.
    """
    with _errors_in(str(path)):
        return _decode(_load(Path(path)))


def format_of(path: str | Path) -> Format:
    """Tell the format of a document by its suffix.

    Raises
    ------
    DocumentError
        It is not that of a document.

    Examples
    --------
    >>> format_of("arrays.YML")
    'yaml'
    """
    suffix = Path(path).suffix
    with _errors_in(str(path)):
        if suffix.lower() not in _SUFFIXES:
            raise DocumentError(
                "the suffix of a document tells its format",
                got=f"'{suffix}'",
                expected=", ".join(_SUFFIXES),
                hint=did_you_mean(suffix.lower(), _SUFFIXES),
            )
    return _SUFFIXES[suffix.lower()]


def parse_document(
    text: str,
    *,
    format: Format = "yaml",  # noqa: A002  the name that callers of such functions expect
    path: str | Path | None = None,
    directory: str | Path | None = None,
) -> Document:
    r"""Read a document from its text.

    Parameters
    ----------
    text : str
        At most 8 Mi characters.
    format : {"yaml", "toml", "json"}
        What the text is.
    path : str or Path, optional
        What to call the document in messages.
    directory : str or Path, optional
        Where its relative paths start; by default the working directory.

    Raises
    ------
    DocumentError
        The text is not a valid document of its format, or too large.

    Examples
    --------
    >>> parse_document("voxel_size: [25, 9.8, 9.8]  # nm").data
    {'voxel_size': [25, 9.8, 9.8]}
    >>> document = parse_document('{"a": 1,\n "a": 2}', format="json")
    >>> document.data, [problem.line for problem in document.problems]
    ({'a': 1}, [2])
    """
    name = None if path is None else str(path)
    with _errors_in(name):
        _check_format(format)
        if len(text) > MAX_BYTES:
            raise _too_large(len(text))
        if stray := SURROGATE.search(text):
            position = Cursor(text).at(stray.start())
            raise refusal("half of a surrogate pair is no text", position, got=ascii(stray[0]))
        text = text.removeprefix("\ufeff")
        tree = _READERS[format](text)
    return Document(
        data=tree.data,
        path=name,
        directory=Path.cwd() if directory is None else Path(directory),
        positions=tree.positions,
        key_positions=tree.key_positions,
        problems=tuple(attrs.evolve(problem, path=name) for problem in tree.problems),
        text=text,
    )


def write_document(data: Any, format: Format) -> str:  # noqa: A002  as in parse_document
    """Write plain data so that reading it gives equal data, with its keys in the same order.

    Parameters
    ----------
    data : dict, list, tuple, str, int, float, Decimal, bool or None
        Nested to any depth that can be read. Tuples become lists. A Decimal that is the repr of a
        float is read back as that float.
    format : {"yaml", "toml", "json"}
        TOML takes a dict, and no ``None``; JSON takes neither infinity nor NaN.

    Raises
    ------
    DocumentError
        The format cannot hold the data; ``key`` tells the place.

    Examples
    --------
    >>> print(write_document({"type": "crop", "roi": {"offset": [0, 9.8]}}, "yaml"), end="")
    type: crop
    roi:
      offset: [0, 9.8]
    >>> print(write_document({"type": "crop", "roi": {"offset": [0, 9.8]}}, "toml"), end="")
    type = "crop"
    roi = { offset = [0, 9.8] }
    """
    _check_format(format)
    data = _write.plain(data, null=format != "toml", finite_only=format == "json")
    return _WRITERS[format](data)


@contextmanager
def _errors_in(path: str | None) -> Iterator[None]:
    """Tell errors which document they are about."""
    try:
        yield
    except DocumentError as error:
        parts = (path or "<document>", error.line, error.column)
        error.where = ":".join(str(part) for part in parts if part is not None)
        raise


def _check_format(format: str) -> None:  # noqa: A002  as in parse_document
    if format not in _READERS:
        expected, hint = ", ".join(_READERS), did_you_mean(format, _READERS)
        raise DocumentError("unknown format", got=repr(format), expected=expected, hint=hint)


def _load(file: Path) -> bytes:
    """Read a file, unless it is too large or endless."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError("a document must be a regular file")
        if status.st_size > MAX_BYTES:
            raise _too_large(status.st_size)
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"the document cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the file's name
        raise DocumentError(f"the document cannot be read: {error}") from error
    if len(content) > MAX_BYTES:  # it grew
        raise _too_large(len(content))
    return content


def _too_large(size: int) -> DocumentError:
    return DocumentError(
        "the document is too large",
        got=f"{size} bytes",
        expected=f"at most {MAX_BYTES}",
        hint="keep voxels and long tables in files of their own and name these in the document",
        code="DL002",
    )


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        raise refusal(
            "the document is not UTF-8",
            Cursor(before).at(len(before)),
            got=f"the byte 0x{content[error.start]:02x}",
            hint="save it as UTF-8",
        ) from error
