"""The line of a document that a problem is about, with a caret under its column."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

_WIDTH = 96
_BEFORE = 64  # characters shown before the column, where the line is longer than that
_CUT = "…"
_BREAKS_OF_YAML = "[\n\x85\u2028\u2029]"  # for others these are characters of a string


def excerpt(path: str, line: int, column: int, text: str | None = None) -> tuple[str, str] | None:
    """Show a place in a document.

    Parameters
    ----------
    path : str
        Of the document.
    line, column : int
        Counted from 1, in characters.
    text : str, optional
        Of a document of YAML that is no file.

    Returns
    -------
    tuple of str, or None
        The line, cut to what fits, and as much space as leads to the column; ``None`` where there is no such line, or the
        document cannot be read.
    """
    lines = _lines(path) if text is None else re.split(_BREAKS_OF_YAML, text)
    if not 1 <= line <= len(lines):
        return None
    return cut_around(lines[line - 1], column)


def cut_around(text: str, column: int) -> tuple[str, str]:
    r"""Cut a line to what fits, and give as much space as leads to a column of it.

    Examples
    --------
    >>> cut_around("type: binarise", 7)
    ('type: binarise', '      ')
    >>> cut_around("\t名: x", 5)  # a tab leads as far as a tab, and such characters are two columns wide
    ('\t名: x', '\t    ')
    """
    start = max(column - 1 - _BEFORE, 0) if len(text) > _WIDTH else 0
    shown = text[start : start + _WIDTH]
    head, tail = (_CUT if start else ""), (_CUT if start + _WIDTH < len(text) else "")
    lead = head + text[start : column - 1]
    return f"{head}{shown}{tail}", "".join(map(_blank, lead))


def _blank(character: str) -> str:
    if character == "\t":
        return character
    if unicodedata.combining(character):
        return ""
    return "  " if unicodedata.east_asian_width(character) in "WF" else " "


@lru_cache(maxsize=64)
def _lines_of_state(path: str, _changed: int, _size: int) -> tuple[str, ...]:
    """Give the lines of a state of a file."""
    text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    breaks = _BREAKS_OF_YAML if Path(path).suffix.lower() in {".yaml", ".yml"} else "\n"
    return tuple(re.split(breaks, text))


def _lines(path: str) -> Sequence[str]:
    try:
        state = Path(path).stat()
        return _lines_of_state(path, state.st_mtime_ns, state.st_size)
    except (OSError, ValueError):  # it is not there, or its name is none: there is nothing to show
        return ()
