"""Chunks of Zarr arrays in folders that are kept: what zarr-python holds in the array, whatever was kept before."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import open_array, settings
from dacapo_like.chunk_cache import CACHE
from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box

LAYOUTS = {
    "v3": {"zarr_format": 3, "chunks": (4, 5, 6)},
    "sharded": {"zarr_format": 3, "chunks": (4, 5, 6), "shards": (8, 10, 6)},
    "v2, dots": {"zarr_format": 2, "chunks": (4, 5, 6)},
    "v2, slashes": {
        "zarr_format": 2,
        "chunks": (4, 5, 6),
        "chunk_key_encoding": {"name": "v2", "separator": "/"},
    },
}


@pytest.fixture(autouse=True)
def _empty():
    CACHE.forget()
    yield
    CACHE.forget()


def settle(folder):
    """Let files look as if they had been written an hour ago."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime_ns - 3600 * 10**9
            os.utime(path, ns=(then, then))


def stored(folder, data, **layout):
    array = zarr.create_array(folder, shape=data.shape, dtype=data.dtype, **layout)
    array[...] = data
    settle(folder)
    return array


def voxels(dtype="u1", shape=(13, 11, 17)):
    return np.random.default_rng(5).integers(1, 200, shape).astype(dtype)


def counted(path):
    (found,) = [counts for name, counts in CACHE.counts().items() if str(path) in name]
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4", "u8"])
def test_any_box_is_what_is_stored(tmp_path, layout, dtype):
    data = voxels(dtype)
    stored(tmp_path / "a.zarr", data, **LAYOUTS[layout])
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    rng = np.random.default_rng(1)
    for _ in range(40):
        start = rng.integers(0, data.shape)
        stop = rng.integers(start + 1, np.array(data.shape) + 1)
        box = Box(tuple(map(int, start)), tuple(map(int, stop - start)))
        found = array.read_box(box)
        np.testing.assert_array_equal(found, data[box.slices])
        found[...] = 0  # it is the caller's, and no chunk that is kept
    whole = array[...]
    np.testing.assert_array_equal(whole, data)
    counts = counted(tmp_path)
    assert counts.misses == 4 * 3 * 3  # every chunk was decoded once
    assert counts.bytes_decoded == data.nbytes


@given(data=st.data())
def test_any_box_of_any_grid(data, tmp_path_factory):
    ndim = data.draw(st.integers(1, 3))
    shape = data.draw(st.tuples(*[st.integers(1, 9)] * ndim))
    chunks = data.draw(st.tuples(*[st.integers(1, 10)] * ndim))
    held = voxels(shape=shape)
    path = tmp_path_factory.mktemp("grid") / "a.zarr"
    stored(path, held, chunks=chunks)
    axes = list("zyx"[-ndim:])
    array = open_array({"type": "zarr", "file_name": str(path), "axes": axes})
    for _ in range(4):
        start = data.draw(st.tuples(*[st.integers(0, n - 1) for n in shape]))
        size = data.draw(
            st.tuples(*[st.integers(1, n - o) for n, o in zip(shape, start, strict=True)])
        )
        box = Box(start, size)
        np.testing.assert_array_equal(array.read_box(box), held[box.slices])


def test_reads_that_overlap_decode_each_chunk_once(tmp_path):
    data = voxels(shape=(16, 16, 16))
    stored(tmp_path / "a.zarr", data, chunks=(8, 8, 8))
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    boxes = [Box((i, j, k), (6, 6, 6)) for i in range(11) for j in (0, 5, 10) for k in (3, 10)]
    for box, found in zip(
        boxes, array.read_each([array.spec.box_to_roi(box) for box in boxes]), strict=True
    ):
        np.testing.assert_array_equal(found, data[box.slices])
    assert counted(tmp_path).misses == 8
    again = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    again.read_box(boxes[0])
    assert counted(tmp_path).misses == 8  # another array of the same voxels


@pytest.mark.parametrize("writer", ["zarr-python", "ours"])
@pytest.mark.parametrize("sharded", [False, True])
def test_voxels_that_are_written_anew_are_seen(tmp_path, writer, sharded):
    shards = {"shards": (8, 10, 12)} if sharded else {}
    path = tmp_path / "a.zarr"
    kept = stored(path, voxels(), chunks=(4, 5, 6), **shards)
    array = open_array({"type": "zarr", "file_name": str(path)})
    box = Box((2, 2, 2), (6, 6, 6))
    array.read_box(box)
    if writer == "ours":
        writable = open_array({"type": "zarr", "file_name": str(path), "mode": "r+"})
    for value in range(10):  # one right after the other: their files may look the same
        if writer == "ours":
            writable[3:6, 3:6, 3:6] = value
        else:
            kept[3:6, 3:6, 3:6] = value
        assert (array.read_box(box)[1:4, 1:4, 1:4] == value).all()
    settle(path)
    for _ in range(2):
        assert (array.read_box(box)[1:4, 1:4, 1:4] == 9).all()


def test_an_array_that_is_made_anew_is_another(tmp_path):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(path, shape=(8,), chunks=(4,), dtype="<u2", compressors=None)
    array[...] = np.arange(8)
    settle(path)
    document = path / "zarr.json"
    first = open_array({"type": "zarr", "file_name": str(path), "axes": ["x"]})
    assert first[...].tolist() == list(range(8))
    text = document.read_text()
    assert '"little"' in text
    document.write_text(text.replace('"little"', '"big"'))  # the chunks' files are as before
    second = open_array({"type": "zarr", "file_name": str(path), "axes": ["x"]})
    assert second[...].tolist() == [i * 256 for i in range(8)]


@pytest.mark.parametrize("missing", ["fill", "error"])
def test_chunks_that_are_not_there(tmp_path, missing):
    path = tmp_path / "a.zarr"
    data = voxels(shape=(8, 8, 8))
    array = zarr.create_array(path, shape=(8, 8, 8), chunks=(4, 4, 4), dtype="u1", fill_value=3)
    array[:, :, :4] = data[:, :, :4]
    settle(path)
    ours = open_array({"type": "zarr", "file_name": str(path), "missing": missing})
    np.testing.assert_array_equal(ours[:, :, :4], data[:, :, :4])
    if missing == "error":
        with pytest.raises(ReadError, match="a chunk is missing"):
            ours[...]
    else:
        np.testing.assert_array_equal(ours[...], array[...])
        assert (ours[2:6, 2:6, 5:] == 3).all()
        array[:4, :4, 4:] = 7
        assert (ours[:4, :4, 4:] == 7).all()  # nothing is remembered of what was not there


def test_without_a_cache_nothing_is_kept(tmp_path):
    data = voxels()
    stored(tmp_path / "a.zarr", data, chunks=(4, 5, 6))
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    with dacapo_like.using(cache_bytes=0):
        np.testing.assert_array_equal(array[...], data)
    assert CACHE.bytes_held == 0
    assert CACHE.counts() == {}


def test_a_read_that_would_push_out_all_others_is_not_kept(tmp_path):
    data = voxels(shape=(32, 32, 32))
    stored(tmp_path / "a.zarr", data, chunks=(8, 8, 8))
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    with dacapo_like.using(cache_bytes=16 * 1024):
        np.testing.assert_array_equal(array[:8, :8, :8], data[:8, :8, :8])
        assert CACHE.bytes_held >= 512
        held = CACHE.bytes_held
        np.testing.assert_array_equal(array[...], data)
        assert CACHE.bytes_held == held


def test_threads_share_what_is_being_decoded(tmp_path):
    data = voxels(shape=(24, 24, 24))
    stored(tmp_path / "a.zarr", data, chunks=(8, 8, 8))
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    wrong = []

    def read(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            box = Box(tuple(map(int, rng.integers(0, 12, 3))), (12, 12, 12))
            if not np.array_equal(array.read_box(box), data[box.slices]):
                wrong.append(box)

    with dacapo_like.using():
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
    assert CACHE.bytes_held <= settings.current().cache_bytes


def test_a_read_that_a_parent_has_begun_is_finished_in_a_child_that_was_forked(tmp_path):
    data = voxels()
    stored(tmp_path / "a.zarr", data, chunks=(4, 5, 6))
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    finish = array.start_box(array.spec.box)
    pid = os.fork()
    if not pid:  # the child must not return to pytest
        try:
            same = np.array_equal(array[...], data) and np.array_equal(finish(), data)
            os._exit(0 if same else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    np.testing.assert_array_equal(finish(), data)


def composed(path):
    labels = {"type": "zarr", "file_name": str(path), "kind": "labels"}
    groups = {"a": [1, 7], "b": [7, 2**40], "any": [], "none": [2**63]}
    return {
        "type": "concat",
        "channels": ["bin", "mask"],
        "sources": {
            "bin": {"type": "binarize", "source": labels, "groupings": groups},
            "mask": {"type": "missing_annotations_mask", "source": labels, "groupings": groups},
        },
    }


def expected_of(data):
    any_ = data != 0
    masks = [np.isin(data, [1, 7]), np.isin(data, np.array([7, 2**40], "u8")), any_, data == 2**63]
    return np.stack([*masks, *[any_] * 4]).astype("u1")


@pytest.mark.parametrize("sharded", [False, True])
def test_what_groups_make_of_labels_is_kept_in_their_place(tmp_path, sharded):
    ids = np.array([0, 1, 2, 7, 9, 2**40, 2**63], "u8")
    data = ids[np.random.default_rng(0).integers(0, 7, (20, 20, 20))]
    shards = {"shards": (16, 16, 16)} if sharded else {}
    stored(tmp_path / "a.zarr", data, chunks=(8, 8, 8), **shards)
    array = open_array(composed(tmp_path / "a.zarr"))
    box = Box((0, 1, 2, 3), (8, 12, 12, 12))
    for _ in range(2):
        np.testing.assert_array_equal(array.read_box(box), expected_of(data)[box.slices])
    counts = counted(tmp_path)
    touched = 2 * 2 * 2
    assert counts.misses == touched  # both operators look at the same bytes
    assert counts.bytes_decoded == touched * 8**3  # one for a voxel: no labels are kept
    part = Box((2, 5, 5, 5), (4, 6, 6, 6))
    np.testing.assert_array_equal(array.read_box(part), expected_of(data)[part.slices])
    assert counted(tmp_path).misses == touched


def test_each_chunk_is_decoded_once_for_several_operators(tmp_path, monkeypatch):
    data = np.random.default_rng(0).integers(0, 9, (16, 16, 16)).astype("u8")
    stored(tmp_path / "a.zarr", data, chunks=(8, 8, 8))
    config = composed(tmp_path / "a.zarr")
    many = {
        str(i): [i] for i in range(8)
    }  # with those of the other, more tests than a byte has bits
    config["sources"]["bin"]["groupings"] = many
    array = open_array(config)
    (reader,) = {id(n.reader): n.reader for n in nodes(array) if n.reader is not None}.values()
    decoded = []
    decode = reader._voxels._cells._decode
    monkeypatch.setattr(
        reader._voxels._cells, "_decode", lambda box: decoded.append(box) or decode(box)
    )
    found = array[...]
    for i in range(8):
        np.testing.assert_array_equal(found[i], (data == i) & (i != 0))
    np.testing.assert_array_equal(found[8:], expected_of(data)[4:])
    assert len(decoded) == 8


@pytest.mark.parametrize("cache_bytes", [0, 40_000])
def test_where_chunks_are_not_kept_labels_are_looked_up_as_they_are(tmp_path, cache_bytes):
    data = np.random.default_rng(0).integers(0, 9, (16, 16, 16)).astype("u8")
    stored(tmp_path / "a.zarr", data, chunks=(8, 8, 8))
    array = open_array(composed(tmp_path / "a.zarr"))
    with dacapo_like.using(cache_bytes=cache_bytes):
        np.testing.assert_array_equal(array[...], expected_of(data))
        assert CACHE.bytes_held == 0
        inner = Box((0, 8, 8, 8), (8, 8, 8, 8))
        np.testing.assert_array_equal(array.read_box(inner), expected_of(data)[inner.slices])


def nodes(array):
    yield array
    for below in array.inputs:
        yield from nodes(below)
