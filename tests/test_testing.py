"""The laws are there to be broken: each of them must notice who breaks it."""

from __future__ import annotations

import threading

import attrs
import numpy as np
import pytest

from dacapo_like import from_numpy
from dacapo_like.core import Reader, SourceConfig, UnaryConfig
from dacapo_like.errors import DacapoLikeError
from dacapo_like.spec import from_shape
from dacapo_like.testing import (
    ArrayContract,
    Case,
    as_zarr,
    difference,
    random_boxes,
    sample_voxels,
)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Identity(UnaryConfig):
    """An operator that keeps all laws; the others break one of them."""

    def derive(self, *inputs):
        return inputs[0]

    def needs(self, box, *inputs):
        return (box,)

    def compute(self, box, *blocks, out=None):
        return blocks[0].data


class WrongDtype(Identity):
    def compute(self, box, *blocks, out=None):
        return blocks[0].data.astype("float64")


class DependsOnTheBlock(Identity):
    def compute(self, box, *blocks, out=None):
        return blocks[0].data - blocks[0].data.min()


class Impure(Identity):
    calls = iter(range(10_000))

    def compute(self, box, *blocks, out=None):
        return np.full(box.shape, next(self.calls), blocks[0].spec.dtype)


class WritesIntoItsBlock(Identity):
    def compute(self, box, *blocks, out=None):
        blocks[0].data[...] += 1
        return blocks[0].data


class WritesThroughTheFlag(Identity):
    def compute(self, box, *blocks, out=None):
        data = blocks[0].data
        data.setflags(write=True)
        data += 1
        return data - 1


class ForgetsOut(Identity):
    def compute(self, box, *blocks, out=None):
        return blocks[0].data if out is None else out


class NeedsTooMuch(Identity):
    def needs(self, box, *inputs):
        return (box.shifted((1,) * len(box.shape)),)


class ForgetsItsSpec(Identity):
    specs = iter(range(10_000))

    def derive(self, *inputs):
        return inputs[0].replace(offset=(next(self.specs),) * inputs[0].dims)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class BrokenSource(SourceConfig):
    reader_class: type
    extra: object = None

    def open(self):
        return self.reader_class()


class GivesItself(Reader):
    def __init__(self):
        self.spec = from_shape((6, 7), "uint16")
        self.data = sample_voxels((6, 7), "uint16")

    def read(self, box, out=None):
        return self.data[box.slices]


class GivesOneBuffer(GivesItself):
    def read(self, box, out=None):
        return self.data[box.slices].copy()

    def start(self, box, out=None):
        self.last = box
        return lambda: self.read(self.last)


def case(config_class=Identity, **fields):
    source = from_numpy(sample_voxels((6, 7), "uint16"), voxel_size=(9.8, 4))
    return Case(source.apply(config_class), id="tried", **fields)


def source_case(reader_class, extra=None):
    return Case(BrokenSource(reader_class=reader_class, extra=extra).array(), id="tried")


@pytest.mark.parametrize(
    ("test", "broken", "message"),
    [
        ("test_reads_are_as_declared", case(WrongDtype), "other voxels than were declared"),
        ("test_reads_are_as_declared", case(ForgetsItsSpec), "opened again it is"),
        ("test_a_box_is_that_part_of_the_whole", case(DependsOnTheBlock), "block invariance"),
        (
            "test_a_crop_keeps_every_world_point",
            case(DependsOnTheBlock),
            "world invariance of crop",
        ),
        ("test_padding_moves_nothing", case(Impure), "world invariance of padding"),
        ("test_reads_belong_to_the_caller", case(Impure), "reading twice"),
        ("test_reads_belong_to_the_caller", source_case(GivesItself), "share memory"),
        ("test_compute_changes_no_block", case(WritesThroughTheFlag), "`compute` changes no block"),
        ("test_compute_changes_no_block", case(ForgetsOut), "`compute` changes no block"),
        ("test_compute_changes_no_block", case(NeedsTooMuch), "needs voxels that are there"),
        ("test_compute_changes_no_block", case(WrongDtype), "dtype float64, not uint16"),
        ("test_reads_may_overlap_in_time", source_case(GivesOneBuffer), "several reads"),
        ("test_any_order_and_threads_read_the_same", case(DependsOnTheBlock), "number of threads"),
        ("test_a_pickled_copy_reads_the_same", case(ForgetsItsSpec), "arrays pickle"),
        ("test_out_is_filled", case(Impure), "`out` is filled"),
        ("test_dask_computes_the_same", case(DependsOnTheBlock), "dask computes the same"),
        (
            "test_voxels_are_as_expected",
            case(expected=np.zeros((6, 7), "uint16")),
            r"the oracle agrees; case 'tried' \(seed \d+\): 41 of 42 voxels, the first at \(0, 1\)",
        ),
    ],
)
def test_a_broken_law_is_noticed(test, broken, message):
    with pytest.raises((pytest.fail.Exception, DacapoLikeError), match=message):
        getattr(ArrayContract(), test)(broken)


def test_writing_into_a_block_fails():
    with pytest.raises(ValueError, match="read-only"):
        ArrayContract().test_compute_changes_no_block(case(WritesIntoItsBlock))


def test_a_config_that_does_not_pickle_is_noticed():
    with pytest.raises(TypeError, match="cannot pickle"):
        ArrayContract().test_a_pickled_copy_reads_the_same(
            source_case(GivesItself, extra=threading.Lock())
        )


def test_a_tree_that_no_document_can_name_must_be_declared():
    with pytest.raises(pytest.fail.Exception, match=r"round trip through yaml.*as_zarr.*in_memory"):
        ArrayContract().test_documents_give_the_config_back(case(), "yaml")


def test_a_declaration_of_what_no_document_can_name_must_be_true(tmp_path):
    array = as_zarr(np.eye(4), tmp_path / "a")
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        ArrayContract().test_documents_give_the_config_back(Case(array, in_memory=True), "yaml")


def test_messages_name_the_box():
    with pytest.raises(pytest.fail.Exception, match=r"case 'tried' at Box\(offset=\(5, 6\)"):
        ArrayContract().test_a_box_is_that_part_of_the_whole(case(DependsOnTheBlock))


class DiffersALittle(Identity):
    """By a quarter of its range, on blocks that do not begin at the first voxel."""

    def compute(self, box, *blocks, out=None):
        return blocks[0].data + (0.25 if any(box.offset) else 0.0)


@pytest.mark.parametrize(("share", "holds"), [(0.0, False), (0.24, False), (0.26, True)])
def test_reads_may_differ_by_a_share_of_the_range(share, holds):
    class Tolerant(ArrayContract):
        tolerance_of_range = share

    broken = Case(from_numpy(np.linspace(2, 3, 42).reshape(6, 7)).apply(DiffersALittle))
    if holds:
        Tolerant().test_a_box_is_that_part_of_the_whole(broken)
    else:
        with pytest.raises(pytest.fail.Exception, match="block invariance"):
            Tolerant().test_a_box_is_that_part_of_the_whole(broken)


def test_the_oracle_may_be_off_by_a_share_of_its_range():
    voxels = np.linspace(2, 3, 42).reshape(6, 7)
    near = Case(from_numpy(voxels), voxels + 0.01, oracle_tolerance=0.011)
    ArrayContract().test_voxels_are_as_expected(near)
    with pytest.raises(pytest.fail.Exception, match="the oracle agrees"):
        ArrayContract().test_voxels_are_as_expected(attrs.evolve(near, oracle_tolerance=0.009))


class TestIdentityKeepsTheLaws(ArrayContract):
    in_other_processes = False  # a test module is not imported there

    def cases(self):
        return {
            dtype: lambda directory, dtype=dtype: self.identity(dtype)
            for dtype in ("bool", "uint8", "float32")
        }

    def identity(self, dtype):
        voxels = sample_voxels((2, 5, 6), dtype)
        array = from_numpy(voxels, axes="cyx", voxel_size=(9.8, 0.7), offset=(-1, 3))
        return Case(array.apply(Identity), voxels, in_memory=True)


# What cases are made of


def test_as_zarr_keeps_the_spec(tmp_path):
    source = from_numpy(
        sample_voxels((2, 3, 4, 5), "uint32"),
        axes="tczx",
        voxel_size=("10/3", 9.8),
        offset=(-0.7, 1),
        units=("nm", None),
        kind="image",
    )
    array = as_zarr(source, tmp_path / "a", chunks=(1, 3, 2, 5), name="raw")
    assert array.config.tag == "zarr"
    assert array.config.name == "raw"
    assert array.spec.replace(chunk_shape=None, anchor=source.spec.anchor) == source.spec
    assert array.chunks == (1, 3, 2, 5)
    np.testing.assert_array_equal(array, source)


def test_as_zarr_refuses_what_a_plain_zarr_cannot_hold(tmp_path):
    source = from_numpy(np.zeros((2, 3, 4)), axes="cyx", channels=("a", "b"))
    with pytest.raises(ValueError, match="cannot hold all of the spec"):
        as_zarr(source, tmp_path / "a")


def test_random_boxes_lie_inside_and_stay_the_same():
    spec = from_shape((3, 1, 7))
    boxes = random_boxes(spec, np.random.default_rng(0), 40)
    assert boxes == random_boxes(spec, np.random.default_rng(0), 40)
    assert all(spec.box.contains(box) and box.size > 0 for box in boxes)
    assert len(set(boxes)) > 20


@pytest.mark.parametrize(
    ("got", "expected", "how", "message"),
    [
        ([1, 2], [1, 2, 3], {}, "got int64 (2,), expected int64 (3,)"),
        ([1, 2], [1.0, 2.0], {}, "got int64 (2,), expected float64 (2,)"),
        ([np.nan, 1.0], [np.nan, 1.0], {}, None),
        ([np.nan, 1.0], [0.0, 1.0], {}, "1 of 2 voxels, the first at (0,): got nan, expected 0.0"),
        (
            [np.nan, 1.0],
            [0.0, 1.0],
            {"tolerance": 1},
            "1 of 2 voxels, the first at (0,): got nan, expected 0.0",
        ),
        ([-0.0], [0.0], {}, None),
        (
            [-0.0],
            [0.0],
            {"signed_zeros": True},
            "1 of 1 voxels, the first at (0,): got -0.0, expected 0.0",
        ),
        ([0.0, 10.5], [0.0, 10.0], {"tolerance": 0.6}, None),
        (
            [0.0, 10.5],
            [0.0, 10.0],
            {"tolerance": 0.4},
            "1 of 2 voxels, the first at (1,): got 10.5, expected 10.0",
        ),
        (
            [0, 2**62 + 1],
            [0, 2**62],
            {},
            f"1 of 2 voxels, the first at (1,): got {2**62 + 1}, expected {2**62}",
        ),
        ([np.inf], [np.inf], {"tolerance": 0.1}, None),
    ],
)
def test_differences_are_told(got, expected, how, message):
    assert difference(np.array(got), np.array(expected), **how) == message
