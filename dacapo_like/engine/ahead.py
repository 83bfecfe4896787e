"""Reads that are begun before they are asked for."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TypeVar

from dacapo_like import settings

_T = TypeVar("_T")

_several: ContextVar[bool] = ContextVar("dacapo_like.engine.several", default=False)
_pools: dict[
    int, ThreadPoolExecutor
] = {}  # by the process: a forked child has none of its parent's threads


def ahead(reads: Iterable[Callable[[], _T]], number: int | None = None) -> Iterator[_T]:
    """Finish reads in their order, the next ones being begun before.

    Parameters
    ----------
    reads : iterable of callable
        Whoever takes one out of it begins it; calling it finishes it.
    number : int, optional
        How many are begun before the first is finished; by default the setting ``reads_in_flight``.

    Examples
    --------
    >>> list(ahead((lambda n=n: n * n) for n in range(4)))
    [0, 1, 4, 9]
    """
    most = settings.current().reads_in_flight if number is None else number
    begun: deque[Callable[[], _T]] = deque()
    source = iter(reads)
    while True:
        token = _several.set(most > 1)
        try:
            read = next(source, None)
        finally:
            _several.reset(token)
        if read is None:
            break
        begun.append(read)
        if len(begun) >= most:
            yield begun.popleft()()
    while begun:
        yield begun.popleft()()


def in_thread(read: Callable[[], _T]) -> Callable[[], _T]:
    """Begin something in a thread, where it is one of several that are `ahead`; else it waits until it is called.

    There are as many threads as the process may use processors. The settings that hold here hold there.
    """
    if not _several.get():
        return read
    context = copy_context()
    context.run(_several.set, False)  # noqa: FBT003  # what is read there does not wait for threads
    return _pool().submit(context.run, read).result


def _pool() -> ThreadPoolExecutor:
    process = os.getpid()
    pool = _pools.get(process)
    if pool is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        made = ThreadPoolExecutor(threads or os.cpu_count(), thread_name_prefix="dacapo_like")
        pool = _pools.setdefault(process, made)
    return pool
