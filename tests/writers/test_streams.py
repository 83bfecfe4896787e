"""Slabs in order: all of them, or nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import dacapo_like
from dacapo_like.errors import ReadError, RegionError, SourceError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.writers import chunking
from dacapo_like.writers.chunking import slab_shape
from dacapo_like.writers.nifti import NiftiWriter
from dacapo_like.writers.tiff import TiffWriter

WRITERS = [(NiftiWriter, "a.nii"), (NiftiWriter, "a.nii.gz"), (TiffWriter, "a.tif")]


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch):
    monkeypatch.setattr(chunking, "_SLAB", 100)


@pytest.mark.parametrize(("writer", "name"), WRITERS)
def test_slabs_come_in_order(tmp_path, writer, name):
    spec = from_shape((4, 10, 10))
    with pytest.raises(RegionError, match="not the next block"), writer(tmp_path / name, spec) as w:
        w.write(Box((1, 0, 0), (1, 10, 10)), np.zeros((1, 10, 10), "uint8"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("writer", "name"), WRITERS)
def test_a_file_that_lacks_voxels_is_not_made(tmp_path, writer, name):
    (tmp_path / name).write_bytes(b"old")
    spec = from_shape((4, 10, 10))
    started = writer(tmp_path / name, spec, overwrite=True)
    box = next(started.boxes())
    started.write(box, np.zeros(box.shape, "uint8"))
    with pytest.raises(SourceError, match="not all voxels"), started:
        pass
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [(name, b"old")]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".tif", ".h5", ".npy"])
def test_a_source_that_fails_leaves_nothing_behind(tmp_path, monkeypatch, suffix):
    array = dacapo_like.from_numpy(np.zeros((9, 10, 10), "uint8"))
    read, calls = array.reader.read, []

    def fail(box, out=None):
        calls.append(box)
        if box.offset[0] >= 5:
            raise ReadError("damaged", where="the disk")
        return read(box, out)

    monkeypatch.setattr(array.reader, "read", fail)
    options = {"chunks": (1, 10, 10)} if suffix == ".h5" else {}
    target = tmp_path / f"a{suffix}"
    with pytest.raises(ReadError, match="damaged"):
        array.save(target, **options)
    assert list(tmp_path.iterdir()) == []
    target.write_bytes(b"old")
    with pytest.raises(SourceError, match="exists already"):
        array.save(target, **options)
    with pytest.raises(ReadError, match="damaged"):
        array.save(target, overwrite=True, **options)
    assert [item.read_bytes() for item in tmp_path.iterdir()] == [b"old"]
    monkeypatch.undo()
    array.save(target, overwrite=True)
    assert [item.name for item in tmp_path.iterdir()] == [target.name]


FULL = """
import resource, sys
from pathlib import Path
import nibabel, h5py, tifffile  # before the limit: they may be compiled
import numpy as np
import dacapo_like
folder = Path(sys.argv[1])
voxels = np.random.default_rng(0).integers(0, 2**16, (40, 100, 100), "uint16")
array = dacapo_like.from_numpy(voxels)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))
for name in sys.argv[2:]:
    try:
        array.save(folder / name)
    except dacapo_like.errors.SourceError as error:
        print(name, "File too large" in str(error), len(list(folder.iterdir())))
"""


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path):
    names = ["a.nii", "a.nii.gz", "a.tif", "a.npy", "a.h5"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path, *names], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [f"{name} True 0" for name in names], done.stderr


@pytest.mark.parametrize("suffix", [".nii", ".tif", ".h5", ".npy"])
def test_a_folder_is_never_replaced_by_a_file(tmp_path, suffix):
    (tmp_path / f"a{suffix}" / "b").mkdir(parents=True)
    array = dacapo_like.from_numpy(np.zeros((2, 4, 4), "uint8"))
    with pytest.raises(SourceError, match="of another kind"):
        array.save(tmp_path / f"a{suffix}", overwrite=True)
    with pytest.raises(SpecError, match="without voxels"):
        dacapo_like.from_numpy(np.zeros((2, 0, 4), "uint8")).save(tmp_path / f"b{suffix}")


@pytest.mark.parametrize(
    ("shape", "whole", "chunks", "expected"),
    [
        ((4, 5, 20), 0, None, (1, 5, 20)),
        ((4, 5, 19), 0, None, (1, 5, 19)),
        ((40, 2, 10), 0, None, (5, 2, 10)),
        ((4, 5, 200), 0, None, (1, 1, 100)),
        ((4, 5, 200), 2, None, (1, 5, 200)),
        ((40, 2, 10), 0, (4, 2, 2), (4, 2, 10)),
        ((40, 2, 10), 0, (16, 2, 2), (16, 2, 10)),
        ((40, 2, 10), 0, (30, 2, 2), (5, 2, 10)),
        ((3, 2, 10), 0, (2, 2, 2), (3, 2, 10)),
    ],
)
def test_slabs_have_whole_chunks_where_memory_allows(shape, whole, chunks, expected):
    spec = from_shape(shape).replace(chunk_shape=chunks)
    assert slab_shape(spec, whole) == expected
