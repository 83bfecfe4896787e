"""Resampled: an array on a coarser, a finer or another array's grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeAlias, TypeGuard, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, ArrayConfig, Block, UnaryConfig, about, open_tree
from dacapo_like.errors import ConfigError, Remark, SpecError, check_choice
from dacapo_like.geometry import Box, Coordinate, box_between, format_numbers
from dacapo_like.kernels._blocks import destination
from dacapo_like.kernels._interpolate_taps import Order as Kernel
from dacapo_like.kernels.interpolate import interpolate, support
from dacapo_like.kernels.pool import Method as Pooling
from dacapo_like.kernels.pool import cell_support, pool, pool_cells
from dacapo_like.operators._regrid import Regrid, in_voxels, placed_as, scaled
from dacapo_like.padding import fitting_value
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

Method = Literal["mean", "mode", "min", "max", "median", "stride", "linear", "cubic", "spline"]
Order = Literal[0, 1, 3]

_KERNELS: dict[str, Kernel] = {"linear": 1, "cubic": 3, "spline": "spline"}
_JOINED_BY: dict[str, Kernel | Pooling] = {**{name: name for name in get_args(Pooling)}, **_KERNELS}
_KEEPS_LABELS = ("mode", "min", "max", "stride")
_GRIDS = ("voxel_size", "shape", "like")
_STAY = (Fraction(1), Fraction(0))  # ratio and shift of an axis that is left as it is

Step: TypeAlias = tuple[Fraction, Fraction]


def _factors(value: Any) -> tuple[int, ...]:
    factors = tuple(value)
    whole = (isinstance(f, (int, np.integer)) and not isinstance(f, bool) for f in factors)
    if not factors or not all(whole) or min(factors) < 1:
        raise ConfigError(
            "not resampling factors",
            got=factors,
            expected="integers of at least 1, one per spatial axis",
        )
    return tuple(map(int, factors))


def _dacapo_factors(value: Any) -> Any:
    """DaCapo takes a factor below 1 for 1."""
    if not isinstance(value, (list, tuple)):
        return value
    return [1 if isinstance(f, int) and f < 1 else f for f in value]


def _dacapo_order(value: Any) -> Any:
    """DaCapo declares the order a bool."""
    return int(value) if isinstance(value, bool) else value


@register("resampled")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class ResampledArrayConfig(UnaryConfig):
    """An array on another grid: by factors, with another voxel size, in so many voxels, or on the grid of another array.

    Where voxels get coarser they are joined by `method`, where they get finer they are interpolated by `interp_order`. But for
    `like` the first corner stays; but for `like` and `shape`, part-voxels at the end are dropped.
    """

    read_only: ClassVar[str | None] = "its voxels are not those of its source, one by one"

    downsample: tuple[int, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(_factors),
        metadata=about("How many voxels become one, per spatial axis.", dacapo=_dacapo_factors),
    )
    upsample: tuple[int, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(_factors),
        metadata=about("How many voxels one becomes, per spatial axis.", dacapo=_dacapo_factors),
    )
    voxel_size: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about("Voxel size to reach, in the source's units, instead of factors."),
    )
    shape: tuple[int, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(_factors),
        metadata=about(
            "Voxels per spatial axis that the same region is to have, instead of factors."
        ),
    )
    like: ArrayConfig | None = attrs.field(
        default=None,
        metadata=about(
            "The array whose grid, voxel size and region to take, instead of factors; its voxels are not read."
        ),
    )
    fill: int | float = attrs.field(
        default=0,
        metadata=about("With `like`: the value of voxels whose centre is outside of the source."),
    )
    method: Method | None = attrs.field(
        default=None,
        metadata=about(
            "How voxels are joined; by default `mean` for images, `mode` for labels and masks. "
            "`linear`, `cubic` and `spline` also say how finer voxels are made."
        ),
    )
    interp_order: Order | None = attrs.field(
        default=None,
        metadata=about(
            "How finer voxels are made: 0 nearest, 1 linear, 3 cubic; by default 1 for images, 0 for labels and masks.",
            dacapo=_dacapo_order,
        ),
    )

    def __attrs_post_init__(self) -> None:
        grids = [key for key in _GRIDS if getattr(self, key) is not None]
        if self.downsample is not None or self.upsample is not None:
            grids.insert(0, "factors")
        if len(grids) != 1:
            raise ConfigError(
                "a resampled array needs one grid: factors, a voxel size, a shape or another array",
                got=" and ".join(grids) or "none of them",
                expected="`downsample` and/or `upsample`, or `voxel_size`, or `shape`, or `like`",
            )
        if self.voxel_size is not None and any(size <= 0 for size in self.voxel_size):
            raise ConfigError(
                "voxel size is not positive",
                got=self.voxel_size,
                expected="numbers above 0",
                key=("voxel_size",),
            )
        if self.like is None and self.fill != 0:
            raise ConfigError(
                "nothing is filled",
                got=self.fill,
                expected="`fill` with `like` only",
                key=("fill",),
            )
        check_choice("method", self.method, (None, *get_args(Method)))
        check_choice("interp_order", self.interp_order, (None, *get_args(Order)))

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Put the source on the grid."""
        source = inputs[0]
        self._check_method(source)
        grid = _regrid(self, *inputs)
        if 0 in grid.shape[source.ndim - source.dims :]:
            raise SpecError(
                "nothing is left after downsampling",
                got=f"{source.spatial_shape} voxels in cells of {format_numbers(grid.ratio[source.ndim - source.dims :])}",
                expected="at least one whole cell along every axis",
            )
        if self.like is None:
            voxel_size = source.voxel_size * grid.ratio[source.ndim - source.dims :]
            return source.replace(shape=grid.shape, voxel_size=voxel_size, chunk_shape=None)
        try:
            fitting_value(self.fill, source.dtype)
        except ConfigError as error:
            error.key = ("fill",)
            raise
        fields = ("voxel_size", "offset", "units", "directions", "anchor")
        taken = {field: getattr(inputs[1], field) for field in fields}
        return source.replace(shape=grid.shape, chunk_shape=None, **taken)

    def remarks(self, *inputs: ArraySpec) -> Iterator[Remark]:
        """Say where units are known for one of two arrays only, and where there is nothing but `fill`."""
        if self.like is None:
            return
        if len({None in spec.units for spec in inputs}) > 1:
            yield Remark(
                code="DL402",
                message="units are known for some of the sources only: the numbers are taken to mean the same",
                hint="give `units` on the sources that lack them",
                key=("like",),
            )
        grid = _regrid(self, *inputs)
        if not grid.inside.size:
            yield Remark(
                code="DL403",
                message=f"the grid lies outside of the source: every voxel is {self.fill} "
                f"(got {inputs[1].roi} {inputs[1].describe_unit()}; "
                f"the source covers {inputs[0].roi} {inputs[0].describe_unit()})",
                key=("like",),
            )

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask for the voxels that cells and kernels reach."""
        grid = _regrid(self, *inputs)
        part = box.intersect(grid.inside)
        unread = (None,) * (len(inputs) - 1)
        if not part.size:
            return (None, *unread)
        ranges = []
        for axis, kernel in enumerate(self._kernels(inputs[0], grid)):
            place = (part.offset[axis], part.shape[axis], grid.ratio[axis])
            bound, shift = (0, inputs[0].shape[axis]), grid.shift[axis]
            ranges.append(
                support(*place, kernel, bound, shift, stretch=True)
                if _interpolates(kernel)
                else cell_support(*place, shift, bound)
            )
        return (box_between(*zip(*ranges, strict=True)), *unread)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Sample what is in the source, and fill the rest."""
        specs = [block.spec for block in blocks]
        part = box.intersect(_regrid(self, *specs).inside)
        if part == box:
            return self._sampled(box, blocks[0], specs, out)
        result = destination(out, box.shape, specs[0].dtype)
        result[...] = fitting_value(self.fill, specs[0].dtype)
        if part.size:
            inner = result[part.slices_in(box)]
            inner[...] = self._sampled(part, blocks[0], specs, None)
        return result

    def _sampled(
        self, box: Box, block: Block, specs: Sequence[ArraySpec], out: NDArray[Any] | None
    ) -> NDArray[Any]:
        """Join cells along the axes where voxels get coarser, then interpolate along the others."""
        assert block.box is not None  # noqa: S101  # it was asked for
        grid, source = _regrid(self, *specs), block.spec
        kernels = self._kernels(source, grid)
        steps = list(zip(grid.ratio, grid.shift, strict=True))
        cells = [_STAY if _interpolates(k) else s for s, k in zip(steps, kernels, strict=True)]
        steps = [s if _interpolates(k) else _STAY for s, k in zip(steps, kernels, strict=True)]
        here, bounds = block.box, [(0, n) for n in source.shape]
        data = block.data
        if any(cell != _STAY for cell in cells):
            last = all(step == _STAY for step in steps)
            there = _where(cells, box, here)
            data = _joined(
                data, cells, here, there, bounds, self._method(source), out if last else None
            )
            whole = [(0, n) for n in grid.shape]
            bounds = [b if c == _STAY else w for b, w, c in zip(bounds, whole, cells, strict=True)]
            here = there
        if all(step == _STAY for step in steps):
            return data  # type: ignore[no-any-return]  # a block's data is an ndarray
        return interpolate(
            data,
            ratio=[ratio for ratio, _ in steps],
            shift=[shift for _, shift in steps],
            start=box.offset,
            data_start=here.offset,
            bounds=bounds,
            shape=box.shape,
            order=[kernel if _interpolates(kernel) else 0 for kernel in kernels],
            stretch=True,
            out=out,
        )

    def _kernels(self, source: ArraySpec, grid: Regrid) -> list[Kernel | Pooling]:
        """Say for each axis how its voxels are made of those of the source."""
        order, method = self._order(source), self._method(source)
        joining = _JOINED_BY[method]
        return [order if ratio <= 1 else joining for ratio in grid.ratio]

    def _method(self, source: ArraySpec) -> Method:
        return self.method or ("mean" if source.kind == "image" else "mode")

    def _order(self, source: ArraySpec) -> Kernel:
        if self.interp_order is not None:
            return self.interp_order
        default: Kernel = 1 if source.kind == "image" and source.dtype.kind != "b" else 0
        return _KERNELS.get(self.method or "", default)

    def _check_method(self, source: ArraySpec) -> None:
        """Refuse what would invent ids."""
        hint = "say `kind: image` on the source if its voxels are intensities"
        if source.kind != "image" and self._method(source) not in _KEEPS_LABELS:
            raise SpecError(
                f"{self.method} would invent ids in {source.kind}",
                got=self.method,
                expected=f"one of {', '.join(_KEEPS_LABELS)}",
                hint=hint,
                key=("method",),
            )
        if source.dtype.kind == "b" and self.method in _KERNELS:
            raise SpecError(
                f"{self.method} would invent values in {source.dtype.name}",
                got=self.method,
                expected=f"one of {', '.join(get_args(Pooling))}",
                key=("method",),
            )
        if (source.kind != "image" or source.dtype.kind == "b") and self._order(source) != 0:
            raise SpecError(
                f"interpolation would invent values in {source.kind} of {source.dtype.name}",
                got=self._order(source),
                expected=0,
                hint=hint,
                key=("interp_order",),
            )


def _interpolates(kernel: Kernel | Pooling) -> TypeGuard[Kernel]:
    """Whether voxels are weighed by a kernel, not joined in cells."""
    return kernel not in get_args(Pooling)


def _where(cells: Sequence[Step], box: Box, source: Box) -> Box:
    """Give the box of what is joined along some axes: there it is that of the output."""
    chosen = [
        (s, n) if cell == _STAY else (o, m)
        for cell, o, m, s, n in zip(
            cells, box.offset, box.shape, source.offset, source.shape, strict=True
        )
    ]
    return Box(tuple(o for o, _ in chosen), tuple(n for _, n in chosen))


def _joined(
    data: NDArray[Any],
    cells: Sequence[Step],
    here: Box,
    there: Box,
    bounds: Sequence[tuple[int, int]],
    method: Any,
    out: NDArray[Any] | None,
) -> NDArray[Any]:
    """Join voxels: whole ones where all cells are made of these and none is cut off at the end of the source."""
    whole = all(value.denominator == 1 for cell in cells for value in cell)
    factors = [int(ratio) for ratio, _ in cells]
    if whole and data.shape == tuple(n * f for n, f in zip(there.shape, factors, strict=True)):
        return pool(data, factors, method, out=out)
    return pool_cells(
        data,
        ratio=[ratio for ratio, _ in cells],
        shift=[shift for _, shift in cells],
        start=there.offset,
        data_start=here.offset,
        bounds=bounds,
        shape=there.shape,
        method=method,
        out=out,
    )


@lru_cache(
    maxsize=1024
)  # asked for at every read; equal specs may differ in `attrs`, which play no part here
def _regrid(
    config: ResampledArrayConfig, source: ArraySpec, like: ArraySpec | None = None
) -> Regrid:
    """Give the grid of a config on that of its source."""
    if like is not None:
        return placed_as(source, like)
    if config.shape is not None:
        _check_rank(source, config.shape, "shape")
        return in_voxels(source, config.shape)
    if config.voxel_size is not None:
        _check_rank(source, config.voxel_size, "voxel_size")
        sizes = zip(config.voxel_size, source.voxel_size, strict=True)
        return scaled(source, [Fraction(mine) / theirs for mine, theirs in sizes])
    ones = (1,) * source.dims
    down, up = config.downsample or ones, config.upsample or ones
    _check_rank(source, down, "downsample")
    _check_rank(source, up, "upsample")
    return scaled(source, [Fraction(a, b) for a, b in zip(down, up, strict=True)])


def _check_rank(source: ArraySpec, values: Sequence[Any], key: str) -> None:
    if len(values) != source.dims:
        raise SpecError(
            f"{key} does not fit the axes",
            got=f"{len(values)} numbers",
            expected=f"{source.dims}, one per spatial axis {' '.join(source.spatial_axes)}",
            key=(key,),
        )


@array_method
def resample(array: Array, *, like: Array | None = None, **fields: Any) -> Array:
    """Put an array on another grid, see the fields of `ResampledArrayConfig`."""
    if like is None:
        return array.apply(ResampledArrayConfig, **fields)
    config = ResampledArrayConfig(source_array_config=array.config, like=like.config, **fields)
    return open_tree(config, {like.config: like, array.config: array})


@array_method
def downsample(array: Array, factors: Sequence[int], *, method: Method | None = None) -> Array:
    """Join voxels, see `ResampledArrayConfig`."""
    return array.apply(ResampledArrayConfig, downsample=factors, method=method)


@array_method
def upsample(
    array: Array,
    factors: Sequence[int],
    *,
    interp_order: Order | None = None,
    method: Method | None = None,
) -> Array:
    """Make finer voxels, see `ResampledArrayConfig`; with `method` ``"spline"`` by the B-spline through all voxels."""
    return array.apply(
        ResampledArrayConfig, upsample=factors, interp_order=interp_order, method=method
    )


@array_method
def to_shape(
    array: Array,
    shape: Sequence[int],
    *,
    method: Method | None = None,
    interp_order: Order | None = None,
) -> Array:
    """Give the same region in so many voxels.

    Parameters
    ----------
    array : Array
        With any axes; those that are not spatial stay as they are.
    shape : sequence of int
        Voxels along every spatial axis.
    method, interp_order : optional
        See `ResampledArrayConfig`.

    Raises
    ------
    SpecError
        There is not one number per spatial axis, or the method would invent ids.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.array([[0, 3, 6, 9, 12.0]]), voxel_size=(1, 4))
    >>> coarser = array.to_shape((1, 2))
    >>> coarser.voxel_size, coarser.read()
    ((1, 10), array([[2.4, 9.6]]))
    """
    return array.apply(ResampledArrayConfig, shape=shape, method=method, interp_order=interp_order)


@array_method
def resample_like(
    array: Array,
    other: Array,
    *,
    fill: float = 0,
    method: Method | None = None,
    interp_order: Order | None = None,
) -> Array:
    """Put an array on the grid of another: its voxel size, its region, its units.

    Parameters
    ----------
    array : Array
        With any axes; those that are not spatial stay as they are.
    other : Array
        With the same spatial axes, in the same directions; its voxels are not read.
    fill : number
        The value of voxels whose centre is outside of `array`.
    method, interp_order : optional
        See `ResampledArrayConfig`.

    Raises
    ------
    SpecError
        The axes or their directions differ, or the method would invent ids.
    ConfigError
        The dtype cannot hold `fill`.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.array([[0, 4, 8]], "uint8"), voxel_size=(2, 2))
    >>> other = dacapo_like.from_numpy(np.zeros((1, 5)), voxel_size=(2, 1), offset=(0, 3))
    >>> array.resample_like(other, fill=255).read()
    array([[  5,   7,   8, 255, 255]], dtype=uint8)
    """
    return resample(array, like=other, fill=fill, method=method, interp_order=interp_order)
