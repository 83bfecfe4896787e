"""Against numpy, which wrote the files."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Box
from dacapo_like.sources.npy import NpyArrayConfig
from dacapo_like.testing import ArrayContract, Case, sample_voxels

SAVERS = [np.savez, np.savez_compressed]
needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


def opened(path, **fields):
    return NpyArrayConfig(file_name=path, **fields).array()


def write(path, save=np.savez, **arrays):
    save(path, **arrays)
    return path


class TestLaws(ArrayContract):
    def case_stored(self, directory):
        voxels = sample_voxels((5, 6, 7), "float32")
        path = write(directory / "a.npz", raw=voxels, other=np.zeros(3))
        return Case(opened(path, dataset="raw", voxel_size=(9.8, 0.7, 0.7)), voxels)

    def case_deflated_in_fortran_order(self, directory):
        voxels = sample_voxels((5, 6, 7), "uint64")
        path = write(directory / "a.npz", np.savez_compressed, raw=np.asfortranarray(voxels))
        return Case(opened(path), voxels)

    def case_big_endian_with_channels_last(self, directory):
        voxels = sample_voxels((4, 5, 6, 4), "int16")
        path = write(directory / "a.npz", np.savez_compressed, raw=voxels.astype(">i2"))
        array = opened(path, dataset="raw.npy", axes="zyxc", channels=[3, 0])
        return Case(array, np.moveaxis(voxels, -1, 0)[[3, 0]])


@pytest.mark.parametrize("save", SAVERS)
def test_an_array_is_named_where_there_are_several(tmp_path, save):
    path = write(tmp_path / "a.npz", save, raw=np.ones((2, 3)), labels=np.zeros((4, 5), "u1"))
    assert opened(path, dataset="labels").shape == (4, 5)
    with pytest.raises(
        SourceError, match=r"several arrays here \(got raw, labels; expected `dat"
    ) as error:
        opened(path)
    assert error.value.key == ("dataset",)
    with pytest.raises(SourceError, match=r"expected one of raw, labels.*did you mean 'labels'"):
        opened(path, dataset="lables")


def test_an_npy_has_no_members(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    with pytest.raises(SourceError, match="is one array"):
        opened(tmp_path / "a.npy", dataset="raw")


@pytest.mark.parametrize("save", SAVERS)
def test_pickles_are_refused(tmp_path, save):
    path = write(tmp_path / "a.npz", save, raw=np.array([[{"a": 1}]], dtype=object))
    with pytest.raises(SourceError, match="no number"):
        opened(path)


def test_files_that_are_none_are_refused(tmp_path):
    path = write(tmp_path / "a.npz")
    with pytest.raises(SourceError, match="no array here"):
        opened(path)
    path.write_bytes(b"PK\x03\x04" + bytes(90))
    with pytest.raises(SourceError, match=r"not a \.npz file"):
        opened(path)
    with pytest.raises(SourceError, match=r"did you mean 'a\.npz'"):
        opened(tmp_path / "b.npz")


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("claimed", ["(4, 5, 9)", "(4, 5, 9999999999999)"])
def test_a_header_that_claims_more_than_there_is(tmp_path, save, claimed):
    write(tmp_path / "a.npz", raw=np.zeros((4, 5, 6), "uint8"))
    content = (tmp_path / "a.npz").read_bytes()
    start = content.index(b"(4, 5, 6)")
    header = re.sub(
        rb"\(4, 5, 6\), \}( +)",
        lambda found: f"{claimed}, }}".encode().ljust(len(found[0])),
        content[start:],
        count=1,
    )
    (tmp_path / "a.npz").write_bytes(content[:start] + header)
    with pytest.raises(SourceError, match=r"an array is cut off|not a \.npz file"):
        opened(tmp_path / "a.npz")


@given(st.integers(0, 600), st.integers(0, 255), st.sampled_from(SAVERS))
def test_damaged_files_open_or_are_refused(tmp_path_factory, place, byte, save):
    path = write(tmp_path_factory.mktemp("damaged") / "a.npz", save, raw=np.zeros((4, 5, 6), "u2"))
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    with contextlib.suppress(SourceError):
        opened(path).read()


@pytest.mark.parametrize("save", SAVERS)
def test_a_file_that_changed_is_an_error(tmp_path, save):
    array = opened(write(tmp_path / "a.npz", save, raw=sample_voxels((4, 5, 6), "uint16")))
    write(tmp_path / "a.npz", save, other=np.zeros(3))
    with pytest.raises(ReadError, match=r"a\.npz/raw\.npy, voxels"):
        array.read()
    (tmp_path / "a.npz").unlink()
    with pytest.raises(ReadError, match="No such file"):
        array.read()


def test_a_forked_process_reads_the_same(tmp_path):
    array = opened(write(tmp_path / "a.npz", raw=sample_voxels((4, 5, 6), "uint16")))
    expected = array.read()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply(array.read)
    np.testing.assert_array_equal(found, expected)


@needs_proc
@pytest.mark.parametrize("save", SAVERS)
def test_a_read_holds_its_region_only(tmp_path, save):
    path = write(tmp_path / "large.npz", save, raw=np.zeros((2**9, 2**9, 2**9), "uint8"))  # 128 MiB
    array = opened(path)

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    assert not array.read_box(Box((500, 6, 7), (1, 64, 64))).any()
    assert resident() - before < 48 * 2**20  # zipfile skips 16 MiB at a time


@pytest.mark.parametrize("save", SAVERS)
def test_a_single_number_is_an_array_without_axes(tmp_path, save):
    array = opened(write(tmp_path / "a.npz", save, raw=np.array(7, ">u2")))
    assert (array.axes, array.read().tolist()) == ((), 7)
