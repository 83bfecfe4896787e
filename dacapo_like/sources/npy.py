"""numpy's ``.npy``, mapped into memory, and the members of its ``.npz``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Reader, about
from dacapo_like.errors import ReadError, SourceError, did_you_mean
from dacapo_like.geometry import Box
from dacapo_like.registry import register
from dacapo_like.sources._handles import Slot
from dacapo_like.sources.layout import Layout, Stored, StoredArrayConfig, lay_out

if TYPE_CHECKING:
    from dacapo_like.sources._npz import Member

_RUN = 2**20  # bytes
_ZIP = b"PK"


@register("npy")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class NpyArrayConfig(StoredArrayConfig):
    """An array that `numpy.save`, `numpy.savez` or `numpy.savez_compressed` wrote, in C or Fortran order.

    A read touches only the pages of the file that it needs; of a compressed member, what comes before its region is unpacked, too. The format keeps voxels only: axes, voxel size, offset and units are what the config says. Arrays of objects are refused, as
    unpickling them would run whatever they say.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.arange(12, dtype="uint16").reshape(3, 4))
    ...     array = NpyArrayConfig(file_name=f"{folder}/a.npy", voxel_size=(4, 4), units="nm").array()
    ...     array[1:, :2].tolist()
    [[4, 5], [8, 9]]
    """

    dataset: str | None = attrs.field(
        default=None,
        metadata=about(
            "Of an `.npz`, the name of the array in it; by default the only one there is."
        ),
    )

    def open(self) -> Reader:
        """Read the header, and of an ``.npy`` map the voxels.

        Raises
        ------
        SourceError
            The file is not there, is no array of numbers or shorter than its header says, has no such member, or its axes are
            not known.
        """
        if _is_zip(self.file_name):
            return self._open_member()
        if self.dataset is not None:
            raise SourceError(
                "an .npy file is one array",
                got=f"dataset {self.dataset!r}",
                where=self.file_name,
                hint="`dataset` names an array of an .npz",
                key=("dataset",),
            )
        voxels = _mapped(self.file_name)
        fastest_first = np.argsort(voxels.strides, kind="stable")
        stored = Stored(
            shape=voxels.shape,
            dtype=voxels.dtype,
            chunk_shape=_lies_together(voxels.shape, voxels.itemsize, fastest_first),
        )
        return _NpyReader(lay_out(stored, self, self.file_name), voxels, self.file_name)

    def _open_member(self) -> Reader:
        from dacapo_like.sources._npz import open_member  # imports zipfile

        member = open_member(self.file_name, self.dataset)
        rank = len(member.shape)
        fastest_first = range(rank) if member.in_fortran_order else range(rank)[::-1]
        stored = Stored(
            shape=member.shape,
            dtype=member.dtype,
            chunk_shape=_lies_together(member.shape, member.dtype.itemsize, fastest_first),
        )
        return _NpzReader(lay_out(stored, self, f"{self.file_name}/{member.name}"), member)


def _mapped(file_name: str) -> NDArray[Any]:
    path = Path(file_name)
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)  # else numpy takes it for a pickle
        return np.lib.format.open_memmap(path, "r")
    except FileNotFoundError as error:
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceError(
            "file does not exist",
            where=file_name,
            hint=did_you_mean(path.name, names),
            key=("file_name",),
        ) from error
    except (OSError, ValueError, TypeError, OverflowError, SyntaxError, TokenError) as error:
        raise SourceError(  # headers are Python literals: damaged ones fail as such
            "not a .npy file that can be read",
            got=" ".join(str(error).split()),
            where=file_name,
            key=("file_name",),
        ) from error


def _is_zip(file_name: str) -> bool:
    try:
        with Path(file_name).open("rb") as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:  # which is said where the file is opened
        return False


def _lies_together(
    shape: Sequence[int], itemsize: int, fastest_first: Iterable[int]
) -> tuple[int, ...]:
    """Give what is best read at once: about a megabyte that lies together.

    Examples
    --------
    >>> _lies_together((1000, 1000, 4), 1, (2, 1, 0))
    (262, 1000, 4)
    >>> _lies_together((1000, 1000, 4), 1, (0, 1, 2))
    (1000, 1000, 1)
    """
    left = max(_RUN // max(itemsize, 1), 1)
    run = [1] * len(shape)
    for axis in fastest_first:
        run[axis] = max(min(shape[axis], left), 1)
        left = max(left // run[axis], 1)
    return tuple(run)


class _NpyReader(Reader):
    def __init__(self, layout: Layout, voxels: NDArray[Any], file_name: str) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._mapped: Slot[NDArray[Any]] = Slot()  # a map holds the file open
        self._mapped.put(voxels)
        self._like = (voxels.shape, voxels.strides, voxels.dtype)
        self._file = Path(file_name)
        self._length = self._file.stat().st_size

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box."""
        self._check_length()
        voxels = self._voxels()

        def start(stored: Box) -> Any:
            return lambda: np.array(voxels[stored.slices], self.spec.dtype)

        return self._layout.start(box, start, out)()

    def _voxels(self) -> NDArray[Any]:
        voxels = self._mapped.get()
        if voxels is None:
            voxels = _mapped(str(self._file))
            shape, _, dtype = self._like
            if (voxels.shape, voxels.strides, voxels.dtype) != self._like:
                raise ReadError(
                    "the file has changed since it was opened",
                    got=f"{voxels.dtype} {voxels.shape}",
                    expected=f"{dtype} {shape}",
                    where=str(self._file),
                    hint="open the array again",
                )
            self._mapped.put(voxels)
        return voxels

    def _check_length(self) -> None:
        """Refuse a file that was cut off: to touch a page that is not there any more would end the process."""
        try:
            length = self._file.stat().st_size
        except OSError as error:
            raise ReadError(
                "voxels cannot be read", got=error.strerror, where=str(self._file)
            ) from error
        if length < self._length:
            raise ReadError(
                "the file was truncated",
                got=f"{length} bytes",
                expected=f"{self._length} bytes",
                where=str(self._file),
            )


class _NpzReader(Reader):
    in_threads = True

    def __init__(self, layout: Layout, member: Member) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._member = member

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box."""

        def start(stored: Box) -> Any:
            return lambda: self._member.read(stored)

        return self._layout.start(box, start, out)()
