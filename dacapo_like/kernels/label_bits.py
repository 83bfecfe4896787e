"""Labels told apart by a byte: a bit for each test that they are put to."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import attrs
import numpy as np

from dacapo_like.kernels._blocks import destination
from dacapo_like.kernels._label_table import Table, make_table
from dacapo_like.kernels._loading import pays
from dacapo_like.kernels._rows import layout, memory, walkable
from dacapo_like.kernels._threads import spread
from dacapo_like.kernels.labels import holdable, ones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Test: TypeAlias = "tuple[tuple[int, ...], int]"

_MOST = 8
_AT_ONCE = 1 << 20  # voxels; of more threads take their parts
_CALL, _VOXEL = 50e3, 40.0  # nanoseconds that compiled loops save


@attrs.frozen(slots=False, cache_hash=True)
class LabelBits:
    """Gives every label a byte, whose bits say which tests it passes. It compares and hashes by its tests.

    Parameters
    ----------
    tests : tuple of (tuple of int, int)
        At most eight: the ids of a group, or none for every label, and the background, which never passes.

    Examples
    --------
    >>> bits = LabelBits((((3, 4), 0), ((), 0)))
    >>> bits(np.array([0, 3, 4, 9], np.uint64))
    array([0, 3, 3, 2], dtype=uint8)
    >>> bits.bit(((), 0))
    2
    """

    tests: tuple[Test, ...]
    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)

    @classmethod
    def of(cls, tests: Sequence[Test]) -> Self | None:
        """Make one of tests, those that are equal as one; ``None``: they are too many."""
        different = tuple(dict.fromkeys(tests))
        return cls(different) if len(different) <= _MOST else None

    def joined(self, other: Any) -> Self | None:
        """Give one that does the tests of both; ``None``: they are too many, or the other is none of these."""
        return self.of((*self.tests, *other.tests)) if isinstance(other, LabelBits) else None

    def bit(self, test: Test) -> int:
        """Give the byte of labels that pass only this test."""
        return 1 << self.tests.index(test)

    @cached_property
    def _bytes(self) -> dict[int, int]:
        """Give the bytes of the ids that are named."""
        groups = [(frozenset(ids), background) for ids, background in self.tests]
        named = sorted(frozenset().union(*(group | {background} for group, background in groups)))
        return {
            index: sum(
                1 << i
                for i, (group, background) in enumerate(groups)
                if index != background and (not group or index in group)
            )
            for index in named
        }

    @property
    def _others(self) -> int:
        """Give the byte of all other labels."""
        return sum(1 << i for i, (ids, _) in enumerate(self.tests) if not ids)

    def __call__(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Test labels.

        Parameters
        ----------
        labels : ndarray
            Of any integer dtype, any shape.

        Returns
        -------
        ndarray
            uint8, of the same shape, C-contiguous.
        """
        source = np.ascontiguousarray(labels.reshape(-1))
        source = source.astype(source.dtype.newbyteorder("="), copy=False)
        ids, found, table = self._table(source.dtype)
        if pays(("test labels", source.itemsize), _CALL + _VOXEL * source.size):
            from dacapo_like.kernels import _label_bit_loops

            width = np.dtype(f"u{source.itemsize}")
            result = np.empty(source.size, np.uint8)
            loop, bits = _label_bit_loops.test(width), source.view(width)
            parts = [slice(i, i + _AT_ONCE) for i in range(0, source.size, _AT_ONCE)]
            spread(lambda part: loop(bits[part], result[part], *table), parts)
        else:
            places = np.searchsorted(ids, source)
            known = ids.take(places, mode="clip") == source if ids.size else False
            result = np.where(known, found.take(places, mode="clip"), self._others)
            result = result.astype(np.uint8)
        return result.reshape(labels.shape)

    @cached_property
    def _tables(self) -> dict[np.dtype[Any], tuple[NDArray[Any], NDArray[np.uint8], Table]]:
        return {}

    def _table(self, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.uint8], Table]:
        """Give the ids that a dtype can hold, sorted, the byte of each, and the table for loops."""
        known = self._tables.get(dtype)
        if known is None:
            ids = holdable(tuple(self._bytes), dtype)
            found = np.array([self._bytes[int(index)] for index in ids] or [0], np.uint8)
            bits = ids.view(f"u{dtype.itemsize}")
            table = make_table([bits], bits[:0], bits.dtype)
            of_codes = [self._others, *found[np.argsort(bits)]] if ids.size else [self._others]
            table = table._replace(members=np.array([of_codes], np.uint8))
            known = self._tables[dtype] = ids, found, table
        return known


def spread_bits(
    found: NDArray[np.uint8], bits: Sequence[int], out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Make a channel of each of some bits.

    Parameters
    ----------
    found : ndarray
        uint8, any shape.
    bits : sequence of int
        Of each channel those, as a byte, one of which has to be set; 0: none ever is.
    out : ndarray, optional
        Where to write: uint8 or any dtype that holds it, of any strides, no memory of `found`.

    Returns
    -------
    ndarray
        Of shape ``(len(bits), *found.shape)``: 1 where a bit is set, else 0. `out`, or new, C-contiguous and uint8.

    Examples
    --------
    >>> spread_bits(np.array([0, 1, 3], np.uint8), [2, 1])
    array([[0, 0, 1],
           [0, 1, 1]], dtype=uint8)
    """
    widens = out is not None and np.can_cast(np.uint8, out.dtype)
    dtype = out.dtype if out is not None and widens else np.dtype(np.uint8)
    result = destination(out, (len(bits), *found.shape), dtype)
    if not result.size:
        return result
    known = dtype.kind in "iuf" and dtype.itemsize in (1, 2, 4, 8)
    saves = _CALL + len(bits) * found.size
    if known and walkable(found) and walkable(result) and pays(("bits", dtype.itemsize), saves):
        from dacapo_like.kernels import _label_bit_loops

        width = np.dtype(f"u{dtype.itemsize}")
        walk, plane = layout(found, result[0]), result.strides[0] // result.itemsize
        masks, source = np.array(bits, np.uint8), memory(found)
        loop = _label_bit_loops.spread(width)

        def make(some: slice) -> None:
            target = memory(result[some].view(width))
            loop(*source, *target, walk, plane, masks[some], ones(dtype))

        at_once = len(bits) if found.size < _AT_ONCE else 1
        spread(make, [slice(i, i + at_once) for i in range(0, len(bits), at_once)])
    else:
        for channel, mask in zip(result, bits, strict=True):
            channel[...] = (found & np.uint8(mask)) > 0
    return result
