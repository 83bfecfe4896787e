"""Fields of configs: what documents say of them, and the containers that they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import attrs

T = TypeVar("T")


def about(doc: str, *, key: str | None = None, path: bool = False) -> dict[str, Any]:
    """Describe a field of a config: the metadata of ``attrs.field``.

    Parameters
    ----------
    doc : str
        One sentence for the reference and the JSON Schema.
    key : str, optional
        How documents spell the field, where that is not its name.
    path : bool
        The field is a file name: a relative one is resolved against its document.
    """
    return {"doc": doc, "key": key, "path": path}


def document_key(field: attrs.Attribute[Any]) -> str:
    """Give the key that documents use for a field of a config."""
    return str(field.metadata.get("key") or field.name)


class Named(Mapping[str, T], Generic[T]):
    """A mapping that never changes, hashes, and whose order counts.

    Examples
    --------
    >>> Named({"a": 1, "b": 2}) == Named({"b": 2, "a": 1})
    False
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> T:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Named):
            return NotImplemented
        return tuple(self._items.items()) == tuple(other._items.items())

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return f"Named({self._items!r})"


def as_named(value: Any) -> Named[Any]:
    """Turn a mapping, or a list of pairs, into a `Named`."""
    return value if isinstance(value, Named) else Named(value)
