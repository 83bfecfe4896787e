"""A source of gunpowder's for any array: the extra ``gunpowder``."""

from __future__ import annotations

from typing import Any

from dacapo_like.bridges import importing, integral_spec
from dacapo_like.core import Array
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Coordinate, format_numbers, funlib_where_integral
from dacapo_like.spec import ArraySpec

with importing(
    "gunpowder",
    extra="gunpowder",
    expected="gunpowder 1.5 or newer, on Python 3.12 or newer: those before it need zarr 2",
):
    import gunpowder as gp
    from gunpowder.profiling import Timing


class ArraySource(gp.BatchProvider):  # type: ignore[misc]  # gunpowder has no types
    """Provides an array to a pipeline; every request is one read of its region.

    Images are interpolatable; labels and masks are not. Time, sample and channel axes come first and whole. gunpowder
    knows neither units nor the directions of oblique axes: all arrays of a pipeline have to be in the same ones.

    Parameters
    ----------
    key : gunpowder.ArrayKey
        What the array is called in requests.
    array : Array
        On a grid of integers which starts at a multiple of its voxel size.
    units : str, optional
        Unit of length to convert voxel size, offset and so every ROI into; by default they stay in the array's own.
    interpolatable : bool, optional
        Whether voxels may be interpolated; by default that follows from the array's kind.

    Raises
    ------
    SpecError
        gunpowder has no place for voxels on such a grid.

    Examples
    --------
    >>> import dacapo_like, gunpowder, numpy
    >>> raw = gunpowder.ArrayKey("RAW")
    >>> array = dacapo_like.from_numpy(numpy.arange(12).reshape(3, 4), voxel_size=(10, 10))
    >>> request = gunpowder.BatchRequest({raw: gunpowder.ArraySpec(gunpowder.Roi((10, 20), (10, 20)))})
    >>> with gunpowder.build(ArraySource(raw, array)) as pipeline:
    ...     pipeline.request_batch(request)[raw].data
    array([[6, 7]])
    """

    def __init__(
        self,
        key: Any,
        array: Array,
        *,
        units: str | None = None,
        interpolatable: bool | None = None,
    ) -> None:
        self.key = key
        self.array = array
        self._grid = integral_spec(array.spec, units)
        if not self._grid.offset.is_multiple_of(self._grid.voxel_size):
            raise _between_voxels(self._grid)
        self.array_spec = gp.ArraySpec(
            roi=funlib_where_integral(self._grid.roi),
            voxel_size=funlib_where_integral(self._grid.voxel_size),
            interpolatable=array.kind == "image" if interpolatable is None else interpolatable,
            nonspatial=False,
            dtype=array.dtype,
        )

    def setup(self) -> None:
        """Announce the array."""
        self.provides(self.key, self.array_spec)

    def provide(self, request: Any) -> Any:
        """Read the region that is asked for."""
        batch = gp.Batch()
        if self.key not in request:  # it is a placeholder
            return batch
        timing = Timing(self)
        timing.start()
        spec = self.array_spec.copy()
        spec.roi = request[self.key].roi
        voxels = self.array.read_box(self._grid.roi_to_box(spec.roi))
        batch[self.key] = gp.Array(voxels, spec, dict(self.array.attrs))
        timing.stop()
        batch.profiling_stats.add(timing)
        return batch


def _between_voxels(spec: ArraySpec) -> SpecError:
    nearest = Coordinate(
        n * size
        for n, size in zip(
            spec.offset.round_division(spec.voxel_size), spec.voxel_size, strict=True
        )
    )
    return SpecError(
        "the array starts between two voxels of gunpowder",
        got=f"offset {format_numbers(spec.offset)} for voxel size {format_numbers(spec.voxel_size)}",
        expected="a multiple of the voxel size",
        hint="set `offset` where the arrays of the pipeline are defined, all of them shifted alike; "
        f"the nearest multiple is {format_numbers(nearest)}",
    )
