"""Binarize: one 0/1 channel per group of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, Named, about
from dacapo_like.engine import Split
from dacapo_like.geometry import Box
from dacapo_like.kernels.labels import GroupLookup
from dacapo_like.operators._groups import GroupedConfig, as_groupings, as_label, split_groups
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


@register("binarize")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class BinarizeArrayConfig(GroupedConfig):
    """A leading channel per group: 1 where the label is in the group, else 0, as uint8."""

    read_only: ClassVar[str | None] = "a mask does not say which label a voxel has"
    widens: ClassVar[bool] = True

    groupings: Named[tuple[int, ...]] = attrs.field(
        converter=as_groupings,
        metadata=about(
            "Ids of each group, by channel name; an empty group means every label but the background."
        ),
    )
    background: int = attrs.field(
        default=0,
        converter=as_label,
        metadata=about("The label that is 0 in every channel."),
    )

    def split(self, source: ArraySpec) -> Split | None:
        """Test labels for the groups, a bit for each; up to eight."""
        tests = {name: (ids, self.background) for name, ids in self.groupings.items()}
        return split_groups(self, source.dtype, tests)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Look the labels up."""
        return self._lookup(blocks[0].data, box.slices[0], out)

    @cached_property
    def _lookup(self) -> GroupLookup:
        return GroupLookup(tuple(self.groupings.values()), background=self.background)


@array_method
def binarize(
    array: Array,
    groupings: Mapping[str, Sequence[int]] | Sequence[tuple[str, Sequence[int]]],
    *,
    background: int = 0,
) -> Array:
    """Make one 0/1 channel per group of labels, see `BinarizeArrayConfig`."""
    return array.apply(BinarizeArrayConfig, groupings=groupings, background=background)
