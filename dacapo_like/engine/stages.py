"""A tree as it is read: operators that only cut are gone, chains that one operator can do are one.

What a read costs then does not depend on how many wrappers people put around an array.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dacapo_like.engine.nodes import Node, Operation, Reads, consumers_first
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
    """

    __slots__ = ("edges", "node", "operation", "reader", "spec", "specs")

    def __init__(self, node: Node, operation: Operation | None, edges: Sequence[Edge]) -> None:
        self.node = node
        self.spec = node.spec
        self.reader: Reads | None = node.reader
        self.operation = operation
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


def stages_of(root: Node) -> tuple[Edge, tuple[Stage, ...]]:
    """Simplify a tree.

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
    return edge, consumers_first(edge.stage)


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


def _sum(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(operator.add, a, b))
