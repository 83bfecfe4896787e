"""Concat: arrays on one grid as channels of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import (
    Array,
    ArrayConfig,
    Block,
    Named,
    about,
    as_named,
    open_tree,
)
from dacapo_like.errors import ConfigError, SpecError, did_you_mean
from dacapo_like.fields import first_repeated
from dacapo_like.geometry import Box, box_between
from dacapo_like.operators._several import SeveralConfig, promoted_dtype
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec, CommonGrid

_MOST_CHANNELS = (
    2**16
)  # where concats of concats double them, a small document would fill the memory
_PARTS = 4  # numbers of channels that the sources of one config may have


class _Part(NamedTuple):
    """Channels of the output, and the input that gives them; ``None``: zeros."""

    name: str
    input: int | None
    start: int
    stop: int


def _channel_names(value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigError(
            "channels are one text", got=repr(value), expected="a list of names", key=("channels",)
        )
    return tuple(str(name) for name in value)


@register("concat")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class ConcatArrayConfig(SeveralConfig):
    """A leading channel axis made of several arrays, on the region that all of them cover.

    A source with channels of its own gives all of them, named ``channel.subchannel``.
    """

    read_only: ClassVar[str | None] = (
        "its channels belong to several arrays, or to none: write to those"
    )
    rigid: ClassVar[bool] = True
    gathers: ClassVar[bool] = True

    channels: tuple[str, ...] = attrs.field(
        converter=_channel_names, metadata=about("Names, in the order of the output's channels.")
    )
    source_array_configs: Named[ArrayConfig] = attrs.field(
        converter=as_named, metadata=about("The array of each channel, by name.", key="sources")
    )
    default_config: ArrayConfig | None = attrs.field(
        default=None,
        metadata=about("The array of the channels that have none in `sources`; by default zeros."),
    )

    def __attrs_post_init__(self) -> None:
        known = set(self.channels)
        unused = [name for name in self.source_array_configs if name not in known]
        if unused:
            raise ConfigError(
                "a source that is no channel",
                got=unused[0],
                expected=f"one of {', '.join(self.channels)}",
                hint=did_you_mean(unused[0], self.channels),
                key=("sources", unused[0]),
            )
        if len(known) != len(self.channels):
            raise ConfigError(
                "channels repeat", got=self.channels, expected="every name once", key=("channels",)
            )
        if not self.channels or not self.children():
            raise ConfigError(
                "nothing to concatenate",
                expected="at least one channel, and at least one source",
                key=("sources",) if self.channels else ("channels",),
            )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Put the channels of all inputs in front of the common grid."""
        rest = self._same_leading_axes(inputs, but=("c",))
        grid = self._grid(inputs)
        parts = self._parts(inputs)
        names = self._all_names(parts, inputs)
        kinds = {spec.kind for spec in inputs}
        return grid.spec.replace(
            axes=("c", *rest, *grid.spec.spatial_axes),
            shape=(parts[-1].stop, *rest.values(), *grid.spec.spatial_shape),
            dtype=promoted_dtype(inputs),
            channels=names,
            kind=kinds.pop() if len(kinds) == 1 else "image",
            chunk_shape=None,
        )

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask each input for its share; not at all where no channel of it is wanted."""
        grid = self._grid(inputs)
        needs: list[Box | None] = [None] * len(inputs)
        for part, low, high in self._wanted(box, inputs):
            if part.input is not None:
                need = self._input_box(part, low, high, box, inputs, grid)
                before = needs[part.input]
                needs[part.input] = need if before is None else before.union(need)
        return tuple(needs)

    def places(
        self, box: Box, out: NDArray[Any], *inputs: ArraySpec
    ) -> tuple[NDArray[Any] | None, ...]:
        """Give the channels of each input that has one share of them."""
        found: list[NDArray[Any] | None] = [None] * len(inputs)
        several = set()
        for part, low, high in self._wanted(box, inputs):
            if part.input is not None:
                if found[part.input] is not None:
                    several.add(part.input)
                found[part.input] = _as_input(out, box, low, high, inputs[part.input])
        return tuple(None if i in several else view for i, view in enumerate(found))

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Copy each share into its channels, unless it was made there."""
        inputs = [block.spec for block in blocks]
        result = np.empty(box.shape, promoted_dtype(inputs)) if out is None else out
        for part, low, high in self._wanted(box, inputs):
            if part.input is None:
                result[low - box.offset[0] : high - box.offset[0]] = 0
                continue
            block = blocks[part.input]
            if block.placed:
                continue
            assert block.box is not None  # noqa: S101  # it was asked for
            grid = self._grid(inputs)
            share = self._input_box(part, low, high, box, inputs, grid).slices_in(block.box)
            np.copyto(_as_input(result, box, low, high, block.spec), block.data[share])
        return result

    def _input_names(self) -> tuple[str, ...]:
        return tuple(".".join(map(str, key[1:])) or str(key[0]) for key, _ in self.children())

    def _parts(self, inputs: Sequence[ArraySpec]) -> list[_Part]:
        """Give the share of every channel name, in order."""
        return self._parts_of(tuple([spec.num_channels for spec in inputs]))

    @cached_property
    def _parts_of(self) -> Callable[[tuple[int | None, ...]], list[_Part]]:
        return lru_cache(_PARTS)(self._find_parts)  # asked for several times at every read

    def _find_parts(self, counts: Sequence[int | None]) -> list[_Part]:
        order = {name: i for i, name in enumerate(self.source_array_configs)}
        default = len(order) if self.default_config is not None else None
        parts, start = [], 0
        for name in self.channels:
            index = order.get(name, default)
            count = 1 if index is None else (counts[index] or 1)
            parts.append(_Part(name, index, start, start + count))
            start += count
        return parts

    def _wanted(self, box: Box, inputs: Sequence[ArraySpec]) -> Iterator[tuple[_Part, int, int]]:
        """Give the parts that a box touches, with the first channel of the output and the one behind the last."""
        for part in self._parts(inputs):
            low, high = max(part.start, box.offset[0]), min(part.stop, box.end[0])
            if low < high:
                yield part, low, high

    def _input_box(
        self,
        part: _Part,
        low: int,
        high: int,
        box: Box,
        inputs: Sequence[ArraySpec],
        grid: CommonGrid,
    ) -> Box:
        """Give the box, in the input of a part, of channels `low` to `high` of the output."""
        assert part.input is not None  # noqa: S101  # zeros have no input
        spec = inputs[part.input]
        inner = grid.box_in(part.input, Box(box.offset[1:], box.shape[1:]))
        if "c" not in spec.axes:
            return inner
        c = spec.axes.index("c")
        return box_between(
            (*inner.offset[:c], low - part.start, *inner.offset[c:]),
            (*inner.end[:c], high - part.start, *inner.end[c:]),
        )

    def _all_names(self, parts: Sequence[_Part], inputs: Sequence[ArraySpec]) -> tuple[str, ...]:
        """Name the channels of the output."""
        if parts[-1].stop > _MOST_CHANNELS:
            raise SpecError(
                "too many channels",
                got=parts[-1].stop,
                expected=f"at most {_MOST_CHANNELS}",
                key=("channels",),
            )
        names = tuple(name for part in parts for name in self._names(part, inputs))
        repeated = first_repeated(names)
        if repeated is not None:
            raise SpecError(
                "channels of one name",
                got=repeated,
                expected="every name once",
                key=("channels",),
            )
        return names

    @staticmethod
    def _names(part: _Part, inputs: Sequence[ArraySpec]) -> list[str]:
        if part.stop - part.start == 1 or part.input is None:
            return [part.name]
        return [f"{part.name}.{name}" for name in inputs[part.input].channel_names]


def _as_input(out: NDArray[Any], box: Box, low: int, high: int, spec: ArraySpec) -> NDArray[Any]:
    """Give channels `low` to `high` in a block of the output, with the axes of their input."""
    if "c" not in spec.axes:
        return out[low - box.offset[0]]  # type: ignore[no-any-return]  # it has further axes
    channels, c = out[low - box.offset[0] : high - box.offset[0]], spec.axes.index("c")
    return channels if c == 0 else np.moveaxis(channels, 0, c)


@array_method
def concat(
    array: Array,
    others: Mapping[str, Array],
    *,
    name: str = "0",
    channels: Sequence[str] | None = None,
) -> Array:
    """Put an array and others into channels of one, see `ConcatArrayConfig`.

    Parameters
    ----------
    array : Array
        Becomes the channel called `name`.
    others : mapping of str to Array
        By channel name.
    name : str
        Of the first channel.
    channels : sequence of str, optional
        Order of the channels; by default `name`, then the others.
    """
    arrays = {name: array, **others}
    config = ConcatArrayConfig(
        channels=tuple(channels or arrays),
        source_array_configs={key: value.config for key, value in arrays.items()},
    )
    return open_tree(config, {value.config: value for value in arrays.values()})
