"""TIFF: one series of a file, OME-TIFF and ImageJ hyperstacks among them, or of every file of a stack.

A read opens only the files that it touches, and decodes only their tiles.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.chunk_cache import FileState, file_state, is_settled
from dacapo_like.core import Reader, about
from dacapo_like.errors import ConfigError, ReadError, SourceError
from dacapo_like.geometry import Box, Coordinate, Exact, exact, format_numbers
from dacapo_like.registry import register
from dacapo_like.sources import _tiff_stack as stacks
from dacapo_like.sources._handles import Slot
from dacapo_like.sources._missing import Absences, Missing
from dacapo_like.sources._ome_annotation import with_annotation
from dacapo_like.sources._tiff_file import Pixels, Series, open_series
from dacapo_like.sources._tiff_metadata import stored_axes
from dacapo_like.sources.layout import (
    Layout,
    Stored,
    StoredArrayConfig,
    axis_name,
    lay_out,
    timepoint_field,
)
from dacapo_like.spec import is_leading_axis

Files = tuple[str | tuple[str, ...], ...]

_REMEMBERED = 4096  # files of a stack


def _as_files(files: Iterable[Any] | None) -> Files | None:
    if files is None:
        return None
    return tuple(
        tuple(map(os.fspath, item)) if isinstance(item, (list, tuple)) else os.fspath(item)
        for item in files
    )


@register("tiff")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class TiffArrayConfig(StoredArrayConfig):
    """A series of a TIFF file, which is the pages that are one image, or a stack of such files.

    The metadata of OME-TIFF and ImageJ say what its axes and its voxel size are; what they do not say, the config does.
    Exactly one of `file_name`, `pattern` and `files` is given. The axes of a stack are those along which its files lie,
    then those of each file; `axes` names them all, with a `pattern` in any order.

    Examples
    --------
    >>> TiffArrayConfig(file_name="stack.tif", voxel_size=(2, 0.5, 0.5), units="um").voxel_size
    Coordinate(2, 0.5, 0.5)
    >>> TiffArrayConfig(pattern="scan/z{z:04d}_c{c}.tif", axes=("c", "z", "y", "x")).describe()
    'tiff'
    """

    file_name: str = attrs.field(
        default="", converter=os.fspath, metadata=about("The file, where it is one.", path=True)
    )
    pattern: str | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(os.fspath),
        metadata=about(
            "Names of the files of a stack, with the fields z, c and t, as in `z{z:04d}_c{c}.tif`.",
            path=True,
        ),
    )
    files: Files | None = attrs.field(
        default=None,
        converter=_as_files,
        metadata=about(
            "Names of the files of a stack: a list, or a list of lists; `axes` names the nesting first.",
            path=True,
        ),
    )
    series: int = attrs.field(
        default=0, metadata=about("Which series, counted from 0, as tifffile finds them.")
    )
    level: int | None = attrs.field(
        default=None, metadata=about("Level of a pyramid, 0 the finest; by default 0.")
    )
    timepoint: int | None = timepoint_field()
    voxel_size: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about(
            "Of a pyramid without `level`, whose file says its size, chooses the level that has it; "
            "else replaces what the file says."
        ),
    )
    missing: Missing = attrs.field(
        default="fill", metadata=about("What to do about chunks that are not there.")
    )

    def __attrs_post_init__(self) -> None:
        given = [key for key in ("file_name", "pattern", "files") if getattr(self, key)]
        if len(given) != 1:
            raise ConfigError(
                "a TIFF is one file or one stack",
                got=" and ".join(given) or "neither",
                expected="one of `file_name`, `pattern` and `files`",
            )
        if self.pattern is not None:
            stacks.fields_of(self.pattern)
        if self.files is not None:
            stacks.check_nesting(self.files)

    def open(self) -> Reader:
        """Read the headers: of a stack, those of its first file; the others have to agree when they are read.

        Raises
        ------
        SourceError
            A file is not there or no TIFF, has no such series or level, or its axes are not known.
        MissingExtraError
            Its compression needs the package imagecodecs.
        """
        stack, own = self._stack()
        where = str(stack.files.flat[0])
        state = _state(where)
        with open_series(where, self.series, own) as series:
            axes = _axes(stack, own, series, where)
            letters = (*(stack.axes or ()), *series.letters.lower())
            grids = [_grid(series, level, axes, letters) for level in range(_depth(series))]
            level = self._level([grid[0] for grid in grids], where)
            pixels = series.pixels(level)
        voxel_size, units = grids[level]
        stored = Stored(
            shape=stack.files.shape + pixels.shape,
            dtype=pixels.dtype,
            chunk_shape=(1,) * stack.files.ndim + pixels.chunk_shape,
            axes=axes,
            voxel_size=voxel_size,
            offset=_offset(series, axes, letters),
            units=units,
            channels=series.declared.channels,
        )
        stored = with_annotation(stored, series.declared.annotation, where)
        as_stored: dict[str, Any] = {} if self.axes is None else {"axes": axes}
        name = where if stack.files.size == 1 else self.pattern or f"{where} and others"
        of = (self.series, level, own)
        files = _Files(name, of, pixels, where, state, Absences(self.missing))
        options = attrs.evolve(self, **as_stored)
        layout = lay_out(_fitting(stored), options, where, timepoint=self.timepoint)
        return _TiffReader(layout, stack, files)

    def _stack(self) -> tuple[stacks.Stack, tuple[str, ...] | None]:
        """Find the files, and what the config calls the axes of each."""
        names = None if self.axes is None else tuple(map(axis_name, self.axes))
        if self.files is not None:
            stack = stacks.nested(self.files)
            if names is None or len(names) <= stack.files.ndim:
                raise SourceError(
                    "nobody says what the nesting of `files` is",
                    got="no axes" if names is None else " ".join(names),
                    expected="`axes` with the nesting first, for example [c, z, y, x]",
                    key=("axes",),
                )
            rank = stack.files.ndim
            return attrs.evolve(stack, axes=names[:rank]), names[rank:]
        stack = (
            stacks.one(self.file_name) if self.pattern is None else stacks.matching(self.pattern)
        )
        if names is None:
            return stack, None
        missing = set(stack.axes or ()) - set(names)
        if missing:
            raise SourceError(
                "axes leave out a field of the pattern",
                got=" ".join(names),
                expected=f"{', '.join(sorted(missing))} among them",
                where=self.pattern,
                key=("axes",),
            )
        own = tuple(name for name in names if name not in (stack.axes or ()))
        return stack.ordered(names), own

    def _level(self, sizes: Sequence[Coordinate | None], where: str) -> int:
        """Choose the level, as it is said or by its voxel size."""
        if self.level is not None:
            if not 0 <= self.level < len(sizes):
                raise SourceError(
                    "no such level",
                    got=self.level,
                    expected=f"0 to {len(sizes) - 1}",
                    where=where,
                    hint=f"the series has {len(sizes)} level{'s' * (len(sizes) > 1)}",
                    key=("level",),
                )
            return self.level
        if self.voxel_size is None or len(sizes) == 1 or sizes[0] is None:
            return 0
        if self.voxel_size not in sizes:
            raise SourceError(
                "no level has this voxel size",
                got=format_numbers(self.voxel_size),
                expected=f"one of {', '.join(format_numbers(size) for size in sizes if size)}",
                where=where,
                hint="give `level` too, to override the voxel size of that level",
                key=("voxel_size",),
            )
        return sizes.index(self.voxel_size)


def _depth(series: Series) -> int:
    return len(series.level_shapes)


def _axes(
    stack: stacks.Stack, own: tuple[str, ...] | None, series: Series, where: str
) -> tuple[str, ...] | None:
    """Name the axes of the stack, then those of each file; ``None`` where a single file does not say."""
    inner = stored_axes(series.letters) if own is None else own
    outer = stack.axes or ()
    if own is None and outer and (inner is None or set(inner) & set(outer)):
        raise SourceError(
            "it is not clear what the axes of the files of the stack are",
            got=f"{series.letters} in each file, {' '.join(outer)} in their names",
            expected="names for all axes",
            where=where,
            hint="give `axes` in the config, for example [z, c, y, x]",
            key=("axes",),
        )
    return None if inner is None else outer + inner


def _grid(
    series: Series, level: int, axes: Sequence[str] | None, letters: Sequence[str]
) -> tuple[Coordinate | None, tuple[str | None, ...] | None]:
    """Give voxel size and units of a level: those of the finest, as many times larger as its voxels are fewer."""
    said = series.declared
    outer = len(letters) - len(series.letters)
    spatial = _spatial(axes, letters)
    if not said.sizes or spatial is None:
        return None, None

    def size(i: int) -> Exact:
        finest = said.sizes.get(letters[i], 1)
        if i < outer:
            return finest
        full, coarse = (series.level_shapes[n][i - outer] for n in (0, level))
        return exact(Fraction(finest) * Fraction(full, coarse))

    units = tuple(said.units.get(letters[i]) for i in spatial)
    return Coordinate(map(size, spatial)), units


def _offset(
    series: Series, axes: Sequence[str] | None, letters: Sequence[str]
) -> Coordinate | None:
    """Give the corner of all levels."""
    spatial = _spatial(axes, letters)
    if not series.declared.offset or spatial is None:
        return None
    return Coordinate(series.declared.offset.get(letters[i], 0) for i in spatial)


def _spatial(axes: Sequence[str] | None, letters: Sequence[str]) -> list[int] | None:
    """Find the spatial axes; ``None`` where the config names too many or too few, which `lay_out` refuses."""
    names = letters if axes is None else axes
    if len(names) != len(letters):
        return None
    return [i for i, name in enumerate(names) if not is_leading_axis(name)]


def _fitting(stored: Stored) -> Stored:
    """Leave out names of channels that do not fit: samples of a pixel have none."""
    axes = stored.axes or ()
    count = stored.shape[axes.index("c")] if "c" in axes else 0
    fits = len(stored.channels or ()) == count
    return stored if fits else attrs.evolve(stored, channels=None)


class _Files:
    """The voxels of some files of a stack, the last ones that were read; each has to be like the first.

    Parameters
    ----------
    name : str
        Of all of them, for statistics.
    of : tuple
        Series, level, and names of the axes, in each file.
    first : Pixels
        Of the first file.
    where : str
        The first file's name.
    state : FileState or None
        Of the first file, before it was opened.
    absences : Absences
        What is done about tiles and strips that are not there.
    """

    def __init__(
        self,
        name: str,
        of: tuple[int, int, tuple[str, ...] | None],
        first: Pixels,
        where: str,
        state: FileState | None,
        absences: Absences,
    ) -> None:
        self._name, self._of, self._absences = name, of, absences
        self._like = (first.shape, first.dtype)
        self._first = where
        self._slots: dict[str, Slot[tuple[Pixels, FileState | None]]] = {where: Slot()}
        self._slots[where].put((first, state))

    def read(self, where: str, box: Box) -> NDArray[Any]:
        """Read a box of a file; one that was left out closes when nobody reads it any more."""
        if len(self._slots) > _REMEMBERED:
            self._slots = {}
        slot = self._slots.setdefault(where, Slot())
        state = _state(where)
        pixels, known = slot.get() or (None, None)
        if pixels is None or state not in (None, known):
            pixels = self._opened(where) if pixels is None else self._opened_anew(where, pixels)
            slot.put((pixels, state))
        absent = pixels.absent(box) if self._absences.matter else None
        if absent is not None:
            place = f"{where}, voxels {box.offset} to {box.end}"
            self._absences.found(f"tile or strip {absent} is not in the file", place)
        settled = state if state is not None and is_settled(state) else None
        return pixels.read(box, self._name, settled)

    def _opened_anew(self, where: str, known: Pixels) -> Pixels:
        """Open a file that was written since it was opened."""
        try:
            return self._opened(where)
        except ReadError:
            raise
        except SourceError:  # it is damaged: reading what can still be read tells how
            return known

    def _opened(self, where: str) -> Pixels:
        index, level, own = self._of
        with open_series(where, index, own) as series:
            shape, dtype = self._like
            if level >= _depth(series):
                found = f"{_depth(series)} levels"
            else:
                pixels = series.pixels(level)
                if (pixels.shape, pixels.dtype) == self._like:
                    return pixels
                found = f"{pixels.dtype} {pixels.shape}"
        raise ReadError(
            "the file has changed since it was opened"
            if where == self._first
            else "a file of the stack is not like the first",
            got=found,
            expected=f"{dtype} {shape}, as in {self._first}",
            where=where,
        )


def _state(where: str) -> FileState | None:
    try:
        return file_state(where)
    except OSError:  # which is said where it is opened
        return None


class _TiffReader(Reader):
    in_threads = True

    def __init__(self, layout: Layout, stack: stacks.Stack, files: _Files) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._stack = stack
        self._files = files

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        def start(stored: Box) -> Callable[[], NDArray[Any]]:
            return lambda: self._read(stored)

        return self._layout.start(box, start, out)()

    def _read(self, box: Box) -> NDArray[Any]:
        if not self._stack.files.ndim:
            return self._files.read(self._stack.files.item(), box)
        block = np.empty(box.shape, self.spec.dtype)
        for name, inside, place in self._stack.parts(box):
            block[place] = self._files.read(name, inside)
        return block
