"""Ways to choose where patches are taken."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, get_args

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, RegionError, check_choice, did_you_mean
from dacapo_like.padding import fitting_value
from dacapo_like.patches._draws import Draws
from dacapo_like.patches._landscape import LARGEST, Landscape, summed
from dacapo_like.patches.grid import Sizes
from dacapo_like.patches.together import Together, Units

Outside = Literal["error", "shift", "drop"]
Place = tuple[int, ...]

_ROUNDING = 8 * np.finfo(np.float64).eps  # of a product of matrix and point, relative to its terms
_MOST_PAIRS = 1 << 24  # of a label and a block that holds it


class Chooser(Protocol):
    """Chooses places of patches in one source."""

    @property
    def count(self) -> int | None:
        """How many samples there are, where they are counted."""
        ...

    def place(self, number: int, draws: Draws) -> Place:
        """Choose the place of a sample; `number` is one of those that are counted, else 0."""
        ...


class Strategy(ABC):
    """A way to choose places; what it needs of the arrays is read when a sampler is made of it."""

    @abstractmethod
    def choosers(self, sources: Sequence[Together]) -> list[Chooser]:
        """Give a chooser for each source.

        Raises
        ------
        DacapoLikeError
            The strategy does not fit a source.
        """


@attrs.frozen
class Uniform(Strategy):
    """Every place is as likely as every other."""

    def choosers(self, sources: Sequence[Together]) -> list[Chooser]:
        """Give a chooser for each source."""
        return [_UniformChooser(source.positions.counts) for source in sources]


@attrs.frozen
class _UniformChooser:
    counts: tuple[int, ...]
    count: None = None

    def place(self, number: int, draws: Draws) -> Place:  # noqa: ARG002  # there are no numbers
        return tuple(draws.below(n) for n in self.counts)


@attrs.frozen
class Weighted(Strategy):
    """A place is as likely as a mask says, or any array of weights, in the voxel that holds the centre of the patch.

    Of a patch of an even size the voxel with index ``size // 2`` holds the centre, as for `Array.crop_centered`. The mask may have
    voxels of any size; outside of it there are no centres. Integers and masks have exactly these probabilities.

    The mask is looked through once, when the sampler is made, block by block: 8 bytes per block are kept, and go with it to
    workers. A sample then takes one block of the mask, of which the last ones are kept.

    Parameters
    ----------
    mask : str, Array, or sequence of Array
        The name of one of the arrays; or another array, one for each source.
    largest : int
        Voxels that may be looked through; a mask with more, where patches can have their centre, is refused.
    """

    mask: Any
    largest: int = LARGEST

    def choosers(self, sources: Sequence[Together]) -> list[Chooser]:
        """Look through the masks."""
        found: list[Chooser] = []
        for source, mask in zip(sources, _arrays_for(self.mask, "mask", sources), strict=True):
            landscape = Landscape(source, mask, self.largest)
            found.append(_WeightedChooser(landscape, summed(list(landscape.totals()), mask)))
        return found


@attrs.frozen(eq=False)
class _WeightedChooser:
    landscape: Landscape
    blocks: NDArray[Any]
    count: None = None

    def place(self, number: int, draws: Draws) -> Place:  # noqa: ARG002  # there are no numbers
        return self.landscape.draw(draws.pick(self.blocks), draws)


@attrs.frozen
class Balanced(Strategy):
    """A label is chosen, each as likely as every other, and then one of the places where it is at the centre of the patch.

    What `Weighted` says of centres and cost holds; here 24 bytes are kept for every block and label in it.

    Parameters
    ----------
    labels : str, Array, or sequence of Array
        The name of one of the arrays; or another array, one for each source.
    ids : sequence of int, optional
        The labels to choose from; by default all that there are, but `background`. One that no place of a source has is an error.
    background : sequence of int
        Labels that are not chosen, where `ids` are not given.
    largest : int
        Voxels that may be looked through.
    """

    labels: Any
    ids: Sequence[int] | None = None
    background: Sequence[int] = (0,)
    largest: int = LARGEST

    def choosers(self, sources: Sequence[Together]) -> list[Chooser]:
        """Look through the labels."""
        arrays = _arrays_for(self.labels, "labels", sources)
        return [
            self._chooser(Landscape(source, labels, self.largest))
            for source, labels in zip(sources, arrays, strict=True)
        ]

    def _chooser(self, landscape: Landscape) -> Chooser:
        where, dtype = landscape.array.describe(), landscape.array.dtype
        # as labels of this dtype: numpy would compare 64-bit integers of two kinds as doubles
        chosen = [
            fitting_value(i, dtype) for i in (self.background if self.ids is None else self.ids)
        ]
        labels, blocks, counts = [], [], []
        pairs = 0
        for block, (found, places) in enumerate(landscape.frequencies()):
            listed = np.isin(found, np.array(chosen, dtype), invert=self.ids is None)
            kept = listed & (places > 0)
            pairs += int(kept.sum())
            if pairs > _MOST_PAIRS:
                raise ConfigError(
                    "too many labels to keep count of",
                    got=f"over {_MOST_PAIRS} pairs of a label and a block that holds it",
                    where=where,
                    hint="name the `ids` to choose from, or use Weighted with a mask of them",
                )
            labels.append(found[kept])
            counts.append(places[kept])
            blocks.append(np.full(len(labels[-1]), block))
        label, block_of = np.concatenate(labels), np.concatenate(blocks)
        order = np.lexsort((block_of, label))
        ids, starts = np.unique(label[order], return_index=True)
        missing = set(self.ids or ()) - set(ids.tolist())
        if missing or not len(ids):
            raise ConfigError(
                "labels that no patch has at its centre",
                got=", ".join(map(str, sorted(missing)[:5])) or "no label but background",
                expected="labels that are there",
                where=where,
            )
        stops = np.append(starts, len(order))
        return _BalancedChooser(
            landscape, ids, stops, block_of[order], np.concatenate(counts)[order]
        )


@attrs.frozen(eq=False)
class _BalancedChooser:
    """Keeps pairs of a label and a block, those of label `i` from ``stops[i]`` to ``stops[i + 1]``."""

    landscape: Landscape
    ids: NDArray[Any]
    stops: NDArray[np.intp]
    blocks: NDArray[np.intp]
    counts: NDArray[np.uint64]
    count: None = None

    def place(self, number: int, draws: Draws) -> Place:  # noqa: ARG002  # there are no numbers
        chosen = draws.below(len(self.ids))
        first, stop = self.stops[chosen : chosen + 2]
        block = self.blocks[first + draws.pick(np.cumsum(self.counts[first:stop]))]
        return self.landscape.draw(int(block), draws, self.ids[chosen].item())


@attrs.frozen
class Stratified(Strategy):
    """One sample in each cell of a grid over the places, anywhere in it: an epoch covers the volume evenly, in a random order.

    Parameters
    ----------
    cells : int or sequence of int, optional
        Along each axis; by default as many as patches side by side would cover it.
    """

    cells: Any = None

    def choosers(self, sources: Sequence[Together]) -> list[Chooser]:
        """Lay out the cells."""
        return [
            _StratifiedChooser(source.positions.counts, self._cells(source)) for source in sources
        ]

    def _cells(self, source: Together) -> tuple[int, ...]:
        places = source.positions
        if self.cells is not None:
            cells = Sizes(len(source.shape), None).voxels("cells", self.cells, least=1)
        else:
            spans = zip(places.counts, places.step, source.shape, strict=True)
            cells = tuple(-(-((n - 1) * step + size) // size) for n, step, size in spans)
        return tuple(map(min, cells, places.counts))


@attrs.frozen
class _StratifiedChooser:
    counts: tuple[int, ...]
    cells: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.cells)

    def place(self, number: int, draws: Draws) -> Place:
        place = []
        for n, cells in zip(reversed(self.counts), reversed(self.cells), strict=True):
            number, cell = divmod(number, cells)
            first, stop = cell * n // cells, (cell + 1) * n // cells
            place.append(first + draws.below(stop - first))
        return tuple(reversed(place))


@attrs.frozen(eq=False)
class Centers(Strategy):
    """Patches around given points, each once in an epoch, in a random order.

    The voxel that holds a point has the index ``size // 2`` in the patch, as for `Array.crop_centered`; where the grids of several
    arrays do not let patches begin at every voxel, that is the nearest place.

    Parameters
    ----------
    points : array_like
        Of shape (N, dims), their components in the order of the spatial axes. For several sources a list, one such array for each.
    units : {"world", "voxel"}
        World positions, in world units of the array that patches are given in, and true ones: turned axes count; or its voxels.
    outside : {"error", "shift", "drop"}
        What becomes of a patch that leaves an array: an error when the sampler is made, or it is moved inside, or left out.
    """

    points: Any
    units: Units = "world"
    outside: Outside = "error"

    def __attrs_post_init__(self) -> None:
        check_choice("units", self.units, get_args(Units))
        check_choice("outside", self.outside, get_args(Outside))

    def choosers(self, sources: Sequence[Together]) -> list[Chooser]:
        """Find the places of the points."""
        listed = [self.points] if len(sources) == 1 else list(self.points)
        if len(listed) != len(sources):
            raise ConfigError(
                "points do not fit the sources",
                got=f"{len(listed)} arrays of points",
                expected=f"{len(sources)}, one for each source",
            )
        return [
            _ListedChooser(self._places(source, points))
            for source, points in zip(sources, listed, strict=True)
        ]

    def _places(self, source: Together, points: ArrayLike) -> NDArray[np.int64]:
        array, positions = source.reference.array, source.positions
        rows = _rows(points, array)
        found = []
        for row, voxel in zip(rows, self._voxels(rows, array).tolist(), strict=True):
            start = [int(i) - n // 2 for i, n in zip(voxel, source.shape, strict=True)]
            place = positions.nearest(start)
            if not positions.has(place):
                if self.outside == "error":
                    raise RegionError(
                        "a patch around a point leaves an array",
                        got=row.tolist(),
                        expected=f"a patch inside {source.roi}",
                        where=array.describe(),
                        hint='pass outside="shift" or outside="drop"; `pad` fills what a context leaves',
                    )
                if self.outside == "drop":
                    continue
                place = tuple(
                    min(max(k, 0), n - 1) for k, n in zip(place, positions.counts, strict=True)
                )
            found.append(place)
        return np.array(found, np.int64).reshape(-1, array.spec.dims)

    def _voxels(self, rows: NDArray[np.float64], array: Array) -> NDArray[np.float64]:
        """Give the voxel that holds each point."""
        if self.units == "voxel":
            if np.any(rows != np.floor(rows)):
                raise RegionError(
                    "points that are no voxels", expected="integers", where=array.describe()
                )
            return rows
        matrix = array.spec.world_to_voxel
        turn, move = matrix[:-1, :-1], matrix[:-1, -1]
        index = rows @ turn.T + move + 0.5
        whole = np.rint(index)
        slack = _ROUNDING * (np.abs(rows) @ np.abs(turn).T + np.abs(move) + 1)
        return np.asarray(np.where(np.abs(index - whole) <= slack, whole, np.floor(index)))


@attrs.frozen(eq=False)
class _ListedChooser:
    places: NDArray[np.int64]

    @property
    def count(self) -> int:
        return len(self.places)

    def place(self, number: int, draws: Draws) -> Place:  # noqa: ARG002  # the place is given
        return tuple(self.places[number].tolist())


def _rows(points: ArrayLike, array: Array) -> NDArray[np.float64]:
    dims = array.spec.dims
    given = np.asarray(points)
    if given.shape == (0,):
        given = np.zeros((0, dims))
    if given.dtype.kind not in "iuf" or given.ndim != 2 or given.shape[1] != dims:
        raise RegionError(
            "not points",
            got=f"{given.dtype} of shape {given.shape}",
            expected=f"numbers of shape (N, {dims})",
            where=array.describe(),
        )
    rows = given.astype(np.float64)
    if not np.all(np.abs(rows) < 2.0**53):  # beyond, doubles do not tell neighbours apart
        raise RegionError(
            "points that are nowhere", expected="finite numbers below 2**53", where=array.describe()
        )
    return rows


def _arrays_for(given: Any, key: str, sources: Sequence[Together]) -> Iterable[Array]:
    """Give the array of weights or labels of each source."""
    if isinstance(given, str):
        for source in sources:
            if given not in source.arrays:
                raise ConfigError(
                    "no array of this name",
                    got=repr(given),
                    expected=f"one of {', '.join(source.arrays)}",
                    hint=did_you_mean(given, source.arrays),
                    key=(key,),
                )
        return [source.arrays[given] for source in sources]
    listed = [given] if isinstance(given, Array) else list(given)
    if len(listed) != len(sources) or not all(isinstance(item, Array) for item in listed):
        raise ConfigError(
            f"{key} does not fit the sources",
            got=f"{len(listed)}",
            expected=f"the name of an array, or {len(sources)} of type Array, one for each source",
            key=(key,),
        )
    return listed
