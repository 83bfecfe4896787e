"""Relabel channels: the same voxels, their channels under other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.errors import ConfigError, SpecError, did_you_mean
from dacapo_like.fields import first_repeated
from dacapo_like.geometry import Box
from dacapo_like.operators._shown import with_channels_shown
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


def _labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):  # its letters would be taken for labels
        raise ConfigError(
            "channels are one text", got=repr(value), expected="a list of names", key=("channels",)
        )
    labels = tuple(str(label) for label in value)
    repeated = first_repeated(labels)
    if repeated is not None:
        raise ConfigError(
            "channels repeat", got=repeated, expected="every name once", key=("channels",)
        )
    return labels


@register("relabel_channels")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class RelabelChannelsArrayConfig(UnaryConfig):
    """An array with other names for its channels. What is assigned to it goes to its source."""

    read_only: ClassVar[str | None] = None
    rigid: ClassVar[bool] = True
    channels: tuple[str, ...] = attrs.field(
        converter=_labels, metadata=about("Names of all channels, in their order.")
    )

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Change the names."""
        (source,) = inputs
        if source.num_channels != len(self.channels):
            raise SpecError(
                "channel names do not fit the array",
                got=f"{len(self.channels)} names for axes {' '.join(source.axes)} of shape {source.shape}",
                expected="one name per channel along axis c",
                key=("channels",),
            )
        names = zip(source.channel_names, self.channels, strict=True)
        return source.replace(channels=self.channels, attrs=with_channels_shown(source, names))

    def view_offset(self, *inputs: ArraySpec) -> tuple[int, ...]:
        """Keep all voxels."""
        return (0,) * inputs[0].ndim

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:  # noqa: ARG002  # pointwise
        """Ask for the same box."""
        return (box,)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:  # noqa: ARG002  # a view
        """Pass the block on."""
        return blocks[0].data  # type: ignore[no-any-return]  # a block's data is an ndarray


@array_method
def set_channel_labels(array: Array, labels: Sequence[str]) -> Array:
    """Give all channels new names, see `RelabelChannelsArrayConfig`."""
    return array.apply(RelabelChannelsArrayConfig, channels=labels)


@array_method
def rename_channels(array: Array, names: Mapping[str, str]) -> Array:
    """Give some channels new names, by their old ones, see `RelabelChannelsArrayConfig`.

    Raises
    ------
    SpecError
        There is no channel of an old name.
    """
    known = array.spec.channel_names
    unknown = next((old for old in names if old not in known), None)
    if unknown is not None:
        raise SpecError(
            "no such channel",
            got=repr(unknown),
            expected=f"one of {', '.join(known)}",
            hint=did_you_mean(unknown, known),
        )
    return array.apply(
        RelabelChannelsArrayConfig, channels=[names.get(name, name) for name in known]
    )
