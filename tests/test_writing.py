"""Assigning to regions: against the same assignment to an ndarray, and with many writers at once."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Delta

import dacapo_like
from dacapo_like import Roi, ZarrArrayConfig, from_numpy, open_array
from dacapo_like.errors import ConfigError, RegionError, WriteError
from dacapo_like.geometry import Box

SHAPE = (6, 7, 8)


def stored(folder, mode="r+", dtype="uint16", **options):
    """Give a writable Zarr array of zeros, in chunks of 4."""
    options = {"shape": SHAPE, "chunks": (4,) * len(options.get("shape", SHAPE)), **options}
    array = zarr.create_array(folder / "a.zarr", dtype=dtype, **options)
    array.attrs.update(voxel_size=[40, 4, 4][-len(options["shape"]) :])
    return ZarrArrayConfig(file_name=str(folder / "a.zarr"), mode=mode).array()


def only_zarr_python(folder, **options):
    """Give an array that TensorStore does not decode."""
    return stored(folder, dtype="uint16", zarr_format=2, filters=[Delta(dtype="uint16")], **options)


indices = st.tuples(
    *(
        st.one_of(
            st.integers(-n, n - 1),
            st.tuples(st.integers(0, n), st.integers(0, n)).map(lambda ends: slice(*sorted(ends))),
        )
        for n in SHAPE
    )
)


@given(key=indices, data=st.data())
def test_an_index_means_what_it_means_to_numpy(key, data):
    voxels = np.arange(np.prod(SHAPE), dtype="int32").reshape(SHAPE)
    array = from_numpy(voxels.copy(), mode="r+")
    expected = voxels.copy()
    whole = expected[key].shape
    shape = data.draw(st.sampled_from([whole[i:] for i in range(len(whole) + 1)]))
    values = -1 - np.arange(np.prod(shape, dtype=int)).reshape(shape)
    expected[key] = values
    array[key] = values
    np.testing.assert_array_equal(array[...], expected)


def test_a_region_is_assigned_to_in_world_units(tmp_path):
    array = stored(tmp_path)
    roi = Roi((80, 8, 0), (120, 16, 12))
    expected = np.zeros(SHAPE, "uint16")
    expected[2:5, 2:6, 0:3] = np.arange(36).reshape(3, 4, 3)
    array[roi] = np.arange(36).reshape(3, 4, 3)
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr", mode="r")[...], expected)
    array[roi] = 7
    expected[2:5, 2:6, 0:3] = 7
    np.testing.assert_array_equal(array[...], expected)


def test_an_array_can_be_assigned(tmp_path):
    array = stored(tmp_path)
    values = from_numpy(np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE))
    array[...] = values
    np.testing.assert_array_equal(array[...], values[...])


def test_an_array_in_memory_is_written_to_where_it_lies():
    voxels = np.zeros((4, 4), ">f4")
    array = from_numpy(voxels, voxel_size=(10, 10), mode="r+")
    array[Roi((10, 20), (10, 10))] = 0.1
    assert voxels[1, 2] == np.float32(0.1)
    assert voxels.sum() == np.float32(0.1)


# What is refused


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.intensities(min=0, max=1),
        lambda array: array.binarize({"a": [1]}),
        lambda array: array.ones_like(),
        lambda array: array.constant_like(2),
        lambda array: array.downsample((2, 2, 2)),
        lambda array: array.concat({"b": array}),
        lambda array: array.ones_like().crop(((0, 0, 0), (40, 4, 4))),
    ],
)
def test_what_is_computed_says_why_it_is_not_writable(tmp_path, change):
    array = stored(tmp_path, dtype="uint32")
    computed = change(array)
    assert not computed.writable
    with pytest.raises(WriteError, match=r"^\w+: not writable: \w+") as error:
        computed[...] = 0
    assert error.value.code == "DL302"
    with pytest.raises(WriteError, match="not writable"):
        open_array(computed.config, mode="r+")
    with pytest.raises(WriteError, match="computed"):
        computed.add_metadata({"a": 1})
    assert not array[...].any()


def test_every_operator_has_a_reason_of_its_own_or_is_writable():
    operators = [c for c in dacapo_like.registry.array_types().values() if hasattr(c, "derive")]
    reasons = [c.read_only for c in operators]
    assert [c.tag for c, reason in zip(operators, reasons, strict=True) if reason is None] == [
        "crop",
        "relabel_channels",
    ]
    assert dacapo_like.core.OperatorConfig.read_only not in reasons


def test_a_source_opened_for_reading_is_not_written_to(tmp_path):
    array = stored(tmp_path, mode="r")
    assert not array.writable
    with pytest.raises(WriteError, match="mode r, not r\\+"):
        array[0] = 1
    with pytest.raises(WriteError, match="mode r, not r\\+"):
        array.add_metadata({"a": 1})
    with pytest.raises(WriteError, match="mode r, not r\\+"):
        from_numpy(np.zeros(3))[0] = 1
    frozen = np.zeros(3)
    frozen.setflags(write=False)
    with pytest.raises(WriteError, match="not writeable"):
        from_numpy(frozen, mode="r+")[0] = 1


def test_a_channel_that_is_selected_twice_is_not_written_to(tmp_path):
    stored(tmp_path, shape=(3, 4, 4, 4))
    config = ZarrArrayConfig(file_name=str(tmp_path / "a.zarr"), channels=[0, 0], mode="r+")
    with pytest.raises(WriteError, match="selects a channel twice"):
        config.array()[...] = 1


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        (Roi((0, 0, 0), (280, 4, 4)), 1, "leaves the array"),
        (Roi((20, 0, 0), (40, 4, 4)), 1, "not on the voxel grid"),
        (Roi((0, 0), (40, 4)), 1, "wrong rank"),
        (slice(0, 7), 1, "leaves the array"),
        (slice(0, 6, 2), 1, "strides"),
        (0, np.zeros((2, 8)), r"do not fit the region \(got \(2, 8\); expected \(7, 8\)"),
        (0, [[1, 2], [3]], "do not fit the region"),
    ],
)
def test_a_region_that_does_not_fit_is_refused(tmp_path, key, values, message):
    array = stored(tmp_path)
    with pytest.raises(RegionError, match=message) as error:
        array[key] = values
    assert error.value.where == "zarr"
    assert not array[...].any()


@pytest.mark.parametrize("values", [-1, 65536, 0.5, np.nan, "1", None, np.array([1, 2**32])])
def test_a_value_that_the_dtype_cannot_hold_is_refused(tmp_path, values):
    array = stored(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot hold|no numbers"):
        array[0, 0, :2] = values
    assert not array[...].any()


@pytest.mark.parametrize("make", [stored, only_zarr_python])
def test_a_disk_that_refuses_is_an_error(tmp_path, make):
    array = make(tmp_path)
    version_3 = (tmp_path / "a.zarr" / "zarr.json").exists()
    blocked = tmp_path / "a.zarr" / ("c" if version_3 else "0.0.0")
    blocked.write_text("a file") if version_3 else (blocked / "a folder").mkdir(parents=True)
    with pytest.raises(
        WriteError, match=r"a\.zarr, voxels \(0, 0, 0\) to \(6, 7, 8\): voxels cannot"
    ):
        array[...] = 1


# Opening


def test_a_mode_reaches_the_source_through_crops(tmp_path):
    stored(tmp_path)
    source = {"type": "zarr", "file_name": str(tmp_path / "a.zarr")}
    roi = {"offset": [40, 0, 0], "shape": [80, 8, 8]}
    document = {"arrays": {"raw": source, "part": {"type": "crop", "source": "raw", "roi": roi}}}
    part = open_array(document, "part", mode="r+")
    part[...] = 5
    assert part.config.name == "part"
    expected = np.zeros(SHAPE, "uint16")
    expected[1:3, :2, :2] = 5
    np.testing.assert_array_equal(open_array(document, "raw")[...], expected)
    assert not open_array(document, "part").writable
    document["arrays"]["raw"]["mode"] = "r+"
    assert open_array(document, "part").writable
    assert not open_array(document, "part", mode="r").writable


def test_other_sources_cannot_be_opened_for_writing(tmp_path):
    config = dacapo_like.HDF5ArrayConfig(file_name=str(tmp_path / "a.h5"), dataset="x")
    with pytest.raises(WriteError, match="only read"):
        open_array(config, mode="r+")


def test_a_writable_array_pickles_as_one(tmp_path):
    array = pickle.loads(pickle.dumps(stored(tmp_path)))
    array[0, 0, 0] = 3
    assert array[0, 0, 0] == 3


# Many writers


def fill(array, box, value):
    array.write_box(box, np.full(box.shape, value, array.dtype))


def thin_boxes(shape, axis):
    """Cut an array into slices of one voxel, so that every chunk is written to in many parts."""
    for i in range(shape[axis]):
        offset, size = [0] * len(shape), list(shape)
        offset[axis], size[axis] = i, 1
        yield Box(tuple(offset), tuple(size))


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (stored, {}),
        (stored, {"zarr_format": 2}),
        (stored, {"shards": (8, 8, 8)}),
        (only_zarr_python, {}),
    ],
)
def test_threads_that_share_chunks_lose_nothing(tmp_path, make, options):
    array = make(tmp_path, shape=(8, 16, 16), **options)
    boxes = list(thin_boxes(array.shape, 1))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fill, itertools.repeat(array), boxes, range(1, 17)))
    expected = np.broadcast_to(np.arange(1, 17)[:, None], array.shape)
    np.testing.assert_array_equal(array[...], expected)


@pytest.mark.parametrize(("make", "options"), [(stored, {}), (only_zarr_python, {})])
def test_processes_that_share_chunks_lose_nothing(tmp_path, make, options):
    array = make(tmp_path, shape=(4, 8, 16), **options)
    boxes = list(thin_boxes(array.shape, 2))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as processes:
        list(processes.map(fill, itertools.repeat(array), boxes, range(1, 17)))
    np.testing.assert_array_equal(array[...], np.broadcast_to(np.arange(1, 17), array.shape))


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # that is what is tried
def test_a_forked_child_writes_what_its_parent_then_reads(tmp_path):
    array = stored(tmp_path)
    array[0, 0, 0] = 1  # TensorStore is loaded: the child must not use it
    assert array[0, 0, 0] == 1

    def work():
        array[3] = array[0, 0, 0] + 1

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0
    expected = np.zeros(SHAPE, "uint16")
    expected[0, 0, 0], expected[3] = 1, 2
    np.testing.assert_array_equal(array[...], expected)


_WRITE_FOREVER = """
import itertools, sys
import numpy as np
from dacapo_like import ZarrArrayConfig

array = ZarrArrayConfig(file_name=sys.argv[1], mode="r+").array()
for value in itertools.cycle(range(1, 200)):
    array[...] = np.full(array.shape, value, array.dtype)
    print(value, flush=True)
"""


@pytest.mark.parametrize("options", [{}, {"shards": (64, 64)}])
def test_a_writer_that_is_killed_leaves_whole_chunks(tmp_path, options):
    array = stored(tmp_path, shape=(64, 64), **options)
    for rounds in (1, 3, 6):
        command = [sys.executable, "-c", _WRITE_FOREVER, str(tmp_path / "a.zarr")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            for _ in range(rounds):
                assert writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        voxels = array[...].reshape(16, 4, 16, 4)
        assert (voxels == voxels[:, :1, :, :1]).all()  # every chunk of 4 x 4 is of one writing
        assert voxels.all()


# Metadata


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_metadata_are_added_beside_those_that_are_there(tmp_path, zarr_format):
    array = stored(tmp_path, zarr_format=zarr_format)
    stays = zarr.open_array(tmp_path / "a.zarr")
    stays.attrs["kept"] = [1.5, float("inf")]
    stays.attrs["changed"] = "old"
    array = open_array(array.config)
    labels = [{"name": "mito", "value": 3}]
    array.add_metadata({"labels": labels, "changed": "new"})
    assert array.attrs["labels"] == labels
    again = zarr.open_array(tmp_path / "a.zarr", mode="r")
    assert again.attrs.asdict() == {
        "voxel_size": [40, 4, 4],
        "kept": [1.5, float("inf")],
        "changed": "new",
        "labels": labels,
    }
    assert again.chunks == (4, 4, 4)
    assert dict(open_array(array.config).attrs) == dict(array.attrs)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part:UserWarning")
def test_copies_of_metadata_see_what_was_added(tmp_path, zarr_format):
    group = zarr.create_group(tmp_path / "g.zarr", zarr_format=zarr_format)
    group.create_group("v").create_array("raw", shape=(4, 4), dtype="u1")
    zarr.consolidate_metadata(tmp_path / "g.zarr")
    config = ZarrArrayConfig(file_name=str(tmp_path / "g.zarr"), dataset="v/raw", mode="r+")
    config.array().add_metadata({"a": 1})
    group = zarr.open_consolidated(tmp_path / "g.zarr")
    assert group["v/raw"].attrs["a"] == 1


@pytest.mark.parametrize(
    "metadata", [{"voxel_size": [1, 1, 1]}, {"dacapo_like": {}}, {"a": {1, 2}}, {"a": float("nan")}]
)
def test_metadata_that_would_do_harm_are_refused(tmp_path, metadata):
    array = stored(tmp_path)
    before = (tmp_path / "a.zarr" / "zarr.json").read_text()
    with pytest.raises(ConfigError, match=r"says what the array is|not JSON"):
        array.add_metadata(metadata)
    assert (tmp_path / "a.zarr" / "zarr.json").read_text() == before


def test_metadata_from_many_threads_are_all_there(tmp_path):
    array = stored(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: open_array(array.config).add_metadata({f"k{i}": i}), range(40)))
    attributes = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]
    assert {key: attributes[key] for key in attributes if key != "voxel_size"} == {
        f"k{i}": i for i in range(40)
    }
