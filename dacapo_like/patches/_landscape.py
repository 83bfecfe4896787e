"""Arrays of weights or labels, from which places for patches are drawn; never more than some blocks of one are in memory."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box, box_between
from dacapo_like.patches._draws import Draws
from dacapo_like.patches._positions import view_of
from dacapo_like.patches.together import Together
from dacapo_like.spec import ArraySpec

LARGEST = 1 << 32
"""Voxels that are looked through, unless it is said that they may be more."""

_LIMIT = 1 << 63  # of sums of weights, which are kept in 64 bits
_SMALL_BLOCK, _LARGE_BLOCK = 1 << 18, 1 << 22  # voxels
_CACHED = 1 << 26  # bytes of blocks


@attrs.frozen
class _Axis:
    """Places and voxels along one axis.

    Attributes
    ----------
    scale, start : Fraction
        The centre of a patch at place `k` is at ``k * scale + start``, in voxels, where voxel `i` covers `i` to ``i + 1``.
    places, length, block : int
        How many places there are, how many voxels, and how many of these in a block.
    """

    scale: Fraction
    start: Fraction
    places: int
    length: int
    block: int

    @property
    def seen(self) -> tuple[int, int]:
        """The first voxel that holds a centre, and the one behind the last."""
        last = math.floor(self.start + (self.places - 1) * self.scale)
        low, high = (min(max(n, 0), self.length) for n in (math.floor(self.start), last + 1))
        return low, high

    @property
    def blocks(self) -> range:
        """The blocks that hold centres."""
        low, high = self.seen
        return range(low // self.block, -(-high // self.block))

    def span(self, block: int) -> tuple[int, int]:
        """Give the voxels of a block that hold centres."""
        low, high = self.seen
        return max(block * self.block, low), min((block + 1) * self.block, high)

    def first(self, voxel: int) -> int:
        """Give the first place whose centre is in a voxel or behind."""
        place = math.ceil((voxel - self.start) / self.scale)
        return min(max(place, 0), self.places)

    def counts(self, block: int) -> NDArray[np.uint64]:
        """Give the number of places whose centre is in each voxel of a block."""
        low, high = self.span(block)
        firsts = [self.first(voxel) for voxel in range(low, high + 1)]
        return np.diff(np.array(firsts, np.int64)).astype(np.uint64)


class Landscape:
    """An array as the places for a patch see it: each has the value of the voxel that holds the centre of the patch.

    Of a patch of an even size the voxel behind the middle, with index ``size // 2``, holds the centre.

    Parameters
    ----------
    together : Together
        Whose patches have places.
    array : Array
        Of any voxel size and extent; its axes are those of the others, without channels or with one.
    largest : int
        Voxels that may be looked through.

    Raises
    ------
    SpecError
        Axes or directions differ, or it holds no centre of a patch.
    ConfigError
        It is larger than that.
    """

    def __init__(self, together: Together, array: Array, largest: int) -> None:
        self.array = array
        spec = array.spec
        if math.prod(spec.leading_shape) != 1:
            raise SpecError(
                "weights and labels have one value at a place",
                got=f"axes {' '.join(spec.axes)} of shape {spec.shape}",
                expected="no channels, or one",
                where=array.describe(),
                hint="select_channels chooses one, logical_or joins them",
            )
        self._axes = _axes(together, array)
        if math.prod(axis.places for axis in self._axes) >= _LIMIT:
            raise _too_heavy(math.prod(axis.places for axis in self._axes), array)
        low, high = zip(*(axis.seen for axis in self._axes), strict=True)
        seen = math.prod(b - a for a, b in zip(low, high, strict=True))
        if seen == 0:
            raise SpecError(
                "no patch has its centre in it",
                got=spec.roi,
                expected=f"an array that meets {together.roi}",
                where=array.describe(),
            )
        if seen > largest:
            factor = math.ceil((seen / largest) ** (1 / spec.dims))
            raise ConfigError(
                "an array that is too large to look through",
                got=f"{seen} voxels",
                expected=f"at most {largest}",
                where=array.describe(),
                hint=f"coarsen it first, as with .downsample({(factor,) * spec.dims}), or pass largest={seen}",
            )
        self._remember()

    def _remember(self) -> None:
        bytes_each = math.prod(axis.block for axis in self._axes) * self.array.dtype.itemsize
        keep = functools.lru_cache(maxsize=max(_CACHED // bytes_each, 1))
        self.voxels: Callable[[int], NDArray[Any]] = keep(self._read)
        self.rows: Callable[[int, Any], NDArray[Any]] = keep(self._sum_rows)
        self.counts = functools.lru_cache(maxsize=1024)(self._counts)

    def __getstate__(self) -> dict[str, Any]:
        return {"array": self.array, "_axes": self._axes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._remember()

    def __len__(self) -> int:
        return math.prod(len(axis.blocks) for axis in self._axes)

    def draw(self, block: int, draws: Draws, label: Any = None) -> tuple[int, ...]:
        """Choose a place in a block, with the probability of its value; or one where the value is a label."""
        values = self.voxels(block)
        row = draws.pick(self.rows(block, label))
        inner = tuple(int(i) for i in np.unravel_index(row, values.shape[:-1]))
        line = _weights(values[inner], label) * self.counts(block)[-1]
        inner += (draws.pick(np.cumsum(line)),)
        place = []
        for axis, i, (start, _) in zip(self._axes, inner, self._spans(block), strict=True):
            first = axis.first(start + i)
            place.append(first + draws.below(axis.first(start + i + 1) - first))
        return tuple(place)

    def totals(self) -> Iterator[float]:
        """Give the sum of the values of all places, block by block; exact for integers.

        Raises
        ------
        ConfigError
            A value is no weight.
        """
        for block in range(len(self)):
            values = self._read(block)
            _check_weights(values, self._most(block), self.array)
            yield self._row_sums(block, values, None)[-1].item()

    def frequencies(self) -> Iterator[tuple[NDArray[Any], NDArray[np.uint64]]]:
        """Give the labels of each block, ascending, and the number of places that have each."""
        for block in range(len(self)):
            found, where = np.unique(self._read(block), return_inverse=True)
            counts = np.zeros(len(found), np.uint64)
            places = functools.reduce(np.multiply.outer, self.counts(block))
            np.add.at(counts, where.ravel(), places.ravel())
            yield found, counts

    def _spans(self, block: int) -> list[tuple[int, int]]:
        return [axis.span(i) for axis, i in zip(self._axes, self._index(block), strict=True)]

    def _counts(self, block: int) -> list[NDArray[np.uint64]]:
        return [axis.counts(i) for axis, i in zip(self._axes, self._index(block), strict=True)]

    def _most(self, block: int) -> int:
        """Give the sum that the places of a block would have if each value were 1."""
        return math.prod(int(counts.sum()) for counts in self.counts(block))

    def _index(self, block: int) -> tuple[int, ...]:
        index = []
        for axis in reversed(self._axes):
            block, i = divmod(block, len(axis.blocks))
            index.append(axis.blocks[i])
        return tuple(reversed(index))

    def _read(self, block: int) -> NDArray[Any]:
        lead = self.array.ndim - len(self._axes)
        box = box_between(*zip(*self._spans(block), strict=True))
        found = self.array.read_box(Box((0,) * lead + box.offset, (1,) * lead + box.shape))
        return found.reshape(box.shape)

    def _sum_rows(self, block: int, label: Any) -> NDArray[Any]:
        return self._row_sums(block, self.voxels(block), label)

    def _row_sums(self, block: int, values: NDArray[Any], label: Any) -> NDArray[Any]:
        """Give the running sum over rows along the last axis; one after the other, since numpy's own sums differ by processor."""
        *leading, last = self.counts(block)
        rows = np.cumsum(_weights(values, label) * last, axis=-1)[..., -1]
        for axis, counts in enumerate(leading):
            rows = rows * counts.reshape((-1,) + (1,) * (rows.ndim - 1 - axis))
        return np.cumsum(rows)


def _axes(together: Together, array: Array) -> tuple[_Axis, ...]:
    reference = together.reference
    view = view_of(array.spec, array.describe(), reference.array.spec, reference.array.describe())
    places = together.positions
    centre = (a + Fraction(n, 2) for a, n in zip(places.first, together.shape, strict=True))
    return tuple(
        itertools.starmap(
            _Axis,
            zip(
                view.lengths(places.step),
                view.place(centre),
                places.counts,
                array.spec.spatial_shape,
                _block_shape(array.spec),
                strict=True,
            ),
        )
    )


def _block_shape(spec: ArraySpec) -> tuple[int, ...]:
    """Choose blocks of whole chunks, as far as these are neither tiny nor huge."""
    dims, lengths = spec.dims, spec.spatial_shape
    stored = (1,) * dims if spec.chunk_shape is None else spec.chunk_shape[-dims:]
    block = [max(min(n, length), 1) for n, length in zip(stored, lengths, strict=True)]
    while math.prod(block) < _SMALL_BLOCK:
        growing = [i for i in range(dims) if block[i] < lengths[i]]
        if not growing:
            break
        block[min(growing, key=block.__getitem__)] *= 2
    while math.prod(block) > _LARGE_BLOCK:
        largest = max(range(dims), key=block.__getitem__)
        block[largest] = -(-block[largest] // 2)
    return tuple(block)


def _weights(values: NDArray[Any], label: Any) -> NDArray[Any]:
    if label is not None:
        values = values == label
    return values.astype(np.float64 if values.dtype.kind == "f" else np.uint64)


def _check_weights(values: NDArray[Any], places: int, array: Array) -> None:
    low, high = values.min(), values.max()
    if not (low >= 0 and np.isfinite(high)):
        raise ConfigError(
            "values that are no weights",
            got=f"{low} to {high}",
            expected="finite numbers of at least 0",
            where=array.describe(),
        )
    if values.dtype.kind != "f" and int(high) * places >= _LIMIT:
        raise _too_heavy(int(high) * places, array)


def summed(totals: list[float], array: Array) -> NDArray[Any]:
    """Give the running sums of the totals of blocks.

    Raises
    ------
    ConfigError
        They are too large, or nothing has any weight.
    """
    total = sum(totals)
    if not total:
        raise ConfigError(
            "no patch has any weight",
            got="0 at the centre of each",
            expected="a value above 0 at some",
            where=array.describe(),
        )
    if array.dtype.kind == "f":
        return np.cumsum(np.array(totals, np.float64))
    if total >= _LIMIT:
        raise _too_heavy(int(total), array)
    return np.cumsum(np.array(totals, np.uint64))


def _too_heavy(total: int, array: Array) -> ConfigError:
    return ConfigError(
        "weights that are too large",
        got=f"a sum of {total}",
        expected="less than 2**63",
        where=array.describe(),
        hint="labels are drawn with Balanced; other values as floats, as with .astype('float32')",
    )
