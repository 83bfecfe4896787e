"""Sum: arrays on one grid, added voxel by voxel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block
from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box
from dacapo_like.kernels.sums import first_overflow
from dacapo_like.operators._several import VoxelwiseConfig, open_over, promoted_dtype
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


@register("sum")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class SumArrayConfig(VoxelwiseConfig):
    """Arrays added voxel by voxel, on the region that all of them cover; nothing wraps around."""

    read_only: ClassVar[str | None] = "a sum does not say what it was added from"

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Keep the common grid; integers become 64 bits wide."""
        all_labels = all(spec.kind == "labels" for spec in inputs)
        return self._common_spec(
            inputs, dtype=_sum_dtype(inputs), kind="labels" if all_labels else "image"
        )

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Add one after the other.

        Raises
        ------
        ReadError
            A sum of integers is beyond 64 bits.
        """
        result = _empty(box, blocks) if out is None else out
        terms = [block.data for block in blocks]
        if len(terms) == 1:
            np.copyto(result, terms[0])
        else:
            np.add(terms[0], terms[1], out=result, dtype=result.dtype)
        for term in terms[2:]:
            np.add(result, term, out=result, dtype=result.dtype)
        if result.dtype.kind in "iu":
            at = first_overflow(terms, result.dtype)
            if at is not None:
                limits = np.iinfo(result.dtype)
                raise ReadError(
                    "a sum is beyond its dtype",
                    got=f"{sum(int(term[at]) for term in terms)} at {self._describe_voxel(blocks, box, at)}",
                    expected=f"{limits.min} to {limits.max}, as {result.dtype.name} holds",
                )
        return result


def _empty(box: Box, blocks: Iterable[Block]) -> NDArray[Any]:
    return np.empty(box.shape, _sum_dtype(block.spec for block in blocks))


def _sum_dtype(inputs: Iterable[ArraySpec]) -> np.dtype[Any]:
    """Give the dtype in which numpy sums what the inputs promote to."""
    total: np.dtype[Any] = np.sum(np.empty(0, promoted_dtype(inputs))).dtype
    return total


@array_method
def sum_with(array: Array, others: Sequence[Array]) -> Array:
    """Add others to an array, voxel by voxel, see `SumArrayConfig`."""
    return open_over(SumArrayConfig, [array, *others])
