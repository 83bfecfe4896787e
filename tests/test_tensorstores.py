import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import zarr

from dacapo_like import tensorstores
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
