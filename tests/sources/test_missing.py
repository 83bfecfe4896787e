"""Chunks that are not there, of every format that leaves them out: `missing` says what is done, and an error says where."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from contextlib import ExitStack

import h5py
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr
from web_server import serving

from dacapo_like import from_numpy, open_array, verify
from dacapo_like.errors import DataWarning, ReadError, SourceError
from dacapo_like.testing import sample_voxels

VOXELS = sample_voxels((4, 32, 32), "uint16") | 1
CHUNKS = (2, 16, 16)
LOST = (slice(2, 4), slice(0, 16), slice(16, 32))
GRID = {"axes": ["z", "y", "x"], "voxel_size": [40, 4, 4]}


def with_a_gap(array):
    """Assign all chunks but one."""
    for index in np.ndindex(2, 2, 2):
        part = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, CHUNKS, strict=True))
        if part != LOST:
            array[part] = VOXELS[part]


def zarr_at(folder, **options):
    path = folder / "a.zarr"
    with_a_gap(
        zarr.create_array(path, shape=VOXELS.shape, chunks=CHUNKS, dtype="uint16", **options)
    )
    return {"type": "zarr", "file_name": str(path), **GRID}


def zarr_2(folder, _):
    return zarr_at(folder, zarr_format=2)


def zarr_3(folder, _):
    return zarr_at(folder)


def sharded(folder, _):
    return zarr_at(folder, shards=VOXELS.shape)


def zipped(folder, _):
    config = zarr_3(folder, _)
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        for path in sorted((folder / "a.zarr").rglob("*")):
            file.write(path, path.relative_to(folder / "a.zarr").as_posix())
    return config | {"file_name": str(folder / "a.zip")}


def on_a_server(folder, open_things):
    url = open_things.enter_context(serving(folder)).url
    return zarr_3(folder, None) | {"file_name": f"{url}/a.zarr"}


def n5(folder, _):
    store = {"driver": "file", "path": f"{folder}/a.n5/"}
    metadata = {
        "dimensions": VOXELS.shape[::-1],
        "blockSize": CHUNKS[::-1],
        "dataType": "uint16",
        "compression": {"type": "gzip"},
    }
    spec = {"driver": "n5", "kvstore": store, "metadata": metadata, "create": True}
    with_a_gap(tensorstore.open(spec).result().T)
    return {"type": "n5", "file_name": f"{folder}/a.n5", **GRID}


def precomputed(folder, _):
    scale = {
        "size": VOXELS.shape[::-1],
        "chunk_size": CHUNKS[::-1],
        "resolution": (4, 4, 40),
        "encoding": "raw",
    }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/em/"},
        "multiscale_metadata": {"type": "image", "data_type": "uint16", "num_channels": 1},
        "scale_metadata": scale,
        "create": True,
    }
    with_a_gap(tensorstore.open(spec).result()[..., 0].T)
    return {"type": "precomputed", "file_name": f"{folder}/em"}


def hdf5(folder, _, **options):
    with h5py.File(folder / "a.h5", "w") as file:
        with_a_gap(file.create_dataset("raw", VOXELS.shape, "uint16", chunks=CHUNKS, **options))
    return {"type": "hdf5", "file_name": str(folder / "a.h5"), **GRID}


def packed_hdf5(folder, _):
    return hdf5(folder, _, compression="gzip", shuffle=True)


def imaris(folder, _):
    path = from_numpy(VOXELS, voxel_size=(40, 4, 4), units="nm").save(folder / "a.ims")
    with h5py.File(path, "a") as file:
        group = file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"]
        del group["Data"]
        made = group.create_dataset("Data", VOXELS.shape, "uint16", chunks=CHUNKS)
        with_a_gap(made)
    return {"type": "imaris", "file_name": str(path), "channels": [0]}


def tiff(folder, _, **options):
    tiles = [
        None if z == 3 and (y, x) == (0, 16) else VOXELS[z, y : y + 16, x : x + 16]
        for z in range(4)
        for y in (0, 16)
        for x in (0, 16)
    ]
    tifffile.imwrite(
        folder / "a.tif",
        iter(tiles),
        shape=VOXELS.shape,
        dtype="uint16",
        tile=(16, 16),
        photometric="minisblack",
        **options,
    )
    return {"type": "tiff", "file_name": str(folder / "a.tif"), **GRID}


def packed_tiff(folder, _):
    return tiff(folder, _, compression="zlib")


KINDS = [
    zarr_2,
    zarr_3,
    sharded,
    zipped,
    on_a_server,
    n5,
    precomputed,
    hdf5,
    packed_hdf5,
    imaris,
    tiff,
    packed_tiff,
]


@pytest.fixture
def open_things():
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def config(request, tmp_path, open_things):
    return request.param(tmp_path, open_things)


def filled(config):
    voxels = VOXELS.copy()
    voxels[(slice(3, 4), *LOST[1:]) if config["type"] == "tiff" else LOST] = 0
    return voxels.reshape((1,) * (config["type"] == "imaris") + voxels.shape)


def test_they_are_filled_unless_somebody_says_otherwise(config):
    for array in (open_array(config), open_array(config | {"missing": "fill"})):
        np.testing.assert_array_equal(array.read(), filled(config))


def test_they_are_warned_of_once(config):
    array = open_array(config | {"missing": "warn"})
    with pytest.warns(DataWarning, match="read as the fill value") as seen:
        found = [array.read() for _ in range(2)]
    for voxels in found:
        np.testing.assert_array_equal(voxels, filled(config))
    assert len(seen) == 1
    assert config["file_name"] in str(seen[0].message)


def test_they_are_an_error_only_where_they_are_read(config):
    array = open_array(config | {"missing": "error"})
    expected = filled(config)
    np.testing.assert_array_equal(array[..., :2, :, :], expected[..., :2, :, :])
    np.testing.assert_array_equal(array[..., 16:, :], expected[..., 16:, :])
    with pytest.raises(ReadError, match="a chunk is missing"):
        array[..., 3:, 4:5, 20:24]
    np.testing.assert_array_equal(array[..., :, :, :16], expected[..., :, :, :16])


def test_the_error_names_source_chunk_region_and_key_path(config):
    crop = {
        "type": "crop",
        "source": config | {"missing": "error"},
        "roi": {"offset": [0, 0, 0], "shape": [160, 128, 128]},
    }
    tree = open_array({"type": "sum", "sources": [crop | {"source": config}, crop]})
    with pytest.raises(ReadError) as error:
        tree.read()
    said = str(error.value)
    assert config["file_name"] in said
    assert error.value.key == ("sources", 1, "source", "missing")
    assert f"[sources[1].source.missing, {error.value.region}]" in said
    assert error.value.region == str(tree.spec.box_to_roi(tree.spec.box))
    assert "missing: fill" in error.value.hint
    assert any(part in error.value.got for part in ("chunk", "tile"))
    assert str(pickle.loads(pickle.dumps(error.value))) == said


def test_verify_finds_them_where_they_are_an_error(config):
    found = verify(config | {"missing": "error"}, deep=True)
    assert {problem.code for problem in found if problem.severity == "error"} == {"DL301"}
    assert not [problem for problem in verify(config, deep=True) if problem.severity == "error"]


def test_a_dataset_of_hdf5_that_was_never_written_to(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (4, 4), "uint8", fillvalue=7)
    config = {"type": "hdf5", "file_name": str(tmp_path / "a.h5"), "axes": ["y", "x"]}
    assert (open_array(config).read() == 7).all()
    with pytest.raises(ReadError, match="nothing was ever written"):
        open_array(config | {"missing": "error"}).read()


def test_small_datasets_of_hdf5_are_always_there(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4, 4))
        h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_UINT8, space, created)
    config = {"type": "hdf5", "file_name": str(tmp_path / "a.h5"), "axes": ["y", "x"]}
    assert not open_array(config | {"missing": "error"}).read().any()


def test_a_virtual_dataset_cannot_tell(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["part"] = VOXELS[0]
        layout = h5py.VirtualLayout((2, 32, 32), "uint16")
        layout[0] = h5py.VirtualSource(file["part"])
        file.create_virtual_dataset("raw", layout, fillvalue=3)
    config = {"type": "hdf5", "file_name": str(tmp_path / "a.h5"), "dataset": "raw", **GRID}
    assert (open_array(config)[1] == 3).all()
    with pytest.raises(SourceError, match="virtual dataset") as error:
        open_array(config | {"missing": "error"})
    assert error.value.key == ("missing",)


@pytest.mark.filterwarnings("ignore::dacapo_like.errors.DataWarning")  # before the error
@pytest.mark.parametrize("missing", ["fill", "warn", "error"])
def test_what_a_manifest_lists_is_never_filled(tmp_path, missing):
    path = from_numpy(VOXELS).save(tmp_path / "a.zarr", chunks=CHUNKS, levels=1)
    shutil.rmtree(path / "0" / "c" / "1")
    array = open_array({"type": "zarr", "file_name": str(path), "missing": missing})
    with pytest.raises(ReadError, match=r"lost|missing"):
        array.read()
