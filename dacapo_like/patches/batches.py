"""Patches in batches."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.engine import ahead
from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.patches.extract import PatchPad, check_pad, start_extract
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.together import Together

Patched: TypeAlias = "Mapping[str, Array | NDArray[Any]] | Together"
Item: TypeAlias = "dict[str, Any]"
Batch: TypeAlias = "dict[str, NDArray[Any]]"


def batches(
    arrays: Patched,
    grid: PatchGrid,
    batch_size: int,
    *,
    pad: PatchPad = "error",
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Read the patches of a grid, so many at a time.

    Parameters
    ----------
    arrays : mapping of str to Array or ndarray, or Together
        By name; of each the same patch is read, context included. `Together` reads of arrays whose voxels differ what each has
        there, with a context of its own.
    grid : PatchGrid
        Or a slice, shard or other order of one; a batch holds patches that follow each other.
    batch_size : int
        Patches in a batch; the last one may have fewer.
    pad : "error", "edge", "reflect", "median" or {"constant": value}
        What stands outside of the arrays, as `extract` takes it. `Together` has been told already.
    drop_last : bool
        Leave out a last batch that has fewer.

    Yields
    ------
    dict of str to ndarray
        Of each array, its patches along a new first axis; and ``index``, where in the grid they are: ``grid[index]`` is the patch
        to stitch with.

    Raises
    ------
    ConfigError
        The batch size is below 1, an array is called ``index``, or there is no such way to pad.
    RegionError
        Patches differ in shape, or leave an array.

    Examples
    --------
    >>> from dacapo_like.patches.grid import PatchGrid
    >>> for batch in batches({"raw": np.arange(10, 16)}, PatchGrid((6,), (2,)), 2):
    ...     print(batch["index"], batch["raw"].tolist())
    [0 1] [[10, 11], [12, 13]]
    [2] [[14, 15]]
    """
    source = GridSource(grid, arrays, pad)
    check_batch_size(batch_size)
    stop = len(grid) - len(grid) % batch_size if drop_last else len(grid)
    items = ahead(map(source.start, range(stop)))
    return (stacked(itertools.islice(items, batch_size)) for _ in range(0, stop, batch_size))


@attrs.frozen(eq=False)
class GridSource:
    """The patches of a grid, read from arrays; it pickles where these do.

    Attributes
    ----------
    grid, arrays, pad
        As `batches` takes them.
    """

    grid: PatchGrid
    arrays: Patched
    pad: PatchPad

    def __attrs_post_init__(self) -> None:
        named = self.arrays.arrays if isinstance(self.arrays, Together) else self.arrays
        check_names(named, ["index"])
        for array in named.values():
            check_pad(self.pad, array)

    def __len__(self) -> int:
        return len(self.grid)

    def at(self, index: int) -> Item:
        """Read the patch at a place in the grid."""
        return self.start(index)()

    def start(self, index: int) -> Callable[[], Item]:
        """Begin to read the patch at a place in the grid; the function that is returned finishes that."""
        patch, number = self.grid[index], np.int64(index)
        if isinstance(self.arrays, Together):
            finish = self.arrays.start(patch)
            return lambda: {**finish(), "index": number}
        begun = {name: start_extract(array, patch, self.pad) for name, array in self.arrays.items()}
        return lambda: {**{name: finish() for name, finish in begun.items()}, "index": number}


def stacked(items: Iterable[Item]) -> Batch:
    """Put patches into one batch.

    Raises
    ------
    RegionError
        They differ in shape.
    """
    listed = list(items)
    for name, first in listed[0].items():
        for item in listed:
            if item[name].shape != first.shape:
                raise RegionError(
                    "patches of different shapes are no batch",
                    got=f"{name} {item[name].shape} at {item['index']}",
                    expected=f"{first.shape}, as at {listed[0]['index']}",
                    hint="a grid with another `edge` than shrink has patches of one shape; or take batches of one patch",
                )
    return {name: np.stack([item[name] for item in listed]) for name in listed[0]}


def check_batch_size(batch_size: int) -> None:
    """Refuse what is no size of a batch."""
    if operator.index(batch_size) < 1:
        raise ConfigError("no batch size", got=batch_size, expected="at least 1")


def check_names(names: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse arrays that are called like what a batch holds besides."""
    for name in set(names) & set(taken):
        raise ConfigError(
            "an array cannot have this name in a batch",
            got=repr(name),
            expected="another one",
            hint=f"`{name}` says which patches they are",
        )
