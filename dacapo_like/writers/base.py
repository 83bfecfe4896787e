"""What writers have in common: they write beside their place, and move there when all is written."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from numpy.typing import NDArray

from dacapo_like.errors import ConfigError, DacapoLikeError, RegionError, SourceError, did_you_mean
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.replacing import beside, replace_folder
from dacapo_like.spec import ArraySpec

W = TypeVar("W", bound="type[Writer]")

_writers: dict[str, type[Writer]] = {}


class Writer(ABC):
    """Writes one array to a file or folder, block by block.

    Until `commit` the target is not touched: what is written grows beside it, under a hidden name. As a context manager it
    commits at the end, and removes what it wrote after an error. Boxes are in the array's order of axes.

    Parameters
    ----------
    path : str or Path
        Of the target.
    spec : ArraySpec
        Of the array.
    name : str, optional
        What people call the array; by default the name of the file without its suffix.
    attributes : mapping, optional
        JSON to keep beside the metadata where the format has a place for it, see `dacapo_like.record`.
    overwrite : bool
        Replace a target of the same format that is there. Nothing else is ever replaced.
    partial : Path, optional
        Where it grows, on the disk of the target; who names it removes it after an error. By default a hidden path beside the target.
    **options
        Of the format: keyword-only parameters of the subclass.

    Attributes
    ----------
    block_shape : tuple of int
        Of the blocks that may be written independently; boxes start and end at multiples of it, or at the array's end.
    in_order : bool
        Whether blocks have to be written one after the other, in the order of `boxes`.

    Raises
    ------
    SourceError
        Something is in the way.
    SpecError
        The format has no place for such an array.
    """

    in_order: ClassVar[bool] = False
    block_shape: tuple[int, ...]

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        partial: Path | None = None,
    ) -> None:
        self.path = Path(path).resolve()
        self.spec = spec
        self.name = name or self.path.name.partition(".")[0]
        self.attributes = dict(attributes or {})
        self._overwrite = overwrite
        self._closed = False
        self._check_target()
        self._partial = partial or beside(self.path)
        self._is_ours = partial is None

    @classmethod
    def takes(cls, path: Path) -> bool:  # noqa: ARG003  # for subclasses
        """Whether it writes to a path whose name does not end in one of its suffixes."""
        return False

    @abstractmethod
    def _write(self, box: Box, data: NDArray[Any]) -> None:
        """Write a box that fits, with data that fit it."""

    @abstractmethod
    def _close(self, *, complete: bool) -> None:
        """Let go of what is open; where all is written, bring it to disk before."""

    def _is_replaceable(self) -> bool:
        """Whether what is at the target is of this format, so that `overwrite` may replace it."""
        return self.path.is_file()

    def boxes(self) -> Iterator[Box]:
        """Walk over the blocks; where they are written in order, in that order."""
        return blocks_of(self.spec.shape, self.block_shape)

    def write(self, box: Box, data: NDArray[Any]) -> None:
        """Write a block, or several that make up a box.

        Parameters
        ----------
        box : Box
            Its ends lie on multiples of `block_shape`, or at the end of the array.
        data : ndarray
            Of the box's shape and the array's dtype.

        Raises
        ------
        RegionError
            The box is no such box, or the data do not fit it.
        SourceError
            The voxels cannot be written.
        """
        if self._closed:
            raise SourceError("the writer is closed", where=str(self.path))
        self._check_box(box)
        if data.shape != box.shape or data.dtype != self.spec.dtype:
            raise RegionError(
                "data do not fit the block",
                got=f"{data.dtype} {data.shape}",
                expected=f"{self.spec.dtype} {box.shape}",
                where=str(self.path),
            )
        self._write(box, data)

    def commit(self) -> None:
        """Move what was written into its place; after an error or an interrupt in that, nothing is left behind that `abort` removes.

        Raises
        ------
        SourceError
            Something has come into the way since, or the disk refuses.
        """
        self._check_target()
        try:
            self._place()
        except BaseException:
            self.abort()
            raise

    def _place(self) -> None:
        self._closed = True
        try:
            self._close(complete=True)
            self._check_target()  # that may have taken long
            if self._partial.is_dir():
                replace_folder(self._partial, self.path)
            else:
                self._partial.replace(self.path)
        except DacapoLikeError:
            raise
        except OSError as error:
            raise self._failure("cannot move what was written into its place", error) from error

    def abort(self) -> None:
        """Remove what was written, but for a `partial` that others named; the target stays as it was."""
        self._closed = True
        with suppress(OSError):  # a full disk refuses the last bytes, too, which are not wanted
            self._close(complete=False)
        if self._is_ours:
            self._remove()

    def _remove(self) -> None:
        if self._partial.is_dir():
            shutil.rmtree(self._partial)
        else:
            self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._closed:
            return
        if kind is not None:
            self.abort()
            return
        try:
            self.commit()
        except DacapoLikeError:  # of a target in the way, before anything was moved
            self.abort()
            raise

    def _check_target(self) -> None:
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not self._is_replaceable():
            raise SourceError(
                "something of another kind is in the way",
                where=str(self.path),
                hint="it is never replaced: choose another path, or remove it yourself",
            )
        if not self._overwrite:
            raise SourceError(
                "the output exists already",
                where=str(self.path),
                hint="overwrite=True (--overwrite) replaces it",
            )

    def _check_box(self, box: Box) -> None:
        def on_grid(position: int, block: int, n: int) -> bool:
            return position % block == 0 or position == n

        if not self.spec.box.contains(box) or not all(
            on_grid(start, block, n) and on_grid(stop, block, n)
            for start, stop, block, n in zip(
                box.offset, box.end, self.block_shape, self.spec.shape, strict=True
            )
        ):
            raise RegionError(
                "not a box of whole blocks",
                got=f"{box.offset} to {box.end}",
                expected=f"multiples of {self.block_shape} inside {self.spec.shape}",
                where=str(self.path),
            )

    def _failure(self, what: str, error: Exception) -> SourceError:
        return SourceError(what, got=error, where=str(self.path))


def writes(*suffixes: str) -> Callable[[W], W]:
    """Make a writer known for the file names that end so.

    Parameters
    ----------
    *suffixes : str
        In lower case, with their dots; the longest that fits a name counts.
    """

    def add(writer: W) -> W:
        for suffix in suffixes:
            if suffix in _writers:
                raise ConfigError("two writers of one suffix", got=suffix)
            _writers[suffix] = writer
        return writer

    return add


def writer_of(path: str | os.PathLike[str]) -> type[Writer]:
    """Give the writer for a file name.

    Raises
    ------
    ConfigError
        No writer makes such files.
    """
    name = Path(path).name.lower()
    fitting = [suffix for suffix in _writers if name.endswith(suffix)]
    if not fitting:
        taking = next((writer for writer in _writers.values() if writer.takes(Path(path))), None)
        if taking is not None:
            return taking
        suffix = Path(name).suffix
        raise ConfigError(
            "no format is written to such a file name",
            got=name,
            expected=f"a name that ends in one of {', '.join(sorted(_writers))}",
            hint=did_you_mean(suffix, _writers) if suffix else None,
        )
    return _writers[max(fitting, key=len)]
