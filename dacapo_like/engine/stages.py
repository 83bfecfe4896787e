"""A tree as it is read: operators that only cut are gone, chains that one operator can do are one.

What a read costs then does not depend on how many wrappers people put around an array.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dacapo_like.engine.nodes import (
    Node,
    Operation,
    Reads,
    Split,
    Through,
    Voxels,
    consumers_first,
)
from dacapo_like.geometry import Box
from dacapo_like.spec import ArraySpec


class Edge(NamedTuple):
    """Where an operation finds an input.

    Attributes
    ----------
    node : Node
        The input in the tree: for errors.
    spec : ArraySpec
        Of the input.
    stage : Stage
        What makes its voxels.
    shift : tuple of int
        Voxel ``i`` of the input is voxel ``i + shift`` of the stage.
    """

    node: Node
    spec: ArraySpec
    stage: Stage
    shift: tuple[int, ...]

    def in_stage(self, box: Box) -> Box:
        """Give a box of the input as one of the stage."""
        return box.shifted(self.shift) if any(self.shift) else box


class Stage:
    """A source, or an operation and where its inputs come from.

    Attributes
    ----------
    node : Node
        Whose voxels it makes: for errors.
    spec : ArraySpec
        Of the node.
    reader : Reads or None
        Of a source.
    operation : Operation or None
        That of the node, or one that does the work of a chain that ends with it.
    edges : tuple of Edge
        One for each input of the operation.
    root : Node
        Of the tree: for errors.
    is_shared_part : bool
        Whether a source gives what the first part of an operation makes of it, and more is read of the same source.
    """

    __slots__ = ("edges", "is_shared_part", "node", "operation", "reader", "root", "spec", "specs")

    def __init__(
        self,
        node: Node,
        operation: Operation | None = None,
        edges: Sequence[Edge] = (),
        reader: Reads | None = None,
        spec: ArraySpec | None = None,
    ) -> None:
        self.node = self.root = node
        self.spec = node.spec if spec is None else spec
        self.reader = node.reader if reader is None else reader
        self.operation = operation
        self.is_shared_part = False
        self.edges = tuple(edges)
        self.specs = tuple(edge.spec for edge in edges)

    @property
    def inputs(self) -> tuple[Stage, ...]:
        """Stages that make its inputs."""
        return tuple(edge.stage for edge in self.edges)

    def fills(self, dtype: np.dtype[Any]) -> bool:
        """Whether its voxels may be made in a part of an array of this dtype."""
        if dtype == self.spec.dtype:
            return True
        widens = self.operation is not None and self.operation.widens
        return widens and np.can_cast(self.spec.dtype, dtype, "safe")


def stages_of(root: Node, *, keep: bool = False) -> tuple[Edge, tuple[Stage, ...]]:
    """Simplify a tree.

    Parameters
    ----------
    root : Node
        Of the tree.
    keep : bool
        Let sources that keep chunks keep what operations make of them, where that is smaller.

    Returns
    -------
    edge : Edge
        Leads to the root's voxels.
    stages : tuple of Stage
        All that are left, each behind those that consume it.
    """
    made: dict[int, Edge] = {}
    for node in reversed(consumers_first(root)):
        made[id(node)] = _edge_to(node, [made[id(below)] for below in node.inputs])
    edge = made[id(root)]
    _split(consumers_first(edge.stage), keep=keep)
    stages = consumers_first(edge.stage)
    for stage in stages:
        stage.root = root
    return edge, stages


def _edge_to(node: Node, edges: Sequence[Edge]) -> Edge:
    operation = node.operation
    if operation is not None:
        offset = operation.view_offset(*(edge.spec for edge in edges))
        if offset is not None:
            (edge,) = edges
            return Edge(node, node.spec, edge.stage, _sum(offset, edge.shift))
        if len(edges) == 1:
            operation, edges = _folded(operation, edges[0])
    return Edge(node, node.spec, Stage(node, operation, edges), (0,) * node.spec.ndim)


def _folded(operation: Operation, edge: Edge) -> tuple[Operation, Sequence[Edge]]:
    """Let one operation do what this one and the one below it do, where there is such a one."""
    below = edge.stage
    if below.operation is not None and len(below.edges) == 1:
        both = operation.folded(below.operation)
        if both is not None:
            (source,) = below.edges
            spec = edge.spec.replace(dtype=source.spec.dtype)  # voxel for voxel: of one extent
            return both, [Edge(edge.node, spec, source.stage, _sum(edge.shift, source.shift))]
    return operation, [edge]


def _split(stages: Sequence[Stage], *, keep: bool) -> None:
    """Leave the first parts of operations to their source, joined as far as can be.

    That pays where the source keeps what they give, and where one function serves all that is read of it.
    """
    consumers: dict[int, list[Stage]] = {}
    for stage in stages:
        for below in dict.fromkeys(stage.inputs):
            consumers.setdefault(id(below), []).append(stage)
    for source in stages:
        if source.reader is None:
            continue
        users = consumers.get(id(source), [])
        splits = [(stage, both) for stage in users if (both := _parts_of(stage)) is not None]
        groups = _joined(splits)
        serves_all = len(groups) == 1 and len(splits) == len(users)
        if (serves_all and len(splits) > 1) or (keep and source.reader.keeps()):
            for through, members in groups:
                _leave(source, through, members, serves_all=serves_all)


def _joined(
    splits: Sequence[tuple[Stage, Split]],
) -> list[tuple[Through, list[tuple[Stage, Split]]]]:
    groups: list[tuple[Through, list[tuple[Stage, Split]]]] = []
    for stage, both in splits:
        for i, (through, members) in enumerate(groups):
            joined = through.joined(both.through)
            if joined is not None:
                groups[i] = joined, [*members, (stage, both)]
                break
        else:
            groups.append((both.through, [(stage, both)]))
    return groups


def _leave(
    source: Stage, through: Through, members: Sequence[tuple[Stage, Split]], *, serves_all: bool
) -> None:
    """Have a source give what a function makes of it, and the members do the rest."""
    assert source.reader is not None  # noqa: S101  # it is a source
    spec = source.spec.replace(dtype=through.dtype)
    part = Stage(source.node, reader=_Through(source.reader, through), spec=spec)
    part.is_shared_part = not serves_all
    for stage, both in members:
        (edge,) = stage.edges
        given = edge.spec.replace(dtype=through.dtype)
        stage.operation = both.rest(through)
        stage.edges = (edge._replace(spec=given, stage=part),)
        stage.specs = (given,)


def _parts_of(stage: Stage) -> Split | None:
    if stage.operation is None or len(stage.edges) != 1:
        return None
    return stage.operation.split(stage.edges[0].spec)


class _Through:
    """Reads what a function makes of the voxels of a source."""

    read_only = "these are no voxels of a source"
    in_threads = False

    def __init__(self, reader: Reads, through: Through) -> None:
        self._reader = reader
        self._through = through

    def start(self, box: Box, out: Voxels | None = None) -> Callable[[], Voxels]:  # noqa: ARG002  # the caller copies
        return self._reader.start_through(box, self._through)

    def keeps(self, shape: Sequence[int] | None = None) -> bool:
        return self._reader.keeps(shape)

    def start_through(self, box: Box, through: Through) -> Callable[[], Voxels]:
        finish = self.start(box)
        return lambda: through(finish())

    def write(self, box: Box, data: Voxels) -> None:
        raise NotImplementedError


def _sum(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(operator.add, a, b))
