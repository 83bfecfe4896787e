"""What the engine asks of a tree: nodes that are sources or operators, and the blocks that pass between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import DacapoLikeError, KeyPath
from dacapo_like.geometry import Box
from dacapo_like.spec import ArraySpec

Voxels: TypeAlias = NDArray[Any]


class Block(NamedTuple):
    """Voxels of one input of an operator.

    Attributes
    ----------
    data : ndarray or None
        Of shape ``box.shape``; ``None`` where the operator did not ask for them. Never to be changed.
    box : Box or None
        Which voxels of the input they are.
    spec : ArraySpec
        Of the input.
    placed : bool
        Whether `data` are the part of the output's block that `places` gave, filled, and in the dtype of the output.
    """

    data: Any
    box: Box | None
    spec: ArraySpec
    placed: bool = False


class Through(Protocol):
    """A function of single voxels of an ndarray, of its shape and of some dtype; equal ones do the same."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what it gives."""
        ...

    def __call__(self, voxels: Voxels, /) -> Voxels:
        """Give an array of the same shape."""
        ...

    def __hash__(self) -> int: ...

    def joined(self, other: Through) -> Through | None:
        """Give one that serves the rest of the operations of both; ``None``: there is none."""
        ...


class Split(NamedTuple):
    """An operation in two parts.

    Attributes
    ----------
    through : Through
        A function of single voxels of the one input.
    rest : callable
        Takes that function, or one that it was joined into, and gives the operation on its results that does the rest.
    """

    through: Through
    rest: Callable[[Any], Operation]


class Operation(Protocol):
    """What an operator does with boxes and blocks; what each member promises is told in `core.OperatorConfig`."""

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written through it; ``None``: a box is the box of its source that `needs` gives."""
        ...

    @property
    def rigid(self) -> bool:
        """Whether `needs` of a box that is shifted in space are its needs, shifted as far."""
        ...

    @property
    def widens(self) -> bool:
        """Whether `compute` fills an `out` of any dtype to which its own casts safely."""
        ...

    @property
    def gathers(self) -> bool:
        """Whether `places` gives any."""
        ...

    def view_offset(self, *inputs: ArraySpec) -> tuple[int, ...] | None:
        """Give where the output begins in its one input, where it is a box of that and no more; ``None``: it is more."""
        ...

    def folded(self, below: Operation) -> Operation | None:
        """Give one operation on the input of `below` that does what both do; ``None``: there is none."""
        ...

    def split(self, source: ArraySpec) -> Split | None:
        """Give two parts of which the first makes fewer bytes of its one input than it has; ``None``: there are none."""
        ...

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Give the box of each input that a box of the output is made of; ``None``: not read."""
        ...

    def needs_more(self, box: Box, *blocks: Block) -> tuple[Box | None, ...] | None:
        """Give the boxes that the voxels read so far ask for; ``None``: there is all that `compute` needs."""
        ...

    def places(self, box: Box, out: Voxels, *inputs: ArraySpec) -> tuple[Voxels | None, ...]:
        """Give the part of `out` that is, voxel for voxel, what an input gives; ``None``: there is none."""
        ...

    def compute(self, box: Box, *blocks: Block, out: Voxels | None = None) -> Voxels:
        """Make a box of the output."""
        ...


class Reads(Protocol):
    """What a source does; what each member promises is told in `core.Reader`."""

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written; ``None`` where it can."""
        ...

    @property
    def in_threads(self) -> bool:
        """Whether the work is done where a read is waited for, so that several gain by threads."""
        ...

    def write(self, box: Box, data: Voxels) -> None:
        """Replace the voxels of a box."""
        ...

    def start(self, box: Box, out: Voxels | None = None) -> Callable[[], Voxels]:
        """Begin to read a box; the function that is returned waits for it."""
        ...

    def keeps(self, shape: Sequence[int] | None = None) -> bool:
        """Whether decoded chunks are kept, so that what a function makes of them may be; of boxes of any shape, or of some."""
        ...

    def start_through(self, box: Box, through: Through) -> Callable[[], Voxels]:
        """Begin to read what a function makes of a box."""
        ...


class Node(Protocol):
    """A node of an opened tree."""

    @property
    def spec(self) -> ArraySpec:
        """What the node is."""
        ...

    @property
    def inputs(self) -> Sequence[Node]:
        """Nodes below."""
        ...

    @property
    def input_keys(self) -> Sequence[KeyPath]:
        """Where each of them is in the node's config."""
        ...

    @property
    def reader(self) -> Reads | None:
        """For a source."""
        ...

    @property
    def operation(self) -> Operation | None:
        """For an operator."""
        ...

    def describe(self) -> str:
        """How an error calls the node."""
        ...


class _Consumes(Protocol):
    @property
    def inputs(self) -> Sequence[Self]: ...


_T = TypeVar("_T", bound=_Consumes)


def consumers_first(root: _T) -> tuple[_T, ...]:
    """Give every node of a tree once, each behind all nodes that consume it."""
    finished: list[_T] = []
    seen: set[int] = {id(root)}
    stack = [(root, iter(root.inputs))]
    while stack:
        node, rest = stack[-1]
        below = next((item for item in rest if id(item) not in seen), None)
        if below is None:
            finished.append(node)
            stack.pop()
        else:
            seen.add(id(below))
            stack.append((below, iter(below.inputs)))
    return tuple(reversed(finished))


def key_of(root: Node, node: Node) -> KeyPath:
    """Give the key path that leads from a tree's root to one of its nodes; the shortest, where there are several."""
    paths: dict[int, KeyPath] = {id(root): ()}
    waiting = deque([root])
    while waiting and id(node) not in paths:
        above = waiting.popleft()
        for key, below in zip(above.input_keys, above.inputs, strict=True):
            if id(below) not in paths:
                paths[id(below)] = (*paths[id(above)], *key)
                waiting.append(below)
    return paths.get(id(node), ())


def place(error: DacapoLikeError, node: Node, box: Box, root: Node | None = None) -> None:
    """Say in an error, where it does not itself, which node and region it is about, and where the node is below a root."""
    if error.region is not None:
        return
    error.region = str(node.spec.box_to_roi(box))
    if error.where is None:
        error.where = f"{node.describe()}, {error.region}"
    if root is not None:
        error.key = (*key_of(root, node), *error.key)


@contextmanager
def placing_errors(node: Node, box: Box) -> Iterator[None]:
    """Place errors that come out of the body."""
    try:
        yield
    except DacapoLikeError as error:
        place(error, node, box)
        raise
