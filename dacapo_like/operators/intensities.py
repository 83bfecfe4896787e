"""Intensities: scale voxels linearly so that a given range becomes 0 to 1."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.engine import Operation
from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box
from dacapo_like.kernels.scaling import scale
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

_Terms: TypeAlias = tuple[np.floating[Any], np.floating[Any]]
_EXACT_IN_FLOAT32 = frozenset({"bool", "int8", "uint8", "int16", "uint16", "float16", "float32"})
_WIDEST = (
    1e15  # of ranges that fold, and its inverse the narrowest: float32 holds what is between them
)
_FARTHEST = (
    2.0**23
)  # widths that a range may be from 0: float64 rounds its ends to less than float32 would see


@register("intensities")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class IntensitiesArrayConfig(UnaryConfig):
    """``(x - min) / (max - min)`` as float32."""

    read_only: ClassVar[str | None] = (
        "a scaled voxel, rounded to float32, does not say exactly what it was"
    )
    rigid: ClassVar[bool] = True
    widens: ClassVar[bool] = True

    min: float = attrs.field(converter=float, metadata=about("The value that becomes 0."))
    max: float = attrs.field(converter=float, metadata=about("The value that becomes 1."))
    clip: bool = attrs.field(
        default=False, metadata=about("Whether values outside the range become 0 and 1.")
    )

    def __attrs_post_init__(self) -> None:
        if not np.isfinite(self.max - self.min):
            raise ConfigError(
                "range is not finite", got=f"{self.min} to {self.max}", expected="finite numbers"
            )
        if self.min == self.max:
            raise ConfigError(
                "`min` and `max` are equal",
                got=self.max,
                expected=f"a number other than {self.min}",
                key=("max",),
            )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Keep the grid; voxels become float32, for which no viewer's settings are known."""
        kept = {key: value for key, value in inputs[0].attrs.items() if key != "omero"}
        return inputs[0].replace(dtype=np.float32, kind="image", attrs=kept)

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:  # noqa: ARG002  # pointwise
        """Ask for the same box."""
        return (box,)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:  # noqa: ARG002  # pointwise
        """Scale; in float64 where float32 cannot hold the source's values, or the range."""
        exact = blocks[0].spec.dtype.name in _EXACT_IN_FLOAT32
        low, span = self._in_float32 if exact and self._in_float32 else self._in_float64
        return scale(blocks[0].data, low, span, clip=self.clip, out=out)

    def folded(self, below: Operation) -> Operation | None:
        """Scale once: ``((x - a) / b - c) / d`` is ``(x - (a + b c)) / (b d)``.

        Not where `below` clips, nor where float32 might not hold what is between them, or float64 the range of both.
        """
        if not isinstance(below, IntensitiesArrayConfig) or below.clip:
            return None
        inner, outer = below.max - below.min, self.max - self.min
        shift, span = inner * self.min, inner * outer
        low = below.min + shift
        high = low + span
        if not all(1 / _WIDEST <= abs(width) <= _WIDEST for width in (inner, outer, span)):
            return None
        if max(abs(below.min), abs(shift), abs(high)) > _FARTHEST * abs(span):
            return None
        source = below.source_array_config
        return attrs.evolve(self, source_array_config=source, min=low, max=high)

    @cached_property
    def _in_float32(self) -> _Terms | None:
        """Give what is subtracted, and divided by; ``None`` where float32 cannot hold them."""
        limits, span = np.finfo(np.float32), self.max - self.min
        holds_span = limits.tiny <= abs(span) <= limits.max
        if not holds_span or abs(self.min) > limits.max or float(np.float32(self.min)) != self.min:
            return None
        return np.float32(self.min), np.float32(span)

    @cached_property
    def _in_float64(self) -> _Terms:
        return np.float64(self.min), np.float64(self.max - self.min)


@array_method
def intensities(array: Array, *, min: float, max: float, clip: bool = False) -> Array:  # noqa: A002  # the fields' names
    """Scale voxels so that `min` becomes 0 and `max` becomes 1, see `IntensitiesArrayConfig`."""
    return array.apply(IntensitiesArrayConfig, min=min, max=max, clip=clip)
