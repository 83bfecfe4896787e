"""Input that is damaged or hostile: one clear error that names the file and, where there are such, the chunk."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zipfile
import zlib

import h5py
import nibabel
import numcodecs
import numpy as np
import pytest
import tifffile
import zarr

from dacapo_like import from_numpy, open_array
from dacapo_like.errors import DacapoLikeError, ReadError, SourceError
from dacapo_like.testing import sample_voxels

pytestmark = pytest.mark.slow  # the module takes over ten seconds

TYPES = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".h5": "hdf5",
    ".ome.tif": "tiff",
    ".ims": "imaris",
    ".npy": "npy",
    ".zarr.zip": "zarr",
}
VOXELS = sample_voxels((32, 40, 48), "uint16")


def written(folder, suffix):
    array = from_numpy(VOXELS, voxel_size=(2, 1, 1), units="um")
    if suffix == ".npy":
        np.save(folder / "a.npy", VOXELS)
        return folder / "a.npy"
    return array.save(folder / f"a{suffix}")


def opened(path, suffix, **fields):
    if suffix == ".npy":
        fields |= {"axes": ["z", "y", "x"], "voxel_size": [2, 1, 1]}
    return open_array({"type": TYPES[suffix], "file_name": str(path), **fields})


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("kept", [0, 3, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off(tmp_path, suffix, kept):
    path = written(tmp_path, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(SourceError) as error:
        opened(path, suffix).read()
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize(
    "content", [b"hello, world", b"\x89PNG\r\n\x1a\n" + bytes(600), bytes(5000)]
)
def test_a_file_of_another_kind(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        opened(path, suffix).read()
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "options", [{}, {"shards": (16, 16, 16)}, {"compression": "blosc"}, {"compression": None}]
)
def test_a_flipped_bit_in_a_checksummed_chunk(tmp_path, options):
    path = from_numpy(VOXELS).save(tmp_path / "a.zarr", chunks=(8, 8, 8), levels=1, **options)
    chunk = max((path / "0" / "c").rglob("*"))
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 3] ^= 4
    chunk.write_bytes(damaged)
    array = open_array({"type": "zarr", "file_name": str(path)})
    with pytest.raises(ReadError, match=r"a\.zarr, voxels .*: voxels cannot be read") as error:
        array.read()
    assert chunk.relative_to(path / "0").as_posix() in str(error.value)
    np.testing.assert_array_equal(array[:8, :8, :8], VOXELS[:8, :8, :8])


READ_BOMB = """
import re, sys
from pathlib import Path
from dacapo_like import open_array
def memory(kind):
    return int(re.search(kind + ":[ \\t]+([0-9]+)", Path("/proc/self/status").read_text())[1]) / 1024
array = open_array({"type": sys.argv[1], "file_name": sys.argv[2]})
before = memory("VmRSS")
try:
    array[..., :4]
except OSError as error:
    print(memory("VmHWM") - before, type(error).__name__, error)
"""


def read_bomb(kind, path):
    """Give the growth of memory in MiB, and the error, of a process of its own."""
    command = [sys.executable, "-c", READ_BOMB, kind, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth, _, error = done.stdout.strip().partition(" ")
    return float(growth), error


@pytest.mark.parametrize(("codec", "version"), [("zstd", 3), ("gzip", 3), ("gzip", 2)])
def test_a_chunk_that_unpacks_to_far_more(tmp_path, codec, version):
    codecs = {"zstd": zarr.codecs.ZstdCodec(), "gzip": zarr.codecs.GzipCodec()}
    made = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(64, 64),
        chunks=(64, 64),
        dtype="uint8",
        zarr_format=version,
        compressors=codecs[codec] if version == 3 else numcodecs.GZip(),
    )
    made[...] = 1
    bomb = bytes(200 * 2**20)
    packed = gzip.compress(bomb, 1) if codec == "gzip" else numcodecs.Zstd(1).encode(bomb)
    (tmp_path / "a.zarr" / ("c/0/0" if version == 3 else "0.0")).write_bytes(packed)
    growth, error = read_bomb("zarr", tmp_path / "a.zarr")
    assert error.startswith("ReadError")
    assert growth < 100  # MiB, of which TensorStore itself takes some 30


def blosc_bomb(path, length, version=3, *, shards=None, filters=None):
    """Make an array of four chunks, of which that at (1, 0) unpacks to `length` bytes; give the name of its file."""
    made = zarr.create_array(
        path,
        shape=(64, 64),
        chunks=(32, 32),
        shards=shards,
        dtype="uint8",
        zarr_format=version,
        filters=filters,
        compressors=numcodecs.Blosc("zstd") if version == 2 else zarr.codecs.BloscCodec(),
    )
    made[...] = 1
    packed = bytes(numcodecs.Blosc("zstd", 1).encode(bytes(length)))
    name = "c/0/0" if shards else "c/1/0" if version == 3 else "1.0"
    if shards:  # the bomb stands before the index, whose third entry of four leads to it
        stored = (path / name).read_bytes()
        chunks, index = stored[:-68], bytearray(stored[-68:-4])
        index[32:48] = np.array([len(chunks), len(packed)], "<u8").tobytes()
        packed = chunks + packed + bytes(numcodecs.CRC32C().encode(bytes(index)))
    (path / name).write_bytes(packed)
    return name


@pytest.mark.parametrize("filters", [None, [numcodecs.Delta("u1")]])
def test_a_chunk_of_blosc_that_unpacks_to_far_more(tmp_path, filters):
    name = blosc_bomb(tmp_path / "a.zarr", 200 * 2**20, version=2, filters=filters)
    (tmp_path / "a.zarr" / name).rename(tmp_path / "a.zarr" / "0.0")
    growth, error = read_bomb("zarr", tmp_path / "a.zarr")
    assert error.startswith("ReadError")
    assert growth < 100  # MiB


@pytest.mark.parametrize(
    ("version", "options"),
    [
        (3, {}),
        (3, {"shards": (64, 64)}),
        (2, {}),
        (2, {"filters": [numcodecs.Delta("u1")]}),
    ],
)
@pytest.mark.parametrize("zipped", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_chunk_of_blosc_is_not_unpacked_if_it_claims_far_more(tmp_path, version, options, zipped):
    path = tmp_path / "a.zarr"
    name = blosc_bomb(path, 2**20, version, **options)
    if zipped is not None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipped) as file:
            for member in path.rglob("*"):
                file.write(member, member.relative_to(path))
        path = tmp_path / "a.zip"
    array = open_array({"type": "zarr", "file_name": str(path)})
    np.testing.assert_array_equal(array[:32], np.ones((32, 64)))
    with pytest.raises(ReadError) as error:
        array[40:, :8]
    assert "far more than its voxels take (got 1048576 bytes in" in str(error.value)
    assert f"in {name}; expected 1024 bytes)" in str(error.value)
    np.testing.assert_array_equal(array[32:, 32:], np.ones((32, 32)))


@pytest.mark.parametrize("kind", ["hdf5", "imaris"])
@pytest.mark.parametrize("filters", [(), ("shuffle",), ("fletcher32",), ("shuffle", "fletcher32")])
def test_an_hdf5_chunk_that_unpacks_to_far_more(tmp_path, kind, filters):
    path = from_numpy(np.ones((64, 64, 64), "uint8")).save(tmp_path / "a.ims")
    name = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data" if kind == "imaris" else "a"
    if kind == "hdf5":
        path = tmp_path / "a.h5"
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        made = file.create_dataset(
            name,
            shape=(64, 64, 64),
            chunks=(64, 64, 64),
            dtype="uint8",
            compression="gzip",
            **dict.fromkeys(filters, True),
        )
        made.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(200 * 2**20), 1))
    growth, error = read_bomb(kind, path)
    assert error.startswith("ReadError")
    assert str(path) in error
    assert "the chunk at (0, 0, 0) does not unpack to its voxels" in error
    assert growth < 50  # MiB


@pytest.mark.parametrize("link", ["chunk", "folder", "metadata"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_link_out_of_the_store(tmp_path, link, version):
    for name in ("a", "secret"):
        zarr.create_array(
            tmp_path / f"{name}.zarr", data=VOXELS, chunks=(16, 16, 16), zarr_format=version
        )
    inside, outside = tmp_path / "a.zarr", tmp_path / "secret.zarr"
    name = {
        ("chunk", 2): "0.1.2",
        ("chunk", 3): "c/0/1/2",
        ("folder", 3): "c/0",
        ("metadata", 2): ".zarray",
        ("metadata", 3): "zarr.json",
    }.get((link, version))
    if name is None:
        (inside / "0.0.0").unlink()
        name = "0.0.0"
    elif link == "folder":
        (inside / name).rename(tmp_path / "moved")
    else:
        (inside / name).unlink()
    (inside / name).symlink_to(outside / name)
    with pytest.raises(SourceError, match="symbolic link leads out of the store") as error:
        open_array({"type": "zarr", "file_name": str(inside)}).read()
    assert str(inside) in str(error.value)


def test_a_store_that_is_a_link_and_links_inside_of_it(tmp_path):
    zarr.create_array(tmp_path / "real.zarr", data=VOXELS, chunks=(16, 16, 16))
    (tmp_path / "a.zarr").symlink_to(tmp_path / "real.zarr")
    chunks = tmp_path / "real.zarr" / "c"
    (chunks / "0" / "0" / "1").unlink()
    (chunks / "0" / "0" / "1").symlink_to(chunks / "0" / "0" / "0")
    expected = VOXELS.copy()
    expected[:16, :16, 16:32] = VOXELS[:16, :16, :16]
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    np.testing.assert_array_equal(array.read(), expected)


def test_an_external_link_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = VOXELS
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "x")
    with pytest.raises(SourceError, match="another file") as error:
        open_array({"type": "hdf5", "file_name": str(tmp_path / "a.h5"), "dataset": "x"})
    assert str(tmp_path / "a.h5") in str(error.value)


def test_headers_of_absurd_sizes(tmp_path):
    nibabel.save(nibabel.Nifti1Image(VOXELS[:2], np.eye(4)), tmp_path / "a.nii")
    header = bytearray((tmp_path / "a.nii").read_bytes())
    header[40:56] = np.array([7, *[32767] * 7], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(header)
    with pytest.raises(DacapoLikeError):
        opened(tmp_path / "a.nii", ".nii")[(0,) * 7]
    tifffile.imwrite(tmp_path / "a.ome.tif", VOXELS[:2], photometric="minisblack")
    content = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(content[:8] + content[8:60].replace(b"\0", b"\xff"))
    with pytest.raises(DacapoLikeError):
        opened(tmp_path / "a.ome.tif", ".ome.tif")
