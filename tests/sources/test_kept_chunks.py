"""Decoded chunks are kept for the next read, of every format that packs them, and never for another file of the same name."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import attrs
import h5py
import nibabel
import numpy as np
import pytest
import tifffile

import dacapo_like
from dacapo_like import chunk_cache, settings
from dacapo_like.chunk_cache import CACHE, ENTRY_BYTES
from dacapo_like.errors import ReadError
from dacapo_like.sources import _indexed_gzip, nifti
from dacapo_like.testing import sample_voxels

SHAPE = (8, 32, 48)
CHUNK = (4, 16, 16)
TIMEOUT = 60  # seconds: far above what a child needs

pytestmark = pytest.mark.filterwarnings(
    r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork:DeprecationWarning"
)


@pytest.fixture(autouse=True)
def as_before():
    before = settings.current()
    CACHE.forget()
    yield
    dacapo_like.configure(**attrs.asdict(before))
    CACHE.forget()


def write_h5(path, voxels, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=voxels, chunks=CHUNK, **options)


def write_imaris(path, voxels):
    array = dacapo_like.from_numpy(voxels, voxel_size=(1, 1, 1))
    array.to_imaris(path, chunks=CHUNK, overwrite=True)


def write_tiff(path, voxels, **options):
    metadata = {"axes": "ZYX"}
    tifffile.imwrite(path, voxels, tile=CHUNK[1:], metadata=metadata, compression="zlib", **options)


def write_stack(path, voxels):
    path.mkdir(exist_ok=True)
    for z, plane in enumerate(voxels):
        tifffile.imwrite(path / f"{z}.tif", plane, compression="zlib", rowsperstrip=16)


def write_czi(path, voxels):
    czi = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw has no wheel for this platform")
    path.unlink(missing_ok=True)
    with czi.create_czi(str(path)) as file:
        for z, plane in enumerate(voxels):
            file.write(plane[..., None], plane={"Z": z})
        file.write_metadata(scale_z=1e-6)


def write_nifti(path, voxels):
    nibabel.save(nibabel.Nifti1Image(voxels.T, np.eye(4)), path)


def write_npz(path, voxels):
    np.savez_compressed(path, a=voxels)


def open_as(kind, path, **fields):
    fields = {"voxel_size": (1, 1, 1), **fields}
    config = getattr(dacapo_like, f"{kind}ArrayConfig")
    return config(**{"file_name": str(path)} | fields).array()


def open_stack(path):
    return open_as("Tiff", "", pattern=f"{path}/{{z}}.tif", axes=("z", "y", "x"))


@attrs.frozen
class Format:
    """How a format is written and opened, the voxels of what it decodes at a time, and how many of these SHAPE is."""

    suffix: str
    write: object
    open: object
    chunk: tuple[int, ...]
    chunks: int


FORMATS = {
    "hdf5 gzip": Format(
        ".h5", partial(write_h5, compression="gzip"), partial(open_as, "HDF5"), CHUNK, 12
    ),
    "hdf5 gzip shuffle fletcher32": Format(
        ".h5",
        partial(write_h5, compression="gzip", shuffle=True, fletcher32=True),
        partial(open_as, "HDF5"),
        CHUNK,
        12,
    ),
    "hdf5 lzf": Format(
        ".h5", partial(write_h5, compression="lzf"), partial(open_as, "HDF5"), CHUNK, 12
    ),
    "imaris": Format(".ims", write_imaris, partial(open_as, "Imaris"), CHUNK, 12),
    "tiff": Format(".tif", write_tiff, partial(open_as, "Tiff"), (1, *CHUNK[1:]), 48),
    "tiff stack": Format("", write_stack, open_stack, (1, 16, 48), 16),
    "czi": Format(".czi", write_czi, partial(open_as, "Czi"), (1, *SHAPE[1:]), 8),
    "nifti": Format(".nii.gz", write_nifti, partial(open_as, "Nifti"), SHAPE, 1),
    "npz": Format(".npz", write_npz, partial(open_as, "Npy"), SHAPE, 1),
}


REOPENED = [name for name in FORMATS if name != "czi"]  # libCZI goes on with the file that is open


@pytest.fixture(params=FORMATS)
def kind(request, monkeypatch):
    monkeypatch.setattr(nifti, "indexed_stream", lambda *_: None)  # see below for streams with one
    return FORMATS[request.param]


def files(path):
    return sorted(path.iterdir()) if path.is_dir() else [path]


def settled(path):
    """Let a file, or those in a folder, be of some time ago."""
    for file in files(path):
        os.utime(file, (1e9, 1e9))


def written(kind, tmp_path, voxels):
    path = tmp_path / f"a{kind.suffix}"
    kind.write(path, voxels)
    settled(path)
    return path


def counted():
    found = dacapo_like.cache_statistics()
    return found.hits, found.misses


def spatial(array):
    """Read all, without the axis of the only channel that some formats have."""
    return array.read().reshape(SHAPE)


def test_every_chunk_is_decoded_once(kind, tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    np.testing.assert_array_equal(spatial(array), voxels)
    assert counted() == (0, kind.chunks)
    np.testing.assert_array_equal(spatial(array), voxels)
    assert counted() == (kind.chunks, kind.chunks)
    found = dacapo_like.cache_statistics()
    assert found.bytes_decoded == voxels.nbytes
    assert found.bytes_held == voxels.nbytes + kind.chunks * ENTRY_BYTES
    assert len(found.sources) == 1


def test_only_the_chunks_that_a_box_touches_are_decoded(kind, tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    corner = array[..., 3:4, 15:16, 0:1]
    assert corner.item() == voxels[3, 15, 0]
    assert counted() == (0, 1)
    assert array[..., 3:4, 0:1, 7:8].item() == voxels[3, 0, 7]
    assert counted() == (1, 1)
    assert dacapo_like.cache_statistics().bytes_decoded == 2 * np.prod(kind.chunk)


def test_what_is_given_out_belongs_to_the_caller(kind, tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    for _ in range(2):
        array.read()[...] = 0
    np.testing.assert_array_equal(spatial(array), voxels)


def test_without_caches_every_read_decodes(kind, tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    with dacapo_like.using(cache_bytes=0):
        for _ in range(2):
            np.testing.assert_array_equal(spatial(array), voxels)
    assert counted() == (0, 0)
    assert CACHE.bytes_held == 0


def test_nothing_is_kept_of_a_file_that_was_written_just_now(kind, tmp_path, monkeypatch):
    """It may be written once more and look the same: clocks of file systems tick some hundred times in a second."""
    monkeypatch.setattr(chunk_cache, "UNSETTLED", 10**30)
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    for _ in range(2):
        np.testing.assert_array_equal(spatial(array), voxels)
    assert counted() == (0, 0)


@pytest.mark.parametrize("kind", REOPENED, indirect=True)
@pytest.mark.parametrize("way", ["replaced", "in place"])
def test_a_file_that_is_written_anew_is_read_anew(kind, tmp_path, way):
    """Its voxels, their compressed length, and so the places of all chunks are others."""
    first = np.zeros(SHAPE, "uint16")
    second = sample_voxels(SHAPE, "uint16")
    path = written(kind, tmp_path, first)
    array = kind.open(path)
    np.testing.assert_array_equal(spatial(array), first)
    (tmp_path / "other").mkdir()
    other = written(kind, tmp_path / "other", second)
    for old, new in zip(files(path), files(other), strict=True):
        os.utime(new, (1.1e9, 1.1e9))
        if way == "replaced":
            new.replace(old)
        else:
            old.write_bytes(new.read_bytes())
            os.utime(old, (1.1e9, 1.1e9))
    np.testing.assert_array_equal(spatial(array), second)
    np.testing.assert_array_equal(spatial(kind.open(path)), second)


@pytest.mark.parametrize("kind", REOPENED, indirect=True)
def test_a_file_of_the_same_length_and_time_is_another_all_the_same(kind, tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    path = written(kind, tmp_path, voxels)
    array = kind.open(path)
    spatial(array)
    (tmp_path / "other").mkdir()
    other = written(kind, tmp_path / "other", voxels)
    for old, new in zip(files(path), files(other), strict=True):
        assert old.stat().st_mtime == new.stat().st_mtime
        new.replace(old)
    before = counted()
    spatial(array)
    assert counted() == (before[0], before[1] + kind.chunks)


def test_a_czi_that_is_replaced_is_not_kept_of(tmp_path):
    kind = FORMATS["czi"]
    first, second = (sample_voxels(SHAPE, "uint16", seed) for seed in (0, 1))
    path = written(kind, tmp_path, first)
    array = kind.open(path)
    np.testing.assert_array_equal(spatial(array), first)
    (tmp_path / "other").mkdir()
    written(kind, tmp_path / "other", second).replace(path)
    before = counted()
    np.testing.assert_array_equal(spatial(array), first)  # the file that is open
    assert counted() == before
    np.testing.assert_array_equal(spatial(kind.open(path)), second)


@pytest.mark.parametrize("name", ["hdf5 gzip", "hdf5 lzf", "imaris", "tiff"])
@pytest.mark.parametrize(
    "other", [sample_voxels(SHAPE, "uint8"), sample_voxels((8, 32, 20), "uint16")]
)
def test_a_file_that_became_another_array_is_an_error(tmp_path, name, other):
    kind = FORMATS[name]
    path = written(kind, tmp_path, sample_voxels(SHAPE, "uint16"))
    array = kind.open(path)
    spatial(array)
    path.unlink()
    kind.write(path, other)
    with pytest.raises(ReadError, match="the file has changed since it was opened") as error:
        array.read()
    assert str(path) in error.value.where


@pytest.mark.parametrize("name", ["hdf5 gzip", "hdf5 lzf"])
def test_a_file_that_is_gone_is_read_on_where_it_is_open(tmp_path, name):
    kind = FORMATS[name]
    voxels = sample_voxels(SHAPE, "uint16")
    path = written(kind, tmp_path, voxels)
    array = kind.open(path)
    spatial(array)
    path.unlink()
    np.testing.assert_array_equal(spatial(array), voxels)


def test_threads_with_hardly_any_room(kind, tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    limit = 4 * (2 * int(np.prod(kind.chunk)) + ENTRY_BYTES)  # four chunks
    dacapo_like.configure(cache_bytes=limit)
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (7, 27, 43), (60, 3)).tolist()
    boxes = [np.s_[z : z + 2, y : y + 6, x : x + 6] for z, y, x in corners]

    def read(box):
        block = array[(..., *box)]
        return block.reshape(2, 6, 6), CACHE.bytes_held

    with ThreadPoolExecutor(6) as threads:
        for box, (block, held) in zip(boxes, threads.map(read, boxes), strict=True):
            np.testing.assert_array_equal(block, voxels[box])
            assert held <= limit
    assert sum(counted()) > 0


def test_a_forked_child_reads_what_its_parent_kept(kind, tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    spatial(array)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work():
        sender.send((spatial(array), counted()))

    child = context.Process(target=work)
    child.start()
    sender.close()
    block, (_, misses) = receiver.recv()
    child.join(TIMEOUT)
    assert child.exitcode == 0
    np.testing.assert_array_equal(block, voxels)
    assert misses == kind.chunks


def total(array):
    """For a child: what it reads, and what it had to decode for that in two reads."""
    array.read()
    return int(array.read().sum()), counted()


def test_a_spawned_child_keeps_chunks_of_its_own(tmp_path):
    kind = FORMATS["hdf5 gzip"]
    voxels = sample_voxels(SHAPE, "uint16")
    array = kind.open(written(kind, tmp_path, voxels))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(total, array).result(TIMEOUT) == (voxels.sum(), (12, 12))
    assert counted() == (0, 0)


# What is not kept, or differently


@pytest.mark.parametrize("options", [{"chunks": CHUNK}, {}])
def test_voxels_that_are_not_packed_are_left_to_the_operating_system(tmp_path, options):
    voxels = sample_voxels(SHAPE, "uint16")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=voxels, **options)
    np.save(tmp_path / "a.npy", voxels)
    np.savez(tmp_path / "a.npz", voxels)
    tifffile.imwrite(tmp_path / "a.tif", voxels)
    write_nifti(tmp_path / "a.nii", voxels)
    names = {"a.h5": "HDF5", "a.npy": "Npy", "a.npz": "Npy", "a.tif": "Tiff", "a.nii": "Nifti"}
    for name, kind in names.items():
        settled(tmp_path)
        array = open_as(kind, tmp_path / name)
        for _ in range(2):
            np.testing.assert_array_equal(array[2:, 3:], voxels[2:, 3:])
    assert counted() == (0, 0)


def test_a_chunk_that_is_not_stored_takes_next_to_nothing(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", SHAPE, "uint16", chunks=CHUNK, compression="gzip", fillvalue=7)[
            0, 0, 0
        ] = 3
    settled(tmp_path)
    array = open_as("HDF5", tmp_path / "a.h5")
    for _ in range(2):
        assert array.read().sum() == 7 * (np.prod(SHAPE) - 1) + 3
    assert counted() == (12, 12)
    assert CACHE.bytes_held == 2 * np.prod(CHUNK) + 11 * 2 + 12 * ENTRY_BYTES


def test_chunks_too_large_to_be_kept_are_read_in_part(tmp_path):
    voxels = sample_voxels(SHAPE, "uint16")
    for kind in (FORMATS["hdf5 lzf"], FORMATS["tiff"], FORMATS["npz"]):
        array = kind.open(written(kind, tmp_path, voxels))
        with dacapo_like.using(cache_bytes=1000):
            np.testing.assert_array_equal(spatial(array), voxels)
    assert counted() == (0, 0)


def test_a_stream_with_an_index_is_kept_piece_by_piece(tmp_path, monkeypatch):
    pytest.importorskip("indexed_gzip")
    monkeypatch.setattr(_indexed_gzip, "PIECE", 2**12)
    voxels = sample_voxels(SHAPE, "uint16")
    write_nifti(tmp_path / "a.nii.gz", voxels)
    settled(tmp_path)
    array = open_as("Nifti", tmp_path / "a.nii.gz")
    pieces = -(-(352 + voxels.nbytes) // 2**12)
    np.testing.assert_array_equal(array[7:], voxels[7:])
    assert counted()[1] == 2
    for _ in range(2):
        np.testing.assert_array_equal(array.read(), voxels)
    assert counted()[1] == pieces
    assert dacapo_like.cache_statistics().bytes_decoded == 352 + voxels.nbytes


def test_scaled_voxels_are_kept_as_they_are_stored(tmp_path):
    voxels = sample_voxels(SHAPE, "int16")
    image = nibabel.Nifti1Image(voxels.T, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / "a.nii.gz")
    settled(tmp_path)
    expected = np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj).T
    array = open_as("Nifti", tmp_path / "a.nii.gz")
    for _ in range(2):
        np.testing.assert_array_equal(array[1:, 2:], expected[1:, 2:].astype(array.dtype))
