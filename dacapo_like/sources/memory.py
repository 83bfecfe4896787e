"""Arrays in memory: `from_numpy`, `from_gunpowder`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Reader, SourceConfig, about
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box
from dacapo_like.registry import register
from dacapo_like.sources.layout import axis_name
from dacapo_like.spec import ArraySpec, Kind, from_shape, infer_kind

_LEADING_AXES: tuple[tuple[str, ...], ...] = ((), ("c",), ("s", "c"))
_SPATIAL_AXES = ("z", "y", "x")


@register("numpy")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class NumpyArrayConfig(SourceConfig):
    """Voxels that are in memory already. It cannot be written into a document.

    Two such configs are equal only where they hold the very same ndarray, on the same grid.
    """

    in_documents: ClassVar[bool] = False

    data: NDArray[Any] = attrs.field(eq=id, repr=False, metadata=about("The voxels, never copied."))
    spec: ArraySpec = attrs.field(metadata=about("What they are."))
    mode: Literal["r", "r+"] = attrs.field(
        default="r", metadata=about("Whether regions can be assigned to, which changes the voxels.")
    )

    def open(self) -> Reader:
        """Give a reader that copies."""
        return _MemoryReader(self.data, self.spec, self.mode)


class _MemoryReader(Reader):
    def __init__(self, data: NDArray[Any], spec: ArraySpec, mode: str) -> None:
        self.data = data
        self.spec = spec
        if mode != "r+":
            self.read_only = "it was opened with mode r, not r+"
        elif not data.flags.writeable:
            self.read_only = "its ndarray is not writeable"
        else:
            self.read_only = None

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        source = self.data[box.slices]
        if out is None:
            return np.array(source, dtype=self.spec.dtype, order="C")
        np.copyto(out, source)
        return out

    def write(self, box: Box, data: NDArray[Any]) -> None:
        self.data[box.slices] = data


def from_numpy(
    data: NDArray[Any],
    *,
    axes: Sequence[str] | None = None,
    voxel_size: Sequence[Any] | None = None,
    offset: Sequence[Any] | None = None,
    units: str | Sequence[str | None] | None = None,
    name: str | None = None,
    mode: Literal["r", "r+"] = "r",
    **fields: Any,
) -> Array:
    """Make an `Array` of voxels in memory.

    Parameters
    ----------
    data : ndarray
        Not copied; reads are copies.
    axes : sequence of str, optional
        In the order of `data`, time and channels first, spelled as in files; by default the last of ``t c z y x``.
    voxel_size, offset : sequence of numbers, optional
        Per spatial axis, in world units; by default 1 and 0. `offset` is the corner of the first voxel.
    units : str or sequence, optional
        Of the spatial axes; unknown by default.
    name : str, optional
        For people.
    mode : {"r", "r+"}
        Whether regions can be assigned to, which changes `data`.
    **fields
        Further fields of `ArraySpec`: ``channels``, ``kind``, ``directions``.

    Returns
    -------
    Array

    Raises
    ------
    SpecError
        The numbers or names do not fit the data, or its mask would be lost.

    Examples
    --------
    >>> import numpy as np
    >>> from_numpy(np.zeros((4, 4), "uint8"), voxel_size=(9.8, 9.8), units="nm").roi
    Roi(offset=(0, 0), shape=(39.2, 39.2))
    """
    data = np.asanyarray(data)
    if isinstance(data, np.ma.MaskedArray):
        raise SpecError("a masked array", expected="a plain one", hint="fill it: data.filled(0)")
    spec = from_shape(
        data.shape,
        data.dtype,
        axes=None if axes is None else [axis_name(axis) for axis in axes],
        voxel_size=voxel_size,
        offset=offset,
        units=units,
        **fields,
    )
    return NumpyArrayConfig(name=name, data=data, spec=spec, mode=mode).array()


def from_gunpowder(
    array: Any,
    *,
    axes: Sequence[str] | None = None,
    units: str | Sequence[str | None] | None = None,
    kind: Kind | None = None,
    name: str | None = None,
    **fields: Any,
) -> Array:
    """Make an `Array` of one of gunpowder's, for example of one out of a batch.

    Parameters
    ----------
    array : gunpowder.Array
        With a ROI and a voxel size. Its voxels are not copied.
    axes : sequence of str, optional
        In the order of its data; by default the last of ``z y x``, behind ``c``, or ``s c``, where there are more.
    units : str or sequence, optional
        Of the spatial axes, which gunpowder does not know; unknown by default.
    kind : {"image", "labels", "mask"}, optional
        By default what is interpolatable is an image, integers that are not are labels, and bool a mask.
    name : str, optional
        For people.
    **fields
        As `from_numpy` takes them: ``mode``, ``channels``, ``directions``.

    Returns
    -------
    Array

    Raises
    ------
    SpecError
        It is not spatial, or data, ROI and axes do not fit each other.
    """
    if not hasattr(getattr(array, "spec", None), "nonspatial"):
        raise SpecError(
            "not an array of gunpowder", got=type(array), expected="a gunpowder.Array with its spec"
        )
    place = array.spec
    if place.nonspatial or place.roi is None or place.voxel_size is None:
        raise SpecError(
            "a nonspatial array",
            got=place,
            expected="a ROI and a voxel size",
            hint="from_numpy(array.data) makes an array without a place in the world",
        )
    data = np.asanyarray(array.data)
    opened = from_numpy(
        data,
        axes=axes or _default_axes(data.ndim, place.roi.dims),
        voxel_size=place.voxel_size,
        offset=place.roi.offset,
        units=units,
        kind=kind or _kind_of(data.dtype, interpolatable=place.interpolatable),
        name=name,
        attrs=array.attrs,
        **fields,
    )
    if opened.spec.roi != place.roi:
        raise SpecError(
            "the data do not fill the ROI",
            got=f"{data.shape} voxels of {place.voxel_size}",
            expected=f"voxels for {place.roi}",
        )
    return opened


def _default_axes(ndim: int, dims: int) -> tuple[str, ...]:
    lead = ndim - dims
    if not 0 <= lead < len(_LEADING_AXES) or dims > len(_SPATIAL_AXES):
        raise SpecError(
            "axes have to be named",
            got=f"{ndim} axes of which {dims} are spatial",
            expected="at most two before at most three spatial ones",
            hint="pass axes=, for example ('t', 'c', 'z', 'y', 'x')",
        )
    return _LEADING_AXES[lead] + _SPATIAL_AXES[len(_SPATIAL_AXES) - dims :]


def _kind_of(dtype: np.dtype[Any], *, interpolatable: bool | None) -> Kind:
    if interpolatable:
        return "image"
    return "labels" if interpolatable is False and dtype.kind in "iu" else infer_kind(dtype)
