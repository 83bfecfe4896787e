"""Select channels: some of the channels, in an order of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import attrs

from dacapo_like.core import Array, about
from dacapo_like.errors import ConfigError, SpecError, did_you_mean
from dacapo_like.operators._selected import SelectedConfig, Selection, as_index, runs_of
from dacapo_like.operators._shown import with_channels_shown
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

Channel = int | str


def _channel(value: Any) -> Channel:
    return value if isinstance(value, str) else as_index(value, "channels")


def _channels(value: Any) -> Channel | tuple[Channel, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return _channel(value)
    channels = tuple(map(_channel, value))
    if not channels:
        raise ConfigError("no channels", expected="at least one", key=("channels",))
    return channels


@register("select_channels")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class SelectChannelsArrayConfig(SelectedConfig):
    """Some channels of an array, in the order in which they are named; the others are not read.

    A list gives an array with these channels. A single one, not in a list, gives an array without axis `c`, as an index of a numpy array
    does. What is assigned to it goes to its source where that is one run of channels: a list of one, or of consecutive indices.
    """

    channels: int | str | tuple[int | str, ...] = attrs.field(
        converter=_channels,
        metadata=about("Indices or names, in the order of the output; or a single one."),
    )

    @property
    def read_only(self) -> str | None:  # type: ignore[override]  # it depends on the fields
        """Why nothing can be written through it."""
        if not isinstance(self.channels, tuple):
            return "its source has an axis more: select the channel in a list"
        indices = [channel for channel in self.channels if isinstance(channel, int)]
        if len(self.channels) == 1 or (
            len(indices) == len(self.channels) and len(runs_of(indices)) == 1
        ):
            return None
        return "its channels are not one run of its source's: select one, or consecutive indices"

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Keep what is known of the channels."""
        source, selection = inputs[0], self.selection(inputs[0])
        known = source.channel_names
        names = [known[run.first + i] for run in selection.runs for i in range(run.length)]
        named = source.channels is not None and not selection.drop
        new = names if source.channels is not None else map(str, range(len(names)))
        return selection.spec_of(
            source,
            channels=names if named else None,
            attrs=with_channels_shown(source, zip(names, new, strict=True)),
        )

    def selection(self, source: ArraySpec) -> Selection:
        """Look the channels up."""
        return _selection(source, self.channels)


@lru_cache(maxsize=1024)  # asked for at every read
def _selection(source: ArraySpec, channels: Channel | tuple[Channel, ...]) -> Selection:
    single = not isinstance(channels, tuple)
    wanted = channels if isinstance(channels, tuple) else (channels,)
    if "c" not in source.axes:
        raise SpecError(
            "no channels to select",
            got=f"axes {' '.join(source.axes)}",
            expected="an axis c",
            key=("channels",),
        )
    found: dict[int, int] = {}
    for place, channel in enumerate(wanted):
        key = ("channels",) if single else ("channels", place)
        index = _index(source, channel, key)
        if index in found:
            raise SpecError(
                "a channel stands twice",
                got=f"{channel!r}, which is {wanted[found[index]]!r} too",
                expected="every channel once",
                key=key,
            )
        found[index] = place
    return Selection(source.axes.index("c"), runs_of(list(found)), drop=single)


def _index(source: ArraySpec, channel: Channel, key: tuple[str | int, ...]) -> int:
    names = source.channel_names
    if isinstance(channel, str) and channel in names:
        return names.index(channel)
    if isinstance(channel, int) and 0 <= channel < len(names):
        return channel
    indices = f"0 to {len(names) - 1}"
    raise SpecError(
        "no such channel",
        got=repr(channel),
        expected=f"one of {', '.join(names)}, or {indices}" if source.channels else indices,
        hint=did_you_mean(str(channel), names),
        key=key,
    )


@array_method
def select_channels(array: Array, channels: int | str | Iterable[int | str]) -> Array:
    """Keep some channels, see `SelectChannelsArrayConfig`.

    Parameters
    ----------
    array : Array
        With an axis ``c``.
    channels : int, str, or iterable of them
        Indices or names. Several, or one in a list, are the channels of the result, in this order; the result of a single one has no axis ``c``.

    Raises
    ------
    SpecError
        There is no axis ``c``, or no such channel, or one stands twice.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> cells = from_numpy(np.array([[1, 2], [3, 4], [5, 6]]), axes="cx", channels=("DAPI", "GFP", "RFP"))
    >>> cells.select_channels(["RFP", 0]).read()
    array([[5, 6],
           [1, 2]])
    >>> cells.select_channels("GFP").read()
    array([3, 4])
    """
    return array.apply(SelectChannelsArrayConfig, channels=channels)
