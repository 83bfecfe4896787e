"""Reads: sources are started together, then operators compute upwards, into their consumers' blocks where they can."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from dacapo_like import settings
from dacapo_like.engine.ahead import in_thread
from dacapo_like.engine.nodes import Block, Node, Voxels, key_of, place
from dacapo_like.engine.plans import Graph, Plan, Step, check_need
from dacapo_like.engine.stages import Stage
from dacapo_like.errors import DacapoLikeError, ReadError, RegionError
from dacapo_like.geometry import Box, box_between

Finish: TypeAlias = Callable[[], Voxels]

_WORTH = 4  # times its result is what a read may hold in any case
_SMALLEST_SAVING = 0.75  # of what a read holds its halves may hold at most
_SMALLEST_PART = (
    2**16
)  # bytes of a result that is not cut for what voxels ask for: they may do so wherever it is cut


class Readout:
    """Reads boxes of a tree.

    The tree is simplified once, and planned once for every shape of boxes where all of its operators are rigid.

    Parameters
    ----------
    root : Node
        Of the tree.
    """

    __slots__ = ("_graphs", "root")

    def __init__(self, root: Node) -> None:
        self.root = root
        self._graphs: dict[int, Graph] = {}

    @property
    def _graph(self) -> Graph:
        """The tree, simplified for what sources may keep by the settings that hold here."""
        return self._graph_for(settings.current().cache_bytes)

    def _graph_for(self, limit: int) -> Graph:
        graph = self._graphs.get(limit)
        if graph is None:
            graph = Graph(self.root, keep=limit > 0)
            self._graphs = (
                {limit: graph} if len(self._graphs) > 3 else {**self._graphs, limit: graph}
            )
        return graph

    def plan(self, box: Box) -> Plan:
        """Give the plan for a box, or for one of its shape elsewhere."""
        graph = self._graph
        return graph.plan(graph.edge.in_stage(box))

    def read(self, box: Box, out: Voxels | None = None) -> Voxels:
        """Read a box.

        Parameters
        ----------
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
        return self.start(box, out)()

    def start(self, box: Box, out: Voxels | None = None) -> Finish:
        """Begin to read a box, as `read` does; the function that is returned waits for it, and computes."""
        if 0 in box.shape:
            empty = np.empty(box.shape, self.root.spec.dtype) if out is None else out
            return lambda: empty
        if out is None:  # before it is planned, which may take memory too
            made = math.prod(box.shape) * self.root.spec.dtype.itemsize
            check_bytes(self.root, box, made)
        graph = self._graph
        inner = graph.edge.in_stage(box)
        plan = graph.plan(inner)
        if not plan.kept:
            graph = self._graph_for(0)
            inner = graph.edge.in_stage(box)
            plan = graph.plan(inner)
        return _start(graph, plan, inner, out)


def check_bytes(node: Node, box: Box, needed: int) -> None:
    """Refuse a read, of which only the size is known, that takes more memory than the settings allow.

    Parameters
    ----------
    node : Node
        That is read.
    box : Box
        Of it.
    needed : int
        Bytes, at least.

    Raises
    ------
    RegionError
        It says how many bytes that are, and how to allow them.
    """
    allowed = settings.current().read_bytes
    most = settings.memory_bytes() if allowed is None else allowed
    if needed <= most:
        return
    raise RegionError(
        "the read takes more memory than it may",
        got=f"{settings.format_bytes(needed)} ({needed} bytes) for {box.shape} voxels",
        expected=f"at most {settings.format_bytes(most)}, "
        + ("all the memory that there is" if allowed is None else "as `read_bytes` says"),
        where=node.describe(),
        hint="read smaller regions one after the other; or raise the setting `read_bytes`, as in "
        f"dacapo_like.configure(read_bytes={needed}) or with DACAPO_LIKE_READ_BYTES={needed}",
        code="DL221",
    )


def _start(graph: Graph, plan: Plan, box: Box, out: Voxels | None) -> Finish:
    made = 0 if out is not None else plan.given
    check_bytes(graph.root, box, max(made, plan.chunk))
    if len(plan.steps) == 1 and plan.steps[0].stage.reader is not None:
        return _start_source(plan.steps[0], box, out)
    given = plan.given
    most = max(settings.current().bytes_at_once, _WORTH * given)
    parts = _parts(graph, box, plan.held) if plan.held > most else None
    if parts is not None:
        return lambda: _read_parts(graph, box, parts, out)
    check_bytes(graph.root, box, made + plan.held)
    finish = _Run(plan, box, out, most if given > _SMALLEST_PART else None).finish

    def read() -> Voxels:
        try:
            return finish()
        except _TooMuchError:
            longest = max(range(len(box.shape)), key=box.shape.__getitem__)
            return _read_parts(graph, box, _halves(box, longest), out)

    return read


def _start_source(step: Step, box: Box, out: Voxels | None) -> Finish:
    """Begin to read where there is nothing but a source: there the least that is done besides counts."""
    stage = step.stage
    try:
        wait = _begin(stage, box, out)
    except DacapoLikeError as error:
        place(error, stage.node, box, stage.root)
        raise

    def read() -> Voxels:
        try:
            data = wait()
        except DacapoLikeError as error:
            place(error, stage.node, box, stage.root)
            raise
        return _given_out(step, data, out)

    return read


def _begin(stage: Stage, box: Box, out: Voxels | None) -> Finish:
    reader = stage.reader
    assert reader is not None  # noqa: S101  # chosen by the caller
    wait = reader.start(box, out)
    return in_thread(wait) if reader.in_threads else wait


def _given_out(step: Step, data: Voxels, out: Voxels | None) -> Voxels:
    """Make of voxels what a read gives: the caller's own, running forwards in memory."""
    if data is out:
        return data
    _check(step, data)
    if out is not None:
        np.copyto(out, data)
        return out
    if data.flags.c_contiguous and data.flags.writeable:
        return data
    reversed_view = any(stride < 0 for stride in data.strides)  # torch, for one, takes none
    return data.copy() if reversed_view or not data.flags.writeable else data


def _read_parts(graph: Graph, box: Box, parts: Sequence[Box], out: Voxels | None) -> Voxels:
    target = np.empty(box.shape, graph.stages[0].spec.dtype) if out is None else out
    for part in parts:
        _start(graph, graph.plan(part), part, target[part.slices_in(box)])()
    return target


def _parts(graph: Graph, box: Box, cost: int) -> tuple[Box, Box] | None:
    """Cut a box where its halves hold much less than the whole; ``None`` where there is no such place.

    A slice through a rotated volume needs nearly all of it, each small part of the slice a small part.
    """
    for axis in sorted(range(len(box.shape)), key=lambda i: -box.shape[i]):
        if box.shape[axis] < 2:
            break
        halves = _halves(box, axis)
        if all(graph.plan(half).held <= _SMALLEST_SAVING * cost for half in halves):
            return halves
    return None


def _halves(box: Box, axis: int) -> tuple[Box, Box]:
    middle = box.offset[axis] + box.shape[axis] // 2
    before, behind = list(box.end), list(box.offset)
    before[axis] = behind[axis] = middle
    return box_between(box.offset, before), box_between(behind, box.end)


class _TooMuchError(Exception):
    """An operator asked for more, once it had seen voxels, than the read may hold."""


class _Run:
    """One read: a plan, moved to where the box is.

    Parameters
    ----------
    plan : Plan
        For a box of the shape of this one.
    box : Box
        Of the first stage.
    out : ndarray or None
        Where its voxels go.
    most : int or None
        Bytes that operators may ask for once they have seen voxels.
    """

    __slots__ = ("_blocks", "_by", "_most", "_out", "_steps", "_targets", "_waits")

    def __init__(self, plan: Plan, box: Box, out: Voxels | None, most: int | None) -> None:
        self._steps = plan.steps
        self._by = (
            None
            if box.offset == plan.box.offset
            else tuple(map(operator.sub, box.offset, plan.box.offset))
        )
        self._out = out
        self._most = most
        self._blocks: list[Voxels | None] = [None] * len(plan.steps)
        self._targets: list[Voxels | None] = [None] * len(plan.steps)
        self._waits = {
            index: self._started(step, out if index == 0 else None)
            for index, step in enumerate(plan.steps)
            if step.stage.reader is not None
        }

    def _moved(self, box: Box) -> Box:
        by = self._by
        if by is None:
            return box
        more = len(box.offset) - len(by)
        if more > 0:
            by = (0,) * more + by
        elif more < 0:
            by = by[-more:]
        return box.shifted(by)

    def _started(self, step: Step, out: Voxels | None) -> Finish:
        stage, box = step.stage, self._moved(step.box)
        try:
            return _begin(stage, box, out)
        except DacapoLikeError as error:
            place(error, stage.node, box, stage.root)
            raise

    def finish(self) -> Voxels:
        """Wait for the sources, and compute."""
        steps, blocks, targets = self._steps, self._blocks, self._targets
        self._choose_targets()
        for index in range(len(steps) - 1, -1, -1):
            step, target = steps[index], targets[index]
            stage = step.stage
            try:
                wait = self._waits.pop(index, None)
                data = self._computed(step, target) if wait is None else wait()
            except DacapoLikeError as error:
                place(error, stage.node, self._moved(step.box), stage.root)
                raise
            if data is not target:
                _check(step, data)
                if target is not None:
                    np.copyto(target, data)
                    data = target
            if step.uses > 1:
                # shared: an operator that writes into its input must fail, not spoil the others
                data.setflags(write=False)
            blocks[index] = data
        return _given_out(steps[0], data, self._out)

    def _choose_targets(self) -> None:
        """Find where the voxels of each step are to be made; most have no such place."""
        targets = self._targets
        targets[0] = self._out
        for index, step in enumerate(self._steps):
            if not step.places:
                continue
            out = targets[index]
            if out is None:
                out = targets[index] = np.empty(step.box.shape, step.stage.spec.dtype)
            assert step.stage.operation is not None  # noqa: S101  # it has inputs
            places = step.stage.operation.places(self._moved(step.box), out, *step.stage.specs)
            for i in step.places:
                found = step.found[i]
                assert found is not None  # noqa: S101  # only inputs that are read
                targets[found[0]] = places[i]

    def _computed(self, step: Step, out: Voxels | None) -> Voxels:
        stage, operation = step.stage, step.stage.operation
        assert operation is not None  # noqa: S101  # a stage is a source or an operation
        inputs = []
        for i, (found, need, spec) in enumerate(
            zip(step.found, step.needs, stage.specs, strict=True)
        ):
            if found is None or need is None:
                inputs.append(Block(None, None, spec))
                continue
            at, part = found
            data = self._blocks[at]
            assert data is not None  # noqa: S101  # made before
            block = data if part is None else data[part]
            placed = i in step.places and data is self._targets[at]
            inputs.append(Block(block, self._moved(need), spec, placed))
        for at in step.last:
            self._blocks[at] = None
        box = self._moved(step.box)
        while (more := operation.needs_more(box, *inputs)) is not None:
            inputs = [
                block if need is None else self._read_more(stage, i, need)
                for i, (block, need) in enumerate(zip(inputs, more, strict=True))
            ]
        return operation.compute(box, *inputs, out=out)

    def _read_more(self, stage: Stage, index: int, need: Box) -> Block:
        """Read what an operator asked for only when it had seen voxels: no plan could know of it."""
        edge = stage.edges[index]
        check_need(stage.node, edge.node, need)
        if self._most is not None and need.size * edge.spec.dtype.itemsize > self._most:
            raise _TooMuchError
        try:
            return Block(Readout(edge.node).read(need), need, edge.spec)
        except DacapoLikeError as error:
            error.key = (*key_of(stage.root, edge.node), *error.key)
            raise


def _check(step: Step, data: Voxels) -> None:
    if data.shape != step.box.shape or data.dtype != step.stage.spec.dtype:
        raise ReadError(
            "a read gave other voxels than were declared",
            got=f"{data.dtype} {data.shape}",
            expected=f"{step.stage.spec.dtype} {step.box.shape}",
            where=step.stage.node.describe(),
        )
