import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import attrs
import numcodecs
import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like import settings, tensorstores
from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box
from dacapo_like.sources.zarr import ZarrArrayConfig
from dacapo_like.spec import from_shape
from dacapo_like.writers.ome_zarr import OmeZarrWriter

TIMEOUT = 120  # seconds: far above what a child needs, so that only one that hangs runs into it

pytestmark = pytest.mark.filterwarnings(
    r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork:DeprecationWarning"
)


@pytest.fixture
def path(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(20, 20), chunks=(4, 4), shards=(8, 8), dtype="uint16"
    )
    array[...] = np.arange(400).reshape(20, 20)
    return tmp_path / "a.zarr"


def opened(path, **fields):
    return ZarrArrayConfig(file_name=str(path), **fields).array()


def in_forked_child(job):
    """Run a function in a child that is forked from here, open files and all; give what it returns."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(job()))
    child.start()
    sender.close()
    child.join(TIMEOUT)
    if child.is_alive():
        child.kill()
        pytest.fail("the child hangs")
    assert child.exitcode == 0
    return receiver.recv()


def test_a_forked_child_reads_through_a_reader_that_its_parent_has_used(path):
    array = opened(path)
    whole = np.asarray(array)
    assert tensorstores.usable()

    def job():
        return tensorstores.usable(), array[3:9, 5:17]

    usable, block = in_forked_child(job)
    assert not usable
    np.testing.assert_array_equal(block, whole[3:9, 5:17])
    np.testing.assert_array_equal(np.asarray(array), whole)


def test_a_forked_child_opens_arrays_of_its_own(path):
    whole = np.asarray(opened(path))
    np.testing.assert_array_equal(in_forked_child(lambda: np.asarray(opened(path))), whole)


def test_a_child_that_is_forked_while_its_parent_reads(path):
    array = opened(path)
    waits = [array.reader.start(Box((0, 0), (20, 20))) for _ in range(50)]
    block = in_forked_child(lambda: array[:5, :5])
    np.testing.assert_array_equal(block, waits[0]()[:5, :5])


def test_a_forked_child_finishes_a_read_that_its_parent_has_started(path):
    array = opened(path)
    wait = array.reader.start(Box((2, 2), (9, 9)))
    np.testing.assert_array_equal(in_forked_child(wait), np.asarray(array)[2:11, 2:11])


def test_a_childs_child_reads(path):
    array = opened(path)
    whole = np.asarray(array)
    block = in_forked_child(lambda: in_forked_child(lambda: np.asarray(array)))
    np.testing.assert_array_equal(block, whole)


def test_a_forked_child_keeps_to_what_is_said_of_missing_chunks(path):
    (path / "c" / "1" / "1").unlink()
    array = opened(path, missing="error")
    array[:2, :2]

    def job():
        try:
            array[8:9, 8:9]
        except ReadError as error:
            return error.what

    assert in_forked_child(job) == "a chunk is missing"


def test_a_forked_child_writes(path, tmp_path):
    whole = np.asarray(opened(path))
    spec = from_shape(whole.shape, whole.dtype)

    def job():
        with OmeZarrWriter(tmp_path / "out.zarr", spec, chunks=(4, 4), shards=(8, 8)) as writer:
            writer.write(spec.box, whole)

    in_forked_child(job)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "out.zarr")), whole)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_every_kind_read_arrays_that_are_sent_to_them(path, method):
    array = opened(path)
    whole = np.asarray(array)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for block in [pool.submit(np.asarray, array) for _ in range(4)]:
            np.testing.assert_array_equal(block.result(TIMEOUT), whole)


def test_a_child_of_a_parent_that_has_only_opened_arrays_uses_tensorstore(path):
    script = f"""
import os, sys
from dacapo_like import tensorstores
from dacapo_like.sources.zarr import ZarrArrayConfig
array = ZarrArrayConfig(file_name={str(path)!r}).array()
assert "tensorstore" not in sys.modules, "opening loads TensorStore"
child = os.fork()
if child == 0:
    assert tensorstores.usable() and array[1, 2] == 22 and "tensorstore" in sys.modules
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=TIMEOUT)


# Settings


@pytest.fixture
def as_before():
    before = settings.current()
    yield
    dacapo_like.configure(**attrs.asdict(before))


def limit_of(array):
    context = array.spec(retain_context=True).to_json()["context"]
    return context["cache_pool"].get("total_bytes_limit", 0)


def test_arrays_have_the_cache_of_the_settings_that_hold(path, as_before):
    opened_array = tensorstores.Opened(lambda: tensorstores.open_zarr(path, 3))
    dacapo_like.configure(cache_bytes="3MiB")
    first = opened_array()
    assert limit_of(first) == 3 * 2**20
    assert opened_array() is first
    with dacapo_like.using(cache_bytes=0):
        assert limit_of(opened_array()) == 0
        assert opened_array() is not first
    assert opened_array() is first
    dacapo_like.configure(cache_bytes="1MiB")
    assert limit_of(opened_array()) == 2**20


def test_arrays_of_one_limit_share_a_cache_and_that_of_another_limit_goes(path, as_before):
    dacapo_like.configure(cache_bytes="3MiB")
    shared = tensorstores._context()
    assert tensorstores._context() is shared
    with dacapo_like.using(cache_bytes="2MiB"):
        assert tensorstores._context() is not shared
    assert tensorstores._context() is shared
    assert len(tensorstores._contexts) == 1
    dacapo_like.configure(cache_bytes="4MiB")
    assert tensorstores._context() is not shared
    assert len(tensorstores._contexts) == 1


def test_an_array_that_is_not_read_any_more_keeps_no_cache_of_another_limit(path, as_before):
    """Its chunks are let go when the settings change, not when somebody reads it again."""
    opened_array = tensorstores.Opened(lambda: tensorstores.open_zarr(path, 3))
    dacapo_like.configure(cache_bytes="3MiB")
    opened_array()
    assert [limits.cache_bytes for limits in opened_array._arrays] == [3 * 2**20]
    dacapo_like.configure(cache_bytes="4MiB")
    assert not opened_array._arrays


def test_settings_change_in_a_forked_child_whose_parent_reads(path, as_before):
    """What its parent has opened it can neither use nor let go."""
    array = opened(path, missing="error")
    dacapo_like.configure(cache_bytes="3MiB")
    expected = np.asarray(array)

    def job():
        with dacapo_like.using(cache_bytes=0):
            first = array[3:9, 5:17]
        dacapo_like.configure(cache_bytes="1MiB")
        return first, array[3:9, 5:17]

    for block in in_forked_child(job):
        np.testing.assert_array_equal(block, expected[3:9, 5:17])


def test_voxels_are_the_same_under_all_settings(path, as_before):
    array, expected = opened(path), np.arange(400).reshape(20, 20)
    for limit in (0, 2**20, 0, 2**28):
        dacapo_like.configure(cache_bytes=limit)
        np.testing.assert_array_equal(array[3:17, 2:19], expected[3:17, 2:19])
        with dacapo_like.using(cache_bytes=2**10):
            np.testing.assert_array_equal(array[3:17, 2:19], expected[3:17, 2:19])


@pytest.mark.parametrize("dtype", ["|b1", "|u1", "<u2", ">i4", "<f4", "<u8"])
@pytest.mark.parametrize("separator", [".", "/"])
def test_chunks_of_zarr_2_are_written_with_checksums_that_everybody_looks_at(
    tmp_path, dtype, separator
):
    voxels = np.random.default_rng(0).integers(0, 2, (10, 12)).astype(dtype)
    made = zarr.create_array(
        tmp_path / "a.zarr",
        shape=voxels.shape,
        chunks=(8, 8),
        dtype=dtype,
        zarr_format=2,
        compressors=numcodecs.Zstd(level=3),
        chunk_key_encoding={"name": "v2", "separator": separator},
    )
    document = json.loads((tmp_path / "a.zarr" / ".zarray").read_text())
    document["compressor"].pop("checksum", None)  # as TensorStore wants it
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(document))
    made[:8, :8] = ~voxels[:8, :8] if dtype == "|b1" else voxels[:8, :8] + 1  # has none
    tensorstores.open_zarr(tmp_path / "a.zarr", 2, write=True)[2:] = voxels[2:]
    tensorstores.open_zarr(tmp_path / "a.zarr", 2, write=True)[:2] = voxels[:2]
    for found in (
        zarr.open_array(tmp_path / "a.zarr", mode="r")[...],
        tensorstores.open_zarr(tmp_path / "a.zarr", 2)[...].read().result(),
    ):
        np.testing.assert_array_equal(found, voxels)
    chunk = tmp_path / "a.zarr" / f"0{separator}0"
    stored = bytearray(chunk.read_bytes())
    assert stored[4] & 4, "the flag of a frame that ends with a checksum"
    stored[-1] ^= 1
    chunk.write_bytes(stored)
    with pytest.raises(ValueError, match="checksum"):
        tensorstores.open_zarr(tmp_path / "a.zarr", 2)[...].read().result()
    with pytest.raises(RuntimeError, match="checksum"):
        zarr.open_array(tmp_path / "a.zarr", mode="r")[...]


@pytest.mark.parametrize(("dtype", "fill"), [("<f4", "NaN"), ("<f8", "-Infinity"), ("<f4", 0)])
def test_fill_values_that_are_no_numbers_stay_what_they_are(tmp_path, dtype, fill):
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(8,),
        chunks=(4,),
        dtype=dtype,
        zarr_format=2,
        compressors=numcodecs.Zstd(level=3),
        fill_value=float(fill),
    )
    document = json.loads((tmp_path / "a.zarr" / ".zarray").read_text())
    document["compressor"].pop("checksum", None)
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(document))
    assert tensorstores.checksummed(tmp_path / "a.zarr") is not None
    tensorstores.open_zarr(tmp_path / "a.zarr", 2, write=True)[1:2] = 5
    found = zarr.open_array(tmp_path / "a.zarr", mode="r")[...]
    np.testing.assert_array_equal(found, [float(fill), 5, *[float(fill)] * 6])
    assert array.fill_value == float(fill) or np.isnan(array.fill_value)


@pytest.mark.parametrize(
    "changes",
    [
        {"compressor": None},
        {"compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}},
        {"fill_value": None},
        {"fill_value": 0.0},
        {"order": "F"},
        {"dtype": "<c8", "fill_value": None},
    ],
)
def test_what_zarr_2_has_no_checksum_for_is_written_as_ever(tmp_path, changes):
    document = {
        "zarr_format": 2,
        "shape": [4, 4],
        "chunks": [4, 4],
        "dtype": "<u2",
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "compressor": {"id": "zstd", "level": 3},
    }
    (tmp_path / ".zarray").write_text(json.dumps(document | changes))
    assert tensorstores.checksummed(tmp_path) is None
    tensorstores.open_zarr(tmp_path, 2, write=True)[...] = 5
    assert (zarr.open_array(tmp_path, mode="r")[...] == 5).all()
    (tmp_path / ".zarray").write_text(json.dumps(document))
    assert tensorstores.checksummed(tmp_path) is not None
