"""Intensities: scale voxels linearly so that a given range becomes 0 to 1."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

_EXACT_IN_FLOAT32 = frozenset({"bool", "int8", "uint8", "int16", "uint16", "float16", "float32"})


@register("intensities")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class IntensitiesArrayConfig(UnaryConfig):
    """``(x - min) / (max - min)`` as float32."""

    read_only: ClassVar[str | None] = (
        "a scaled voxel, rounded to float32, does not say exactly what it was"
    )

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

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Scale; in float64 where float32 cannot hold the source's values, or the range."""
        data = blocks[0].data
        work = self._working_dtype(blocks[0].spec.dtype)
        result: NDArray[Any] = (
            out if out is not None and work == np.float32 else np.empty(box.shape, work)
        )
        np.subtract(data, work.type(self.min), out=result, dtype=work)
        result /= work.type(self.max - self.min)
        if self.clip:
            np.clip(result, 0, 1, out=result)
        return result.astype(np.float32, copy=False)

    def _working_dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        limits = np.finfo(np.float32)
        holds_range = (
            abs(self.min) <= limits.max
            and float(np.float32(self.min)) == self.min
            and limits.tiny <= abs(self.max - self.min) <= limits.max
        )
        exact = source.name in _EXACT_IN_FLOAT32 and holds_range
        return np.dtype(np.float32 if exact else np.float64)


@array_method
def intensities(array: Array, *, min: float, max: float, clip: bool = False) -> Array:  # noqa: A002  # the fields' names
    """Scale voxels so that `min` becomes 0 and `max` becomes 1, see `IntensitiesArrayConfig`."""
    return array.apply(IntensitiesArrayConfig, min=min, max=max, clip=clip)
