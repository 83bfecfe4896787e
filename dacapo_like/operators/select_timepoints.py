"""Select timepoints: some of the timepoints, or those of a span."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import attrs

from dacapo_like.core import Array, about
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.operators._selected import Run, SelectedConfig, Selection, as_index, runs_of
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec


def _timepoints(value: Any) -> int | tuple[int, ...]:
    if not isinstance(value, Iterable):
        return as_index(value, "timepoints")
    indices = tuple(as_index(index, "timepoints") for index in value)
    if not indices:
        raise ConfigError("no timepoints", expected="at least one", key=("timepoints",))
    if len(set(indices)) < len(indices):
        raise ConfigError(
            "timepoints repeat", got=indices, expected="every index once", key=("timepoints",)
        )
    return indices


def _start(value: Any) -> int | None:
    return None if value is None else as_index(value, "start")


def _stop(value: Any) -> int | None:
    return None if value is None else as_index(value, "stop")


@register("select_timepoints")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class SelectTimepointsArrayConfig(SelectedConfig):
    """Some timepoints of an array, in the order in which they are named, or a span of them; the others are not read.

    A list and a span give an array with these timepoints. A single index, not in a list, gives an array without axis `t`, as it does in
    numpy. What is assigned to it goes to its source where that is one run of timepoints: a span, or consecutive indices.
    """

    timepoints: int | tuple[int, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(_timepoints),
        metadata=about("Indices, in the order of the output; or a single one."),
    )
    start: int | None = attrs.field(
        default=None,
        converter=_start,
        metadata=about("Index of the first timepoint of a span; by default 0."),
    )
    stop: int | None = attrs.field(
        default=None,
        converter=_stop,
        metadata=about("Index behind the last timepoint of a span; by default its source's end."),
    )

    def __attrs_post_init__(self) -> None:
        if (self.timepoints is None) == (self.start is None and self.stop is None):
            raise ConfigError(
                "timepoints are selected by indices or by a span",
                expected="`timepoints`, or `start` and/or `stop`",
            )

    @property
    def read_only(self) -> str | None:  # type: ignore[override]  # it depends on the fields
        """Why nothing can be written through it."""
        if isinstance(self.timepoints, int):
            return "its source has an axis more: select the timepoint in a list"
        if self.timepoints is None or len(runs_of(self.timepoints)) == 1:
            return None
        return "its timepoints are not consecutive"

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Shorten the axis, or leave it out."""
        return self.selection(inputs[0]).spec_of(inputs[0])

    def selection(self, source: ArraySpec) -> Selection:
        """Look the timepoints up."""
        if "t" not in source.axes:
            raise SpecError(
                "no timepoints to select",
                got=f"axes {' '.join(source.axes)}",
                expected="an axis t",
                key=("timepoints" if self.timepoints is not None else "start",),
            )
        axis = source.axes.index("t")
        if self.timepoints is None:
            return Selection(axis, (self._span(source.shape[axis]),), drop=False)
        return _selection(axis, source.shape[axis], self.timepoints)

    def _span(self, n: int) -> Run:
        start, stop = self.start or 0, n if self.stop is None else self.stop
        if not 0 <= start < stop <= n:
            raise SpecError(
                "a span of timepoints that is empty, or leaves the array",
                got=f"{start} to {stop}",
                expected=f"0 <= start < stop <= {n}",
                key=("start",) if not 0 <= start < n else ("stop",),
            )
        return Run(start, 0, stop - start)


@lru_cache(maxsize=1024)  # asked for at every read
def _selection(axis: int, n: int, timepoints: int | tuple[int, ...]) -> Selection:
    single = isinstance(timepoints, int)
    indices = (timepoints,) if isinstance(timepoints, int) else timepoints
    for place, index in enumerate(indices):
        if not 0 <= index < n:
            raise SpecError(
                "no such timepoint",
                got=index,
                expected=f"0 to {n - 1}",
                key=("timepoints",) if single else ("timepoints", place),
            )
    return Selection(axis, runs_of(indices), drop=single)


@array_method
def select_timepoints(
    array: Array,
    timepoints: int | Iterable[int] | None = None,
    *,
    start: int | None = None,
    stop: int | None = None,
) -> Array:
    """Keep some timepoints, see `SelectTimepointsArrayConfig`.

    Parameters
    ----------
    array : Array
        With an axis ``t``.
    timepoints : int, or iterable of int, optional
        Indices. Several, or one in a list, are the timepoints of the result, in this order; the result of a single one has no axis ``t``.
    start, stop : int, optional
        A span instead: its first index, and the one behind its last.

    Raises
    ------
    SpecError
        There is no axis ``t``, or no such timepoint.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> film = from_numpy(np.array([[1, 2], [3, 4], [5, 6]]), axes="tx")
    >>> film.select_timepoints(range(0, 3, 2)).read()
    array([[1, 2],
           [5, 6]])
    >>> film.select_timepoints(1).axes
    ('x',)
    >>> film.select_timepoints(start=1).shape
    (2, 2)
    """
    return array.apply(SelectTimepointsArrayConfig, timepoints=timepoints, start=start, stop=stop)
