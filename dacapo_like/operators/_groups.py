"""Groups of label ids, and what operators that make a channel of each have in common."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Block, Named, UnaryConfig
from dacapo_like.engine import Operation, Split
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.kernels.label_bits import LabelBits, Test, spread_bits
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


class GroupedConfig(UnaryConfig):
    """A leading channel of 0 and 1 for each group of labels."""

    rigid: ClassVar[bool] = True
    groupings: Named[tuple[int, ...]]

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Put a channel axis in front."""
        (source,) = inputs
        if "c" in source.axes:
            raise SpecError(
                f"{self.tag} makes channels, but its source has some already",
                got=f"axes {' '.join(source.axes)}",
                expected="labels without axis c",
                hint="select one channel of the source, for example `channels: [0]` and an operator that drops it",
                key=("source",),
                code="DL212",
            )
        if source.dtype.kind not in "biu":
            raise SpecError(
                f"{self.tag} takes labels",
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


@attrs.frozen(kw_only=True, eq=False, repr=False)
class _BitsConfig(GroupedConfig):
    """A leading channel for each group of bits: what is left of an operator on groups of labels when these were tested."""

    in_documents: ClassVar[bool] = False
    read_only: ClassVar[str | None] = "bits do not say which label a voxel has"
    widens: ClassVar[bool] = True

    groupings: Named[tuple[int, ...]] = attrs.field()

    @cached_property
    def _bits(self) -> tuple[int, ...]:
        return tuple(map(sum, self.groupings.values()))

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Make a channel of each."""
        return spread_bits(blocks[0].data, self._bits[box.slices[0]], out)


def split_groups(
    config: GroupedConfig, labels: np.dtype[Any], tests: Mapping[str, Test | None]
) -> Split | None:
    """Split an operator that marks labels which pass tests, where a byte takes less than a label, and holds a bit for each test.

    Parameters
    ----------
    config : GroupedConfig
        The operator.
    labels : numpy.dtype
        Of its source.
    tests : mapping of str to (Test or None)
        By channel; ``None``: it is 0 everywhere.
    """
    known = [test for test in tests.values() if test is not None]
    bits = LabelBits.of(known)
    if bits is None or not known or labels.itemsize == 1:
        return None

    def rest(through: LabelBits) -> Operation:
        bits = {name: () if test is None else (through.bit(test),) for name, test in tests.items()}
        return _BitsConfig(
            source_array_config=config.source_array_config, groupings=as_groupings(bits)
        )

    return Split(bits, rest)
