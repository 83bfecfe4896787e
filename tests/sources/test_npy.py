"""Against numpy, which wrote the files."""

from __future__ import annotations

import contextlib
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import Roi
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Box
from dacapo_like.sources.npy import NpyArrayConfig
from dacapo_like.testing import ArrayContract, Case, sample_voxels

needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


def write(path, voxels):
    np.save(path, voxels)
    return path


def opened(path, **fields):
    return NpyArrayConfig(file_name=path, **fields).array()


class TestLaws(ArrayContract):
    def case_volume(self, directory):
        voxels = sample_voxels((5, 6, 7), "float32")
        fields = {"voxel_size": (9.8, 0.7, 0.7), "offset": (-9.8, 0, 1.4), "units": "um"}
        return Case(opened(write(directory / "a.npy", voxels), **fields), voxels)

    def case_fortran_order(self, directory):
        voxels = sample_voxels((5, 6, 7), "uint64")
        return Case(opened(write(directory / "a.npy", np.asfortranarray(voxels))), voxels)

    def case_big_endian(self, directory):
        voxels = sample_voxels((6, 7), "int16")
        return Case(opened(write(directory / "a.npy", voxels.astype(">i2"))), voxels)

    def case_channels_last_selected(self, directory):
        voxels = sample_voxels((4, 5, 6, 4), "bool")
        array = opened(write(directory / "a.npy", voxels), axes="zyxc", channels=[3, 0, 1])
        return Case(array, np.moveaxis(voxels, -1, 0)[[3, 0, 1]])


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.npy", sample_voxels((4, 5, 6), "uint16"))


def test_the_place_is_what_the_config_says(path):
    array = opened(path, voxel_size=(40, 4, 4), offset=(80, 0, 0), units="nm")
    assert array.spec.roi == Roi((80, 0, 0), (160, 20, 24))
    assert array.units == ("nm",) * 3
    assert opened(path).units == (None,) * 3


def test_axes_are_never_guessed(tmp_path):
    with pytest.raises(SourceError, match="does not say what its axes are"):
        opened(write(tmp_path / "a.npy", np.zeros((2, 3, 4, 5, 6))))


def test_objects_are_refused(tmp_path):
    with pytest.raises(SourceError, match=r"not a \.npy file"):
        opened(write(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object)))
    with pytest.raises(SourceError, match="no number"):
        opened(write(tmp_path / "b.npy", np.zeros((2, 2), "complex64")))


def test_files_that_are_none_are_refused(tmp_path, path):
    with pytest.raises(SourceError, match=r"did you mean 'a\.npy'"):
        opened(tmp_path / "b.npy")
    with pytest.raises(SourceError, match=r"not a \.npy file"):
        opened(tmp_path)
    for name, content in (
        ("empty", b""),
        ("pickle", b"\x80\x04N."),
        ("short", path.read_bytes()[:-1]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=r"not a \.npy file"):
            opened(tmp_path / name)


@given(st.integers(0, 127), st.integers(0, 255))
def test_damaged_headers_open_or_are_refused(tmp_path_factory, place, byte):
    path = write(tmp_path_factory.mktemp("damaged") / "a.npy", np.zeros((4, 5, 6), "uint16"))
    content = bytearray(path.read_bytes())
    content[place] = byte
    path.write_bytes(content)
    with contextlib.suppress(SourceError):
        opened(path).read()


def test_a_file_that_shrinks_is_an_error_and_no_crash(path):
    array = opened(path)
    array.read()
    with path.open("r+b") as file:
        file.truncate(130)
    with pytest.raises(ReadError, match="truncated"):
        array.read()
    path.unlink()
    with pytest.raises(ReadError, match="No such file"):
        array.read()


def test_a_forked_process_reads_the_same(path):
    array = opened(path)
    expected = array.read()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply(array.read)
    np.testing.assert_array_equal(found, expected)


@needs_proc
def test_a_read_touches_its_pages_only(tmp_path):
    path = tmp_path / "large.npy"
    shape = (2**12, 2**12, 2**10)
    large = np.lib.format.open_memmap(path, "w+", "uint8", shape)  # a sparse file of 16 GiB
    large[5, 6, 7] = 8
    del large

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    array = opened(path)
    before = resident()
    assert array.read_box(Box((5, 6, 7), (1, 64, 64)))[0, 0, 0] == 8
    assert resident() - before < 2**24
    assert array.chunks == (1, 2**10, 2**10)
