"""Files that stay open for the next read: so many of a process, those that were used last."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import OrderedDict
from typing import Any, Generic, TypeVar

from dacapo_like import settings

T = TypeVar("T")

_numbers = itertools.count()


class Slot(Generic[T]):
    """Holds what is open of a file; empty again once too many others were used since, or in a forked child.

    Whoever reads holds what was in the slot, so that it closes behind the last one that reads. Threads that find it empty at the
    same time each open the file; what one of them opened stays.

    Examples
    --------
    >>> slot = Slot()
    >>> slot.put("an open file")
    >>> slot.get()
    'an open file'
    """

    __slots__ = ("__weakref__", "_content", "_pid", "number")

    def __init__(self) -> None:
        self.number = next(_numbers)
        self._content: T | None = None
        self._pid = 0
        weakref.finalize(self, _OPEN.forget, self.number)

    def get(self) -> T | None:
        """Give what this process has put here, if that is still here."""
        content = self._content
        if content is None or self._pid != os.getpid():
            return None
        _OPEN.used(self)
        return content

    def put(self, content: T) -> None:
        """Keep something open; what was here is closed when nobody reads it any more."""
        self._content, self._pid = content, os.getpid()
        _OPEN.used(self)

    def empty(self) -> None:
        """Let go what is here."""
        self._content = None


class _Open:
    """The slots that are not empty, those used last at the end."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._slots: OrderedDict[int, weakref.ref[Slot[Any]]] = OrderedDict()

    def used(self, slot: Slot[Any]) -> None:
        """Remember that a slot was used; empty those that were used longest ago, where there are too many."""
        with self.lock:
            if slot.number in self._slots:
                self._slots.move_to_end(slot.number)
                return
            self._slots[slot.number] = weakref.ref(slot)
            found = self._beyond(settings.current().open_files)
        _emptied(found)

    def trim(self, now: settings.Settings) -> None:
        """Empty what is beyond some settings."""
        with self.lock:
            found = self._beyond(now.open_files)
        _emptied(found)

    def forget(self, number: int) -> None:
        """Forget a slot that is no more. That may be found out anywhere, under the lock too: so it takes none."""
        self._slots.pop(number, None)

    def _beyond(self, most: int) -> list[weakref.ref[Slot[Any]]]:
        found = []
        while len(self._slots) > most:
            found.append(self._slots.popitem(last=False)[1])
        return found


def _emptied(slots: list[weakref.ref[Slot[Any]]]) -> None:
    """Empty slots outside of the lock: to close a file may take long, and end in another slot."""
    for reference in slots:
        slot = reference()
        if slot is not None:
            slot.empty()


_OPEN = _Open()


def _after_fork() -> None:
    _OPEN.lock = threading.Lock()  # another thread may have held it


settings.watch(_OPEN.trim)
os.register_at_fork(after_in_child=_after_fork)
