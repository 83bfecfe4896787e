"""Synaptic sites and partners of the CREMI challenge, which stand beside the volumes in its HDF5 files."""

from __future__ import annotations

import os
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import SourceError
from dacapo_like.sources._h5 import follow, named_faults, open_file

_EXCHANGED = ("postsynaptic_site", "presynaptic_site")


@attrs.frozen(kw_only=True, eq=False)
class SynapticSites:
    """Annotated points and which of them are partners; n points, m pairs. All arrays are read-only.

    Attributes
    ----------
    ids : ndarray of uint64
        Of shape (n,), in the file's order; each once.
    positions : ndarray of float64
        Of shape (n, 3): in the world, z, y, x, in nanometres, as CREMI has them: what is stored is relative to the annotations' offset, which is
        added here.
    types : tuple of str
        Of each point, ``presynaptic_site`` or ``postsynaptic_site``.
    partners : ndarray of intp
        Of shape (m, 2): index into the other attributes of the presynaptic point of each pair, and of the postsynaptic one. A presynaptic point
        with several partners is in as many pairs.
    """

    ids: NDArray[np.uint64]
    positions: NDArray[np.float64]
    types: tuple[str, ...]
    partners: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.ids)

    def of_type(self, name: str) -> NDArray[np.intp]:
        """Give the indices of all points of a type."""
        return np.flatnonzero([kind == name for kind in self.types])


def read_synaptic_sites(file_name: str | os.PathLike[str]) -> SynapticSites:
    """Read the annotations of a file of the CREMI challenge (https://cremi.org/data, file format 0.2).

    Parameters
    ----------
    file_name : str or path
        With a group ``annotations``: ``ids``, ``types`` and ``locations``; ``presynaptic_site/partners``, pairs of ids, where there
        are any; and the group's attribute ``offset``, 0 where there is none. Volumes have offsets of their own.

    Raises
    ------
    SourceError
        There are no annotations, their datasets differ in length, an id is there twice, or a pair is there twice, is the wrong
        way round, or names an id that is not there.

    Examples
    --------
    >>> import h5py, tempfile
    >>> name = f"{tempfile.mkdtemp()}/a.hdf"
    >>> with h5py.File(name, "w") as file:
    ...     group = file.create_group("annotations")
    ...     group.attrs["offset"] = (40.0, 0.0, 0.0)
    ...     group["ids"] = np.array([7, 3], "uint64")
    ...     group["types"] = ["presynaptic_site", "postsynaptic_site"]
    ...     group["locations"] = [[0.0, 4.0, 8.0], [40.0, 8.0, 8.0]]
    ...     group["presynaptic_site/partners"] = np.array([[7, 3]], "uint64")
    >>> sites = read_synaptic_sites(name)
    >>> sites.positions[sites.partners]
    array([[[40.,  4.,  8.],
            [80.,  8.,  8.]]])
    """
    name = os.fspath(file_name)
    where = f"{name}/annotations"
    with open_file(name) as file, named_faults(where):
        group = follow(file, "annotations")
        if group is None:
            raise SourceError("the file has no annotations", expected="a group `annotations`")
        ids = _read_ids(file, "annotations/ids", (None,))
        locations = _numbers("locations", _read(file, "annotations/locations"), (len(ids), 3))
        offset = _numbers("offset", group.attrs.get("offset", (0.0, 0.0, 0.0)), (3,))
        types = _read_types(file, len(ids))
        partners = "annotations/presynaptic_site/partners"
        none = np.empty((0, 2), np.uint64)
        pairs = none if follow(file, partners) is None else _read_ids(file, partners, (None, 2))
        return SynapticSites(
            ids=_frozen(ids),
            positions=_frozen(locations + offset),
            types=types,
            partners=_frozen(_paired(ids, types, pairs)),
        )


def _read(file: Any, path: str) -> NDArray[Any]:
    import h5py  # heavy

    found = follow(file, path)
    if not isinstance(found, h5py.Dataset):
        raise SourceError(
            "annotations are not complete", got=f"no dataset {path}", where=file.filename
        )
    return np.asarray(found[()])


def _read_ids(file: Any, path: str, shape: tuple[int | None, ...]) -> NDArray[np.uint64]:
    ids = _checked(path, _read(file, path), shape, "integers of at least 0")
    if ids.dtype.kind not in "iu" or (ids < 0).any():
        raise SourceError(f"{path} are no ids", got=ids.dtype, expected="integers of at least 0")
    return ids.astype(np.uint64)


def _read_types(file: Any, n: int) -> tuple[str, ...]:
    types = _checked("types", _read(file, "annotations/types"), (n,), "text")
    return tuple(kind.decode() if isinstance(kind, bytes) else str(kind) for kind in types)


def _numbers(what: str, values: Any, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    numbers = _checked(what, np.asarray(values), shape, "numbers").astype(np.float64)
    if not np.isfinite(numbers).all():
        raise SourceError(f"{what} are no places", got="infinity or nan", expected="numbers")
    return numbers


def _checked(
    what: str, values: NDArray[Any], shape: tuple[int | None, ...], of: str
) -> NDArray[Any]:
    fits = len(values.shape) == len(shape) and all(
        n is None or n == m for n, m in zip(shape, values.shape, strict=True)
    )
    if not fits:
        expected = " x ".join("any number" if n is None else str(n) for n in shape)
        raise SourceError(
            f"{what} do not fit the annotations", got=values.shape, expected=f"{expected}, {of}"
        )
    return values


def _paired(
    ids: NDArray[np.uint64], types: tuple[str, ...], pairs: NDArray[np.uint64]
) -> NDArray[np.intp]:
    """Give pairs of ids as pairs of indices."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    _refuse("an id is there more than once", ordered[1:][ordered[1:] == ordered[:-1]])
    _refuse("partners that have no annotation", pairs[~np.isin(pairs, ids)])
    partners = order[np.searchsorted(ordered, pairs)].reshape(pairs.shape)
    rows, counts = np.unique(pairs, axis=0, return_counts=True)
    _refuse("partners are paired more than once", rows[counts > 1])
    swapped = [(types[pre], types[post]) == _EXCHANGED for pre, post in partners]
    _refuse("partners are the wrong way round", pairs[np.array(swapped, bool)])
    return partners


def _refuse(what: str, found: NDArray[np.uint64]) -> None:
    if len(found):
        raise SourceError(what, got=f"{len(found)} of them, the first {found[0].tolist()}")


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    values.flags.writeable = False
    return values
