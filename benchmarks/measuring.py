"""How things are timed: all ways of doing the same take turns in one run, so that what slows the machine slows all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import attrs

Way: TypeAlias = Callable[[int], float]
"""Does its work for the turn of that number; gives the seconds that it took."""

_MOST = (
    2.5  # seconds of all turns of one way: those that would take more do not take part in every one
)
_FEWEST = 3  # turns that every way takes part in


@attrs.frozen
class Spread:
    """The median of some numbers, and where the middle half of them lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Sum up numbers.

        Examples
        --------
        >>> Spread.of([1, 2, 3, 4, 100])
        Spread(median=3, low=2.0, high=4.0)
        """
        known = sorted(values)
        if len(known) < 2:
            return cls(known[0], known[0], known[0])
        low, _, high = statistics.quantiles(known, n=4, method="inclusive")
        return cls(statistics.median(known), low, high)


@attrs.frozen
class Timing:
    """Seconds that one way took, by the number of the turn."""

    seconds: Mapping[int, float]

    @property
    def spread(self) -> Spread:
        """Over all turns."""
        return Spread.of(self.seconds.values())

    def over(self, other: Timing) -> Spread:
        """Give how many times as long as another way it took in the same turn, over the turns that both took part in.

        Examples
        --------
        >>> Timing({0: 2.0, 1: 9.0}).over(Timing({0: 1.0, 1: 3.0, 2: 7.0})).median
        2.5
        """
        both = self.seconds.keys() & other.seconds.keys()
        return Spread.of(self.seconds[turn] / other.seconds[turn] for turn in both)

    def each(self, number: int) -> Timing:
        """Give the seconds of each of so many pieces of work that were timed together."""
        return Timing({turn: seconds / number for turn, seconds in self.seconds.items()})


def timed(call: Callable[[], object], times: int = 1) -> Way:
    """Time a call of this process; one that is over soon several times in a row, of which the mean counts."""

    def way(_turn: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times

    return way


def race(ways: Mapping[str, Way], turns: int) -> dict[str, Timing]:
    """Let ways of doing the same take turns.

    Every way goes once before anything counts: it compiles, opens and fills its caches. The order is turned around from turn to
    turn. Ways that are slow sit some turns out, so that they do not take all the time; each of them takes part in three at least,
    and then the fast ones do, too.

    Parameters
    ----------
    ways : mapping of str to callable
        By name. That first time they are given the number of the last turn.
    turns : int
        How often.

    Returns
    -------
    dict of str to Timing
        In the order of `ways`.
    """
    first = {name: way(turns - 1) for name, way in ways.items()}
    rarest = max(turns // _FEWEST, 1)
    every = {name: min(math.ceil(s * turns / _MOST), rarest) for name, s in first.items()}
    seconds: dict[str, dict[int, float]] = {name: {} for name in ways}
    for turn in range(turns):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            if turn % every[name] == 0:
                seconds[name][turn] = ways[name](turn)
    return {name: Timing(taken) for name, taken in seconds.items()}
