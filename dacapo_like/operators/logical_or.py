"""Logical or: where any channel is set."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


@register("logical_or")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class LogicalOrArrayConfig(UnaryConfig):
    """The union of all channels: 1 where any of them is not zero, else 0, as uint8. The channel axis is gone."""

    read_only: ClassVar[str | None] = "a union does not say which channels a voxel is in"
    rigid: ClassVar[bool] = True

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Drop the channel axis."""
        (source,) = inputs
        if "c" not in source.axes:
            raise SpecError(
                "logical_or joins channels, but its source has none",
                got=f"axes {' '.join(source.axes)}",
                expected="an axis c",
                hint="make channels of arrays with `concat`, or of labels with `binarize`",
                key=("source",),
                code="DL213",
            )
        c = source.axes.index("c")
        chunks = source.chunk_shape
        return source.replace(
            axes=_without(source.axes, c),
            shape=_without(source.shape, c),
            dtype="uint8",
            channels=None,
            kind="mask",
            chunk_shape=None if chunks is None else _without(chunks, c),
        )

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask for all channels."""
        (source,) = inputs
        c = source.axes.index("c")
        return (
            Box(
                (*box.offset[:c], 0, *box.offset[c:]),
                (*box.shape[:c], source.shape[c], *box.shape[c:]),
            ),
        )

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Join the channels."""
        result = np.empty(box.shape, np.uint8) if out is None else out
        np.any(blocks[0].data, axis=blocks[0].spec.axes.index("c"), out=result.view(np.bool_))
        return result


def _without(values: tuple[Any, ...], index: int) -> tuple[Any, ...]:
    return (*values[:index], *values[index + 1 :])


@array_method
def logical_or(array: Array) -> Array:
    """Join all channels into one mask, see `LogicalOrArrayConfig`."""
    return array.apply(LogicalOrArrayConfig)
