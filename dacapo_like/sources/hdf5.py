"""HDF5: datasets with the attributes that DaCapo, funlib, CREMI and BiaPy write beside them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Reader, about
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Box
from dacapo_like.record import NAMESPACE
from dacapo_like.registry import register
from dacapo_like.sources._h5 import (
    PerProcess,
    check_storage,
    dataset_at,
    dataset_names,
    listed,
    named_faults,
    open_file,
    plain_value,
    small_attribute,
)
from dacapo_like.sources._h5_voxels import DatasetVoxels
from dacapo_like.sources._missing import Absences, Missing
from dacapo_like.sources.layout import (
    Layout,
    Stored,
    StoredArrayConfig,
    lay_out,
    stored_from_attributes,
)


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
    missing: Missing = attrs.field(
        default="fill", metadata=about("What to do about chunks that are not there.")
    )

    def open(self) -> Reader:
        """Read what the file says of the dataset.

        Raises
        ------
        SourceError
            The file or dataset is not there, holds no voxels, leads to another file, or its axes are not known.
        """
        with open_file(self.file_name) as file, named_faults(self.file_name):
            name = _only_dataset(file, self.file_name) if self.dataset is None else self.dataset
            where = f"{self.file_name}/{name.strip('/')}"
            dataset = dataset_at(file, name)
            check_storage(file, dataset, where)
            stored = _stored(dataset, where)
            absences = Absences(self.missing)
            DatasetVoxels(dataset, where, absences)
        return _HDF5Reader(lay_out(stored, self, where), self.file_name, name, stored, absences)


def _only_dataset(file: Any, where: str) -> str:
    names = dataset_names(file)
    if len(names) == 1:
        return names[0]
    raise SourceError(
        "the file has several datasets" if names else "the file has no dataset of numbers",
        got=listed(names) or None,
        expected="the name of one",
        where=where,
        hint="give `dataset` in the config" if names else None,
        key=("dataset",),
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
    found = {
        name: plain_value(small_attribute(dataset, name))
        for name in dataset.attrs
        if dataset.attrs.get_id(name).get_type().get_class() in plain
    }
    record = found.get(NAMESPACE)
    if isinstance(record, str):  # HDF5's attributes hold no mappings: ours is JSON text
        with contextlib.suppress(json.JSONDecodeError):  # which `read_record` then refuses
            found[NAMESPACE] = json.loads(record)
    return found


class _HDF5Reader(Reader):
    """Reads hyperslabs. HDF5 works in one thread at a time, which h5py sees to."""

    in_threads = True

    def __init__(
        self, layout: Layout, file_name: str, name: str, stored: Stored, absences: Absences
    ) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._as_stored = np.argsort(layout.order)
        self._where = where = f"{file_name}/{name.strip('/')}"

        def find(file: Any) -> DatasetVoxels:
            dataset = dataset_at(file, name)
            check_storage(file, dataset, where)
            voxels = DatasetVoxels(dataset, where, absences)
            voxels.check_like(stored.shape, stored.dtype)
            return voxels

        self._voxels = PerProcess(file_name, find)

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box."""
        target = np.empty(box.shape, self.spec.dtype) if out is None else out
        if not target.size:
            return target
        with named_faults(self._where, ReadError, "voxels cannot be read"):
            voxels, state = self._voxels()
            for stored, place in self._layout.parts(box):
                voxels.fill(target[place].transpose(self._as_stored), stored, state)
        return target
