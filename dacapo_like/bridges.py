"""What other libraries see of an array: dask, xarray, and funlib with all that is built on it.

funlib's world coordinates are integers, and so are those of gunpowder, daisy and DaCapo. An array whose grid is not integral
goes there in a finer unit, or not at all; nothing is rounded.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from uuid import uuid4

import numpy as np

from dacapo_like.described import Described
from dacapo_like.errors import MissingExtraError, SpecError
from dacapo_like.geometry import Exact, format_numbers, funlib_where_integral
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_factor

_MOST_BLOCKS = 2**23  # a graph of dask keeps some hundred bytes of each
_MOST_COORDINATES = 2**24
_METRIC = ("mm", "um", "nm", "pm", "fm")


@contextmanager
def importing(package: str, *, extra: str, expected: str | None = None) -> Iterator[None]:
    """Import an optional package: without its deprecations, which our users cannot mend, or with an error that names the extra.

    Raises
    ------
    MissingExtraError
        It cannot be imported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    except ImportError as error:
        raise MissingExtraError(
            f"{package} cannot be imported",
            got=error,
            expected=expected,
            hint=f"pip install 'dacapo_like[{extra}]'",
        ) from error


def integral_spec(spec: ArraySpec, units: str | None = None) -> ArraySpec:
    """Give a spec as packages need it whose world coordinates are integers.

    Parameters
    ----------
    spec : ArraySpec
        Of any grid.
    units : str, optional
        Unit of length to convert voxel size and offset into; by default they stay in their own.

    Raises
    ------
    SpecError
        The grid is not integral in these units, or its own are unknown and others are asked for.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> integral_spec(from_shape((5, 5), voxel_size=(9.8, 4), units="nm"), "pm").voxel_size
    Coordinate(9800, 4000)
    """
    found = spec if units is None else _in_units(spec, units)
    if _is_integral(found):
        return found
    raise SpecError(
        "not a grid of integers",
        got=f"voxel size {format_numbers(found.voxel_size)} {found.describe_unit()}, "
        f"offset {format_numbers(found.offset)}",
        expected="integers: funlib and gunpowder would cut them off",
        hint=_way_out(spec),
    )


def _is_integral(spec: ArraySpec) -> bool:
    return all(isinstance(value, int) for value in (*spec.voxel_size, *spec.offset))


def _in_units(spec: ArraySpec, units: str) -> ArraySpec:
    factors = []
    for unit in spec.units:
        if unit is None:
            raise SpecError(
                "the unit of an axis is unknown",
                got=f"units {spec.units}",
                expected=f"units of length, to convert them into {units}",
                hint="say `units` where the array is defined",
            )
        factors.append(length_factor(unit, units))
    return spec.replace(
        voxel_size=spec.voxel_size * factors,
        offset=spec.offset * factors,
        units=(units,) * spec.dims,
    )


def _way_out(spec: ArraySpec) -> str:
    """Say what makes a grid integral: a finer unit, where there is one."""
    if None in spec.units:
        return (
            "say voxel size and offset in a finer unit where the array is defined; "
            "or say its `units` there, and pass others here, such as units='pm'"
        )
    for units in _METRIC:
        if _is_integral(_in_units(spec, units)):
            return f"pass units={units!r}, in which all of them are integers"
    return "resample it to a voxel size of whole numbers, and crop it to whole offsets"


class Bridged(Described):
    """Something that reads regions, as other libraries' arrays; each is read when they ask for it."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str | None:
        """What people call it."""

    def to_dask(self, chunks: Any = None) -> Any:
        """Give a ``dask.array.Array`` that reads its blocks from here.

        Parameters
        ----------
        chunks : optional
            As dask takes them; by default the stored chunks, or blocks of about a megabyte.

        Raises
        ------
        SpecError
            There are more chunks than dask can have in its graph.
        """
        import dask.array as da  # heavy

        chunks = chunks or block_shape(self.spec)
        _check_number(self.spec.shape, chunks)
        return da.from_array(
            self,
            chunks=chunks,
            meta=np.empty((0,) * self.ndim, self.dtype),
            name=False,
        )

    def __dask_tokenize__(self) -> str:
        """Give dask a new name every time: to make one of all there is, it would read arrays in memory whole."""
        return uuid4().hex

    def to_xarray(self) -> Any:
        """Give a lazy ``xarray.DataArray`` with the world positions of voxel centres as coordinates."""
        with importing("xarray", extra="xarray"):
            import xarray as xr
        spec = self.spec
        _check_number(spec.shape, block_shape(spec))
        if max(spec.shape, default=0) > _MOST_COORDINATES:
            raise SpecError(
                "an axis is too long for xarray, which keeps the position of every voxel",
                got=max(spec.shape),
                expected=f"at most {_MOST_COORDINATES} voxels",
                hint="crop it first",
            )
        coords: dict[str, list[Any]] = {
            axis: _centres(start, size, n)
            for axis, start, size, n in zip(
                spec.spatial_axes, spec.offset, spec.voxel_size, spec.spatial_shape, strict=True
            )
        }
        if "c" in spec.axes:
            coords["c"] = list(spec.channel_names)
        return xr.DataArray(self.to_dask(), dims=spec.axes, coords=coords, name=self.name)

    def to_funlib(self, *, units: str | None = None, chunks: Any = None) -> Any:
        """Give a ``funlib.persistence.Array`` that reads its blocks from here, when they are asked for.

        Time, sample and channel axes are all of funlib's type ``channel``, their names marked with ``^``, so that its ROI is the
        same as here. An unknown unit is an empty one. Assigning to it writes where this array is writable, and is refused where it
        is not. funlib has no word for the directions of oblique axes.

        Parameters
        ----------
        units : str, optional
            Unit of length to convert voxel size, offset and so every ROI into; by default they stay in the array's own.
        chunks : optional
            As dask takes them; by default the stored chunks, or blocks of about a megabyte.

        Returns
        -------
        funlib.persistence.Array
            Axes and voxels as here.

        Raises
        ------
        MissingExtraError
            funlib.persistence is not installed.
        SpecError
            The grid is not integral in these units.

        Examples
        --------
        >>> from dacapo_like import Roi, from_numpy
        >>> raw = from_numpy(np.arange(6).reshape(2, 3), voxel_size=(9.8, 4), units="nm")
        >>> raw.to_funlib(units="pm").roi
        [0:19600, 0:12000] (19600, 12000)
        """
        with importing("funlib.persistence", extra="funlib"):
            from funlib.persistence import Array as FunlibArray
        spec = integral_spec(self.spec, units)
        lead = len(spec.leading_axes)
        bridged = FunlibArray(
            self,  # itself and not a dask array, which would take assignments and keep them to itself
            offset=funlib_where_integral(spec.offset),
            voxel_size=funlib_where_integral(spec.voxel_size),
            axis_names=[f"{axis.removesuffix('^')}^" for axis in spec.leading_axes]
            + list(spec.spatial_axes),
            units=[unit or "" for unit in spec.units],
            types=["channel"] * lead + ["space"] * spec.dims,
            chunks=chunks or block_shape(spec),
        )
        bridged.attrs.update(spec.attrs)
        return bridged


def _check_number(shape: Sequence[int], chunks: Any) -> None:
    """See that a graph of dask will fit into memory; what else dask takes for chunks is left to it."""
    if not isinstance(chunks, (tuple, list)) or not all(type(n) is int and n > 0 for n in chunks):
        return
    count = math.prod(-(-n // chunk) for n, chunk in zip(shape, chunks, strict=False))
    if count > _MOST_BLOCKS:
        raise SpecError(
            "too many chunks for a graph of dask",
            got=count,
            expected=f"at most {_MOST_BLOCKS}",
            hint="pass larger `chunks`, or crop it first",
        )


def _centres(start: Exact, size: Exact, n: int) -> list[float]:
    """Give the positions of voxel centres; each is the double nearest to the exact one."""
    first = start + Fraction(size) / 2
    parts = math.lcm(first.denominator, size.denominator)  # integers divide faster than Fractions
    low, step = int(first * parts), int(size * parts)
    return [(low + step * i) / parts for i in range(n)]


def block_shape(spec: ArraySpec, target_bytes: int = 2**20) -> tuple[int, ...]:
    """Choose blocks for an array: the stored chunks, else cubes of about `target_bytes`, one per leading index.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> block_shape(from_shape((3, 500, 500, 500), "float32", axes="czyx"))
    (1, 64, 64, 64)
    """
    if spec.chunk_shape is not None:
        return spec.chunk_shape
    voxels = max(target_bytes // spec.dtype.itemsize, 1)
    edge = 1 << int(np.log2(voxels) / max(spec.dims, 1))
    return (1,) * len(spec.leading_axes) + tuple(max(min(n, edge), 1) for n in spec.spatial_shape)
