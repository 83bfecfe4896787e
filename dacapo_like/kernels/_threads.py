"""Plain threads for loops that release the interpreter's lock, where an array is large enough for them to pay."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")


def spread(run: Callable[[T], object], items: Sequence[T]) -> None:
    """Call a function for each item: with all processors, where this is the main thread of the program.

    On any other thread somebody works in parallel already. The threads end with the call, so that there are none which a fork
    could break.

    Parameters
    ----------
    run : callable
        Takes an item; its calls may overlap in time.
    items : sequence
        The work, in parts of about the same size.

    Examples
    --------
    >>> found = []
    >>> spread(found.append, [3, 1, 2])
    >>> sorted(found)
    [1, 2, 3]
    """
    places = itertools.count()

    def work() -> None:
        while (place := next(places)) < len(items):
            run(items[place])

    others = min(_processors(), len(items)) - 1
    if others < 1:
        work()
        return
    with ThreadPoolExecutor(others) as threads:
        waits = [threads.submit(work) for _ in range(others)]
        work()
        for wait in waits:
            wait.result()


def slabs(array: NDArray[Any], voxels: int) -> list[Any]:
    """Cut an array along its first axis into parts of about so many voxels, for `spread`; a small one, or a single voxel, is one part.

    Examples
    --------
    >>> import numpy as np
    >>> slabs(np.zeros((5, 10)), 20)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
    """
    if array.ndim == 0 or array.size <= voxels:
        return [...]
    step = max(1, voxels * array.shape[0] // array.size)
    return [slice(i, i + step) for i in range(0, array.shape[0], step)]


def _processors() -> int:
    """Give how many threads may work."""
    if threading.current_thread() is not threading.main_thread():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
