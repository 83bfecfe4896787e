"""Crop: the part of an array that lies in a region."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.errors import RegionError, Remark, SpecError
from dacapo_like.geometry import Box, Roi, RoiLike, Snap, as_roi
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


@register("crop")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class CropArrayConfig(UnaryConfig):
    """The intersection of an array with a region; an empty one is an error. What is assigned to it goes to its source."""

    read_only: ClassVar[str | None] = None
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

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Shift the box."""
        return (box.shifted(kept_box(inputs[0], self.roi, self.snap).offset),)

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
    if kept.size == 0:
        raise SpecError(
            "the region to keep is outside of the source",
            got=roi,
            expected=f"a region that meets {source.roi}",
            key=("roi",),
        )
    return kept


@array_method
def crop(array: Array, roi: RoiLike, *, snap: Snap | None = None) -> Array:
    """Keep the part of an array that lies in a region, see `CropArrayConfig`."""
    return array.apply(CropArrayConfig, roi=as_roi(roi), snap=snap)
