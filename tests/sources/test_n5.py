"""Against N5 blocks that are put together here, byte by byte, from the text of the specification."""

from __future__ import annotations

import gzip
import itertools
import json
import multiprocessing
import pickle
import struct
from fractions import Fraction

import numcodecs
import numpy as np
import pytest
import tensorstore as ts
from web_server import serving

from dacapo_like import N5ArrayConfig, load, open_array, verify
from dacapo_like.errors import DataWarning, ReadError, SourceError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.testing import ArrayContract, Case, sample_voxels


def write(folder, voxels, block=(4, 5, 6), *, packed=True, skip=(), **attributes):
    """Write voxels, z first, as N5 with blocks of a shape, z first; blocks at the end are cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    block = block[-voxels.ndim :]
    about = {
        "dimensions": voxels.shape[::-1],
        "blockSize": block[::-1],
        "dataType": voxels.dtype.name,
        "compression": {"type": "gzip", "level": 1} if packed else {"type": "raw"},
        **attributes,
    }
    (folder / "attributes.json").write_text(json.dumps(about))
    grid = [range(-(-n // size)) for n, size in zip(voxels.shape, block, strict=True)]
    for index in itertools.product(*grid):
        if index in skip:
            continue
        part = voxels[tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, block, strict=True))]
        head = struct.pack(f">HH{part.ndim}I", 0, part.ndim, *part.shape[::-1])
        body = part.astype(part.dtype.newbyteorder(">")).tobytes()  # z slowest is x fastest
        path = folder.joinpath(*map(str, index[::-1]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(head + (gzip.compress(body) if packed else body))
    return folder


def attributes(folder, **values):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "attributes.json").write_text(json.dumps(values))


def opened(path, **fields):
    return N5ArrayConfig(file_name=str(path), **fields).array()


class TestLaws(ArrayContract):
    def case_volume(self, directory):
        voxels = sample_voxels((9, 11, 13), "uint16")
        write(directory / "a.n5" / "em", voxels, resolution=[4, 4.5, 40], offset=[8, 0, -40])
        return Case(opened(directory / "a.n5", dataset="em"), voxels)

    def case_plane_unpacked(self, directory):
        voxels = sample_voxels((9, 11), "float32")
        return Case(opened(write(directory / "a.n5", voxels, packed=False)), voxels)

    def case_channels(self, directory):
        voxels = sample_voxels((5, 3, 6, 7), "int32")
        path = write(directory / "a.n5", voxels, (2, 2, 4, 4), axes=["x", "y", "c", "z"])
        return Case(opened(path, channels=[2, 0]), voxels.transpose(1, 0, 2, 3)[[2, 0]])

    def case_level(self, directory):
        voxels = sample_voxels((8, 8, 8), "uint8")
        write(directory / "a.n5" / "s0", voxels)
        coarse = write(
            directory / "a.n5" / "s1", voxels[::2, ::2, ::2], downsamplingFactors=[2] * 3
        )
        assert coarse.is_dir()
        return Case(opened(directory / "a.n5", level=1), voxels[::2, ::2, ::2])


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float64"]
)
@pytest.mark.parametrize("packed", [True, False])
def test_every_type_of_number(tmp_path, dtype, packed):
    voxels = sample_voxels((7, 9, 8), dtype)
    array = opened(write(tmp_path / "a.n5", voxels, packed=packed))
    assert (array.dtype, array.chunks) == (np.dtype(dtype), (4, 5, 6))
    np.testing.assert_array_equal(array[...], voxels)
    assert array[...].dtype.isnative


@pytest.mark.parametrize("compression", ["raw", "gzip", "bzip2", "xz", "zstd", "blosc"])
def test_every_compression_as_tensorstore_writes_it(tmp_path, compression):
    more = {"cname": "lz4", "clevel": 5, "shuffle": 1} if compression == "blosc" else {}
    metadata = {"dimensions": [8, 7, 6], "blockSize": [4, 4, 4], "dataType": "uint16"}
    metadata["compression"] = {"type": compression, **more}
    path = f"{tmp_path}/a.n5/"
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": path}, "metadata": metadata}
    voxels = sample_voxels((6, 7, 8), "uint16")
    ts.open(spec, create=True).result()[...] = voxels.T
    np.testing.assert_array_equal(opened(path)[...], voxels)


# Where an array lies


def test_resolution_and_offset_are_per_axis_x_first(tmp_path):
    path = write(
        tmp_path / "a.n5", np.zeros((2, 3, 4), "u1"), resolution=[4, 5.2, 40], offset=[1, 2, 3]
    )
    array = opened(path)
    assert array.voxel_size == Coordinate((40, Fraction("5.2"), 4))
    assert array.roi.offset == Coordinate((3, 2, 1))
    assert array.axes == ("z", "y", "x")
    assert array.units == (None,) * 3


def test_the_pixel_resolution_of_n5_viewers(tmp_path):
    size = {"dimensions": [0.1, 0.2, 3], "unit": "um"}
    array = opened(write(tmp_path / "a.n5", np.zeros((2, 3, 4), "u1"), pixelResolution=size))
    assert array.voxel_size == Coordinate((3, Fraction("0.2"), Fraction("0.1")))
    assert array.units == ("um",) * 3


@pytest.mark.parametrize("style", ["scales", "factors", "factors and resolution at the levels"])
def test_the_levels_of_a_pyramid_begin_at_the_same_corner(tmp_path, style):
    group = tmp_path / "a.n5" / "em"
    size = {"pixelResolution": {"dimensions": [4, 4, 40], "unit": "nm"}}
    at_levels = style.endswith("levels")
    scales = {"scales": [[1, 1, 1], [2, 2, 1], [4, 4, 2]]}
    attributes(group, **({} if at_levels else size), **(scales if style == "scales" else {}))
    fine = sample_voxels((4, 8, 12), "uint8")
    for i, factors in enumerate(scales["scales"]):
        own = {} if style == "scales" or not i else {"downsamplingFactors": factors}
        part = fine[:: factors[2], :: factors[1], :: factors[0]]
        write(group / f"s{i}", part, **own, **(size if at_levels else {}))
    for i, expected in enumerate([(40, 4, 4), (40, 8, 8), (80, 16, 16)]):
        for array in (
            opened(tmp_path / "a.n5", dataset="em", level=i),
            opened(tmp_path / "a.n5", dataset="em", voxel_size=expected),
            opened(tmp_path / "a.n5", dataset=f"em/s{i}"),
            opened(group / f"s{i}"),
        ):
            assert array.voxel_size == Coordinate(expected)
            assert array.units == ("nm",) * 3
            assert array.roi.offset == Coordinate((0, 0, 0))
            assert array.roi.shape == Coordinate((160, 32, 48))
    for fields in ({"level": 3}, {"voxel_size": (1, 1, 1)}):
        with pytest.raises(SourceError, match=r"no such level|no level has"):
            opened(tmp_path / "a.n5", dataset="em", **fields)


@pytest.mark.parametrize("at_levels", [True, False])
def test_cosems_transforms_name_centres_and_list_z_first(tmp_path, at_levels):
    def transform(i):
        scale = [5.24 * 2**i, 4 * 2**i, 4 * 2**i]
        centre = [5.24 * (2**i - 1) / 2, 2 * (2**i - 1), 2 * (2**i - 1) + 100]
        return {"axes": ["z", "y", "x"], "units": ["nm"] * 3, "scale": scale, "translate": centre}

    group = tmp_path / "a.n5"
    listed = [
        {"path": f"s{i}"} | ({} if at_levels else {"transform": transform(i)}) for i in range(2)
    ]
    attributes(group, multiscales=[{"datasets": listed}])
    for i in range(2):
        own = {"transform": transform(i)} if at_levels else {}
        write(group / f"s{i}", np.zeros((8 >> i,) * 3, "u1"), **own)
    for i in range(2):
        array = opened(group, level=i)
        assert array.voxel_size == Coordinate((Fraction("5.24"), 4, 4)) * 2**i
        assert array.roi.offset == Coordinate((Fraction("-2.62"), -2, 98))
        assert array.units == ("nm",) * 3


def test_the_config_overrides_the_file(tmp_path):
    path = write(tmp_path / "a.n5", np.zeros((2, 3, 4), "u1"), resolution=[4, 4, 40])
    array = opened(path, voxel_size=(9.8, 1, 1), offset=(1, 2, 3), units="um")
    assert array.voxel_size == Coordinate((Fraction("9.8"), 1, 1))
    assert (array.roi.offset, array.units) == (Coordinate((1, 2, 3)), ("um",) * 3)


# Which array


def test_the_dataset_may_be_left_out_where_there_is_one(tmp_path):
    attributes(tmp_path / "a.n5", n5="2.0.0")
    voxels = sample_voxels((5, 6, 7), "uint8")
    write(tmp_path / "a.n5" / "volumes" / "raw", voxels)
    np.testing.assert_array_equal(opened(tmp_path / "a.n5")[...], voxels)
    write(tmp_path / "a.n5" / "volumes" / "labels", voxels)
    with pytest.raises(SourceError, match="several arrays here") as error:
        opened(tmp_path / "a.n5")
    assert error.value.got == "volumes/labels, volumes/raw"
    with pytest.raises(SourceError, match="no such dataset") as error:
        opened(tmp_path / "a.n5", dataset="volumes/row")
    assert error.value.hint == "did you mean 'raw'?"


@pytest.mark.parametrize("dataset", ["../b.n5", "em/../../b.n5"])
def test_a_dataset_outside_is_refused(tmp_path, dataset):
    write(tmp_path / "b.n5", np.zeros((2, 2), "u1"))
    write(tmp_path / "a.n5" / "em", np.zeros((2, 2), "u1"))
    with pytest.raises(SourceError, match="leads out of the store") as error:
        opened(tmp_path / "a.n5", dataset=dataset)
    assert error.value.key == ("dataset",)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"dataType": "string"}, "no number"),
        ({"blockSize": [0, 4, 4]}, "corrupt"),
        ({"blockSize": [4, 4]}, "corrupt"),
        ({"dimensions": 3}, "corrupt"),
        ({"compression": {"type": "jpeg"}}, "unknown compression"),
        ({"compression": {}}, "incomplete"),
        ({"downsamplingFactors": [2]}, "corrupt"),
        ({"resolution": "4 nm"}, "voxel size"),
        ({"transform": {"scale": [1, 1, 1]}}, "corrupt"),
    ],
)
def test_corrupt_attributes(tmp_path, change, what):
    path = write(tmp_path / "a.n5", np.zeros((5, 6, 7), "u1"))
    (path / "attributes.json").write_text(
        json.dumps({**json.loads((path / "attributes.json").read_text()), **change})
    )
    with pytest.raises(SourceError, match=what) as error:
        opened(path)
    assert str(path) in str(error.value)


def test_attributes_that_are_no_json_and_a_container_that_is_not_there(tmp_path):
    path = write(tmp_path / "a.n5", np.zeros((5, 6, 7), "u1"))
    (path / "attributes.json").write_text("{")
    with pytest.raises(SourceError, match="not JSON"):
        opened(path)
    with pytest.raises(SourceError, match="does not exist") as error:
        opened(tmp_path / "b.n5")
    assert error.value.hint == "did you mean 'a.n5'?"


# Blocks


def test_blocks_that_are_missing(tmp_path):
    voxels = sample_voxels((8, 10, 12), "uint8") | 1
    path = write(tmp_path / "a.n5", voxels, skip={(1, 0, 0)})
    filled = voxels.copy()
    filled[4:, :5, :6] = 0
    np.testing.assert_array_equal(opened(path)[...], filled)
    array = opened(path, missing="error")
    np.testing.assert_array_equal(array[:4], voxels[:4])
    with pytest.raises(ReadError, match="a chunk is missing"):
        array[4:]
    with pytest.warns(DataWarning, match="is missing"):
        np.testing.assert_array_equal(opened(path, missing="warn")[...], filled)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-4], lambda b: b[:3], lambda b: b[:20] + b"\xff" * 9]
)
def test_a_damaged_block_is_an_error_and_spoils_no_other(tmp_path, damage):
    voxels = sample_voxels((8, 10, 12), "uint8")
    path = write(tmp_path / "a.n5", voxels)
    block = path / "1" / "0" / "0"
    block.write_bytes(damage(block.read_bytes()))
    array = opened(path)
    np.testing.assert_array_equal(array[..., :6], voxels[..., :6])
    with pytest.raises(ReadError, match=r"a\.n5, voxels .*voxels cannot be read"):
        array[...]


def test_a_block_of_blosc_that_claims_far_more_is_not_unpacked(tmp_path):
    compression = {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}
    metadata = {
        "dimensions": [6, 5],
        "blockSize": [4, 3],
        "dataType": "uint8",
        "compression": compression,
    }
    store = {"driver": "file", "path": f"{tmp_path}/a.n5/raw/"}
    spec = {"driver": "n5", "kvstore": store, "metadata": metadata, "create": True}
    ts.open(spec).result()[...] = 1
    header = np.array([0, 2], ">u2").tobytes() + np.array([4, 3], ">u4").tobytes()
    block = tmp_path / "a.n5" / "raw" / "1" / "0"
    assert block.read_bytes()[:4] == header[:4]
    block.write_bytes(header + bytes(numcodecs.Blosc("lz4").encode(bytes(2**20))))
    array = opened(tmp_path / "a.n5")
    with pytest.raises(ReadError, match=r"far more than its voxels .*got 1048576 bytes in 1/0"):
        array[:3, 4:]
    np.testing.assert_array_equal(array[:, :4], np.ones((5, 4)))
    np.testing.assert_array_equal(array[3:], np.ones((2, 6)))


def test_a_region_over_http_reads_only_its_blocks(tmp_path):
    voxels = sample_voxels((8, 10, 12), "uint16")
    write(tmp_path / "a.n5" / "em", voxels)
    with serving(tmp_path) as server:
        array = opened(f"{server.url}/a.n5", dataset="em")
        server.paths.clear()
        np.testing.assert_array_equal(array[4:7, 5:9, 2:4], voxels[4:7, 5:9, 2:4])
        assert [path for path in server.paths if "attributes" not in path] == ["/a.n5/em/0/1/1"]


def test_arrays_pickle_and_a_document_holds_them(tmp_path):
    voxels = sample_voxels((5, 6, 7), "uint8")
    write(tmp_path / "a.n5" / "em", voxels)
    array = pickle.loads(pickle.dumps(opened(tmp_path / "a.n5", dataset="em")))
    np.testing.assert_array_equal(array[...], voxels)
    document = tmp_path / "a.yaml"
    document.write_text("type: n5\nfile_name: a.n5\ndataset: em\n")
    assert verify(document) == []
    np.testing.assert_array_equal(open_array(document)[...], voxels)
    assert load(document) == array.config


@pytest.mark.filterwarnings(r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork")
def test_a_forked_child_is_told_how_to_be_started(tmp_path):
    array = opened(write(tmp_path / "a.n5", np.zeros((5, 6, 7), "u1")))
    array.read_box(Box((0, 0, 0), (1, 1, 1)))
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def job():
        try:
            array[...]
        except ReadError as error:
            sender.send(error.hint)

    child = multiprocessing.get_context("fork").Process(target=job)
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert "spawn" in receiver.recv()
    receiver.close()
    sender.close()
