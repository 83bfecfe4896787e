"""With plain nodes: no file, no config. Values come from numpy on whole arrays."""

import os
import threading
import weakref
from itertools import pairwise

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dacapo_like import using
from dacapo_like.engine import Readout, ahead, consumers_first, merge_boxes, plans
from dacapo_like.engine import reading as engine
from dacapo_like.errors import ReadError, SourceError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.settings import current
from dacapo_like.spec import ArraySpec, from_shape


class Source:
    """A reader of an ndarray that keeps a list of what was read."""

    def __init__(self, data):
        self.data = data
        self.boxes = []
        self.waited = []

    in_threads = False

    def keeps(self, shape=None):
        return False

    def start(self, box, out=None):
        self.boxes.append(box)

        def wait():
            self.waited.append(box)
            if out is None:
                return self.data[box.slices].copy()
            out[...] = self.data[box.slices]
            return out

        return wait


class Add:
    """Adds its inputs' blocks, each read `halo` voxels to the right, and 1."""

    rigid = True
    widens = False
    gathers = False

    def __init__(self, *halos):
        self.halos = halos

    def view_offset(self, *inputs):
        return None

    def folded(self, below):
        return None

    def split(self, source):
        return None

    def places(self, box, out, *inputs):
        return (None,) * len(inputs)

    def needs(self, box, *inputs):
        return tuple(None if halo is None else box.shifted((halo,)) for halo in self.halos)

    def needs_more(self, box, *blocks):
        return None

    def compute(self, box, *blocks, out=None):
        total = np.ones(box.shape, np.int64) if out is None else out
        total[...] = 1
        for block in blocks:
            if block.data is not None:
                assert block.data.shape == block.box.shape == box.shape
                total += block.data
        return total


class View(Add):
    """Gives its input's block itself."""

    def compute(self, box, *blocks, out=None):
        return blocks[0].data


@attrs.define(eq=False)
class Node:
    """A node of a tree."""

    spec: ArraySpec
    inputs: tuple["Node", ...] = ()
    reader: Source | None = None
    operation: Add | None = None
    name: str = "node"

    @property
    def input_keys(self):
        return [("sources", i) for i in range(len(self.inputs))]

    def describe(self):
        return self.name


def source(n=20, seed=0):
    data = np.random.default_rng(seed).integers(0, 100, n)
    return Node(from_shape((n,), data.dtype), reader=Source(data), name=f"source {seed}")


def add(*inputs, halos=None, kind=Add, name="add"):
    halos = [0] * len(inputs) if halos is None else halos
    length = min(
        (
            node.spec.shape[0] - halo
            for node, halo in zip(inputs, halos, strict=True)
            if halo is not None
        ),
        default=20,
    )
    return Node(from_shape((length,), np.int64), inputs, operation=kind(*halos), name=name)


def whole(node, done=None):
    """Compute a node eagerly."""
    done = {} if done is None else done
    if id(node) not in done:
        if node.reader is not None:
            result = node.reader.data
        else:
            n = node.spec.shape[0]
            parts = [
                whole(below, done)[halo : halo + n]
                for below, halo in zip(node.inputs, node.operation.halos, strict=True)
                if halo is not None
            ]
            result = parts[0] if type(node.operation) is View else sum(parts, np.ones(n, np.int64))
        done[id(node)] = result
    return done[id(node)]


def run(node, start=0, stop=None, out=None):
    stop = node.spec.shape[0] if stop is None else stop
    return Readout(node).read(Box((start,), (stop - start,)), out)


@st.composite
def trees(draw):
    """Make a random DAG: every node but the first takes some of those before it."""
    nodes = [source(40, seed=i) for i in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 6))):
        inputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3))
        halos = [draw(st.one_of(st.none(), st.integers(0, 3))) for _ in inputs]
        nodes.append(add(*inputs, halos=halos))
    return nodes[-1]


def all_nodes(node, seen=None):
    seen = {} if seen is None else seen
    if id(node) not in seen:
        seen[id(node)] = node
        for below in node.inputs:
            all_nodes(below, seen)
    return list(seen.values())


# Order


@settings(max_examples=50)
@given(trees())
def test_consumers_stand_before_what_they_consume(root):
    order = consumers_first(root)
    assert order[0] is root
    assert len(order) == len({id(node) for node in order})
    assert {id(node) for node in order} == {id(node) for node in all_nodes(root)}
    place = {id(node): i for i, node in enumerate(order)}
    assert all(place[id(node)] < place[id(below)] for node in order for below in node.inputs)


def test_a_deep_chain_is_no_recursion():
    node = source(1)
    data = node.reader.data
    for _ in range(3000):
        node = add(node)
    assert len(consumers_first(node)) == 3001
    np.testing.assert_array_equal(run(node), data + 3000)


def test_as_many_paths_as_there_are_do_not_matter():
    node = bottom = source(3)
    for _ in range(40):
        node = add(node, node, kind=View)
    np.testing.assert_array_equal(run(node), bottom.reader.data)
    assert bottom.reader.boxes == [Box((0,), (3,))]


# Boxes that are read together

some_boxes = st.lists(
    st.builds(
        Box,
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
    ),
    max_size=8,
)


@settings(max_examples=50)
@given(some_boxes)
def test_merged_boxes_cover_all_and_cost_no_more(boxes):
    merged = merge_boxes(boxes)
    assert all(any(big.contains(box) for big in merged) for box in boxes)
    assert sum(box.size for box in merged) <= sum(box.size for box in boxes)
    assert len(merged) <= len(boxes)
    for i, a in enumerate(merged):
        for b in merged[i + 1 :]:
            assert a.union(b).size > a.size + b.size  # nothing is left to join


def test_equal_and_touching_boxes_become_one():
    box = Box((0, 0), (2, 2))
    assert merge_boxes([box] * 5) == [box]
    assert merge_boxes([box, Box((2, 0), (2, 2))]) == [Box((0, 0), (4, 2))]
    assert merge_boxes([box, Box((2, 2), (2, 2))]) == [box, Box((2, 2), (2, 2))]
    assert merge_boxes([]) == []


def test_what_was_joined_joins_what_was_passed():
    boxes = [Box((0, 1), (4, 1)), Box((0, 4), (4, 3)), Box((1, 2), (3, 4))]
    merged = merge_boxes(boxes)
    pairs = [(a, b) for i, a in enumerate(merged) for b in merged[i + 1 :]]
    assert all(a.union(b).size > a.size + b.size for a, b in pairs)


@settings(max_examples=50)
@given(trees(), st.data())
def test_a_plan_holds_every_box_that_is_needed(root, data):
    n = root.spec.shape[0]
    start = data.draw(st.integers(0, n - 1))
    box = Box((start,), (data.draw(st.integers(1, n - start)),))
    steps = Readout(root).plan(box).steps
    assert (steps[0].stage.node, steps[0].box) == (root, box)
    for i, step in enumerate(steps):
        for below, need, found in zip(step.stage.inputs, step.needs, step.found, strict=True):
            assert (need is None) == (found is None)
            if found is not None:
                at, part = found
                assert at > i
                assert steps[at].stage is below
                assert steps[at].box.contains(need)
                assert part == (None if steps[at].box == need else need.slices_in(steps[at].box))


# Reads


@settings(max_examples=60)
@given(trees(), st.data())
def test_any_box_of_any_tree_is_that_of_the_whole(root, data):
    n = root.spec.shape[0]
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    expected = whole(root)[start:stop]
    np.testing.assert_array_equal(run(root, start, stop), expected)
    out = np.full(stop - start, -1)
    assert run(root, start, stop, out) is out
    np.testing.assert_array_equal(out, expected)


@settings(max_examples=60)
@given(trees(), st.data())
def test_a_plan_serves_all_boxes_of_its_shape(root, data):
    n = root.spec.shape[0]
    size = data.draw(st.integers(1, n))
    readout = Readout(root)
    for start in data.draw(st.lists(st.integers(0, n - size), min_size=2, max_size=4)):
        found = readout.read(Box((start,), (size,)))
        np.testing.assert_array_equal(found, whole(root)[start : start + size])


@pytest.mark.parametrize("rigid", [True, False])
def test_operators_that_are_rigid_are_asked_once_for_each_shape(rigid):
    asked = []

    class Asked(Add):
        def needs(self, box, *inputs):
            asked.append(box)
            return super().needs(box, *inputs)

    Asked.rigid = rigid
    root = add(source(), kind=Asked)
    readout = Readout(root)
    for start, size in ((3, 5), (8, 5), (0, 5), (2, 6), (3, 6)):
        found = readout.read(Box((start,), (size,)))
        np.testing.assert_array_equal(found, whole(root)[start : start + size])
    assert len(asked) == (2 if rigid else 5)


def test_plans_are_not_kept_without_bound(monkeypatch):
    monkeypatch.setattr(plans, "_PLANS", 3)
    readout = Readout(add(source()))
    for size in range(1, 12):
        readout.read(Box((0,), (size,)))
        assert len(readout._graph._plans) <= 3


class Cut(Add):
    """Gives a part of its input, and is never asked for it."""

    def view_offset(self, *inputs):
        return self.halos

    def compute(self, box, *blocks, out=None):
        raise AssertionError


def test_operators_that_only_cut_take_no_part_in_reads():
    bottom = source(40)
    root = bottom
    for _ in range(5):
        root = add(root, halos=[2], kind=Cut)
    np.testing.assert_array_equal(run(root, 3, 8), bottom.reader.data[13:18])
    middle = add(root, halos=[1])
    top = add(add(middle, halos=[4], kind=Cut), add(middle, halos=[0], kind=Cut), halos=[0, 2])
    data = bottom.reader.data[11:] + 1
    bottom.reader.boxes.clear()
    np.testing.assert_array_equal(run(top, 3, 8), data[7:12] + data[5:10] + 1)
    assert bottom.reader.boxes == [Box((16,), (7,))]
    with pytest.raises(ReadError, match=r"greedy: .* needs voxels outside of its input"):
        run(attrs.evolve(add(root, name="greedy"), operation=Add(26)), 3, 8)


class Times(Add):
    """Multiplies, and folds with others of its kind."""

    calls = 0

    def __init__(self, factor=1):
        super().__init__(0)
        self.factor = factor

    def folded(self, below):
        return Times(self.factor * below.factor) if isinstance(below, Times) else None

    def compute(self, box, *blocks, out=None):
        Times.calls += 1
        assert blocks[0].spec.shape[0] >= blocks[0].box.end[0]
        return blocks[0].data * self.factor


def test_chains_that_one_operator_can_do_are_one():
    def times(node, factor):
        return attrs.evolve(add(node), operation=Times(factor))

    bottom = source(40)
    root = add(times(times(bottom, 2), 3), halos=[5], kind=Cut)
    root = times(add(times(root, 5), halos=[1], kind=Cut), 7)
    Times.calls = 0
    np.testing.assert_array_equal(run(root, 2, 9), bottom.reader.data[8:15] * 210)
    assert Times.calls == 1
    shared = add(times(bottom, 2), times(times(bottom, 2), 3))
    np.testing.assert_array_equal(run(shared, 2, 9), bottom.reader.data[2:9] * 8 + 1)


class Gather(Add):
    """Puts its inputs side by side, on a new first axis."""

    gathers = True

    def needs(self, box, *inputs):
        first, last = box.offset[0], box.end[0]
        return tuple(
            Box(box.offset[1:], box.shape[1:]) if first <= i < last else None
            for i in range(len(inputs))
        )

    def places(self, box, out, *inputs):
        places = [None] * len(inputs)
        for at, i in enumerate(range(box.offset[0], box.end[0])):
            places[i] = out[at]
        return tuple(places)

    def compute(self, box, *blocks, out=None):
        self.placed = [block.placed for block in blocks]
        assert out is not None or not any(self.placed)
        result = np.full(box.shape, -1.0) if out is None else out
        for at, i in enumerate(range(box.offset[0], box.end[0])):
            if self.placed[i]:
                assert np.shares_memory(blocks[i].data, result[at])
            else:
                result[at] = blocks[i].data
        return result


def gather(*inputs):
    spec = from_shape((len(inputs), inputs[0].spec.shape[0]), np.float64, axes=("c", "x"))
    return Node(spec, inputs, operation=Gather(*[0] * len(inputs)), name="gather")


class Wide(Add):
    """Adds, into any dtype that holds it."""

    widens = True
    given = None

    def compute(self, box, *blocks, out=None):
        Wide.given = None if out is None else out.dtype
        result = np.empty(box.shape, np.int32) if out is None else out
        result[...] = blocks[0].data + 1
        return result


class Ignores(Wide):
    """May write into what it is given, and does not."""

    def compute(self, box, *blocks, out=None):
        return super().compute(box, *blocks)


@pytest.mark.parametrize("kind", [Wide, Ignores])
@pytest.mark.parametrize("given", [False, True])
def test_inputs_are_made_in_the_block_of_what_gathers_them(kind, given):
    data = np.random.default_rng(3).integers(0, 100, 20).astype(np.int32)
    bottom = Node(from_shape((20,), np.int32), reader=Source(data))
    wide = Node(from_shape((20,), np.int32), (bottom,), operation=kind(0), name="wide")
    exact = Node(from_shape((20,), np.float64), reader=Source(data * 0.5))
    twice = Node(from_shape((20,), np.int32), (bottom,), operation=Wide(0), name="twice")
    root = gather(wide, exact, twice, twice)
    whole = np.stack([data + 1, data * 0.5, data + 1, data + 1])
    out = np.full((4, 7), -1.0) if given else None
    found = Readout(root).read(Box((0, 5), (4, 7)), out)
    assert found is out or not given
    np.testing.assert_array_equal(found, whole[:, 5:12])
    assert root.operation.placed == [True, True, False, False]  # one block cannot be in two places
    assert Wide.given in (None, np.float64)
    top = attrs.evolve(
        root, inputs=(root,), operation=Cut(), name="top"
    )  # the same, seen through a view
    top.operation.halos = (0, 0)
    found = Readout(top).read(Box((1, 2), (2, 3)))
    np.testing.assert_array_equal(found, whole[1:3, 2:5])
    assert root.operation.placed == [False, True, True, False]


def test_what_several_consume_is_not_placed_though_it_gathers():
    data = np.arange(20.0)
    inner = gather(*[Node(from_shape((20,), np.float64), reader=Source(data)) for _ in "ab"])
    spec = from_shape((4, 20), np.float64, axes=("c", "x"))

    class Both(Gather):
        def needs(self, box, *inputs):
            return tuple(Box((0, *box.offset[1:]), (2, *box.shape[1:])) for _ in inputs)

        def places(self, box, out, *inputs):
            return out[:2], out[2:]

        def compute(self, box, *blocks, out=None):
            result = np.full(box.shape, -1.0) if out is None else out
            for block, part in zip(blocks, (result[:2], result[2:]), strict=True):
                if not block.placed:
                    part[...] = block.data
            return result

    root = Node(spec, (inner, inner), operation=Both(0, 0))
    found = Readout(root).read(Box((0, 3), (4, 5)))
    np.testing.assert_array_equal(found, np.tile(data[3:8], (4, 1)))


def test_a_source_of_another_dtype_is_not_placed():
    data = np.arange(20, dtype=np.int32)
    root = gather(Node(from_shape((20,), np.int32), reader=Source(data)))
    np.testing.assert_array_equal(Readout(root).read(Box((0, 3), (1, 4))), [data[3:7]])
    assert root.operation.placed == [False]


@pytest.mark.parametrize(("number", "begun"), [(1, 1), (3, 3), (99, 6)])
def test_some_reads_begin_before_they_are_finished(number, begun):
    most, running = 0, set()

    def reads():
        nonlocal most
        for i in range(6):
            running.add(i)
            most = max(most, len(running))
            yield lambda i=i: running.remove(i) or i

    assert list(ahead(reads(), number)) == list(range(6))
    assert most == begun


class Meeting(Source):
    """Waits for another read before it goes on."""

    in_threads = True

    def __init__(self, data, parties):
        super().__init__(data)
        self.barrier = threading.Barrier(parties, timeout=20)

    def start(self, box, out=None):
        finish = super().start(box, out)

        def wait():
            self.barrier.wait()
            if box.offset[0] == 13:
                raise SourceError("the disk is gone")
            return finish()

        return wait


def test_reads_that_wait_do_so_at_the_same_time():
    cores = min(2, len(os.sched_getaffinity(0)))
    root = source()
    root.reader = Meeting(root.reader.data, cores)
    readout, names = Readout(root), []
    for start, found in enumerate(
        ahead((readout.start(Box((i,), (3,))) for i in range(8)), number=4)
    ):
        np.testing.assert_array_equal(found, root.reader.data[start : start + 3])
        names.append(threading.current_thread().name)
    assert set(names) == {threading.current_thread().name}
    with pytest.raises(SourceError) as caught:
        list(ahead((readout.start(Box((i,), (3,))) for i in range(10, 14)), number=4))
    assert caught.value.where == "source 0, Roi(offset=(13), shape=(3))"


def test_one_read_needs_no_thread():
    seen = []

    class Seen(Source):
        in_threads = True

        def start(self, box, out=None):
            finish = super().start(box, out)
            return lambda: seen.append(threading.current_thread()) or finish()

    root = source()
    root.reader = Seen(root.reader.data)
    run(root, 2, 5)
    list(ahead((Readout(root).start(Box((i,), (3,))) for i in range(3)), number=1))
    assert set(seen) == {threading.current_thread()}


def test_settings_hold_in_threads():
    root = source()

    class Asked(Source):
        in_threads = True

        def start(self, box, out=None):
            finish = super().start(box, out)
            return lambda: limits.append(current().cache_bytes) or finish()

    limits = []
    root.reader = Asked(root.reader.data)
    with using(cache_bytes=12345):
        list(ahead(Readout(root).start(Box((i,), (3,))) for i in range(6)))
    assert limits == [12345] * 6


@settings(max_examples=50)
@given(trees())
def test_no_voxel_is_read_twice(root):
    run(root)
    for node in all_nodes(root):
        if node.reader is not None:
            boxes = sorted(node.reader.boxes)
            assert all(a.end[0] < b.offset[0] for a, b in pairwise(boxes))
            assert sorted(node.reader.waited) == boxes


def test_a_shared_source_is_read_once():
    bottom = source()
    left, right = add(bottom, halos=[0]), add(bottom, halos=[2])
    run(add(left, right), 3, 8)
    assert bottom.reader.boxes == [Box((3,), (7,))]


def test_all_sources_are_started_before_any_is_awaited():
    events = []

    class Logged(Source):
        def start(self, box, out=None):
            events.append("start")
            wait = super().start(box, out)

            def logged():
                events.append("wait")
                return wait()

            return logged

    sources = [source(seed=i) for i in range(3)]
    for node in sources:
        node.reader = Logged(node.reader.data)
    run(add(*sources))
    assert events == ["start"] * 3 + ["wait"] * 3


def test_what_is_not_asked_for_is_not_read():
    unread, top = source(seed=1), source(seed=2)
    result = run(add(unread, top, halos=[None, 0]))
    assert unread.reader.boxes == []
    np.testing.assert_array_equal(result, top.reader.data + 1)


def test_an_empty_box_reads_nothing():
    bottom = source()
    result = run(add(bottom), 4, 4)
    assert (result.shape, result.dtype) == ((0,), np.int64)
    out = np.empty(0, np.int64)
    assert run(add(bottom), 4, 4, out) is out
    assert bottom.reader.boxes == []


def test_blocks_are_freed_as_soon_as_nobody_needs_them():
    alive = []

    class Watched(Add):
        def compute(self, box, *blocks, out=None):
            made = super().compute(box, *blocks)
            alive.append(weakref.ref(made))
            counts.append(sum(ref() is not None for ref in alive))
            return made

    counts = []
    node = source()
    for _ in range(6):
        node = add(node, kind=Watched)
    run(node)
    assert max(counts) <= 2  # what is computed, and what it is computed from


def test_a_block_that_several_share_cannot_be_changed():
    class Spoils(Add):
        def compute(self, box, *blocks, out=None):
            blocks[0].data[...] = 0
            return super().compute(box, *blocks, out=out)

    bottom = source()
    with pytest.raises(ValueError, match="read-only"):
        run(add(add(bottom, kind=Spoils), add(bottom, kind=Spoils)))


@pytest.mark.parametrize("consumers", [1, 2])
def test_results_belong_to_the_caller(consumers):
    bottom = source()
    root = add(*[add(bottom, kind=View)] * consumers, kind=View)
    result = run(root)
    result[...] = -1
    np.testing.assert_array_equal(run(root), bottom.reader.data)


def test_broadcast_views_become_arrays():
    class Constant(Add):
        def compute(self, box, *blocks, out=None):
            return np.broadcast_to(np.int64(7), box.shape)

    result = run(add(source(), halos=[None], kind=Constant))
    result += 1
    np.testing.assert_array_equal(result, np.full(20, 8))


def test_out_is_handed_to_the_root_alone():
    seen = []

    class Records(Add):
        def compute(self, box, *blocks, out=None):
            seen.append(out)
            return super().compute(box, *blocks, out=out)

    out = np.empty(20, np.int64)
    assert run(add(add(source(), kind=Records), kind=Records), out=out) is out
    assert seen[0] is None
    assert seen[1] is out


def test_out_may_be_strided():
    root = add(source())
    big = np.zeros(40, np.int64)
    run(root, out=big[::2])
    np.testing.assert_array_equal(big[::2], whole(root))
    assert not big[1::2].any()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda data: data[:-1],
        lambda data: data[:1],
        lambda data: data[None],
        lambda data: data.astype("f4"),
    ],
    ids=["short", "one_voxel", "rank", "dtype"],
)
@pytest.mark.parametrize("place", ["root", "below", "source"])
def test_other_voxels_than_declared_are_an_error(wrong, place):
    class Wrong(Add):
        def compute(self, box, *blocks, out=None):
            return wrong(super().compute(box, *blocks))

    class Short(Source):
        def start(self, box, out=None):
            wait = super().start(box)
            return lambda: wrong(wait())

    bottom = source()
    if place == "source":
        bottom.reader = Short(bottom.reader.data)
    middle = add(bottom, kind=Wrong if place == "below" else Add, name="below")
    root = add(middle, kind=Wrong if place == "root" else Add, name="root")
    for out in (None, np.empty(20, np.int64)):
        with pytest.raises(ReadError, match="other voxels than were declared") as caught:
            run(root, out=out)
        assert caught.value.where == {"source": "source 0"}.get(place, place)
        assert "(20,)" in caught.value.expected


@pytest.mark.parametrize("halo", [-3, 19])
def test_voxels_outside_of_an_input_are_an_error_and_no_wrap_around(halo):
    bottom = source()
    root = attrs.evolve(add(bottom, name="greedy"), operation=Add(halo))
    with pytest.raises(ReadError, match=r"greedy: .* needs voxels outside of its input"):
        run(root, 0, 2)
    assert bottom.reader.boxes == []


class Shear(Add):
    """Gives voxel ``y + x`` for every ``(y, x)``: a row needs nearly all of its input, a small part of it a small part."""

    def needs(self, box, *inputs):
        (y, x), (h, w) = box
        return (Box((y + x,), (h + w - 1,)),)

    def compute(self, box, *blocks, out=None):
        (block,) = blocks
        index = np.add.outer(np.arange(box.shape[0]), np.arange(box.shape[1]))
        return block.data[index]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_a_read_that_needs_far_more_than_it_gives_is_done_in_parts(monkeypatch, late, given):
    class Late(Shear):
        def needs(self, box, *inputs):
            return (None,)

        def needs_more(self, box, *blocks):
            return Shear.needs(self, box) if blocks[0].data is None else None

    bottom = source(3000)
    root = Node(
        from_shape((1000, 2000), np.int64),
        (bottom,),
        operation=Late() if late else Shear(),
    )
    box = Box((7, 5), (1, 1900))
    expected = bottom.reader.data[12 : 12 + 1900][np.newaxis]
    whole = Readout(root).read(box)
    assert len(bottom.reader.boxes) == 1
    bottom.reader.boxes.clear()
    monkeypatch.setattr(engine, "_WORTH", 0.5)
    monkeypatch.setattr(engine, "_SMALLEST_PART", 20 * 8)
    out = np.empty((1, 3800), np.int64)[:, ::2] if given else None
    with using(bytes_at_once=100 * 8):
        cut = Readout(root).read(box, out)
    assert (out is None) or cut is out
    for found in (whole, cut):
        np.testing.assert_array_equal(found, expected)
    assert len(bottom.reader.boxes) > 15
    assert max(part.size for part in bottom.reader.boxes) <= 950


def test_a_read_that_needs_as_much_in_parts_is_done_at_once():
    class Everything(Add):
        def needs(self, box, *inputs):
            return (inputs[0].box,)

        def compute(self, box, *blocks, out=None):
            return blocks[0].data[box.slices] * 1

    bottom = source(3000)
    root = Node(from_shape((3000,), np.int64), (bottom,), operation=Everything())
    with using(bytes_at_once=100):
        found = Readout(root).read(Box((5,), (20,)))
    np.testing.assert_array_equal(found, bottom.reader.data[5:25])
    assert bottom.reader.boxes == [Box((0,), (3000,))]


def test_very_many_boxes_are_joined_in_no_time():
    boxes = [Box((3 * i, 0), (2, 4)) for i in range(20_000)]
    assert merge_boxes(boxes[::2] + boxes[1::2]) == boxes  # each with each would take an hour
    touching = [Box((2 * i, 0), (2, 4)) for i in range(20_000)]
    assert merge_boxes(touching[::-1]) == [Box((0, 0), (40_000, 4))]


def test_what_a_read_gives_runs_forwards_in_memory():
    class Mirror(Add):
        def needs(self, box, *inputs):
            (spec,) = inputs
            return (Box((spec.shape[0] - box.end[0],), box.shape),)

        def compute(self, box, *blocks, out=None):
            return blocks[0].data[::-1]

    bottom = source(seed=5)
    root = attrs.evolve(add(bottom), operation=Mirror())
    data = run(root, 2, 9)
    np.testing.assert_array_equal(data, bottom.reader.data[::-1][2:9])
    assert data.strides[0] > 0


class Pointer(Add):
    """Gives the voxels of its second input that the first names, one read for each."""

    def __init__(self, shift=0):
        super().__init__(0, None)
        self.shift = shift

    def needs_more(self, box, *blocks):
        places, found = blocks
        wanted = Box((int(places.data.min()) + self.shift,), (int(np.ptp(places.data)) + 1,))
        return None if found.box == wanted else (None, wanted)

    def compute(self, box, *blocks, out=None):
        places, found = blocks
        return found.data[places.data + self.shift - found.box.offset[0]]


@pytest.mark.parametrize("shared", [False, True])
def test_an_operator_that_looks_up_where_to_read(shared):
    places = Node(from_shape((20,), np.int64), reader=Source(np.arange(20)[::-1] // 2))
    voxels = places if shared else source(seed=3)
    root = attrs.evolve(add(places, voxels), operation=Pointer())
    np.testing.assert_array_equal(run(root, 4, 9), voxels.reader.data[places.reader.data[4:9]])
    assert places.reader.boxes[0] == Box((4,), (5,))
    assert voxels.reader.boxes[-1] == Box((5,), (3,))
    assert len(places.reader.boxes) == (2 if shared else 1)


def test_voxels_that_are_looked_up_lie_inside_their_input():
    places = Node(from_shape((20,), np.int64), reader=Source(np.arange(20)[::-1] // 2))
    voxels = source(seed=3)
    root = attrs.evolve(add(places, voxels, name="greedy"), operation=Pointer(15))
    with pytest.raises(ReadError, match=r"greedy: .* needs voxels outside of its input"):
        run(root, 4, 9)
    assert voxels.reader.boxes == []


@pytest.mark.parametrize("moment", ["start", "wait", "compute"])
def test_errors_say_which_node_and_region(moment):
    def fail():
        raise SourceError("the disk is gone", got="EIO")

    class Failing(Source):
        def start(self, box, out=None):
            return fail() if moment == "start" else fail

    class Fails(Add):
        def compute(self, box, *blocks, out=None):
            fail()

    bottom = source(seed=7)
    if moment != "compute":
        bottom.reader = Failing(bottom.reader.data)
    root = add(bottom, kind=Fails if moment == "compute" else Add, name="sum")
    with pytest.raises(SourceError) as caught:
        run(root, 3, 9)
    name = "sum" if moment == "compute" else "source 7"
    assert caught.value.where == f"{name}, Roi(offset=(3), shape=(6))"


def test_errors_that_say_where_keep_it_and_others_pass_unchanged():
    class Fails(Add):
        error = SpecError("odd", where="chunk 3")

        def compute(self, box, *blocks, out=None):
            raise self.error

    with pytest.raises(SpecError) as caught:
        run(add(source(), kind=Fails))
    assert caught.value.where == "chunk 3"
    Fails.error = ZeroDivisionError("by zero")
    with pytest.raises(ZeroDivisionError, match="by zero"):
        run(add(source(), kind=Fails))
