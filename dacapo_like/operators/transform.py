"""Transform: an array on the grid of another, through a chain of affines and displacement fields."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, get_args

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.core import Array, ArrayConfig, Block, UnaryConfig, about, open_tree
from dacapo_like.errors import ConfigError, KeyPath, Remark, SpecError, check_choice
from dacapo_like.fields import plain
from dacapo_like.geometry import Box, Coordinate, Roi, RoiLike, as_roi, box_between, format_numbers
from dacapo_like.kernels._blocks import destination
from dacapo_like.kernels.sample import Method as Kernel
from dacapo_like.kernels.sample import Order, Range, sample_rows, sampler, walks_rows
from dacapo_like.operators._places import invention, invents, points_of
from dacapo_like.padding import fitting_value
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec
from dacapo_like.transforms.chain import Chain, Warp, make_chain
from dacapo_like.transforms.config import Transform, TransformLike, as_transform, as_transforms
from dacapo_like.transforms.trace import (
    Part,
    Trace,
    field_box,
    follow,
    part_of,
    spread_rows,
)

Method = Literal["spline"]


@register("transform")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class TransformArrayConfig(UnaryConfig):
    """An array on another grid: every voxel of it looks up, through a chain of transforms, where in the source it comes from."""

    read_only: ClassVar[str | None] = "its voxels are not those of its source, one by one"

    like: ArrayConfig | None = attrs.field(
        default=None,
        metadata=about("The array whose grid the output has; its voxels are not read."),
    )
    roi: Roi | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(as_roi),
        metadata=about(
            "Region of the output, in the world and the units of the source, instead of `like`."
        ),
    )
    voxel_size: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about("Voxel size of the output, with `roi`."),
    )
    transforms: tuple[Transform, ...] = attrs.field(
        default=(),
        converter=as_transforms,
        metadata=about(
            "From world points of the output to those of the source; the first is applied first."
        ),
    )
    interp_order: Order | None = attrs.field(
        default=None,
        converter=plain,
        metadata=about(
            "0 nearest, 1 linear, 3 cubic; by default 1 for images, 0 for labels and masks."
        ),
    )
    method: Method | None = attrs.field(
        default=None,
        metadata=about("`spline`: the B-spline that interpolates the voxels, of order 3."),
    )
    fill: int | float = attrs.field(
        default=0, converter=plain, metadata=about("The value where the source has none.")
    )

    def __attrs_post_init__(self) -> None:
        given = (self.like is not None, self.roi is not None, self.voxel_size is not None)
        if given not in ((True, False, False), (False, True, True)):
            names = [k for k in ("like", "roi", "voxel_size") if getattr(self, k) is not None]
            raise ConfigError(
                "a transformed array needs one grid",
                got=" and ".join(f"`{name}`" for name in names) or "none",
                expected="`like`, or `roi` and `voxel_size`",
            )
        check_choice("method", self.method, (None, *get_args(Method)))
        check_choice("interp_order", self.interp_order, (None, *get_args(Order)))
        if self.method == "spline" and self.interp_order not in (None, 3):
            raise ConfigError(
                "a spline is of order 3",
                got=self.interp_order,
                expected="3, or no `interp_order`",
                key=("interp_order",),
            )

    def children(self) -> tuple[tuple[KeyPath, ArrayConfig], ...]:
        """Give source, grid and the displacement fields."""
        return (*super().children(), *self._fields())

    def _fields(self) -> Iterator[tuple[KeyPath, ArrayConfig]]:
        for number, transform in enumerate(self.transforms):
            config = transform.field_config
            if config is not None:
                part = ("field",) if transform.field is not None else ()  # its own is `file_name`
                yield ("transforms", number, *part), config

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Give the source's voxels the other grid. Files of affines are read here, for the first time."""
        source = inputs[0]
        self._check_order(source)
        grid = self._grid(inputs)
        spec = source.replace(
            axes=source.leading_axes + grid.spatial_axes,
            shape=source.leading_shape + grid.spatial_shape,
            voxel_size=grid.voxel_size,
            offset=grid.offset,
            units=grid.units,
            directions=grid.directions,
            anchor=grid.anchor,
            chunk_shape=None,
            attrs={key: value for key, value in source.attrs.items() if key != "nifti"},
        )
        self._chain(inputs)
        try:
            fitting_value(self.fill, source.dtype)
        except ConfigError as error:
            error.key = ("fill",)
            raise
        return spec

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask for what the chain leads to: of the source, or of the first displacement field on the way."""
        chain = self._chain(inputs)
        asked: list[Box | None] = [None] * len(inputs)
        trace = Trace(chain, *_spatial(box, inputs[0].dims), [None] * len(chain.warps))
        if chain.warps:
            asked[self._first_field] = self._box_of_field(trace, 0)
        else:
            asked[0] = self._box_of_source(trace, box, inputs[0])
        return tuple(asked)

    def needs_more(self, box: Box, *blocks: Block) -> tuple[Box | None, ...] | None:
        """Follow the displacements as far as they are known; ask for the next field, more of it, or the source."""
        specs = [block.spec for block in blocks]
        if blocks[0].data is not None or len(blocks) == self._first_field:
            return None
        chain = self._chain(specs)
        trace = self._trace(chain, box, blocks)
        asked: list[Box | None] = [None] * len(blocks)
        for number in range(len(chain.warps)):
            at = self._first_field + number
            if trace.parts[number] is None:
                asked[at] = self._box_of_field(trace, number)
            elif (ranges := trace.lacking(number)) is not None:
                asked[at] = field_box(chain.warps[number], ranges)
            if asked[at] is not None:
                return tuple(asked)
        asked[0] = self._box_of_source(trace, box, specs[0])
        return None if asked[0] is None else tuple(asked)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Sample the source where the chain leads from every voxel."""
        source = blocks[0].spec
        result = destination(out, box.shape, source.dtype)
        if blocks[0].data is None or blocks[0].box is None:
            result[...] = fitting_value(self.fill, source.dtype)
            return result
        flat = result if result.flags.c_contiguous else np.empty(box.shape, source.dtype)
        order, kernel = self._kernel(source)
        lead = source.ndim - source.dims
        given: dict[str, Any] = {
            "fill": fitting_value(self.fill, source.dtype),
            "data_start": blocks[0].box.offset[lead:],
            "bounds": _bounds(source),
            "out": flat.reshape(math.prod(box.shape[:lead]), -1),
        }
        chain = self._chain([block.spec for block in blocks])
        if not chain.warps and walks_rows(order, source.dtype):
            start, shape = _spatial(box, source.dims)
            write = sample_rows(blocks[0].data, chain.maps[0], start, shape, **given)
            spread_rows(write, shape)
        else:
            trace = self._trace(chain, box, blocks)
            trace.write(sampler(blocks[0].data, order, method=kernel, **given))
        if flat is not result:
            result[...] = flat
        return result

    def _own_grid(self, source: ArraySpec) -> ArraySpec:
        assert self.roi is not None  # noqa: S101  # checked before
        assert self.voxel_size is not None  # noqa: S101  # checked before
        for key, numbers in {"roi": self.roi.shape, "voxel_size": self.voxel_size}.items():
            if len(numbers) != source.dims or min(numbers) <= 0:
                raise SpecError(
                    f"{key} does not fit the axes",
                    got=format_numbers(numbers),
                    expected=f"{source.dims} numbers above 0, one per spatial axis {' '.join(source.spatial_axes)}",
                    key=(key,),
                )
        count = self.roi.shape / self.voxel_size
        if not all(isinstance(n, int) for n in count):
            raise SpecError(
                "the region is not one of whole voxels",
                got=f"{format_numbers(count)} voxels of {format_numbers(self.voxel_size)}",
                expected="whole numbers",
                key=("roi",),
            )
        return source.replace(
            shape=source.leading_shape + tuple(int(n) for n in count),
            voxel_size=self.voxel_size,
            offset=self.roi.offset,
            directions=None,
            chunk_shape=None,
        )

    @property
    def _first_field(self) -> int:
        return 1 if self.like is None else 2

    def _grid(self, inputs: Sequence[ArraySpec]) -> ArraySpec:
        return self._own_grid(inputs[0]) if self.like is None else inputs[1]

    def _chain(self, inputs: Sequence[ArraySpec]) -> Chain:
        return make_chain(
            self.transforms, self._grid(inputs), inputs[0], inputs[self._first_field :]
        )

    def _trace(self, chain: Chain, box: Box, blocks: Sequence[Block]) -> Trace:
        parts = [
            _part(block, warp)
            for block, warp in zip(blocks[self._first_field :], chain.warps, strict=True)
        ]
        return Trace(chain, *_spatial(box, blocks[0].spec.dims), parts)

    def _box_of_field(self, trace: Trace, number: int) -> Box | None:
        warp = trace.chain.warps[number]
        ranges = trace.support(number, 1, [(0, n) for n in warp.shape])
        return None if ranges is None else field_box(warp, ranges)

    def _box_of_source(self, trace: Trace, box: Box, source: ArraySpec) -> Box | None:
        order, kernel = self._kernel(source)
        ranges = trace.support(len(trace.chain.warps), order, _bounds(source), kernel)
        if ranges is None:
            return None
        lead = source.ndim - source.dims
        starts, stops = zip(*ranges, strict=True)
        return box_between(box.offset[:lead] + starts, box.end[:lead] + stops)

    def _kernel(self, source: ArraySpec) -> tuple[Order, Kernel]:
        if self.method == "spline":
            return 3, "spline"
        if self.interp_order is not None:
            return self.interp_order, "keys"
        return (0 if invents(source) else 1), "keys"

    def _check_order(self, source: ArraySpec) -> None:
        """Refuse what would invent ids."""
        order, _ = self._kernel(source)
        if order and invents(source):
            key = "method" if self.method else "interp_order"
            raise invention(source, self.method or order, key)

    def remarks(self, *inputs: ArraySpec) -> Iterator[Remark]:
        """Say where units are unknown for some of the arrays and transforms only, and where nothing is left of the source."""
        specs = [self._grid(inputs), inputs[0], *inputs[self._first_field :]]
        known = {unit is not None for spec in specs for unit in spec.units}
        known |= {True for t in self.transforms if t.units or (t.file_name and not t.is_field)}
        if len(known) > 1:
            yield Remark(
                code="DL402",
                message="units are known for some of the sources only: the numbers are taken to mean the same",
                hint="give `units` on the sources that lack them; files of transforms are in mm, unless their `units` say otherwise",
                key=("transforms",) if self.transforms else (),
            )
        grid = self._grid(inputs)
        whole = Box((0,) * inputs[0].ndim, inputs[0].leading_shape + grid.spatial_shape)
        if not any(self.needs(whole, *inputs)) and not self._chain(inputs).warps:
            yield Remark(
                code="DL403",
                message="the transforms lead out of the source everywhere: there is nothing but `fill`",
                hint="compare the world positions of source and output, and the direction of the transforms",
            )


def _spatial(box: Box, dims: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return box.offset[len(box.offset) - dims :], box.shape[len(box.shape) - dims :]


def _bounds(spec: ArraySpec) -> list[Range]:
    return [(0, n) for n in spec.spatial_shape]


def _part(block: Block, warp: Warp) -> Part | None:
    if block.data is None or block.box is None:
        return None
    return part_of(block.data, block.box, warp)


@array_method
def transform(
    array: Array,
    *transforms: TransformLike,
    like: Array | None = None,
    roi: RoiLike | None = None,
    voxel_size: Sequence[Any] | None = None,
    interp_order: Order | None = None,
    method: Method | None = None,
    fill: float = 0,
) -> Array:
    """Put an array on another grid through a chain of transforms.

    Parameters
    ----------
    array : Array
        With the spatial axes of `like`.
    *transforms : Transform or other
        Each takes a world point of the output to one on the side of `array`; the first is applied first. Instead of a `Transform`: its
        fields as a mapping, the name of a file, a displacement field as an `Array`, or a homogeneous matrix.
    like : Array, optional
        Whose grid the output has: this, or `roi` and `voxel_size`.
    roi, voxel_size : optional
        Of the output, in the units of `array`.
    interp_order, method, fill
        See `TransformArrayConfig`.

    Raises
    ------
    SpecError
        A transform does not fit the arrays.
    SourceError
        A file cannot be read.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.array([[1.0, 2.0, 3.0]]))
    >>> array.transform([[1, 0, 0], [0, 1, 0.5], [0, 0, 1]], like=array, fill=-1).read()
    array([[ 1.5,  2.5, -1. ]])
    """
    given = [as_transform(value) for value in transforms]
    opened = [array, *([] if like is None else [like])]
    opened += [value for value in transforms if isinstance(value, Array)]
    config = TransformArrayConfig(
        source_array_config=array.config,
        like=None if like is None else like.config,
        roi=roi,
        voxel_size=voxel_size,
        transforms=given,
        interp_order=interp_order,
        method=method,
        fill=fill,
    )
    return open_tree(config, {item.config: item for item in opened})


@array_method
def points_to(
    array: Array, other: Array, points: ArrayLike, transforms: Sequence[TransformLike] = ()
) -> NDArray[np.float64]:
    """Give where voxels of an array lie in another.

    Parameters
    ----------
    array : Array
        On whose side the transforms begin, as the output of `transform` does.
    other : Array
        With the same spatial axes; units are converted.
    points : array_like
        Voxel indices of `array` along its spatial axes, of shape (dims,), (N, dims) or (dims, N); where N is dims, rows are points.
        The centre of a voxel is an integer.
    transforms : sequence of Transform or other
        As `transform` takes them: they take world points on the side of `array` to those on the side of `other`. Of a displacement
        field the box that holds the points is read.

    Returns
    -------
    ndarray of float64
        Voxel indices of `other`, in the layout of `points`; fractions, and indices outside of it, are places as well.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> fine = from_numpy(np.zeros((4, 4)), voxel_size=(1, 1))
    >>> coarse = from_numpy(np.zeros((2, 2)), voxel_size=(2, 2))
    >>> coarse.points_to(fine, [0, 1])
    array([0.5, 2.5])
    """
    given = points_of(points, array)
    steps = as_transforms(transforms)
    known = {value.config: value for value in transforms if isinstance(value, Array)}
    configs = [step.field_config for step in steps]
    fields = [open_tree(config, known) for config in configs if config is not None]
    chain = make_chain(steps, array.spec, other.spec, [field.spec for field in fields])
    return given.laid_out(follow(chain, given.rows, [field.read_box for field in fields]))
