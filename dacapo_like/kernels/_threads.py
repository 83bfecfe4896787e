"""Plain threads for loops that release the interpreter's lock, where an array is large enough for them to pay."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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


def _processors() -> int:
    """Give how many threads may work."""
    if threading.current_thread() is not threading.main_thread():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
