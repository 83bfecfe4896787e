"""How a box of a tree is read: plan downwards, read each source once, compute upwards.

The engine knows nodes only through `Node`, so it stands below `core` and `Array` may call it. Nothing here grows with the
size of a volume: a plan holds one entry per node and box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import DacapoLikeError, ReadError, WriteError
from dacapo_like.geometry import Box, box_between
from dacapo_like.spec import ArraySpec

Voxels: TypeAlias = NDArray[Any]

READ_AT_ONCE = 2**26
"""Bytes that a read may hold besides its result; more only where that is a small part of them, or parts would need no less."""

_WORTH = 4  # times its result is what a read may hold in any case
_SMALLEST_SAVING = 0.75  # of what a read holds its halves may hold at most
_SMALLEST_PART = (
    2**16
)  # bytes of a result that is not cut for what voxels ask for: they may do so wherever it is cut


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
    """

    data: Any
    box: Box | None
    spec: ArraySpec


class Operation(Protocol):
    """What an operator does with boxes and blocks."""

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written through it; ``None``: a box is the box of its source that `needs` gives."""
        ...

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Give the box of each input that a box of the output is made of; ``None``: not read."""
        ...

    def needs_more(self, box: Box, *blocks: Block) -> tuple[Box | None, ...] | None:
        """Give the boxes that the voxels read so far ask for; ``None``: there is all that `compute` needs."""
        ...

    def compute(self, box: Box, *blocks: Block, out: Voxels | None = None) -> Voxels:
        """Make a box of the output."""
        ...


class Reads(Protocol):
    """What a source does."""

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written; ``None`` where it can."""
        ...

    def write(self, box: Box, data: Voxels) -> None:
        """Replace the voxels of a box."""
        ...

    def start(self, box: Box, out: Voxels | None = None) -> Callable[[], Voxels]:
        """Begin to read a box; the function that is returned waits for it."""
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


class Step(NamedTuple):
    """One entry of a plan: a box of a node, and the boxes of its inputs that it needs."""

    node: Node
    box: Box
    needs: tuple[Box | None, ...]


def consumers_first(root: Node) -> tuple[Node, ...]:
    """Give every node of a tree once, each behind all nodes that consume it."""
    finished: list[Node] = []
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


def merge_boxes(boxes: Iterable[Box]) -> list[Box]:
    """Join boxes where reading them together costs no more than reading them apart.

    Examples
    --------
    >>> merge_boxes([Box((0,), (4,)), Box((2,), (4,)), Box((90,), (1,))])
    [Box(offset=(0,), shape=(6,)), Box(offset=(90,), shape=(1,))]
    """
    waiting = list(boxes)
    if len(waiting) < 2:
        return waiting
    ndim = len(waiting[0].offset)
    axis = max(range(ndim), key=lambda i: len({box.offset[i] for box in waiting}))
    finished: list[Box] = []
    near: list[Box] = []
    for box in sorted(waiting, key=lambda box: box.offset[axis]):  # they only join where they touch
        passed = [other for other in near if other.end[axis] < box.offset[axis]]
        if passed:
            finished += passed
            near = [other for other in near if other.end[axis] >= box.offset[axis]]
        _join(box, near)
    return finished + near


def _join(box: Box, merged: list[Box]) -> None:
    """Add a box to a list, joined with those in it as far as that costs nothing."""
    joined = True
    while joined:
        joined = False
        for i, other in enumerate(merged):
            hull = box.union(other)
            if hull.size <= box.size + other.size:
                box = hull
                del merged[i]
                joined = True
                break
    merged.append(box)


def make_plan(order: Sequence[Node], box: Box) -> list[Step]:
    """Find the boxes that every node must give, consumers first.

    Parameters
    ----------
    order : sequence of Node
        As `consumers_first` gives it; the first is the root.
    box : Box
        Of the root; not empty.
    """
    wanted: dict[int, list[Box]] = {id(order[0]): [box]}
    plan = []
    for node in order:
        for part in merge_boxes(wanted.pop(id(node), ())):
            needs: tuple[Box | None, ...] = ()
            if node.operation is not None:
                needs = node.operation.needs(part, *(below.spec for below in node.inputs))
                for below, need in zip(node.inputs, needs, strict=True):
                    if need is not None:
                        _check_need(node, below, need)
                        wanted.setdefault(id(below), []).append(need)
            plan.append(Step(node, part, needs))
    return plan


def _check_need(node: Node, below: Node, need: Box) -> None:
    if not below.spec.box.contains(need):  # numpy would wrap negative indices around
        raise ReadError(
            "an operator needs voxels outside of its input",
            got=need,
            expected=f"a box inside {below.spec.box} of {below.describe()}",
            where=node.describe(),
        )


class _Blocks:
    """Blocks that were read or computed and that somebody still needs."""

    def __init__(self, plan: Sequence[Step]) -> None:
        self._held: dict[int, dict[Box, Voxels]] = {}
        self._uses: dict[int, int] = {}
        for step in plan:
            for below, need in zip(step.node.inputs, step.needs, strict=False):
                if need is not None:
                    self._uses[id(below)] = self._uses.get(id(below), 0) + 1

    def put(self, step: Step, data: Voxels) -> None:
        if self._uses.get(id(step.node), 0) > 1:
            data.setflags(
                write=False
            )  # shared: an operator that writes into its input must fail, not spoil the others
        self._held.setdefault(id(step.node), {})[step.box] = data

    def take(self, node: Node, box: Box | None) -> Block:
        if box is None:
            return Block(None, None, node.spec)
        held = self._held[id(node)]
        outer = box if box in held else next(other for other in held if other.contains(box))
        data = held[outer]
        self._uses[id(node)] -= 1
        if not self._uses[id(node)]:
            del self._held[id(node)]
        return Block(data if outer == box else data[box.slices_in(outer)], box, node.spec)


def read(order: Sequence[Node], box: Box, out: Voxels | None = None) -> Voxels:
    """Read a box of a tree.

    Parameters
    ----------
    order : sequence of Node
        As `consumers_first` gives it; the first is the root.
    box : Box
        Inside the root.
    out : ndarray, optional
        Where to put the voxels; of the box's shape and the root's dtype.

    Returns
    -------
    ndarray
        `out`, or a new array that belongs to the caller.

    Raises
    ------
    ReadError
        A source cannot give its voxels, or a node gives others than it declared.
    """
    root = order[0]
    if box.size == 0:
        return np.empty(box.shape, root.spec.dtype) if out is None else out
    plan, given = make_plan(order, box), box.size * root.spec.dtype.itemsize
    cost, most = _bytes(plan), max(READ_AT_ONCE, _WORTH * given)
    parts = _parts(order, box, cost) if cost > most else None
    if parts is None:
        try:
            return _read_plan(plan, out, most if given > _SMALLEST_PART else None)
        except _TooMuchError:
            parts = _halves(box, max(range(len(box.shape)), key=box.shape.__getitem__))
    target = np.empty(box.shape, root.spec.dtype) if out is None else out
    for part in parts:
        read(order, part, target[part.slices_in(box)])
    return target


def _read_plan(plan: Sequence[Step], out: Voxels | None, most: int | None) -> Voxels:
    """Do what a plan says; operators that look up where to read may ask for so many bytes at a time."""
    root = plan[0].node
    reads = {
        index: _start(step, out if step.node is root else None)
        for index, step in enumerate(plan)
        if step.node.reader is not None
    }
    blocks = _Blocks(plan)
    for index in reversed(range(len(plan))):
        step = plan[index]
        target = out if step.node is root else None
        with _placing_errors(step):
            data = reads.pop(index)() if index in reads else _compute(step, blocks, target, most)
        _check(step, data)
        if step.node is not root:
            blocks.put(step, data)
    if out is not None and data is not out:
        np.copyto(out, data)
        return out
    reversed_view = any(stride < 0 for stride in data.strides)  # torch, for one, takes none
    return data.copy() if reversed_view or not data.flags.writeable else data


def _bytes(plan: Sequence[Step]) -> int:
    """Give how much the blocks of a plan hold, that of its root left out."""
    return sum(step.box.size * step.node.spec.dtype.itemsize for step in plan[1:])


def _parts(order: Sequence[Node], box: Box, cost: int) -> tuple[Box, Box] | None:
    """Cut a box where its halves hold much less than the whole; ``None`` where there is no such place.

    A slice through a rotated volume needs nearly all of it, each small part of the slice a small part.
    """
    for axis in sorted(range(len(box.shape)), key=lambda i: -box.shape[i]):
        if box.shape[axis] < 2:
            break
        halves = _halves(box, axis)
        if all(_bytes(make_plan(order, half)) <= _SMALLEST_SAVING * cost for half in halves):
            return halves
    return None


def _halves(box: Box, axis: int) -> tuple[Box, Box]:
    middle = box.offset[axis] + box.shape[axis] // 2
    before, behind = list(box.end), list(box.offset)
    before[axis] = behind[axis] = middle
    return box_between(box.offset, before), box_between(behind, box.end)


def not_writable(reason: str | None, where: str | None = None) -> WriteError:
    """Make the error for an array that cannot be assigned to."""
    return WriteError(f"not writable: {reason}", where=where)


def written_node(root: Node) -> Node:
    """Give the source that voxels of a tree are written to.

    Raises
    ------
    WriteError
        There is none: a node on the way is read-only, and says why.
    """
    node = root
    while True:
        stage = node.reader if node.operation is None else node.operation
        assert stage is not None  # noqa: S101  # a node is a source or an operator
        if stage.read_only is not None:
            raise not_writable(stage.read_only, node.describe())
        if node.operation is None:
            return node
        (node,) = node.inputs


def write(root: Node, box: Box, data: Voxels) -> None:
    """Replace the voxels of a box, in the source that they come from.

    Parameters
    ----------
    root : Node
        Of the tree.
    box : Box
        Inside the root.
    data : ndarray
        Of the box's shape and the root's dtype.

    Raises
    ------
    WriteError
        The tree is not writable, or its source refuses.
    """
    written_node(root)
    if box.size == 0:
        return
    node = root
    while node.operation is not None:
        (need,) = node.operation.needs(box, *(below.spec for below in node.inputs))
        (below,) = node.inputs
        assert need is not None  # noqa: S101  # what is written through is read through
        _check_need(node, below, need)
        node, box = below, need
    assert node.reader is not None  # noqa: S101  # a source
    with _placing_errors(Step(node, box, ())):
        node.reader.write(box, data)


def _start(step: Step, out: Voxels | None) -> Callable[[], Voxels]:
    assert step.node.reader is not None  # noqa: S101  # chosen by the caller
    with _placing_errors(step):
        return step.node.reader.start(step.box, out)


class _TooMuchError(Exception):
    """An operator asked for more, once it had seen voxels, than the read may hold."""


def _compute(step: Step, blocks: _Blocks, out: Voxels | None, most: int | None) -> Voxels:
    operation = step.node.operation
    assert operation is not None  # noqa: S101  # a node is a source or an operator
    inputs = [
        blocks.take(below, need) for below, need in zip(step.node.inputs, step.needs, strict=True)
    ]
    while (more := operation.needs_more(step.box, *inputs)) is not None:
        inputs = [
            block if need is None else _read_more(step.node, below, need, most)
            for block, below, need in zip(inputs, step.node.inputs, more, strict=True)
        ]
    return operation.compute(step.box, *inputs, out=out)


def _read_more(node: Node, below: Node, need: Box, most: int | None) -> Block:
    """Read what an operator asked for only when it had seen voxels: no plan could know of it."""
    _check_need(node, below, need)
    if most is not None and need.size * below.spec.dtype.itemsize > most:
        raise _TooMuchError
    data = read(consumers_first(below), need)
    return Block(data, need, below.spec)


@contextmanager
def _placing_errors(step: Step) -> Iterator[None]:
    try:
        yield
    except DacapoLikeError as error:
        if error.where is None:
            error.where = f"{step.node.describe()}, {step.node.spec.box_to_roi(step.box)}"
        raise


def _check(step: Step, data: Voxels) -> None:
    if data.shape != step.box.shape or data.dtype != step.node.spec.dtype:
        raise ReadError(
            "a read gave other voxels than were declared",
            got=f"{data.dtype} {data.shape}",
            expected=f"{step.node.spec.dtype} {step.box.shape}",
            where=step.node.describe(),
        )
