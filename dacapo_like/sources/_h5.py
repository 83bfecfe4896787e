"""What the sources in HDF5 files share: opening them, following links only within them, and reading boxes."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from dacapo_like.chunk_cache import FileState, file_state, is_settled
from dacapo_like.errors import DacapoLikeError, SourceError, did_you_mean
from dacapo_like.sources._handles import Slot

T = TypeVar("T")

_MOST_SOFT_LINKS = 16  # in one path: HDF5's own limit
_MOST_NAMES = 20  # in one message
LARGEST_ATTRIBUTE = 2**24  # bytes


def open_file(file_name: str) -> Any:
    """Open a file to read it.

    Raises
    ------
    SourceError
        It is not there, or is no HDF5 file.
    """
    import h5py  # heavy

    try:
        return h5py.File(file_name, "r")
    except OSError as error:
        path = Path(file_name)
        missing = error.errno == errno.ENOENT and path.parent.is_dir()
        raise SourceError(
            "not an HDF5 file that can be read" if error.errno is None else "cannot open the file",
            got=os.strerror(error.errno) if error.errno else error,
            where=file_name,
            hint=did_you_mean(path.name, (found.name for found in path.parent.iterdir()))
            if missing
            else None,
            key=("file_name",),
        ) from error


@contextmanager
def named_faults(
    where: str, kind: type[SourceError] = SourceError, what: str = "the file is damaged"
) -> Iterator[None]:
    """Make an error of ours of whatever h5py raises about bytes that HDF5 cannot make sense of."""
    try:
        yield
    except DacapoLikeError as error:
        error.where = error.where or where
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise kind(
            what,
            got=" ".join(str(error).split()),
            where=where,
            hint="compare the file with its original",
        ) from error


def dataset_names(file: Any) -> list[str]:
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


def listed(names: list[str]) -> str:
    """Write names for a message, a few of many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def follow(file: Any, path: str, start: Any = None) -> Any:
    """Give what is at a path of the file, or of a group in it, or ``None``.

    Links are followed one by one, so that none is followed out of the file.

    Raises
    ------
    SourceError
        A link leads to another file.
    """
    import h5py  # heavy

    item, steps, followed = file if start is None else start, deque(_steps(path)), 0
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
            return None
    return item


def dataset_at(file: Any, path: str) -> Any:
    """Give the dataset at a path of the file.

    Raises
    ------
    SourceError
        There is none, or a link leads to another file.
    """
    import h5py  # heavy

    item = follow(file, path)
    if item is None:
        names = dataset_names(file)
        raise SourceError(
            "no such dataset",
            got=repr(path),
            expected=f"one of {listed(names)}" if names else None,
            where=file.filename,
            hint=did_you_mean(path.strip("/"), names),
            key=("dataset",),
        )
    if isinstance(item, h5py.Dataset):
        return item
    inside = f"{item.name.rstrip('/')}/"
    below = [name for name in dataset_names(file) if f"/{name}".startswith(inside)]
    raise SourceError(
        "not a dataset",
        got=f"{path!r}, a {'group' if isinstance(item, h5py.Group) else 'named type'}",
        expected=f"one of {listed(below)}" if below else "a dataset",
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


def check_storage(file: Any, dataset: Any, where: str) -> None:
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
                part = dataset_at(file, source.dset_name)
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


class PerProcess(Generic[T]):
    """What is found in a file, which is opened at the first call.

    It is opened again in a forked child, where a handle is its parent's, when it was written anew, and when too many other
    files were read since. Threads that come at the same time each open it; one of the handles stays.

    Parameters
    ----------
    file_name : str
        Of the file.
    find : callable
        Takes the open file, and gives what to keep.
    """

    def __init__(self, file_name: str, find: Callable[[Any], T]) -> None:
        self._file_name, self._find = file_name, find
        self._slot: Slot[_Opened[T]] = Slot()

    def __call__(self) -> tuple[T, FileState | None]:
        """Give what was found, in this process, and the state of the file; ``None`` where nothing of it is to be kept."""
        state, opened = self._state(), self._slot.get()
        if opened is None or state not in (None, opened.state):
            opened = None
            self._slot.empty()  # closes it, if nobody reads: else HDF5 gives the same handle again
            file = open_file(self._file_name)
            opened = _Opened(file, self._find(file), state)
            self._slot.put(opened)
        return opened.found, state if state is not None and is_settled(state) else None

    def _state(self) -> FileState | None:
        try:
            return file_state(self._file_name)
        except OSError:  # it is gone: what is open goes on as it was
            return None


class _Opened(NamedTuple, Generic[T]):
    file: Any
    found: T
    state: FileState | None


def small_attribute(item: Any, name: str) -> Any:
    """Give an attribute, unless its header says that it is absurdly large: HDF5 would take memory for all of it first.

    Raises
    ------
    SourceError
        It says so.
    """
    stored = item.attrs.get_id(name)
    size = stored.get_space().get_simple_extent_npoints() * stored.get_type().get_size()
    if size > LARGEST_ATTRIBUTE:
        raise SourceError(
            "an attribute is too large",
            got=f"{name!r} of {size} bytes",
            expected=f"at most {LARGEST_ATTRIBUTE}",
        )
    return item.attrs[name]


def plain_value(value: Any) -> Any:
    """Turn numpy's values into Python's; a float32 into the number that its shortest decimal names.

    Examples
    --------
    >>> plain_value(np.array([0.7, 40], np.float32)), plain_value(np.bytes_(b"nm"))
    ([0.7, 40.0], 'nm')
    """
    if isinstance(value, np.ndarray):
        return [plain_value(item) for item in value]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float)) else None  # what is left is h5py.Empty
