"""Plans: which box of which stage a read needs, found from the root downwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dacapo_like.engine.nodes import Node
from dacapo_like.engine.stages import Stage, stages_of
from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box

_PLANS = 256  # kept for a tree; each serves all boxes of its shape


def merge_boxes(boxes: Iterable[Box]) -> list[Box]:
    """Join boxes where reading them together costs no more than reading them apart.

    Examples
    --------
    >>> merge_boxes([Box((0,), (4,)), Box((2,), (4,)), Box((90,), (1,))])
    [Box(offset=(0,), shape=(6,)), Box(offset=(90,), shape=(1,))]
    """
    merged = list(boxes)
    before = len(merged) + 1
    while 1 < len(merged) < before:  # what was joined may fit to what was passed before
        before = len(merged)
        merged = _sweep(merged)
    return merged


def _sweep(boxes: Sequence[Box]) -> list[Box]:
    """Join boxes with those near them, along the axis where they are most apart."""
    ndim = len(boxes[0].offset)
    axis = max(range(ndim), key=lambda i: len({box.offset[i] for box in boxes}))
    finished: list[Box] = []
    near: list[Box] = []
    for box in sorted(boxes, key=lambda box: box.offset[axis]):  # they only join where they touch
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


class Step:
    """One entry of a plan: a box of a stage, and where the boxes of its inputs are found.

    Attributes
    ----------
    stage : Stage
        Whose voxels it gives.
    box : Box
        Which.
    needs : tuple of (Box or None)
        Of each input; ``None``: it is not read.
    found : list of (int, tuple of slice or None)
        For each input that is read, the step that holds the box, and where in its block; ``None``: all of it.
    uses : int
        How many needs the step serves.
    last : list of int
        Steps that nobody needs any more when this one has its blocks.
    places : list of int
        Inputs that are wanted once, whole, and as this step's voxels or narrower: they can be made in this step's own block.
    """

    __slots__ = ("box", "found", "last", "needs", "places", "stage", "uses")

    def __init__(self, stage: Stage, box: Box, needs: tuple[Box | None, ...]) -> None:
        self.stage = stage
        self.box = box
        self.needs = needs
        self.found: list[tuple[int, tuple[slice, ...] | None] | None] = []
        self.uses = 0
        self.last: list[int] = []
        self.places: list[int] = []

    @property
    def nbytes(self) -> int:
        """Of its block."""
        return self.box.size * self.stage.spec.dtype.itemsize


class Plan:
    """What a read of one box does, and, where `rigid`, that of any box of its shape.

    Attributes
    ----------
    box : Box
        Of the stage that the root's voxels come from.
    steps : tuple of Step
        Consumers first.
    given, held : int
        Bytes of the first step's block, and of all others.
    rigid : bool
        Whether the boxes of all steps move with that of the root, as long as it moves in space.
    kept : bool
        Whether sources keep what they give to several; else they would decode for each.
    chunk : int
        Bytes of the largest chunk of a source: so much is decoded at a time, however little is read of it.
    """

    __slots__ = ("box", "chunk", "given", "held", "kept", "rigid", "steps")

    def __init__(self, box: Box, steps: Sequence[Step]) -> None:
        self.box = box
        self.steps = tuple(steps)
        self.given = self.steps[0].nbytes
        self.held = sum(step.nbytes for step in steps[1:])
        self.kept = all(
            step.stage.reader.keeps(step.box.shape)
            for step in steps
            if step.stage.is_shared_part and step.stage.reader is not None
        )
        self.chunk = max((_chunk_bytes(step.stage) for step in steps), default=0)
        dims = {step.stage.spec.dims for step in steps}
        self.rigid = len(dims) == 1 and all(
            step.stage.operation is None or step.stage.operation.rigid for step in steps
        )


def _chunk_bytes(stage: Stage) -> int:
    chunk_shape = stage.spec.chunk_shape
    if stage.reader is None or chunk_shape is None:
        return 0
    return math.prod(chunk_shape) * stage.spec.dtype.itemsize


class Graph:
    """A tree as it is read, and the plans that were made for it.

    Parameters
    ----------
    root : Node
        Of the tree.
    keep : bool
        As `stages_of` takes it.

    Attributes
    ----------
    root : Node
        Of the tree.
    edge : Edge
        From the root to the first stage.
    stages : tuple of Stage
        Consumers first.
    """

    __slots__ = ("_plans", "edge", "root", "stages")

    def __init__(self, root: Node, *, keep: bool) -> None:
        self.root = root
        self.edge, self.stages = stages_of(root, keep=keep)
        self._plans: dict[tuple[tuple[int, ...], tuple[int, ...]], Plan] = {}

    def plan(self, box: Box) -> Plan:
        """Give the plan for a box of the first stage, or for one of its shape elsewhere."""
        key = box.shape, box.offset[: len(box.shape) - self.stages[0].spec.dims]
        plan = self._plans.get(key)
        if plan is None:
            plan = make_plan(self.stages, box)
            if plan.rigid:
                if len(self._plans) >= _PLANS:
                    self._plans.clear()
                self._plans[key] = plan
        return plan


def make_plan(stages: Sequence[Stage], box: Box) -> Plan:
    """Find the boxes that every stage must give.

    Parameters
    ----------
    stages : sequence of Stage
        Consumers first.
    box : Box
        Of the first of them; not empty.

    Raises
    ------
    ReadError
        An operation asks for voxels outside of an input.
    """
    wanted: dict[int, list[Box]] = {id(stages[0]): [box]}
    steps: list[Step] = []
    for stage in stages:
        for part in merge_boxes(wanted.pop(id(stage), ())):
            needs: tuple[Box | None, ...] = ()
            if stage.operation is not None:
                needs = stage.operation.needs(part, *stage.specs)
                for edge, need in zip(stage.edges, needs, strict=True):
                    if need is not None:
                        check_need(stage.node, edge.node, need)
                        wanted.setdefault(id(edge.stage), []).append(edge.in_stage(need))
            steps.append(Step(stage, part, needs))
    _connect(steps)
    return Plan(box, steps)


def _connect(steps: Sequence[Step]) -> None:
    """Find for every need the step that serves it."""
    by_stage: dict[int, dict[Box, int]] = {}
    for index, step in enumerate(steps):
        by_stage.setdefault(id(step.stage), {})[step.box] = index
    first_use: dict[int, int] = {}
    for index, step in enumerate(steps):
        for edge, need in zip(step.stage.edges, step.needs, strict=True):
            if need is None:
                step.found.append(None)
                continue
            wanted, held = edge.in_stage(need), by_stage[id(edge.stage)]
            outer = wanted if wanted in held else next(b for b in held if b.contains(wanted))
            at = held[outer]
            step.found.append((at, None if outer == wanted else wanted.slices_in(outer)))
            steps[at].uses += 1
            first_use.setdefault(at, index)
    for at, index in first_use.items():
        steps[index].last.append(at)
    for step in steps:
        if step.stage.operation is None or not step.stage.operation.gathers:
            continue
        for i, found in enumerate(step.found):
            if found is not None and found[1] is None:
                below = steps[found[0]]
                if below.uses == 1 and below.stage.fills(step.stage.spec.dtype):
                    step.places.append(i)


def check_need(node: Node, below: Node, need: Box) -> None:
    """Refuse a box outside of an input: numpy would wrap negative indices around."""
    if not below.spec.box.contains(need):
        raise ReadError(
            "an operator needs voxels outside of its input",
            got=need,
            expected=f"a box inside {below.spec.box} of {below.describe()}",
            where=node.describe(),
        )
