"""Files that stay open: no more than the settings say, and a file that was closed is opened again, as it was."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

import dacapo_like
from dacapo_like import from_numpy, open_array
from dacapo_like.errors import ReadError
from dacapo_like.sources import _handles
from dacapo_like.sources._handles import Slot

GRID = {"axes": ["y", "x"], "voxel_size": [1, 1]}


class File:
    """Something that is open as long as somebody holds it."""


@pytest.fixture(autouse=True)
def nothing_open():
    gc.collect()
    _handles._OPEN._slots.clear()


def test_those_used_last_stay():
    slots = [Slot() for _ in range(5)]
    with dacapo_like.using(open_files=3):
        for slot in slots[:3]:
            slot.put(File())
        slots[0].get()
        slots[3].put(File())
        assert [slot.get() is not None for slot in slots] == [True, False, True, True, False]
        slots[4].put(File())
    assert [slot.get() is not None for slot in slots] == [False, False, True, True, True]


def test_fewer_stay_when_the_settings_change():
    slots = [Slot() for _ in range(5)]
    for slot in slots:
        slot.put(File())
    before = dacapo_like.settings.current().open_files
    try:
        dacapo_like.configure(open_files=2)
        assert [slot.get() is not None for slot in slots] == [False] * 3 + [True] * 2
    finally:
        dacapo_like.configure(open_files=before)


def test_what_is_in_use_closes_behind_who_uses_it():
    slot, other, file = Slot(), Slot(), File()
    seen = weakref.ref(file)
    with dacapo_like.using(open_files=1):
        slot.put(file)
        other.put(File())
    assert slot.get() is None
    assert seen() is file
    del file
    assert seen() is None


def test_slots_that_are_gone_are_forgotten():
    for _ in range(1000):
        slot = Slot()
        slot.put(File())
    del slot
    assert not _handles._OPEN._slots


def test_a_child_that_is_forked_starts_with_none():
    slot = Slot()
    slot.put("mine")
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        assert pool.apply(slot.get) is None
    assert slot.get() == "mine"


def test_threads_that_come_together():
    slots = [Slot() for _ in range(50)]
    wrong = []

    def work(seed):
        for i in np.random.default_rng(seed).integers(0, 50, 2000):
            found = slots[i].get()
            if found is None:
                slots[i].put(int(i))
            elif found != i:
                wrong.append(found)

    with dacapo_like.using(open_files=7):
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
    slots[0].put(0)


def write_hdf5(path, voxels):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=voxels, chunks=True, compression="gzip")
    return {"type": "hdf5", **GRID}


def write_tiff(path, voxels):
    tifffile.imwrite(path, voxels, tile=(16, 16), compression="zlib", photometric="minisblack")
    return {"type": "tiff", **GRID}


def write_npy(path, voxels):
    with path.open("wb") as file:
        np.save(file, voxels)
    return {"type": "npy", **GRID}


def write_zip(path, voxels):
    with zarr.storage.ZipStore(path, mode="w") as store:
        zarr.create_array(store, data=voxels, chunks=(8, 8), zarr_format=3)
    return {"type": "zarr", **GRID}


def write_imaris(path, voxels):
    from_numpy(voxels[None], voxel_size=(1, 1, 1)).save(path)
    return {"type": "imaris", "channels": [0]}


KINDS = {
    "h5": write_hdf5,
    "tif": write_tiff,
    "npy": write_npy,
    "zip": write_zip,
    "ims": write_imaris,
}
READ_ALL = """
import json, os, resource, sys
import numpy as np
import dacapo_like
from dacapo_like import open_array
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
dacapo_like.configure(open_files=16, cache_bytes=0)
arrays = [open_array(json.loads(line)) for line in sys.stdin]
for _ in range(2):
    for i, array in enumerate(arrays):
        assert (array[...] == i).all(), i
print(len(os.listdir("/proc/self/fd")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files as Linux lists them")
@pytest.mark.parametrize("suffix", KINDS)
def test_many_arrays_do_not_run_out_of_files(tmp_path, suffix):
    number = 25 if suffix == "ims" else 100
    lines = []
    for i in range(number):
        path = tmp_path / f"{i}.{suffix}"
        config = KINDS[suffix](path, np.full((20, 20), i, "uint16"))
        lines.append(json.dumps(config | {"file_name": str(path)}))
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_that_was_closed_is_opened_again(tmp_path, suffix):
    voxels = np.arange(400, dtype="uint16").reshape(20, 20)
    path = tmp_path / f"a.{suffix}"
    array = open_array(KINDS[suffix](path, voxels) | {"file_name": str(path)})
    expected = voxels.reshape(array.shape)
    other = Slot()
    with dacapo_like.using(open_files=1, cache_bytes=0):
        for _ in range(3):
            np.testing.assert_array_equal(array.read(), expected)
            other.put(File())


def test_an_npy_that_is_another_when_it_is_opened_again(tmp_path):
    config = write_npy(tmp_path / "a.npy", np.zeros((20, 20), "u2"))
    array = open_array(config | {"file_name": str(tmp_path / "a.npy")})
    write_npy(tmp_path / "b.npy", np.zeros((30, 30), "u2"))
    (tmp_path / "b.npy").replace(tmp_path / "a.npy")
    with dacapo_like.using(open_files=1):
        Slot().put(File())
        other = Slot()
        other.put(File())
        with pytest.raises(ReadError, match="has changed since it was opened"):
            array.read()


def test_by_default_there_is_room_for_others():
    assert os.sysconf("SC_OPEN_MAX") // 2 >= dacapo_like.settings.OPEN_FILES
