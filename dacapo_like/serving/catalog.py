"""What is served: arrays by name, opened when they are asked for, and again when their sources have changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

import attrs

from dacapo_like.core import Array
from dacapo_like.errors import DacapoLikeError
from dacapo_like.materialize.identity import identity, is_described, key_of
from dacapo_like.serving.virtual import VirtualImage

FRESH = 1.0
"""Seconds that the state of sources is believed before it is looked at again."""


@attrs.frozen
class Entry:
    """An image, and what tells it from what it was before its sources changed."""

    image: VirtualImage
    state: str


class Catalog(Mapping[str, Entry]):
    """Images by name.

    An array is opened when it is first asked for. When files that its sources name have changed since, it is opened again. One that
    cannot be opened raises what is wrong with it, every time, and is tried again then.

    Parameters
    ----------
    openers : mapping of str to callable
        By name, what opens the array; each call opens it anew.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.zeros((4, 4)))
    >>> catalog = Catalog({"raw": lambda: array})
    >>> catalog["raw"].image.array is array
    True
    """

    def __init__(self, openers: Mapping[str, Callable[[], Array]]) -> None:
        self._openers = dict(openers)
        self._entries: dict[str, Entry] = {}
        self._looked: dict[str, float] = {}
        self._locks = {name: threading.Lock() for name in self._openers}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Catalog:
        """Make a catalog of arrays that are open."""
        return cls({name: lambda array=array: array for name, array in arrays.items()})  # type: ignore[misc]  # mypy infers no default

    def changed(self, change: Callable[[Array], Array]) -> Catalog:
        """Give a catalog of what a function makes of each array."""
        return Catalog(
            {
                name: lambda opener=opener: change(opener())  # type: ignore[misc]  # mypy infers no default
                for name, opener in self._openers.items()
            }
        )

    def __getitem__(self, name: str) -> Entry:
        """Give an image.

        Raises
        ------
        KeyError
            There is no array of this name.
        DacapoLikeError
            It cannot be opened, or OME-Zarr has no place for it.
        """
        with self._locks[name]:
            entry = self.known(name)
            if entry is not None:
                return entry
            entry = self._entries.get(name)
            if entry is None or _state(entry.image.array) != entry.state:
                self._entries.pop(name, None)
                array = self._openers[name]()
                entry = Entry(VirtualImage(array, name=name), _state(array))
                self._entries[name] = entry
            self._looked[name] = time.monotonic()
            return entry

    def known(self, name: str) -> Entry | None:
        """Give an image that was looked at just now, without waiting for anything."""
        looked = self._looked.get(name)
        fresh = looked is not None and time.monotonic() - looked < FRESH
        return self._entries.get(name) if fresh else None

    def tried(self, name: str) -> Entry | DacapoLikeError:
        """Give an image, or what is wrong with it."""
        try:
            return self[name]
        except DacapoLikeError as error:
            return error

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)

    def __contains__(self, name: object) -> bool:
        return name in self._openers


def _state(array: Array) -> str:
    """Give what changes with the config of an array, and with the files that it names."""
    return key_of(identity(array, {})) if is_described(array) else str(id(array))
