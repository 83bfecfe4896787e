import pickle
import tracemalloc

import numpy as np
import pytest

from dacapo_like import BinarizeArrayConfig, from_numpy
from dacapo_like.core import Block
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.kernels import _loading
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


def masks(voxels, groups, background=0):
    """Voxel by voxel, with Python's integers and sets."""
    result = np.zeros((len(groups), *voxels.shape), "uint8")
    for channel, ids in enumerate(groups):
        for at in np.ndindex(voxels.shape):
            label = int(voxels[at])
            inside = label in set(ids) if ids else True
            result[(channel, *at)] = inside and label != background
    return result


def case(voxels, directory, groupings, background=0, **grid):
    source = as_zarr(voxels, directory / "a", **grid)
    return Case(
        source.binarize(groupings, background=background),
        masks(voxels, list(groupings.values()), background),
    )


class TestLaws(ArrayContract):
    def case_bytes(self, directory):
        voxels = np.arange(63, dtype="uint8").reshape(7, 9) % 10
        groupings = {"mito": [3, 4, 5], "membrane": [4, 8, 1], "any": [], "none": [77]}
        return case(voxels, directory, groupings, voxel_size=(9.8, 25))

    def case_background_that_is_listed(self, directory):
        voxels = np.arange(60, dtype="int16").reshape(3, 4, 5) % 7 - 3
        return case(voxels, directory, {"a": [-2, 0, 1], "b": []}, background=-2, offset=(-1, 0, 2))

    def case_labels_that_no_float_holds(self, directory):
        near = np.array([2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 0], "uint64")
        voxels = near[np.arange(42).reshape(6, 7) % len(near)]
        groupings = {"a": [2**53 + 1], "b": [2**64 - 1, 2**63], "rest": []}
        return case(voxels, directory, groupings, voxel_size=(0.7, 0.7))

    def case_large_background(self, directory):
        voxels = np.array([[2**64 - 1, 2**64 - 2, 0, 1]], "uint64")
        groupings = {"a": [0, 2**64 - 1], "rest": []}
        return case(voxels, directory, groupings, background=2**64 - 1)

    def case_negative_labels(self, directory):
        voxels = np.array([[-(2**63), -(2**63) + 1, -1, 0, 2**63 - 1]], "int64")
        return case(voxels, directory, {"a": [-(2**63)], "b": [-1, 2**63 - 1], "rest": []})

    def case_ids_that_the_dtype_cannot_hold(self, directory):
        voxels = sample_voxels((4, 5), "uint8")
        groupings = {"a": [-1, 256, 2**70, 255], "b": [257], "rest": []}
        return case(voxels, directory, groupings, background=-1)

    def case_bool(self, directory):
        return case(sample_voxels((4, 5), "bool"), directory, {"a": [1], "b": [0, 2], "rest": []})

    def case_time(self, directory):
        voxels = np.arange(48, dtype="uint32").reshape(2, 4, 6) % 5
        return case(voxels, directory, {"a": [1, 2], "b": []}, axes="tyx")


def labels(dtype="uint32"):
    return from_numpy(np.arange(12, dtype=dtype).reshape(3, 4), voxel_size=(9.8, 4), units="nm")


def test_channels_come_first_and_are_named_in_order():
    source = from_numpy(
        np.zeros((2, 3, 4), "uint16"), axes="tyx", voxel_size=(9.8, 4), offset=(1, 2)
    )
    result = source.binarize({"b": [1], "a": []})
    assert result.spec == source.spec.replace(
        axes="ctyx", shape=(2, 2, 3, 4), dtype="uint8", channels=("b", "a"), kind="mask"
    )


def test_groups_are_a_mapping_or_pairs():
    mapping = labels().binarize({"a": [1, 2], "b": []}).config
    pairs = attrs_evolved(mapping, [("a", (1, 2)), ("b", ())])
    assert pairs == mapping
    assert hash(pairs) == hash(mapping)
    assert attrs_evolved(mapping, {"b": [], "a": [1, 2]}) != mapping  # the order is the channels'


def attrs_evolved(config, groupings):
    return BinarizeArrayConfig(source_array_config=config.source_array_config, groupings=groupings)


def test_numpy_integers_are_ids():
    ids = np.array([3, 4], "uint64")
    assert labels().binarize({"a": ids}).read().sum() == 2


def test_the_background_is_in_no_group():
    result = labels().binarize({"listed": [0, 5], "any": []}, background=5)
    assert result.read()[:, 1, 1].tolist() == [0, 0]
    assert result.read()[:, 0, 0].tolist() == [1, 1]


def test_one_read_serves_all_channels(watched):
    source = watched(labels())
    BinarizeArrayConfig(source_array_config=source, groupings={"a": [1], "b": [2]}).array()[:, 1:2]
    assert source.boxes == [Box((1, 0), (1, 4))]


def test_a_source_with_channels_is_refused():
    source = from_numpy(np.zeros((2, 3, 4), "uint8"), axes="cyx")
    with pytest.raises(SpecError, match=r"has some already.*got axes c y x") as error:
        source.binarize({"a": [1]})
    assert error.value.key == ("source",)
    assert error.value.hint


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_refused(dtype):
    with pytest.raises(SpecError, match=f"takes labels.*got {dtype}.*expected an integer") as error:
        labels(dtype).binarize({"a": [1]})
    assert error.value.key == ("source",)


@pytest.mark.parametrize("groupings", [{}, [], [("a", [1]), ("a", [2])]])
def test_groups_that_name_no_channels_are_refused(groupings):
    with pytest.raises(ConfigError, match="at least one group, every name once"):
        labels().binarize(groupings)


@pytest.mark.parametrize("wrong", [3.7, 3.0, "3", None])
def test_ids_are_integers(wrong):
    with pytest.raises(ConfigError, match="not a label"):
        labels().binarize({"a": [1, wrong]})
    with pytest.raises(ConfigError, match="not a label"):
        labels().binarize({"a": [1]}, background=wrong)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_some_channels_are_put_into_a_wider_array(dtype):
    source = labels("uint64")
    config = source.binarize({"a": [1, 2], "b": [], "c": [7, 11]}).config
    part = Box((1, 2), (2, 2))
    holder = np.full((3, 4, 5), 9, dtype)
    out = holder[:2, 1:3, 1:5:2]
    block = Block(source.read_box(part), part, source.spec)
    assert config.compute(Box((1, *part.offset), (2, *part.shape)), block, out=out) is out
    np.testing.assert_array_equal(out, masks(block.data, [[], [7, 11]]))
    assert (holder[2] == 9).all()
    assert config.widens


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_labels_of_a_part_of_a_block_are_looked_up_where_they_are(dtype, monkeypatch):
    monkeypatch.setattr(_loading, "WORTH_LOADING", 0)
    source = from_numpy(np.arange(2**18, dtype="uint64").reshape(64, 64, 64) // 9)
    config = source.binarize({"a": [1, 2**63], "b": []}).config
    inner = Box((0, 1, 2), (64, 62, 60))
    voxels = source.read()[inner.slices]
    block, box = Block(voxels, inner, source.spec), Box((0, *inner.offset), (2, *inner.shape))
    out = np.empty(box.shape, dtype)
    config.compute(box, block, out=out)
    tracemalloc.start()
    try:
        config.compute(box, block, out=out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**15  # a mask has eight times as much
    np.testing.assert_array_equal(out, [voxels == 1, voxels != 0])


def test_one_config_reads_labels_of_several_dtypes():
    config = labels().binarize({"a": [3, 300]}).config
    for dtype in ("uint8", "int64", "uint16"):
        voxels = (np.arange(12) * 100).astype(dtype).reshape(3, 4)
        source = from_numpy(voxels)
        block = Block(voxels, source.spec.box, source.spec)
        found = config.compute(Box((0, 0, 0), (1, 3, 4)), block)
        np.testing.assert_array_equal(found[0], np.isin(voxels, [3, 300]))


def test_a_config_that_was_read_from_is_pickled_and_compared_like_any_other():
    source = labels()
    array, other = (source.binarize({"a": [3]}) for _ in range(2))
    array.read()
    assert array.config == other.config
    assert hash(array.config) == hash(other.config)
    assert pickle.dumps(array.config) == pickle.dumps(other.config)
    assert repr(array.config) == repr(other.config)
