"""How a box of a tree is read: plan downwards, read each source once, compute upwards.

The engine knows nodes only through `Node`, so it stands below `core` and `Array` may call it. Nothing here grows with the
size of a volume: a plan holds one entry per node and box.
"""

from dacapo_like.engine.ahead import ahead
from dacapo_like.engine.nodes import (
    Block,
    Node,
    Operation,
    Reads,
    Split,
    Through,
    Voxels,
    consumers_first,
)
from dacapo_like.engine.plans import Plan, make_plan, merge_boxes
from dacapo_like.engine.reading import Readout, check_bytes
from dacapo_like.engine.stages import Stage, stages_of
from dacapo_like.engine.writing import not_writable, write, written_node

__all__ = [
    "Block",
    "Node",
    "Operation",
    "Plan",
    "Readout",
    "Reads",
    "Split",
    "Stage",
    "Through",
    "Voxels",
    "ahead",
    "check_bytes",
    "consumers_first",
    "make_plan",
    "merge_boxes",
    "not_writable",
    "stages_of",
    "write",
    "written_node",
]
