"""Merge instances: arrays of labels as one, ids of different arrays kept apart."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, about
from dacapo_like.errors import ConfigError, ReadError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.kernels.overlay import lay_over
from dacapo_like.operators._several import VoxelwiseConfig, open_over
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

Overlap = Literal["first", "last", "error"]

_HIGHEST = 2**64 - 1


def _as_stride(value: Any) -> int:
    try:
        stride = operator.index(value)
    except TypeError as error:
        raise ConfigError(
            "not a stride of ids", got=repr(value), expected="an integer", key=("id_stride",)
        ) from error
    if not 1 <= stride <= _HIGHEST:
        raise ConfigError(
            "no stride of ids", got=stride, expected=f"1 to {_HIGHEST}", key=("id_stride",)
        )
    return stride


@register("merge_instances")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class MergeInstancesArrayConfig(VoxelwiseConfig):
    """Labels of several arrays as uint64: an id of the i-th source, counted from 0, is shifted by i times the stride; 0 stays 0.

    An object has the same id whatever region is read.
    """

    read_only: ClassVar[str | None] = (
        "an id would have to go to the source that it comes from, and to no other"
    )

    id_stride: int = attrs.field(
        default=2**32,
        converter=_as_stride,
        metadata=about("How far apart the ids of two sources are; the highest id."),
    )
    overlap: Overlap = attrs.field(
        default="first",
        metadata=about(
            "What a voxel is that has ids in several sources: that of the first of them, of the last, or an error."
        ),
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        count = len(self.source_array_configs)
        if count * self.id_stride > _HIGHEST:
            raise ConfigError(
                "ids of the last source would be beyond uint64",
                got=f"{count} sources, {self.id_stride} apart",
                expected=f"at most {_HIGHEST // count} for {count} sources",
                key=("id_stride",),
            )
        if self.overlap not in ("first", "last", "error"):
            raise ConfigError(
                "unknown way to treat overlaps",
                got=repr(self.overlap),
                expected="first, last or error",
                key=("overlap",),
            )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Keep the common grid."""
        for i, spec in enumerate(inputs):
            if spec.dtype.kind not in "biu":
                raise SpecError(
                    "merge_instances takes labels",
                    got=spec.dtype.name,
                    expected="an integer dtype",
                    key=("sources", i),
                )
        return self._common_spec(inputs, dtype="uint64", kind="labels")

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Write the ids of one source after the other, those that stay last.

        Raises
        ------
        ReadError
            An id is negative or beyond the stride, or overlaps are errors and there is one.
        """
        result = np.empty(box.shape, np.uint64) if out is None else out
        result[...] = 0
        order = range(len(blocks))
        for i in reversed(order) if self.overlap == "first" else order:
            self._check_ids(i, box, blocks)
            hidden = lay_over(blocks[i].data, i * self.id_stride, result)
            if hidden and self.overlap == "error":
                raise self._overlap(i, box, blocks)
        return result

    def _check_ids(self, i: int, box: Box, blocks: Sequence[Block]) -> None:
        labels = blocks[i].data
        at = _stray_id(labels, self.id_stride)
        if at is not None:
            wrong = int(labels[at])
            raise ReadError(
                "a negative id" if wrong < 0 else "an id beyond the stride",
                got=f"{wrong} in sources[{i}], {self._describe_voxel(blocks, box, at)}",
                expected=f"0 to {self.id_stride}",
                hint=None if wrong < 0 else f"raise `id_stride` to at least {wrong}",
            )

    def _overlap(self, i: int, box: Box, blocks: Sequence[Block]) -> ReadError:
        """Make the error for the first voxel of a source that one before it has, too."""
        before = np.logical_or.reduce([block.data != 0 for block in blocks[:i]])
        both = before & (blocks[i].data != 0)
        at = _place(both.argmax(), both)
        other = next(j for j in range(i) if blocks[j].data[at])
        return ReadError(
            "instances overlap",
            got=f"id {blocks[other].data[at]} in sources[{other}] and id {blocks[i].data[at]} in sources[{i}], "
            f"{self._describe_voxel(blocks, box, at)}",
            expected="at most one",
            hint="say with `overlap: first` or `overlap: last` which of them stays",
        )


def _stray_id(labels: NDArray[Any], highest: int) -> tuple[int, ...] | None:
    """Find an id that is negative or too high."""
    if labels.dtype.kind == "i" and labels.min() < 0:
        return _place(labels.argmin(), labels)
    if int(labels.max()) > highest:
        return _place(labels.argmax(), labels)
    return None


def _place(flat: np.intp, data: NDArray[Any]) -> tuple[int, ...]:
    return tuple(map(int, np.unravel_index(flat, data.shape)))


@array_method
def merge_instances(
    array: Array, others: Sequence[Array], *, id_stride: int = 2**32, overlap: Overlap = "first"
) -> Array:
    """Put the instances of an array and of others into one, see `MergeInstancesArrayConfig`."""
    return open_over(
        MergeInstancesArrayConfig, [array, *others], id_stride=id_stride, overlap=overlap
    )
