"""Binarize: one 0/1 channel per group of labels."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, Named, UnaryConfig, about
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.kernels.labels import group_masks
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


def as_label(value: Any) -> int:
    """Turn an integer, numpy's too, into a label.

    Raises
    ------
    ConfigError
        Not an integer: a fraction, or text.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise ConfigError("not a label", got=repr(value), expected="an integer") from error


def as_groupings(value: Any) -> Named[tuple[int, ...]]:
    """Turn a mapping, or a list of (name, ids), into ordered groups.

    Raises
    ------
    ConfigError
        No groups, two of one name, or an id that is no integer.
    """
    pairs: Iterable[tuple[str, Iterable[int]]] = (
        value.items() if isinstance(value, Mapping) else value
    )
    groups = [(str(name), tuple(map(as_label, ids))) for name, ids in pairs]
    names = [name for name, _ in groups]
    if not groups or len(set(names)) != len(names):
        raise ConfigError(
            "groupings do not name channels",
            got=names,
            expected="at least one group, every name once",
            key=("groupings",),
        )
    return Named(groups)


@register("binarize")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class BinarizeArrayConfig(UnaryConfig):
    """A leading channel per group: 1 where the label is in the group, else 0, as uint8."""

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

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Put a channel axis in front."""
        (source,) = inputs
        if "c" in source.axes:
            raise SpecError(
                "binarize makes channels, but its source has some already",
                got=f"axes {' '.join(source.axes)}",
                expected="labels without axis c",
                hint="select one channel of the source, for example `channels: [0]` and an operator that drops it",
                key=("source",),
                code="DL212",
            )
        if source.dtype.kind not in "biu":
            raise SpecError(
                "binarize takes labels",
                got=source.dtype.name,
                expected="an integer dtype",
                key=("source",),
            )
        chunks = source.chunk_shape
        return source.replace(
            axes=("c", *source.axes),
            shape=(len(self.groupings), *source.shape),
            dtype="uint8",
            channels=tuple(self.groupings),
            kind="mask",
            chunk_shape=None if chunks is None else (1, *chunks),
        )

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:  # noqa: ARG002  # the same for any source
        """Drop the channel axis."""
        return (Box(box.offset[1:], box.shape[1:]),)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Look the labels up."""
        groups = list(self.groupings.values())[box.slices[0]]
        return group_masks(blocks[0].data, groups, background=self.background, out=out)


@array_method
def binarize(
    array: Array,
    groupings: Mapping[str, Sequence[int]] | Sequence[tuple[str, Sequence[int]]],
    *,
    background: int = 0,
) -> Array:
    """Make one 0/1 channel per group of labels, see `BinarizeArrayConfig`."""
    return array.apply(BinarizeArrayConfig, groupings=groupings, background=background)
