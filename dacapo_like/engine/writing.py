"""How a box of a tree is written: down to the one source that its voxels come from."""

from __future__ import annotations

from dacapo_like.engine.nodes import Node, Voxels, placing_errors
from dacapo_like.engine.plans import check_need
from dacapo_like.errors import WriteError
from dacapo_like.geometry import Box


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
        check_need(node, below, need)
        node, box = below, need
    assert node.reader is not None  # noqa: S101  # a source
    with placing_errors(node, box):
        node.reader.write(box, data)
