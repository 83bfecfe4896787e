import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like import MergeInstancesArrayConfig, from_numpy
from dacapo_like.errors import ConfigError, ReadError, SpecError
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, random_boxes, sample_voxels

STRIDE = 2**32


def merge(*arrays, **fields):
    configs = [array.config for array in arrays]
    return MergeInstancesArrayConfig(source_array_configs=configs, **fields).array()


def merged(sources, stride=STRIDE, overlap="first"):
    """Voxel by voxel, with Python's integers; ``None`` where instances overlap and may not."""
    result = np.zeros(sources[0].shape, "uint64")
    for at in np.ndindex(result.shape):
        ids = [i * stride + int(data[at]) for i, data in enumerate(sources) if data[at]]
        if len(ids) > 1 and overlap == "error":
            return None
        result[at] = ids[-1 if overlap == "last" else 0] if ids else 0
    return result


def sparse(shape, dtype, highest, seed=0):
    """Labels of which about half are background."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(highest - 4, highest, shape, dtype="uint64", endpoint=True).astype(dtype)
    return np.where(rng.random(shape) < 0.5, ids, np.zeros((), dtype))


class TestLaws(ArrayContract):
    def case_an_empty_one_in_the_middle(self, directory):
        a, c = sparse((4, 5, 6), "uint64", STRIDE), sparse((4, 5, 6), "uint64", STRIDE, 1)
        b = np.zeros((4, 5, 6), "uint64")
        sources = [as_zarr(v, directory / n) for n, v in {"a": a, "b": b, "c": c}.items()]
        return Case(merge(*sources), merged([a, b, c]))

    def case_the_last_stays(self, directory):
        a, b = sparse((4, 5), "int32", 9), sparse((4, 5), "uint8", 255, 1)
        array = merge(as_zarr(a, directory / "a"), as_zarr(b, directory / "b"), overlap="last")
        return Case(array, merged([a, b], overlap="last"))

    def case_none_overlap(self, directory):
        a = sparse((6, 7), "uint16", 2**16 - 1)
        b = np.where(a == 0, sparse((6, 7), "int64", STRIDE, 1), 0)
        array = merge(
            as_zarr(a, directory / "a", voxel_size=(9.8, 25), offset=(0, -25)),
            as_zarr(b, directory / "b", voxel_size=(9.8, 25), offset=(0, -25)),
            overlap="error",
        )
        return Case(array, merged([a, b], overlap="error"))

    def case_units_offsets_and_time(self, directory):
        a, b = sparse((2, 4, 5), "uint8", 7), sparse((2, 4, 5), "uint32", 2**32 - 1, 1)
        array = merge(
            as_zarr(
                a, directory / "a", axes="tyx", voxel_size=(700, 25), offset=(700, 0), units="nm"
            ),
            as_zarr(b, directory / "b", axes="tyx", voxel_size=(0.7, 0.025), units="um"),
        )
        return Case(array, merged([a[:, :3], b[:, 1:]]))

    def case_channels_and_the_same_source_twice(self, directory):
        a = sparse((2, 4, 5), "bool", 4) > 0
        source = as_zarr(a, directory / "a", axes="cyx", kind="labels")
        array = merge(source, source, id_stride=1, overlap="last")
        return Case(array, merged([a, a], 1, "last"))

    def case_one_source_up_to_the_limit(self, directory):
        voxels = sample_voxels((4, 5), "uint64")
        return Case(merge(as_zarr(voxels, directory / "a"), id_stride=2**64 - 1), voxels)

    def case_two_sources_up_to_the_limit(self, directory):
        a, b = sparse((4, 5), "uint64", 2**63 - 1), sparse((4, 5), "uint64", 2**63 - 1, 1)
        array = merge(as_zarr(a, directory / "a"), as_zarr(b, directory / "b"), id_stride=2**63 - 1)
        return Case(array, merged([a, b], 2**63 - 1))


OVERLAPS = st.sampled_from(["first", "last", "error"])
LABELS = st.sampled_from(["bool", "uint8", "int16", "int64", "uint64"])


@given(data=st.data(), overlap=OVERLAPS, dtypes=st.lists(LABELS, min_size=1, max_size=4))
def test_it_is_what_python_s_integers_say(data, overlap, dtypes):
    def ids(dtype):
        return None if dtype == "bool" else st.sampled_from([0, 0, 1, 2, 127])

    sources = [data.draw(hnp.arrays(dtype, (2, 3), elements=ids(dtype))) for dtype in dtypes]
    stride = data.draw(st.sampled_from([127, 1000, STRIDE]))
    expected = merged(sources, stride, overlap)
    array = merge(*map(from_numpy, sources), id_stride=stride, overlap=overlap)
    if expected is None:
        with pytest.raises(ReadError, match="instances overlap"):
            array.read()
    else:
        np.testing.assert_array_equal(array.read(), expected)


@given(data=st.data())
def test_ids_of_two_sources_never_meet(data):
    near = st.sampled_from([0, 1, 2, STRIDE - 1, STRIDE])
    sources = [data.draw(hnp.arrays("uint64", (2, 2), elements=near)) for _ in range(3)]
    whole = merge(*map(from_numpy, sources)).read()
    assume(whole.any())
    for value in np.unique(whole[whole > 0]).tolist():
        i, label = divmod(value - 1, STRIDE)
        assert (sources[i][whole == value] == label + 1).all()


def test_an_object_has_one_id_in_any_region_order_and_process(tmp_path):
    sources = [
        as_zarr(data, tmp_path / str(i))
        for i, data in enumerate(
            [
                sparse((8, 9, 10), "uint64", STRIDE),
                np.zeros((8, 9, 10), "uint64"),
                sparse((8, 9, 10), "uint64", STRIDE, 2),
            ]
        )
    ]
    array = merge(*sources)
    boxes = random_boxes(array.spec, np.random.default_rng(0), 20)
    whole = array.read()
    for box in [*boxes, *reversed(boxes)]:
        np.testing.assert_array_equal(array.read_box(box), whole[box.slices])
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as processes:
        (found,) = processes.map(array.__class__.read_box, [array], [boxes[-1]])
    np.testing.assert_array_equal(found, whole[boxes[-1].slices])


def labels(values, dtype="uint64", **grid):
    grid = {"voxel_size": (10, 0.7), "offset": (5, 0), "units": "nm", **grid}
    return from_numpy(np.array(values, dtype), **grid)


def test_the_spec_is_the_common_grid_of_labels():
    first = labels([[1, 2, 3]], "uint8", kind="image", attrs={"labels": []})
    array = first.merge_instances([labels([[1, 2, 3]], "int64", offset=(5, 0.7))])
    assert array.spec == from_shape(
        (1, 2), "uint64", voxel_size=(10, 0.7), offset=(5, 0.7), units="nm", kind="labels"
    )
    assert array.attrs == {}  # they are not those of the ids any more


def test_the_method_merges_others():
    a, b = labels([[1]]), labels([[2]])
    array = a.merge_instances([b], id_stride=7, overlap="last")
    assert array.config == merge(a, b, id_stride=7, overlap="last").config
    assert array.read().tolist() == [[9]]


def test_an_id_beyond_the_stride_names_itself_and_the_remedy():
    array = labels([[1, 0], [0, 0]]).merge_instances([labels([[2, 3], [0, STRIDE + 1]])])
    assert array[0].tolist() == [1, STRIDE + 3]
    with pytest.raises(ReadError, match="an id beyond the stride") as error:
        array.read()
    assert error.value.got == f"{STRIDE + 1} in sources[1], voxel (1, 1), in the world (15, 0.7) nm"
    assert error.value.expected == f"0 to {STRIDE}"
    assert error.value.hint == f"raise `id_stride` to at least {STRIDE + 1}"


def test_an_id_that_another_source_hides_counts_too():
    with pytest.raises(ReadError, match=r"an id beyond the stride \(got 9 in sources\[1\]"):
        labels([[1]]).merge_instances([labels([[9]])], id_stride=8).read()


def test_a_negative_id_is_an_error():
    with pytest.raises(ReadError, match=r"a negative id \(got -3 in sources\[0\], voxel \(0, 1\)"):
        merge(labels([[1, -3]], "int8")).read()


def test_an_overlap_names_both_ids_and_the_place():
    array = merge(
        labels([[0, 0], [0, 4]]),
        labels([[1, 0], [0, 7]]),
        labels([[0, 0], [3, 2]]),
        overlap="error",
    )
    assert array[0].tolist() == [STRIDE + 1, 0]
    with pytest.raises(ReadError, match="instances overlap") as error:
        array.read()
    assert error.value.got == (
        "id 4 in sources[0] and id 7 in sources[1], voxel (1, 1), in the world (15, 0.7) nm"
    )
    assert "overlap: first" in error.value.hint


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_refused(dtype):
    with pytest.raises(SpecError, match=f"takes labels.*got {dtype}") as error:
        labels([[1]]).merge_instances([labels([[1]], dtype)])
    assert error.value.key == ("sources", 1)


@pytest.mark.parametrize(("count", "stride"), [(2, 2**63), (3, 2**63 - 1), (1, 2**64), (1, 0)])
def test_strides_without_room_are_refused(count, stride):
    with pytest.raises(ConfigError) as error:
        merge(*[labels([[1]])] * count, id_stride=stride)
    assert error.value.key == ("id_stride",)


@pytest.mark.parametrize("wrong", [2.5, "7", None])
def test_strides_are_integers(wrong):
    with pytest.raises(ConfigError, match="not a stride of ids"):
        merge(labels([[1]]), id_stride=wrong)


def test_another_overlap_is_refused():
    with pytest.raises(ConfigError, match="got 'sum'; expected first, last or error") as error:
        merge(labels([[1]]), overlap="sum")
    assert error.value.key == ("overlap",)


def test_there_must_be_sources():
    with pytest.raises(ConfigError, match="no sources"):
        merge()
