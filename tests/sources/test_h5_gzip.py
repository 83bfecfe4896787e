"""Chunks of HDF5 inflated by us: h5py reads the same files."""

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dacapo_like import HDF5ArrayConfig
from dacapo_like.errors import ReadError
from dacapo_like.sources import _h5_gzip
from dacapo_like.testing import sample_voxels

pytestmark = pytest.mark.usefixtures("inflaters")
SHAPE, CHUNKS = (9, 20, 17), (4, 8, 8)


@pytest.fixture(params=["zlib", "imagecodecs"], scope="module")
def inflaters(request):
    """Inflate with Python's own zlib, and with libdeflate."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "zlib":
            patch.setattr(_h5_gzip, "fast_codecs", lambda: None)
        else:
            pytest.importorskip("imagecodecs")
            assert _h5_gzip.fast_codecs() is not None
        yield


def opened(path):
    return HDF5ArrayConfig(file_name=str(path)).array()


def create(path, data, **options):
    with h5py.File(path, "w") as file:
        options = {"chunks": CHUNKS, "compression": "gzip"} | options
        file.create_dataset("a", data=data, **options)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True},
        {"fletcher32": True},
        {"shuffle": True, "fletcher32": True},
        {"scaleoffset": 0},
        {"maxshape": (None, None, None)},
        {"compression": "lzf"},
        {"compression": None},
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int32", "uint64", "float32", ">f8", "bool"])
def test_the_voxels_are_those_that_h5py_reads(tmp_path, options, dtype):
    if "scaleoffset" in options and dtype == "bool":
        options = {}  # HDF5 has no such filter for them
    path = create(tmp_path / "a.h5", sample_voxels(SHAPE, "uint8").astype(dtype), **options)
    with h5py.File(path) as file:
        expected = file["a"][...]
    array = opened(path)
    np.testing.assert_array_equal(array.read(), expected)
    np.testing.assert_array_equal(array[3:7, 5:20, 8:9], expected[3:7, 5:20, 8:9])


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_box(data, tmp_path_factory):
    voxels = sample_voxels(SHAPE, "uint16")
    shuffle = data.draw(st.booleans())
    chunks = tuple(data.draw(st.integers(1, n)) for n in SHAPE)
    path = create(tmp_path_factory.mktemp("h5") / "a.h5", voxels, chunks=chunks, shuffle=shuffle)
    array = opened(path)
    for _ in range(3):
        index = []
        for n in SHAPE:
            first = data.draw(st.integers(0, n - 1))
            index.append(slice(first, data.draw(st.integers(first + 1, n))))
        np.testing.assert_array_equal(array[tuple(index)], voxels[tuple(index)])


def test_chunks_that_are_not_stored_and_chunks_that_skip_a_filter(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "a",
            SHAPE,
            "uint16",
            chunks=CHUNKS,
            compression="gzip",
            shuffle=True,
            fillvalue=7,
        )
        made[:4, :8, :8] = 3
        plain = np.arange(256, dtype="<u2").reshape(CHUNKS)
        made.id.write_direct_chunk((4, 8, 8), plain.tobytes(), filter_mask=0b11)
        shuffled = plain.reshape(-1).view("u1").reshape(-1, 2).T.tobytes()
        made.id.write_direct_chunk((0, 8, 8), shuffled, filter_mask=0b10)
        made.id.write_direct_chunk((4, 0, 0), zlib.compress(plain.tobytes()), filter_mask=0b01)
    with h5py.File(tmp_path / "a.h5") as file:
        expected = file["a"][...]
    assert {3, 7, 255} <= set(expected.flat)
    np.testing.assert_array_equal(opened(tmp_path / "a.h5").read(), expected)


def test_integers_of_fewer_bits_than_their_bytes(tmp_path):
    data = sample_voxels(SHAPE, "uint16") >> 4
    kind = h5py.h5t.STD_U16LE.copy()
    kind.set_precision(12)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space = h5py.h5s.create_simple(SHAPE)
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(CHUNKS)
        plan.set_deflate(4)
        made = h5py.Dataset(h5py.h5d.create(file.id, b"a", kind, space, plan))
        made[...] = data
    np.testing.assert_array_equal(opened(tmp_path / "a.h5").read(), data)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (zlib.compress(bytes(511)), r"got 511 bytes; expected 512 bytes"),
        (zlib.compress(bytes(513)), r"unpacks to more than 512 bytes"),
        (zlib.compress(bytes(512))[:-1], r"it ends after 512 bytes"),
        (b"no zlib at all", r"incorrect header"),
        (bytes(200_000), r"200000 bytes are stored"),
    ],
)
def test_a_chunk_that_is_not_what_it_should_be(tmp_path, stored, message):
    path = create(tmp_path / "a.h5", sample_voxels(SHAPE, "uint16"))
    with h5py.File(path, "a") as file:
        file["a"].id.write_direct_chunk((4, 8, 0), stored)
    array = opened(path)
    with pytest.raises(ReadError, match=message) as error:
        array.read()
    assert "the chunk at (4, 8, 0)" in str(error.value)
    assert str(path) in str(error.value)
    assert array[:4].any()
