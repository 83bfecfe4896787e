"""Crop: the part of an array that lies in a region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias, TypeGuard

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.errors import RegionError, Remark, SpecError
from dacapo_like.geometry import Box, Roi, RoiLike, Snap, as_roi
from dacapo_like.indexing import written_box
from dacapo_like.operators._places import Units, unit_factors
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec, same_directions

Region: TypeAlias = "RoiLike | Box | slice | Sequence[Any]"


@register("crop")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class CropArrayConfig(UnaryConfig):
    """The intersection of an array with a region; an empty one is an error. What is assigned to it goes to its source."""

    read_only: ClassVar[str | None] = None
    rigid: ClassVar[bool] = True
    roi: Roi = attrs.field(
        converter=as_roi,
        metadata=about(
            "Region to keep, in the world units of the source: its spatial axes, in order."
        ),
    )
    snap: Snap | None = attrs.field(
        default=None,
        metadata=about(
            "How to align a region that is not on the voxel grid; by default that is an error."
        ),
    )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Cut the source's spec."""
        (source,) = inputs
        return source.cut(kept_box(source, self.roi, self.snap))

    def view_offset(self, *inputs: ArraySpec) -> tuple[int, ...]:
        """Give the first voxel that is kept."""
        return kept_box(inputs[0], self.roi, self.snap).offset

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Shift the box."""
        return (box.shifted(self.view_offset(*inputs)),)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:  # noqa: ARG002  # a view
        """Pass the block on."""
        return blocks[0].data  # type: ignore[no-any-return]  # a block's data is an ndarray

    def remarks(self, *inputs: ArraySpec) -> Iterable[Remark]:
        """Say where the region leaves the source."""
        (source,) = inputs
        if not source.box.contains(source.roi_to_box(self.roi, snap=self.snap)):
            yield Remark(
                code="DL401",
                message=f"the region {self.roi} leaves its source, which covers {source.roi}: only the common part is kept",
                key=("roi",),
            )


@lru_cache(maxsize=1024)  # asked for at every read
def kept_box(source: ArraySpec, roi: Roi, snap: Snap | None) -> Box:
    """Give the voxels of a source that lie in a region.

    Raises
    ------
    SpecError
        There are none, or the region is not on the grid.
    """
    try:
        kept = source.roi_to_box(roi, snap=snap).intersect(source.box)
    except RegionError as error:
        raise SpecError(
            error.what,
            got=error.got,
            expected=error.expected,
            hint=error.hint,
            key=("roi",),
            code="DL211",
        ) from error
    if 0 in kept.shape[source.ndim - source.dims :]:
        raise SpecError(
            "the region to keep is outside of the source",
            got=roi,
            expected=f"a region that meets {source.roi}",
            hint="it is told along the array's own axes, which are not those of the world"
            if source.directions is not None
            else None,
            key=("roi",),
        )
    return kept


@array_method
def crop(
    array: Array,
    region: Region | list[Region] | None = None,
    *,
    like: Array | None = None,
    units: Units | None = None,
    snap: Snap | None = None,
) -> Array | list[Array]:
    """Keep the part of an array that lies in a region, see `CropArrayConfig`.

    Parameters
    ----------
    array : Array
        Any; no voxel is read.
    region : Roi, Box, slices, or a list of them
        - A `Roi`, ours or funlib's, or a pair of its offset and shape: one number per spatial axis, in world units.
        - A `Box`: voxels, over all axes or over the spatial ones.
        - A slice, or a tuple of slices and an ellipsis: voxels, as indexing takes them; ``array.crop(index)`` holds what
          ``array[index]`` gives. What leaves the array is an error.

        Time and channels stay whole. A list gives a list of arrays.
    like : Array
        Keep what this one covers, instead of a region: its units are converted, its axes have to point the same way.
    units : str or sequence of str, optional
        Of a region in world units; by default the array's own. They are converted exactly.
    snap : {"grow", "shrink", "nearest"}, optional
        How to align a region that is not on the voxel grid; by default that is an error.

    Returns
    -------
    Array or list of Array

    Raises
    ------
    SpecError
        The region is empty, outside of the array, off its grid, or of the wrong rank; or it is not whole along time and
        channels; or units or axes do not fit.
    RegionError
        It is no region, or a slice leaves the array.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.arange(12).reshape(3, 4), voxel_size=(10, 10), units="nm")
    >>> array.crop(np.s_[1:, 2:]).roi
    [10:30, 20:40] (20, 20)
    >>> [part[...].tolist() for part in array.crop([((0, 0), (10, 20)), np.s_[2:, :2]])]
    [[[0, 1]], [[8, 9]]]
    >>> array.crop(((0.01, 0), (0.01, 0.02)), units="um")[...]
    array([[4, 5]])
    """
    if (region is None) == (like is None):
        raise RegionError("a crop needs a region, or an array to be like, and not both")
    if like is not None:
        return array.apply(CropArrayConfig, roi=_covered(like, array.spec), snap=snap)
    if _is_batch(region):
        return [_cropped(array, item, units, snap) for item in region]
    return _cropped(array, region, units, snap)


def _cropped(array: Array, region: Any, units: Units | None, snap: Snap | None) -> Array:
    spec = array.spec
    if isinstance(region, Box):
        roi = _roi_of(region, spec)
    elif _is_index(region):
        _check_steps(region)
        box, shape = written_box(region, spec.shape)
        if len(shape) < spec.ndim:
            raise RegionError("an index that drops an axis", got=region, expected="slices")
        roi = _roi_of(box, spec)
    else:
        roi = _in_own_units(as_roi(region), units, spec)
    return array.apply(CropArrayConfig, roi=roi, snap=snap)


def _roi_of(box: Box, spec: ArraySpec) -> Roi:
    """Give the region of a box over all axes, which is whole along those that are not spatial, or over the spatial ones."""
    lead = spec.ndim - spec.dims
    whole = Box((0,) * lead, spec.leading_shape)
    given = Box(box.offset[:lead], box.shape[:lead])
    if len(box.offset) == spec.ndim and given != whole:
        raise SpecError(
            "a crop is of space only",
            got=f"{given} along {' '.join(spec.leading_axes)}",
            expected=f"{whole}: all of it",
            hint="begin slices with an ellipsis; select_channels and select_timepoints choose along the others",
        )
    if len(box.offset) not in (spec.ndim, spec.dims):
        raise SpecError(
            "a box of the wrong rank",
            got=box,
            expected=f"one number per axis {' '.join(spec.axes)}, or per spatial one",
        )
    return spec.box_to_roi(box)


def _in_own_units(roi: Roi, units: Units | None, spec: ArraySpec) -> Roi:
    if units is None or roi.dims != spec.dims:  # of the wrong rank: the config says so
        return roi
    return roi * unit_factors(units, spec)


def _covered(like: Array, spec: ArraySpec) -> Roi:
    """Give the region of another array in the frame and units of this one; an unknown unit is taken for the other's."""
    other = like.spec
    if other.spatial_axes != spec.spatial_axes or not same_directions(other, spec):
        raise SpecError(
            "arrays whose axes differ, or point in different directions",
            got=f"axes {' '.join(other.spatial_axes)}, directions {other.directions}",
            expected=f"{' '.join(spec.spatial_axes)}, {spec.directions}",
            hint="reorient or transform one of them first",
        )
    units = [theirs if own else None for theirs, own in zip(other.units, spec.units, strict=True)]
    return _in_own_units(other.roi, units, spec)


def _is_index(region: Any) -> bool:
    parts = region if isinstance(region, tuple) else (region,)
    return any(isinstance(part, slice) or part is Ellipsis for part in parts)


def _check_steps(region: Any) -> None:
    parts = region if isinstance(region, tuple) else (region,)
    for part in parts:
        if isinstance(part, slice) and part.step not in (None, 1):
            raise RegionError(
                "a crop leaves no voxel out, and turns nothing around",
                got=part,
                expected="steps of 1",
                hint="`downsample` with method `stride`, or `flip`",
            )


def _is_batch(region: Any) -> TypeGuard[list[Any]]:
    """Say whether a list is one of regions, rather than the pair of an offset and a shape."""
    pair = isinstance(region, list) and len(region) == 2 and all(map(_is_vector, region))
    return isinstance(region, list) and not pair


def _is_vector(part: Any) -> bool:
    nested = (Sequence, np.ndarray, slice, type(Ellipsis))
    return isinstance(part, (Sequence, np.ndarray)) and not any(
        isinstance(value, nested) for value in part
    )
