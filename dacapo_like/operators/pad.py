"""Pad: an array with a border around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal, get_args

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, Named, UnaryConfig, about, as_named
from dacapo_like.errors import ConfigError, RegionError, SpecError, did_you_mean
from dacapo_like.fields import plain
from dacapo_like.geometry import Box, Coordinate, Exact, Snap, format_numbers
from dacapo_like.padding import fitting_value, inner_box, surrounded
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

Repeat = Literal["edge", "reflect"]


def _fill(value: Any) -> Repeat | Named[int | float]:
    if isinstance(value, Mapping) and set(value) == {"constant"}:
        return as_named({"constant": plain(value["constant"])})
    if value not in get_args(Repeat):
        raise ConfigError(
            "unknown way to pad",
            got=repr(dict(value) if isinstance(value, Mapping) else value),
            expected='"edge", "reflect" or {"constant": value}',
            hint=did_you_mean(str(value), get_args(Repeat)),
            key=("fill",),
            code="DL104",
        )
    return value  # type: ignore[no-any-return]  # one of the choices


@register("pad")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class PadArrayConfig(UnaryConfig):
    """An array with a border along its spatial axes; its voxels stay where they are in the world.

    What stands in the border is what ``Array.read(..., pad=...)`` puts there, and ``numpy.pad``: ``reflect`` does not repeat the outermost
    voxel. A block of the border reads only the voxels that it repeats.
    """

    read_only: ClassVar[str | None] = "its border is not stored: write to its source"

    before: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about(
            "How far the border reaches out before the first voxel, per spatial axis, in the world units of the source; by default not at all."
        ),
    )
    after: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about("The same behind the last voxel."),
    )
    fill: Repeat | Named[int | float] = attrs.field(
        factory=lambda: Named({"constant": 0}),
        converter=_fill,
        metadata=about(
            "What stands in the border: `edge`, `reflect` or `{constant: value}`; by default the constant 0."
        ),
    )
    snap: Snap | None = attrs.field(
        default=None,
        metadata=about(
            "How to align a border that does not end on the voxel grid; by default that is an error."
        ),
    )

    def __attrs_post_init__(self) -> None:
        if self.before is None and self.after is None:
            raise ConfigError("nothing to pad", expected="`before`, `after` or both")
        for key, widths in (("before", self.before), ("after", self.after)):
            if min(widths or (0,)) < 0:
                raise ConfigError(
                    "a border of negative width",
                    got=format_numbers(widths or ()),
                    expected="numbers of at least 0",
                    hint="`crop` takes voxels away",
                    key=(key,),
                )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Grow the source's spec."""
        (source,) = inputs
        if isinstance(self.fill, Named):
            try:
                fitting_value(self.fill["constant"], source.dtype)
            except ConfigError as error:
                error.key = ("fill", "constant")
                raise
        box = self._box(source)
        return source.replace(
            shape=box.shape, offset=source.box_to_roi(box).offset, chunk_shape=None
        )

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask for the voxels that stay, and those that are repeated."""
        (source,) = inputs
        return (inner_box(box.shifted(self._box(source).offset), source.box, self.fill),)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Put the border around them."""
        (block,) = blocks
        outer = box.shifted(self._box(block.spec).offset)
        return surrounded(block.data, outer, block.spec.box, block.spec.dtype, self.fill, out)

    def _box(self, source: ArraySpec) -> Box:
        """Give the padded array as a box of its source, which it contains."""
        zero = (0,) * source.dims
        return _padded_box(source, self.before or zero, self.after or zero, self.snap)


@lru_cache(maxsize=1024)  # asked for at every read
def _padded_box(
    source: ArraySpec, before: tuple[Exact, ...], after: tuple[Exact, ...], snap: Snap | None
) -> Box:
    for key, widths in (("before", before), ("after", after)):
        if len(widths) != source.dims:
            raise SpecError(
                f"{key} does not fit the axes",
                got=f"{len(widths)} numbers",
                expected=f"{source.dims}, one per spatial axis {' '.join(source.spatial_axes)}",
                key=(key,),
            )
    try:
        return source.roi_to_box(source.roi.grow(before, after), snap=snap)
    except RegionError as error:
        before_fits = Coordinate(before).is_multiple_of(source.voxel_size)
        raise SpecError(
            "the border does not end on the voxel grid",
            got=f"before {format_numbers(before)}, after {format_numbers(after)}",
            expected=f"multiples of {format_numbers(source.voxel_size)}",
            hint=error.hint,
            key=("after" if before_fits else "before",),
        ) from error


@array_method
def pad(
    array: Array,
    before: Sequence[Any] | None = None,
    after: Sequence[Any] | None = None,
    *,
    fill: Repeat | Mapping[str, Any] | None = None,
    snap: Snap | None = None,
) -> Array:
    """Put a border around an array, see `PadArrayConfig`.

    Parameters
    ----------
    array : Array
        With any axes; those that are not spatial stay as they are.
    before, after : sequence of numbers, optional
        How far the border reaches out, per spatial axis, in world units; by default not at all.
    fill : "edge", "reflect" or {"constant": value}, optional
        By default the constant 0.
    snap : {"grow", "shrink", "nearest"}, optional
        How to align a border that does not end on the voxel grid.

    Raises
    ------
    ConfigError
        A width is negative, or the dtype cannot hold the constant.
    SpecError
        The border does not end on the voxel grid.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> padded = from_numpy(np.array([[1, 2, 3]]), voxel_size=(10, 4)).pad((0, 4), (0, 8), fill="reflect")
    >>> padded.roi, padded.read()
    ([0:10, -4:20] (10, 24), array([[2, 1, 2, 3, 2, 1]]))
    """
    how = {} if fill is None else {"fill": fill}
    return array.apply(PadArrayConfig, before=before, after=after, snap=snap, **how)
