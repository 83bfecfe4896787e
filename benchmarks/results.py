"""What benchmarks give: tables of times side by side and of figures, each with what is wanted of it, as text and as Markdown."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import attrs

from benchmarks.measuring import Spread, Timing

Cells: TypeAlias = tuple[str, ...]


@attrs.frozen
class Bound:
    """What is wanted: at most, or at least, so much."""

    value: float
    least: bool = False

    def met(self, value: float) -> bool:
        """Say whether a value is what is wanted."""
        return value >= self.value if self.least else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {number(self.value)}"


def at_most(value: float) -> Bound:
    return Bound(value)


def at_least(value: float) -> Bound:
    return Bound(value, least=True)


class Judged(ABC):
    """A line of a table of which something may be wanted."""

    wanted: Bound | None

    @property
    def met(self) -> bool | None:
        """Whether it is as wanted; ``None`` where nothing is."""
        return None if self.wanted is None else self.wanted.met(self.measured)

    @property
    @abstractmethod
    def measured(self) -> float:
        """What is to be as wanted."""

    def verdict(self) -> Cells:
        """Give the last columns of a table."""
        return (
            ("", "") if self.wanted is None else (str(self.wanted), "yes" if self.met else "**no**")
        )


@attrs.frozen
class Row(Judged):
    """Our time beside that of another way.

    Attributes
    ----------
    case : str
        What is done.
    ours, theirs : Timing
        Of one piece of work.
    other : str
        What the other way is.
    wanted : Bound, optional
        Of the ratio.
    faster : bool
        The ratio is that of their time to ours: how many times as fast we are. Else it is that of our time to theirs. By default so
        where at least something is wanted.
    """

    case: str
    ours: Timing
    other: str
    theirs: Timing
    wanted: Bound | None = None
    faster: bool = attrs.field(
        default=attrs.Factory(
            lambda row: row.wanted is not None and row.wanted.least, takes_self=True
        )
    )

    @property
    def ratio(self) -> Spread:
        """Of the times, turn by turn."""
        if self.faster:
            return self.theirs.over(self.ours)
        return self.ours.over(self.theirs)

    @property
    def measured(self) -> float:
        """The median of the ratio."""
        return self.ratio.median

    exact = False

    def cells(self, unit: str) -> Cells:
        """Give the columns of a table."""
        times = "times as fast" if self.faster else "of its time"
        ours, theirs = (shown(timing.spread, unit) for timing in (self.ours, self.theirs))
        ratio = f"{spread_text(self.ratio)} {times}"
        return (self.case, ours, self.other, theirs, ratio, *self.verdict())


@attrs.frozen
class Figure(Judged):
    """One number that is not compared with the time of others.

    Attributes
    ----------
    case, what : str
        What is done, and what of it is counted.
    value : float
        How much.
    unit : str
        Of the value, the bound too.
    exact : bool
        The same on any machine: to miss the bound is a failure.
    """

    case: str
    what: str
    value: float
    unit: str
    wanted: Bound | None = None
    exact: bool = False

    @property
    def measured(self) -> float:
        """The value."""
        return self.value

    def cells(self, _unit: str) -> Cells:
        """Give the columns of a table."""
        value = f"{number(self.value)} {self.unit}".strip()
        return (self.case, self.what, value, *self.verdict())


Line: TypeAlias = "Row | Figure"


def _as_lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(lines)


@attrs.frozen
class Table:
    """Lines of one kind.

    Attributes
    ----------
    title : str
        What they have in common.
    lines : sequence of Row or of Figure
        At least one.
    unit : str
        Of times: ``s``, ``ms``, ``µs``; or what there is one of in that time, of which as many as go into a second are shown.
    """

    title: str
    lines: tuple[Line, ...] = attrs.field(converter=_as_lines)
    unit: str = "ms"

    @property
    def header(self) -> Cells:
        """The titles of the columns."""
        if isinstance(self.lines[0], Row):
            return ("", "dacapo_like", "beside", "takes", "ratio", "wanted", "met")
        return ("", "counted", "measured", "wanted", "met")

    def rows(self) -> list[Cells]:
        """Give the cells of all lines; what is the same as in the line above is left out."""
        found = [line.cells(self.unit) for line in self.lines]
        repeated = 2 if isinstance(self.lines[0], Row) else 1
        shortened = found[:1]
        for above, cells in itertools.pairwise(found):
            same = cells[:repeated] == above[:repeated]
            shortened.append(("",) * repeated + cells[repeated:] if same else cells)
        return shortened

    def markdown(self) -> str:
        """Give it for a page."""
        lines = [self.header, ("---",) * len(self.header), *self.rows()]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in lines)])

    def text(self) -> str:
        """Give it with columns of one width, for a terminal."""
        lines = [self.header, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = (zip(row, widths, strict=True) for row in lines)
        shown_rows = ("  ".join(f"{cell:{n}}" for cell, n in row).rstrip() for row in padded)
        return "\n".join([self.title, *(f"  {row}" for row in shown_rows)])


def beside(
    case: str,
    timings: Mapping[str, Timing],
    ours: str,
    wanted: Mapping[str, Bound] | None = None,
    *,
    slower: Iterable[str] = (),
) -> list[Row]:
    """Put one way of a race beside each of the others; of those that are to be slower it says how many times as fast ours is."""
    rows, bounds, beaten = [], wanted or {}, set(slower)
    for name, timing in timings.items():
        if name != ours:
            row = Row(case, timings[ours], name, timing, bounds.get(name))
            rows.append(attrs.evolve(row, faster=row.faster or name in beaten))
    return rows


_PER_SECOND = {"s": 1.0, "ms": 1e3, "µs": 1e6}


def shown(seconds: Spread, unit: str) -> str:
    """Say a time, or how many of something go into a second.

    Examples
    --------
    >>> shown(Spread(0.002, 0.001, 0.004), "ms"), shown(Spread(0.002, 0.001, 0.004), "patches")
    ('2.00 (1.00-4.00) ms', '500 (250-1000) patches/s')
    """
    if unit in _PER_SECOND:
        factor = _PER_SECOND[unit]
        scaled = Spread(seconds.median * factor, seconds.low * factor, seconds.high * factor)
        return f"{spread_text(scaled)} {unit}"
    return f"{spread_text(Spread(1 / seconds.median, 1 / seconds.high, 1 / seconds.low))} {unit}/s"


def spread_text(value: Spread) -> str:
    """Write the median, and the middle half where there is more than one value."""
    if value.low == value.high:
        return number(value.median)
    return f"{number(value.median)} ({number(value.low)}-{number(value.high)})"


def number(value: float) -> str:
    """Write three digits, more only of what is over a thousand.

    Examples
    --------
    >>> [number(n) for n in (0.01234, 1.5, 15.0, 4321.0, 2, 0)]
    ['0.0123', '1.50', '15.0', '4321', '2', '0']
    """
    if value == int(value) and (isinstance(value, int) or abs(value) >= 100):
        return str(int(value))
    digits = 0
    while digits < 6 and abs(value) * 10**digits < 99.95:
        digits += 1
    return f"{value:.{digits}f}"
