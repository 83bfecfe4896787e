"""Going once over arrays, patch by patch."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import overload

from dacapo_like.engine import ahead
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.sampler import Sample
from dacapo_like.patches.together import Together


class Cover(Sequence[Sample]):
    """The patches of grids over one or more sources, one source after the other.

    Each is read when it is asked for; where all are asked for, the next ones are being read meanwhile.

    Parameters
    ----------
    sources : iterable of Together
        The arrays of each source.
    grids : iterable of PatchGrid
        The patches of each, as `Together.grid` gives them, or a part of these.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> source = Together({"raw": from_numpy(np.arange(10), axes="x")}, 4)
    >>> cover = Cover([source], [source.grid(edge="drop")])
    >>> [sample.arrays["raw"].tolist() for sample in cover]
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    """

    def __init__(self, sources: Iterable[Together], grids: Iterable[PatchGrid]) -> None:
        self.sources, self.grids = tuple(sources), tuple(grids)
        pairs = zip(self.sources, self.grids, strict=True)
        self._firsts = [0, *accumulate(len(grid) for _, grid in pairs)]

    def __len__(self) -> int:
        return self._firsts[-1]

    @overload
    def __getitem__(self, key: int) -> Sample: ...
    @overload
    def __getitem__(self, key: slice) -> list[Sample]: ...
    def __getitem__(self, key: int | slice) -> Sample | list[Sample]:
        """Read a patch of all arrays."""
        numbers = range(len(self))
        if isinstance(key, slice):
            return list(ahead(map(self._start, numbers[key])))
        try:
            return self._start(numbers[operator.index(key)])()
        except IndexError:
            raise IndexError(f"patch {key} of {len(self)}") from None

    def __iter__(self) -> Iterator[Sample]:
        return ahead(map(self._start, range(len(self))))

    def _start(self, number: int) -> Callable[[], Sample]:
        source = bisect_right(self._firsts, number) - 1
        patch = self.grids[source][number - self._firsts[source]]
        finish = self.sources[source].start(patch)
        return lambda: Sample(finish(), patch, source)
