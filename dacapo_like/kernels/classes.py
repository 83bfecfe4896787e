"""Classes of labels: labels that are in the same groups are of one class."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import numpy as np

from dacapo_like.kernels._label_table import Table, make_table
from dacapo_like.kernels._loading import pays
from dacapo_like.kernels.labels import holdable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CALL, _VOXEL = 50e3, 40.0  # nanoseconds that a compiled loop saves


@attrs.frozen(slots=False, cache_hash=True)
class LabelClasses:
    """Gives every label the number of its class, which tells all that its groups do. It compares and hashes by its fields.

    Parameters
    ----------
    groups : tuple of (tuple of int)
        The ids of each group; an empty one means every label but the background.
    background : int
        The id that is in no group.

    Examples
    --------
    >>> classes = LabelClasses(groups=((3, 4), (4, 9)), background=0)
    >>> classes(np.array([0, 3, 4, 9, 7], np.uint64))
    array([0, 1, 2, 3, 0], dtype=uint8)
    >>> classes.members
    ((1, 2), (2, 3))
    """

    groups: tuple[tuple[int, ...], ...]
    background: int
    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)

    @cached_property
    def _numbers(self) -> tuple[dict[int, int], dict[tuple[bool, ...], int]]:
        """Number the ids that are named by their classes, and the classes by what groups they are in; all other labels are 0."""
        groups = [frozenset(group) for group in self.groups]
        classes = {tuple(not group for group in groups): 0}
        numbers = {}
        for index in sorted(frozenset().union(*groups, [self.background])):
            inside = index != self.background
            pattern = tuple(inside and (not group or index in group) for group in groups)
            numbers[index] = classes.setdefault(pattern, len(classes))
        return numbers, classes

    def __len__(self) -> int:
        """Give how many there are; of more than 256 the numbers take more than a byte, and are not given."""
        return len(self._numbers[1])

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """The classes of each group."""
        classes = self._numbers[1].items()
        return tuple(
            tuple(number for pattern, number in classes if pattern[i])
            for i in range(len(self.groups))
        )

    def __call__(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Look labels up.

        Parameters
        ----------
        labels : ndarray
            Of any integer dtype, any shape.

        Returns
        -------
        ndarray
            uint8, of the same shape.
        """
        source = np.ascontiguousarray(labels.reshape(-1))
        source = source.astype(source.dtype.newbyteorder("="), copy=False)
        ids, numbers, table = self._table(source.dtype)
        if pays(("classify", source.itemsize), _CALL + _VOXEL * source.size):
            from dacapo_like.kernels import _class_loops

            bits = np.dtype(f"u{source.itemsize}")
            result = np.empty(source.size, np.uint8)
            _class_loops.classify(bits)(source.view(bits), result, *table)
        else:
            places = np.searchsorted(ids, source)
            found = ids.take(places, mode="clip") == source if ids.size else False
            result = np.where(found, numbers.take(places, mode="clip"), 0).astype(np.uint8)
        return result.reshape(labels.shape)

    @cached_property
    def _tables(self) -> dict[np.dtype[Any], tuple[NDArray[Any], NDArray[np.uint8], Table]]:
        return {}

    def _table(self, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.uint8], Table]:
        """Give the ids that a dtype can hold, sorted, the class of each, and the table for loops."""
        known = self._tables.get(dtype)
        if known is None:
            named = self._numbers[0]
            ids = holdable(tuple(named), dtype)
            numbers = np.array([named[int(index)] for index in ids] or [0], np.uint8)
            bits = ids.view(f"u{dtype.itemsize}")
            table = make_table([bits], bits[:0], bits.dtype)
            of_codes = np.concatenate([[0], numbers[np.argsort(bits)]]) if ids.size else [0]
            table = table._replace(members=np.array([of_codes], np.uint8))
            known = self._tables[dtype] = ids, numbers, table
        return known
