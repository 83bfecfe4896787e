"""Resampled: an array on a coarser or finer grid whose first corner stays where it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar, Literal, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.errors import ConfigError, SpecError, did_you_mean
from dacapo_like.geometry import Box, Coordinate, box_between, format_numbers
from dacapo_like.kernels.interpolate import interpolate, support
from dacapo_like.kernels.pool import pool
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

Method = Literal["mean", "mode", "min", "max", "median", "stride"]
Order = Literal[0, 1, 3]

_KEEPS_LABELS = ("mode", "min", "max", "stride")


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
    """An array with voxels of ``source * downsample / upsample``; trailing part-voxels are dropped."""

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
    method: Method | None = attrs.field(
        default=None,
        metadata=about(
            "How voxels are joined; by default `mean` for images, `mode` for labels and masks."
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
        if (self.voxel_size is None) == (self.downsample is None and self.upsample is None):
            raise ConfigError(
                "a resampled array needs factors or a voxel size, and not both",
                expected="`downsample` and/or `upsample`, or `voxel_size`",
            )
        if self.voxel_size is not None and any(size <= 0 for size in self.voxel_size):
            raise ConfigError(
                "voxel size is not positive",
                got=self.voxel_size,
                expected="numbers above 0",
                key=("voxel_size",),
            )
        for key, choices in {"method": get_args(Method), "interp_order": get_args(Order)}.items():
            value = getattr(self, key)
            if value not in (None, *choices):
                raise ConfigError(
                    "not one of the choices",
                    got=repr(value),
                    expected=f"one of {', '.join(map(str, choices))}",
                    hint=did_you_mean(str(value), map(str, choices)),
                    key=(key,),
                    code="DL104",
                )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Change voxel size and shape."""
        (source,) = inputs
        self._check_method(source)
        ratios = self._ratios(source)
        shape = tuple(math.floor(n / r) for n, r in zip(source.spatial_shape, ratios, strict=True))
        if 0 in shape:
            raise SpecError(
                "nothing is left after downsampling",
                got=f"{source.spatial_shape} voxels in cells of {format_numbers(ratios)}",
                expected="at least one whole cell along every axis",
            )
        return source.replace(
            shape=source.leading_shape + shape,
            voxel_size=source.voxel_size * ratios,
            chunk_shape=None,
        )

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Scale the box; add what the interpolation reaches for."""
        (source,) = inputs
        order = self._order(source)
        start, stop = list(box.offset), list(box.end)
        lead = source.ndim - source.dims
        for axis, ratio in enumerate(self._ratios(source), start=lead):
            if ratio >= 1:
                start[axis] *= int(ratio)
                stop[axis] *= int(ratio)
            else:
                start[axis], stop[axis] = support(
                    box.offset[axis], box.shape[axis], ratio, order, (0, source.shape[axis])
                )
        return (box_between(start, stop),)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Join cells along the axes that get coarser, then interpolate along those that get finer."""
        (block,) = blocks
        source = block.spec
        ratios = (Fraction(1),) * (source.ndim - source.dims) + self._ratios(source)
        finer = any(ratio < 1 for ratio in ratios)
        data = block.data
        if any(ratio > 1 for ratio in ratios):
            cells = tuple(max(int(ratio), 1) for ratio in ratios)
            data = pool(data, cells, self._method(source), out=None if finer else out)
        if not finer:
            return data  # type: ignore[no-any-return]  # a block's data is an ndarray
        steps = tuple(min(ratio, Fraction(1)) for ratio in ratios)
        assert block.box is not None  # noqa: S101  # it was asked for
        return interpolate(
            data,
            ratio=steps,
            start=box.offset,
            data_start=[
                d if step < 1 else o
                for d, o, step in zip(block.box.offset, box.offset, steps, strict=True)
            ],
            bounds=[
                (0, n if step < 1 else o + s)
                for n, o, s, step in zip(source.shape, box.offset, box.shape, steps, strict=True)
            ],
            shape=box.shape,
            order=self._order(source),
            out=out,
        )

    def _ratios(self, source: ArraySpec) -> tuple[Fraction, ...]:
        """Give output to input voxel size, per spatial axis."""
        if self.voxel_size is not None:
            self._check_rank(source, self.voxel_size, "voxel_size")
            ratios = tuple(
                Fraction(a) / b for a, b in zip(self.voxel_size, source.voxel_size, strict=True)
            )
        else:
            down, up = self.downsample or (1,) * source.dims, self.upsample or (1,) * source.dims
            self._check_rank(source, down, "downsample")
            self._check_rank(source, up, "upsample")
            ratios = tuple(Fraction(a, b) for a, b in zip(down, up, strict=True))
        if any(ratio > 1 and ratio.denominator != 1 for ratio in ratios):
            raise SpecError(
                "voxels cannot be joined in parts",
                got=f"cells of {format_numbers(ratios)} voxels",
                expected="whole numbers where voxels get coarser",
                key=("voxel_size",) if self.voxel_size is not None else ("downsample",),
            )
        return ratios

    @staticmethod
    def _check_rank(source: ArraySpec, values: Sequence[Any], key: str) -> None:
        if len(values) != source.dims:
            raise SpecError(
                f"{key} does not fit the axes",
                got=f"{len(values)} numbers",
                expected=f"{source.dims}, one per spatial axis {' '.join(source.spatial_axes)}",
                key=(key,),
            )

    def _method(self, source: ArraySpec) -> Method:
        return self.method or ("mean" if source.kind == "image" else "mode")

    def _order(self, source: ArraySpec) -> Order:
        return (
            self.interp_order
            if self.interp_order is not None
            else (1 if source.kind == "image" else 0)
        )

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
        if (source.kind != "image" or source.dtype.kind == "b") and self._order(source) != 0:
            raise SpecError(
                f"interpolation would invent values in {source.kind} of {source.dtype.name}",
                got=self._order(source),
                expected=0,
                hint=hint,
                key=("interp_order",),
            )


@array_method
def resample(array: Array, **fields: Any) -> Array:
    """Put an array on a coarser or finer grid, see the fields of `ResampledArrayConfig`."""
    return array.apply(ResampledArrayConfig, **fields)


@array_method
def downsample(array: Array, factors: Sequence[int], *, method: Method | None = None) -> Array:
    """Join voxels, see `ResampledArrayConfig`."""
    return array.apply(ResampledArrayConfig, downsample=factors, method=method)


@array_method
def upsample(array: Array, factors: Sequence[int], *, interp_order: Order | None = None) -> Array:
    """Make finer voxels, see `ResampledArrayConfig`."""
    return array.apply(ResampledArrayConfig, upsample=factors, interp_order=interp_order)
