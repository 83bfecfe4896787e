"""HDF5: datasets with the attributes that DaCapo, funlib, CREMI and BiaPy write beside them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Reader, about
from dacapo_like.errors import DacapoLikeError, ReadError, SourceError, did_you_mean
from dacapo_like.geometry import Box
from dacapo_like.registry import register
from dacapo_like.sources.layout import (
    Layout,
    Stored,
    StoredArrayConfig,
    lay_out,
    stored_from_attributes,
)

_MOST_SOFT_LINKS = 16  # in one path: HDF5's own limit
_MOST_NAMES = 20  # in one message


@register("hdf5")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class HDF5ArrayConfig(StoredArrayConfig):
    """A dataset of an HDF5 file, of any chunking and compression.

    Its attributes ``voxel_size`` or ``resolution``, ``offset`` (of the first voxel's corner), ``axes`` or ``axis_names``, and
    ``units`` say where it lies; what they do not say, the config does. Links, virtual datasets and storage that lead to
    other files are refused: the config names every file that is read.

    Examples
    --------
    >>> HDF5ArrayConfig(file_name="sample_A.hdf", dataset="volumes/raw", voxel_size=(40, 4, 4)).voxel_size
    Coordinate(40, 4, 4)
    """

    dataset: str | None = attrs.field(
        default=None,
        metadata=about(
            "Path of the dataset in the file; may be left out where there is only one of numbers."
        ),
    )

    def open(self) -> Reader:
        """Read what the file says of the dataset.

        Raises
        ------
        SourceError
            The file or dataset is not there, holds no voxels, leads to another file, or its axes are not known.
        """
        with _open_file(self.file_name) as file, _named_faults(self.file_name):
            name = _only_dataset(file, self.file_name) if self.dataset is None else self.dataset
            where = f"{self.file_name}/{name.strip('/')}"
            dataset = _dataset_at(file, name)
            _check_storage(file, dataset, where)
            stored = _stored(dataset, where)
        return _HDF5Reader(lay_out(stored, self, where), self.file_name, name, where)


def _open_file(file_name: str) -> Any:
    import h5py  # heavy

    try:
        return h5py.File(file_name, "r")
    except OSError as error:
        raise SourceError(
            "not an HDF5 file that can be read" if error.errno is None else "cannot open the file",
            got=os.strerror(error.errno) if error.errno else error,
            where=file_name,
        ) from error


@contextmanager
def _named_faults(
    where: str, kind: type[SourceError] = SourceError, what: str = "the file is damaged"
) -> Iterator[None]:
    """Make an error of ours of whatever h5py raises about bytes that HDF5 cannot make sense of."""
    try:
        yield
    except DacapoLikeError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise kind(
            what,
            got=" ".join(str(error).split()),
            where=where,
            hint="compare the file with its original",
        ) from error


def _dataset_names(file: Any) -> list[str]:
    """Give the paths of all datasets of numbers that have an axis; links are not followed."""
    import h5py  # heavy

    numbers = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM)
    names: list[str] = []

    def visit(name: str | bytes, item: Any) -> None:
        is_array = isinstance(item, h5py.Dataset) and item.shape
        if is_array and item.id.get_type().get_class() in numbers:
            names.append(name if isinstance(name, str) else name.decode(errors="replace"))

    file.visititems(visit)
    return names


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _only_dataset(file: Any, where: str) -> str:
    names = _dataset_names(file)
    if len(names) == 1:
        return names[0]
    raise SourceError(
        "the file has several datasets" if names else "the file has no dataset of numbers",
        got=_listed(names) or None,
        expected="the name of one",
        where=where,
        hint="give `dataset` in the config" if names else None,
        key=("dataset",),
    )


def _dataset_at(file: Any, path: str) -> Any:
    """Give a dataset of the file; links are followed one by one, so that none is followed out of it."""
    import h5py  # heavy

    item, steps, followed = file, deque(_steps(path)), 0
    while steps:
        step = steps.popleft()
        link = item.get(step, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.HardLink):
            item = item[step]
        elif isinstance(link, h5py.SoftLink) and followed < _MOST_SOFT_LINKS:
            followed += 1
            steps.extendleft(reversed(_steps(link.path)))
            item = file if link.path.startswith("/") else item
        elif isinstance(link, h5py.ExternalLink):
            raise _leads_outside("a link", link.filename, f"{file.filename}/{path.strip('/')}")
        else:
            names = _dataset_names(file)
            raise SourceError(
                "no such dataset",
                got=repr(path),
                expected=f"one of {_listed(names)}" if names else None,
                where=file.filename,
                hint=did_you_mean(path.strip("/"), names),
                key=("dataset",),
            )
    if isinstance(item, h5py.Dataset):
        return item
    inside = f"{item.name.rstrip('/')}/"
    below = [name for name in _dataset_names(file) if f"/{name}".startswith(inside)]
    raise SourceError(
        "not a dataset",
        got=f"{path!r}, a {'group' if isinstance(item, h5py.Group) else 'named type'}",
        expected=f"one of {_listed(below)}" if below else "a dataset",
        where=file.filename,
        key=("dataset",),
    )


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in {"", "."}]


def _leads_outside(what: str, file_name: str, where: str) -> SourceError:
    return SourceError(
        f"{what} leads to another file",
        got=file_name,
        expected="voxels in the file that the config names",
        where=where,
        hint="name that file in the config, or copy its data into this one, for example with h5repack",
    )


def _check_storage(file: Any, dataset: Any, where: str) -> None:
    """Refuse voxels in other files, and filters that are not installed; virtual datasets are followed."""
    import h5py  # heavy

    waiting, seen = [dataset], set()
    while waiting:
        item = waiting.pop()
        seen.add(item.name)
        if item.external:
            raise _leads_outside("the storage", item.external[0][0], where)
        if item.is_virtual:
            for source in item.virtual_sources():
                if source.file_name != ".":
                    raise _leads_outside("a virtual dataset", source.file_name, where)
                part = _dataset_at(file, source.dset_name)
                if part.name not in seen:
                    waiting.append(part)
        created = item.id.get_create_plist()
        for i in range(created.get_nfilters()):
            code, _, _, name = created.get_filter(i)
            if not h5py.h5z.filter_avail(code):
                raise SourceError(
                    "the voxels are compressed with a filter that is not installed",
                    got=f"{name.decode(errors='replace') or 'unnamed'} (filter {code})",
                    where=where,
                    hint="install hdf5plugin and set HDF5_PLUGIN_PATH to its plugins, or recompress with h5repack",
                )


def _stored(dataset: Any, where: str) -> Stored:
    if not dataset.shape:
        raise SourceError(
            "a dataset without axes",
            got="an empty (null) dataset" if dataset.shape is None else "a scalar",
            expected="an array",
            where=where,
            key=("dataset",),
        )
    try:
        dtype = dataset.dtype
    except TypeError as error:  # h5py has no numpy type for it
        raise SourceError("voxels of a type that is no number", got=error, where=where) from error
    return stored_from_attributes(_attributes(dataset), dataset.shape, dtype, dataset.chunks, where)


def _attributes(dataset: Any) -> Mapping[str, Any]:
    """Give the attributes that are numbers or text, in plain values; references and compounds mean nothing outside."""
    import h5py  # heavy

    h5t = h5py.h5t
    plain = {h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM, h5t.ARRAY}
    return {
        name: _plain(dataset.attrs[name])
        for name in dataset.attrs
        if dataset.attrs.get_id(name).get_type().get_class() in plain
    }


def _plain(value: Any) -> Any:
    """Turn numpy's values into Python's; a float32 into the number that its shortest decimal names.

    Examples
    --------
    >>> _plain(np.array([0.7, 40], np.float32)), _plain(np.bytes_(b"nm"))
    ([0.7, 40.0], 'nm')
    """
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float)) else None  # what is left is h5py.Empty


class _Handle(NamedTuple):
    pid: int
    file: Any
    dataset: Any


class _HDF5Reader(Reader):
    """Holds its file open from the first read to its own end, and with it HDF5's cache of decoded chunks.

    HDF5 works in one thread at a time, which h5py sees to.
    """

    def __init__(self, layout: Layout, file_name: str, name: str, where: str) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._as_stored = np.argsort(layout.order)
        self._file_name, self._name, self._where = file_name, name, where
        self._handle: _Handle | None = None

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box."""
        target = np.empty(box.shape, self.spec.dtype) if out is None else out
        if not target.size:
            return target
        with _named_faults(self._where, ReadError, "voxels cannot be read"):
            dataset = self._dataset()
            for stored, place in self._layout.parts(box):
                _fill(target[place].transpose(self._as_stored), dataset, stored)
        return target

    def _dataset(self) -> Any:
        """Give the dataset, opened in this process: a handle from before a fork shares its parent's file.

        Threads that come here at the same time each open it; one of the handles stays.
        """
        handle = self._handle
        if handle is None or handle.pid != os.getpid():
            if handle is not None:
                handle.file.close()
            file = _open_file(self._file_name)
            handle = self._handle = _Handle(os.getpid(), file, _dataset_at(file, self._name))
        return handle.dataset


def _fill(target: NDArray[Any], dataset: Any, box: Box) -> None:
    """Read a box of the stored array, straight into the target where its memory is in stored order."""
    import h5py  # heavy

    data = target if target.flags.c_contiguous else np.empty(box.shape, target.dtype)
    space = dataset.id.get_space()
    space.select_hyperslab(box.offset, box.shape)
    dataset.id.read(h5py.h5s.create_simple(box.shape), space, data)
    if data is not target:
        target[...] = data
