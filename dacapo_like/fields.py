"""Fields of configs: what documents say of them, the containers that they hold, and how configs that hold others compare."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs
import numpy as np

from dacapo_like.errors import ConfigError, KeyPath

T = TypeVar("T")


def about(
    doc: str,
    *,
    key: str | None = None,
    path: bool = False,
    also: tuple[str, ...] = (),
    dacapo: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """Describe a field of a config: the metadata of ``attrs.field``.

    Parameters
    ----------
    doc : str
        One sentence for the reference and the JSON Schema.
    key : str, optional
        How documents spell the field, where that is not its name.
    path : bool
        The field is a file name: a relative one is resolved against its document.
    also : tuple of str
        Further spellings that are understood, such as DaCapo's where it is neither `key` nor the field's name.
    dacapo : callable, optional
        Turns what DaCapo's documents have here into what this package's have, where that is not the same; it passes
        on what it does not understand.
    """
    return {"doc": doc, "key": key, "path": path, "also": also, "dacapo": dacapo}


def document_key(field: attrs.Attribute[Any]) -> str:
    """Give the key that documents use for a field of a config."""
    return str(field.metadata.get("key") or field.name)


def spellings(field: attrs.Attribute[Any]) -> tuple[str, ...]:
    """Give all keys that are understood for a field of a config, the one that documents use first."""
    return tuple(dict.fromkeys((document_key(field), field.name, *field.metadata.get("also", ()))))


def plain(value: Any) -> Any:
    """Give the number of Python that a scalar of numpy's is, as documents have it; anything else as it is.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.uint8(7)), plain("edge")
    (7, 'edge')
    """
    return value.item() if isinstance(value, np.generic) else value


def first_repeated(names: Iterable[str]) -> str | None:
    """Give the first name that stands there for a second time.

    Examples
    --------
    >>> first_repeated(["raw", "labels", "raw"])
    'raw'
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def document_fields(config_class: type[Any]) -> list[attrs.Attribute[Any]]:
    """Give the fields of a config in the order of documents: name, what it is made of, its own, then what it shares."""
    own = inspect.get_annotations(config_class)

    def rank(field: attrs.Attribute[Any]) -> int:
        if field.name == "name":
            return 0
        made_of = field.metadata.get("path") or document_key(field) != field.name
        return 1 if made_of else 2 if field.name in own else 3

    return sorted(attrs.fields(config_class), key=rank)


class Named(Mapping[str, T], Generic[T]):
    """A mapping that never changes, hashes, and whose order counts.

    Raises
    ------
    ConfigError
        A name repeats.

    Examples
    --------
    >>> Named({"a": 1, "b": 2}) == Named({"b": 2, "a": 1})
    False
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        pairs = tuple(items.items() if isinstance(items, Mapping) else items)
        self._items: dict[str, T] = dict(pairs)
        if len(self._items) != len(pairs):
            raise ConfigError(
                "names repeat", got=", ".join(str(name) for name, _ in pairs), expected="each once"
            )

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


class Tree(ABC):
    """A frozen attrs class that may hold others of its kind, and compares, hashes, shows and pickles itself.

    The methods that attrs writes call themselves for what is below: a tree of some hundred levels is too deep for them, and
    where nodes have several consumers they walk every path. These visit each node once. Subclasses are declared with
    ``attrs.frozen(kw_only=True, eq=False, repr=False)``; ``eq`` and ``repr`` of single fields count as always.
    """

    __slots__ = ("_hash",)

    _hash: int

    @abstractmethod
    def children(self) -> Sequence[tuple[KeyPath, Tree]]:
        """Give the nodes that this one is made of, each with its key path in a document."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        if self is other or hash(self) != hash(other):
            return self is other
        numbers: dict[Any, int] = {}  # equal nodes get the same number
        number_of: dict[int, int] = {}
        for node in _children_first(self, other):
            key = _key(node, lambda child: number_of[id(child)])
            number_of[id(node)] = numbers.setdefault(key, len(numbers))
        return number_of[id(self)] == number_of[id(other)]

    def __hash__(self) -> int:
        if not hasattr(self, "_hash"):
            for node in _children_first(self, skip=lambda node: hasattr(node, "_hash")):
                object.__setattr__(node, "_hash", hash(_key(node, lambda child: child._hash)))  # noqa: SLF001  # one class
        return self._hash

    def __repr__(self) -> str:
        texts: dict[int, str] = {}
        for node in _children_first(self):
            values = (
                f"{field.name}={_replaced(getattr(node, field.name), Tree, lambda child: _Text(texts[id(child)]))!r}"
                for field in _fields(node)
                if field.repr
            )
            text = f"{type(node).__name__}({', '.join(values)})"
            short = node is self or len(text) <= _LONG_TEXT
            texts[id(node)] = text if short else f"{type(node).__name__}(...)"
        return texts[id(self)]

    def __reduce__(self) -> tuple[Any, ...]:
        nodes = _children_first(self)
        place = {id(node): _Place(i) for i, node in enumerate(nodes)}
        parts = tuple(
            (
                type(node),
                {
                    field.alias: _replaced(
                        getattr(node, field.name), Tree, lambda child: place[id(child)]
                    )
                    for field in _fields(node)
                },
            )
            for node in nodes
        )
        return _assemble, (parts,)


PLAIN = frozenset({type(None), bool, int, float, str})
"""Types of values that hold no others: to ask of an instance whether it is a `Tree` takes ten times as long as to look here."""
_LONG_TEXT = 2000


class _Place(int):
    """Stands for a node in a pickle."""


class _Text(str):
    """Shows as it is."""

    __slots__ = ()
    __repr__ = str.__str__


def _children_first(
    *roots: Tree, skip: Callable[[Tree], bool] = lambda _: False
) -> tuple[Tree, ...]:
    """Give every node once, each behind its children."""
    found: dict[int, Tree] = {}
    stack = [root for root in roots if not skip(root)]
    while stack:
        node = stack[-1]
        waiting = [c for _, c in node.children() if id(c) not in found and not skip(c)]
        if waiting:
            stack.extend(waiting)
        else:
            found[id(stack.pop())] = node
    return tuple(found.values())


def _fields(node: Tree) -> tuple[Any, ...]:
    found: tuple[Any, ...] = attrs.fields(type(node))  # type: ignore[arg-type]  # subclasses are attrs classes
    return found


def _key(node: Tree, of: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Give what makes a node equal to another: its class and field values, `of` each child in the place of the child."""
    values = (
        (field.eq_key or _same)(_replaced(getattr(node, field.name), Tree, of))
        for field in _fields(node)
        if field.eq
    )
    return type(node), *values


def _same(value: Any) -> Any:
    return value


def _replaced(value: Any, kind: type, of: Callable[[Any], Any]) -> Any:
    """Put `of` each item of a kind in its place, in the containers where `children` looks for nodes."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, kind):
        return of(value)
    if isinstance(value, Named):
        return Named((name, _replaced(item, kind, of)) for name, item in value.items())
    if type(value) is tuple:
        return tuple(_replaced(item, kind, of) for item in value)
    return value


def _assemble(parts: Iterable[tuple[type[Tree], dict[str, Any]]]) -> Tree:
    """Make a tree again from what `Tree.__reduce__` took it apart into."""
    nodes: list[Tree] = []
    for node_class, values in parts:
        nodes.append(
            node_class(**{k: _replaced(v, _Place, nodes.__getitem__) for k, v in values.items()})
        )
    return nodes[-1]
