"""Stacks of files: which files there are, along which axes they lie, and which of them a box touches."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.geometry import Box, box_between

FIELDS = ("t", "c", "z")
_SPECS = re.compile(r"(0?[0-9]{1,2})?d?")


@attrs.frozen(eq=False)
class Stack:
    """Files that lie beside each other along axes; no axes where there is but one file.

    Attributes
    ----------
    files : ndarray of str
        Their names, one axis per axis of the stack.
    axes : tuple of str or None
        What these axes are; ``None`` where nobody has said.
    """

    files: NDArray[Any]
    axes: tuple[str, ...] | None = ()

    def ordered(self, names: Sequence[str]) -> Stack:
        """Put the axes into the order in which they stand among names."""
        assert self.axes is not None  # noqa: S101  # the fields of a pattern name them
        order = sorted(range(self.files.ndim), key=lambda i: names.index(self.axes[i]))  # type: ignore[index]  # see above
        return Stack(self.files.transpose(order), tuple(self.axes[i] for i in order))

    def parts(self, box: Box) -> Iterator[tuple[str, Box, tuple[int, ...]]]:
        """Give the files that a box touches, each with the box in it, and where in the box it goes."""
        rank = self.files.ndim
        inside = box_between(box.offset[rank:], box.end[rank:])
        for place in np.ndindex(box.shape[:rank]):
            at = tuple(map(sum, zip(box.offset[:rank], place, strict=True)))
            yield self.files[at], inside, place


def one(file_name: str) -> Stack:
    """Make the stack of a single file."""
    return Stack(_named(file_name, ()))


def nested(files: Sequence[str | Sequence[str]]) -> Stack:
    """Make the stack of a list of names, or of a list of such lists.

    Raises
    ------
    SourceError
        One of the files is not there.
    """
    shape = (len(files),) if isinstance(files[0], str) else (len(files), len(files[0]))
    stack = Stack(_named(files, shape), None)
    for name in stack.files.flat:
        if not Path(name).is_file():
            raise SourceError(
                "a file of the stack does not exist", got=name, where=name, key=("files",)
            )
    return stack


def _named(names: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    files = np.empty(shape, object)
    files[...] = names
    return files


def check_nesting(files: Sequence[str | Sequence[str]]) -> None:
    """Refuse lists that are empty, or not equally long.

    Raises
    ------
    ConfigError
        They are.
    """
    lengths = {None if isinstance(item, str) else len(item) for item in files}
    if len(lengths) != 1 or 0 in lengths:
        found = ", ".join("a name" if n is None else f"a list of {n}" for n in lengths)
        raise ConfigError(
            "`files` are not a regular stack",
            got=found or "an empty list",
            expected="a list of names, or of equally long lists of names",
            key=("files",),
        )


def fields_of(pattern: str) -> tuple[str, ...]:
    """Give the axes that a pattern has fields for, in its order.

    Raises
    ------
    ConfigError
        It has none, or one that is not an axis of a stack.

    Examples
    --------
    >>> fields_of("scan/z{z:04d}_c{c}.tif")
    ('z', 'c')
    """
    try:
        parsed = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise _no_pattern(pattern, error) from error
    fields = []
    for _, field, spec, conversion in parsed:
        if field is None:
            continue
        if field not in FIELDS or conversion or not _SPECS.fullmatch(spec or ""):
            raise _no_pattern(pattern, f"a field {{{field}{':' if spec else ''}{spec}}}")
        fields.append(field)
    if not fields:
        raise _no_pattern(pattern, "no field")
    return tuple(dict.fromkeys(fields))


def _no_pattern(pattern: str, got: object) -> ConfigError:
    return ConfigError(
        "not a pattern of file names",
        got=f"{got} in {pattern!r}",
        expected="a name with fields such as {z}, {c:02d} and {t}",
        key=("pattern",),
    )


def matching(pattern: str) -> Stack:
    """Find the files of a pattern; the numbers in their names say how many there are.

    Parameters
    ----------
    pattern : str
        A path with fields as of ``str.format``, in its folders too.

    Raises
    ------
    SourceError
        There is none, or one is missing.
    """
    axes = fields_of(pattern)
    found = set(_numbers(pattern, axes))
    if not found:
        raise SourceError("no file has a name of this pattern", where=pattern, key=("pattern",))
    extents = [range(min(each), max(each) + 1) for each in zip(*found, strict=True)]
    for numbers in itertools.islice(_all_numbers(extents), len(found) + 1):
        if numbers not in found:
            missing = pattern.format(**dict(zip(axes, numbers, strict=True)))
            raise SourceError(
                "a file of the stack is missing",
                got=f"{len(found)} files",
                expected=missing,
                where=pattern,
                key=("pattern",),
            )
    files = _named("", tuple(map(len, extents)))
    for numbers in found:
        place = tuple(n - each.start for n, each in zip(numbers, extents, strict=True))
        files[place] = pattern.format(**dict(zip(axes, numbers, strict=True)))
    return Stack(files, axes)


def _all_numbers(extents: Sequence[range]) -> Iterator[tuple[int, ...]]:
    """Give every combination, the last axis fastest, one by one: two files may be billions apart."""
    if not extents:
        yield ()
        return
    for first in extents[0]:
        for rest in _all_numbers(extents[1:]):
            yield (first, *rest)


def _numbers(pattern: str, axes: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Give the numbers of every file whose name is the pattern with these numbers in its fields."""
    parts = Path(pattern).parts
    for path, values in _descend(Path(), parts, {}):
        if path.is_file():
            yield tuple(values[axis] for axis in axes)


def _descend(
    folder: Path, parts: Sequence[str], values: dict[str, int]
) -> Iterator[tuple[Path, dict[str, int]]]:
    """Follow the parts of a pattern into the folders that match them."""
    if not parts:
        yield folder, values
        return
    part, rest = parts[0], parts[1:]
    if not any(field for _, field, _, _ in string.Formatter().parse(part)):
        yield from _descend(folder / part.format(), rest, values)
        return
    expression = _expression(part)
    for path in folder.iterdir() if folder.is_dir() else ():
        match = expression.fullmatch(path.name)
        if match is None:
            continue
        numbers = values | {axis: int(digits) for axis, digits in match.groupdict().items()}
        known = all(numbers[axis] == value for axis, value in values.items())
        if known and part.format(**numbers) == path.name:
            yield from _descend(path, rest, numbers)


def _expression(part: str) -> re.Pattern[str]:
    pieces, seen = [], set()
    for text, field, _, _ in string.Formatter().parse(part):
        pieces.append(re.escape(text))
        if field is not None:
            pieces.append(f"(?P={field})" if field in seen else rf"(?P<{field}>\d+)")
            seen.add(field)
    return re.compile("".join(pieces), re.ASCII)
