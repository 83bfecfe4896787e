import json
import pickle
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from funlib.geometry import Roi as FunlibRoi

from dacapo_like import tensorstores
from dacapo_like.errors import DataWarning, ReadError, SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.sources.zarr import ZarrArrayConfig

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pydantic, about funlib's classes
    from funlib.persistence import open_ds, prepare_ds

SHAPE, CHUNKS = (21, 30, 17), (8, 8, 8)
DATA = np.random.default_rng(0).integers(0, 60_000, SHAPE).astype("uint16")
V3 = {
    "raw": {"compressors": None},
    "gzip": {"compressors": zarr.codecs.GzipCodec()},
    "zstd": {"compressors": zarr.codecs.ZstdCodec(checksum=True)},
    "blosc-lz4": {"compressors": zarr.codecs.BloscCodec(cname="lz4", typesize=2)},
    "crc32c": {"compressors": zarr.codecs.Crc32cCodec()},
    "transposed": {"filters": zarr.codecs.TransposeCodec(order=(2, 0, 1))},
    "big-endian": {"serializer": zarr.codecs.BytesCodec(endian="big")},
    "sharded": {"shards": (16, 16, 16)},
    "delta": {"filters": {"name": "numcodecs.delta", "configuration": {"dtype": "<u2"}}},
}
V2 = {
    "raw": {"compressors": None},
    "gzip": {"compressors": numcodecs.GZip()},
    "zlib": {"compressors": numcodecs.Zlib()},
    "zstd": {"compressors": numcodecs.Zstd()},
    "blosc-lz4": {"compressors": numcodecs.Blosc("lz4")},
    "bz2": {"compressors": numcodecs.BZ2()},
    "delta": {"filters": numcodecs.Delta("<u2")},
    "big-endian": {"dtype": ">u2"},
    "F": {"order": "F"},
    "slashes": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
}
NUMBERS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
NUMBERS += ["float16", "float32", "float64"]
CODECS = [(3, name) for name in V3] + [(2, name) for name in V2]


def store(path, data=DATA, *, zarr_format=3, attributes=None, chunks=CHUNKS, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3")
        array = zarr.create_array(
            path,
            shape=data.shape,
            chunks=chunks,
            zarr_format=zarr_format,
            attributes=attributes,
            **{"dtype": data.dtype, **options},
        )
        array[...] = data
    return path


def opened(path, **fields):
    return ZarrArrayConfig(file_name=str(path), **fields).array()


def boxes(shape, count=20):
    rng = np.random.default_rng(1)
    for _ in range(count):
        offset = [int(rng.integers(n)) for n in shape]
        yield Box(
            tuple(offset),
            tuple(int(rng.integers(1, n - o + 1)) for n, o in zip(shape, offset, strict=True)),
        )


@pytest.fixture(params=["tensorstore", "zarr-python"])
def library(request, monkeypatch):
    """Both ways of reading, the second as in a forked child."""
    if request.param == "zarr-python":
        monkeypatch.setattr(tensorstores, "usable", lambda: False)
    return request.param


# Voxels


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3")
@pytest.mark.parametrize(("zarr_format", "codec"), CODECS)
def test_every_codec_reads_as_zarr_python_wrote_it(tmp_path, library, zarr_format, codec):
    options = (V3 if zarr_format == 3 else V2)[codec]
    array = opened(store(tmp_path / "a.zarr", zarr_format=zarr_format, **options))
    assert (array.shape, array.dtype, array.chunks) == (SHAPE, np.dtype("uint16"), CHUNKS)
    assert array.dtype.isnative
    for box in boxes(SHAPE):
        block = array.read_box(box)
        assert block.dtype == np.dtype("uint16")
        assert block.dtype.isnative
        np.testing.assert_array_equal(block, DATA[box.slices])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_every_type_of_number_keeps_its_values(tmp_path, library, zarr_format, dtype):
    data = (DATA % 2).astype(dtype) if dtype == "bool" else DATA.view("int16").astype(dtype)
    array = opened(store(tmp_path / "a.zarr", data, zarr_format=zarr_format))
    assert array.dtype == dtype
    np.testing.assert_array_equal(np.asarray(array), data)


def test_a_read_goes_into_the_callers_array(tmp_path):
    array = opened(store(tmp_path / "a.zarr"))
    box = Box((1, 2, 3), (12, 11, 10))
    out = np.zeros((10, 11, 12), "uint16").T
    assert array.read_box(box, out=out) is out
    np.testing.assert_array_equal(out, DATA[box.slices])


def test_reads_are_started_together_and_awaited_in_any_order(tmp_path, library):
    reader = opened(store(tmp_path / "a.zarr")).reader
    wanted = list(boxes(SHAPE, 8))
    waits = [reader.start(box) for box in wanted]
    for box, wait in reversed(list(zip(wanted, waits, strict=True))):
        np.testing.assert_array_equal(wait(), DATA[box.slices])


def test_threads_read_what_one_reads(tmp_path, library):
    array = opened(store(tmp_path / "a.zarr", shards=(16, 16, 16)))
    wanted = list(boxes(SHAPE, 60))
    with ThreadPoolExecutor(8) as pool:
        for box, block in zip(wanted, pool.map(array.read_box, wanted), strict=True):
            np.testing.assert_array_equal(block, DATA[box.slices])


def test_blocks_belong_to_the_caller(tmp_path):
    array = opened(store(tmp_path / "a.zarr"))
    array[:8, :8, :8][...] = 1
    np.testing.assert_array_equal(array[:8, :8, :8], DATA[:8, :8, :8])


def test_an_array_pickles_and_opens_again(tmp_path):
    array = opened(store(tmp_path / "a.zarr"))
    again = pickle.loads(pickle.dumps(array))
    assert again.spec == array.spec
    np.testing.assert_array_equal(np.asarray(again), DATA)


def test_what_is_written_later_is_read_later(tmp_path):
    path = store(tmp_path / "a.zarr")
    array = opened(path)
    assert array[0, 0, 0] == DATA[0, 0, 0]
    zarr.open_array(path, mode="r+")[0, 0, 0] = 7
    assert array[0, 0, 0] == 7


def test_an_empty_store_of_any_size_is_all_fill(tmp_path, library):
    zarr.create_array(
        tmp_path / "huge.zarr",
        shape=(100_000,) * 3,
        chunks=(64,) * 3,
        dtype="uint8",
        fill_value=9,
    )
    array = opened(tmp_path / "huge.zarr")
    assert array.size == 10**15
    assert (array[70_000:70_010, 99_990:, 5:15] == 9).all()


@pytest.mark.parametrize(("fill_value", "expected"), [(None, 0.0), (float("nan"), np.nan)])
def test_fill_values_without_a_number(tmp_path, library, fill_value, expected):
    zarr.create_array(
        tmp_path / "a.zarr",
        shape=(4, 4),
        chunks=(2, 2),
        dtype="float32",
        zarr_format=2,
        fill_value=fill_value,
    )
    np.testing.assert_array_equal(
        np.asarray(opened(tmp_path / "a.zarr")), np.full((4, 4), expected)
    )


def test_an_array_without_voxels(tmp_path):
    array = opened(store(tmp_path / "a.zarr", np.zeros((0, 4, 4), "uint8"), chunks=(1, 4, 4)))
    assert np.asarray(array).shape == (0, 4, 4)


# Axes, channels, world


@pytest.mark.parametrize("axes", ["yxc", "ycx", "cyx", "xyc"])
def test_leading_axes_come_first_whatever_the_stored_order(tmp_path, library, axes):
    data = DATA[:4, :10, :6]
    stored = store(tmp_path / "a.zarr", data, chunks=(3, 4, 5))
    array = opened(stored, axes=axes, channels=[1, 0], voxel_size=(2, 3))
    assert array.axes == ("c", *(axis for axis in axes if axis != "c"))
    c = axes.index("c")
    expected = np.moveaxis(data, c, 0)[[1, 0]]
    assert array.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(array), expected)
    np.testing.assert_array_equal(array[1:, 1:3, 2:5], expected[1:, 1:3, 2:5])


def test_channels_are_chosen_by_index_in_the_order_asked_for(tmp_path):
    data = np.arange(5 * 4 * 4).reshape(5, 4, 4).astype("uint8")
    array = opened(
        store(tmp_path / "a.zarr", data, chunks=(1, 4, 4)), axes="cyx", channels=[4, 0, 1]
    )
    np.testing.assert_array_equal(np.asarray(array), data[[4, 0, 1]])
    with pytest.raises(SpecError, match="no such channel"):
        opened(tmp_path / "a.zarr", axes="cyx", channels=[5])


@pytest.mark.parametrize("named", [True, False])
def test_funlibs_arrays_are_where_funlib_says(tmp_path, named):
    names = {"axis_names": ["c^", "z", "y", "x"], "units": ["nm", "nm", "nm"]} if named else {}
    theirs = prepare_ds(
        tmp_path / "f.zarr" / "volumes" / "raw",
        shape=(2, 6, 8, 10),
        offset=(40, 8, 12),
        voxel_size=(40, 4, 4),
        dtype="uint16",
        types=["channel", "space", "space", "space"],
        **names,
    )
    theirs[theirs.roi] = DATA[:16, :6, :10].reshape(2, 8, 6, 10).transpose(0, 2, 1, 3)
    theirs = open_ds(tmp_path / "f.zarr" / "volumes" / "raw")
    array = opened(tmp_path / "f.zarr")
    assert array.axes == ("c", "z", "y", "x")
    assert array.roi == theirs.roi
    assert isinstance(array.roi, FunlibRoi)
    assert array.voxel_size == theirs.voxel_size
    assert array.units == (("nm",) * 3 if named else (None,) * 3)
    roi = FunlibRoi((80, 16, 20), (80, 8, 12))
    np.testing.assert_array_equal(array[roi], theirs[roi])


def test_funlibs_types_say_which_axes_are_spatial(tmp_path):
    theirs = prepare_ds(
        tmp_path / "f.zarr",
        shape=(2, 3, 6, 8, 10),
        offset=(0, 40, 8, 12),
        voxel_size=(1, 40, 4, 4),
        units=["s", "nm", "nm", "um"],
        axis_names=["band", "t", "z", "y", "x"],
        types=["channel", "time", "space", "space", "space"],
        dtype="uint8",
    )
    array = opened(tmp_path / "f.zarr")
    assert array.axes == ("band^", "t", "z", "y", "x")
    assert array.voxel_size == theirs.voxel_size[1:]
    assert array.offset == theirs.offset[1:]
    assert array.units == ("nm", "nm", "um")


@pytest.mark.parametrize("key", ["resolution", "offset", "units", "axes", "types"])
def test_an_attribute_that_is_no_list(tmp_path, key):
    path = store(tmp_path / "a.zarr", attributes={key: 4})
    with pytest.raises(SourceError, match=f"attribute .*{key}.* is not a list"):
        opened(path)


def test_numbers_of_attributes_are_exact(tmp_path):
    attributes = {"resolution": [25, 9.8, 0.7], "offset": [0, 4.9, 1.4], "units": "nm"}
    array = opened(store(tmp_path / "a.zarr", attributes=attributes))
    assert array.voxel_size == (25, Fraction("9.8"), Fraction("0.7"))
    assert array.offset == (0, Fraction("4.9"), Fraction("1.4"))
    assert array.units == ("nm", "nm", "nm")
    assert dict(array.attrs) == attributes
    assert all(type(n) in (int, float) for n in array.attrs["resolution"])


def test_a_decimal_longer_than_a_double_is_exact(tmp_path):
    path = store(tmp_path / "a.zarr", attributes={"voxel_size": [1, 1, 12345]})
    metadata = path / "zarr.json"
    text = "9.80000000000000000000000000001"
    metadata.write_text(metadata.read_text().replace("12345", text))
    assert opened(path).voxel_size[2] == Fraction(text)


def test_dimension_names_are_axes_where_no_attribute_says_otherwise(tmp_path):
    path = store(tmp_path / "a.zarr", dimension_names=["c", "y", "x"])
    assert opened(path).axes == ("c", "y", "x")
    path = store(tmp_path / "b.zarr", dimension_names=["c", None, "x"])
    assert opened(path).axes == ("z", "y", "x")


def test_the_config_overrides_the_file(tmp_path):
    path = store(tmp_path / "a.zarr", attributes={"voxel_size": [1, 1, 1], "offset": [5, 5, 5]})
    array = opened(path, voxel_size=(40, 4, 4), offset=(1, 2, 3), units="um", kind="labels")
    assert (array.voxel_size, array.offset) == ((40, 4, 4), (1, 2, 3))
    assert (array.units, array.kind) == (("um",) * 3, "labels")


# Which array


def hierarchy(path, zarr_format):
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    for name in ("raw", "volumes/labels/neurons"):
        root.create_array(name, shape=(4, 4, 4), chunks=(2, 2, 2), dtype="uint8")[...] = len(name)
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_dataset_may_be_left_out_where_there_is_one(tmp_path, zarr_format):
    path = hierarchy(tmp_path / "a.zarr", zarr_format)
    with pytest.raises(SourceError, match="several arrays here") as caught:
        opened(path)
    assert caught.value.got == "raw, volumes/labels/neurons"
    assert (np.asarray(opened(path, dataset="volumes")) == 22).all()
    assert (np.asarray(opened(path, dataset="/raw/")) == 3).all()
    assert (np.asarray(opened(path / "volumes")) == 22).all()
    shutil.rmtree(path / "raw")
    assert (np.asarray(opened(path)) == 22).all()


@pytest.mark.parametrize(
    ("fields", "what", "hint"),
    [
        ({"dataset": "volumes/lables"}, "no such dataset", "did you mean 'labels'?"),
        ({"dataset": "volumes/lables/neurons"}, "no such dataset", "did you mean 'labels'?"),
        ({"dataset": "raw", "level": 1}, "an array has no levels", None),
        ({"dataset": "raw", "anchor": "center"}, "`anchor` says", "the offset of a plain array"),
        ({"dataset": "raw", "axes": "zyxt"}, "axes do not fit", None),
    ],
)
def test_what_is_not_there_is_named(tmp_path, fields, what, hint):
    path = hierarchy(tmp_path / "a.zarr", 3)
    with pytest.raises(SourceError, match=what) as caught:
        opened(path, **fields)
    assert str(path) in caught.value.where
    assert (hint or "") in (caught.value.hint or "")


def test_a_file_that_does_not_exist(tmp_path):
    store(tmp_path / "fly.zarr")
    with pytest.raises(SourceError, match="does not exist") as caught:
        opened(tmp_path / "flie.zarr")
    assert caught.value.hint == "did you mean 'fly.zarr'?"
    assert caught.value.key == ("file_name",)


@pytest.mark.parametrize("make", [lambda path: path.write_text("x"), Path.mkdir])
def test_no_zarr_at_all(tmp_path, make):
    make(tmp_path / "a.zarr")
    with pytest.raises(SourceError, match="not a Zarr store"):
        opened(tmp_path / "a.zarr")


def test_a_url_of_another_kind_is_refused_plainly():
    with pytest.raises(SourceError, match="unknown kind of URL") as error:
        opened("ftp://example.org/a.zarr")
    assert error.value.key == ("file_name",)


def test_opening_looks_at_no_chunk(tmp_path):
    path = store(tmp_path / "a.zarr")
    shutil.rmtree(path / "c")
    (path / "c").write_text("chunks are a folder, so listing or reading them would fail")
    assert opened(path).shape == SHAPE


# What is wrong


def edited(path, change):
    metadata = path / "zarr.json"
    document = json.loads(metadata.read_text())
    change(document)
    metadata.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("shape"),
        lambda document: document.pop("codecs"),
        lambda document: document.update(shape=[1, 2]),
        lambda document: document.update(shape=[21, "30", 17]),
        lambda document: document.update(shape=21),
        lambda document: document.update(codecs=[]),
        lambda document: document.update(node_type="arrey"),
        lambda document: document.update(zarr_format=4),
        lambda document: document.update(attributes=[]),
        lambda document: document["chunk_grid"].update(name="rectilinear"),
        lambda document: document["chunk_grid"]["configuration"].update(chunk_shape=[8, 0, 8]),
        lambda document: document.update(attributes={"resolution": 4}),
        lambda document: document.update(attributes={"resolution": [4, "x", 4]}),
        lambda document: document.update(attributes={"voxel_size": [4, 0, 4]}),
        lambda document: document.update(attributes={"axes": ["y", "x"]}),
    ],
)
def test_corrupt_metadata_are_an_error_that_says_where(tmp_path, change):
    path = edited(store(tmp_path / "a.zarr"), change)
    with pytest.raises((SourceError, SpecError)) as caught:
        opened(path)
    assert str(path) in caught.value.where


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 100_000, '"\xff"'])
def test_metadata_that_are_no_json(tmp_path, text):
    path = store(tmp_path / "a.zarr")
    (path / "zarr.json").write_text(text, encoding="latin-1")
    with pytest.raises(SourceError) as caught:
        opened(path)
    assert str(path / "zarr.json") in str(caught.value)


def test_metadata_that_only_a_reader_can_judge(tmp_path, library):
    path = edited(store(tmp_path / "a.zarr"), lambda document: document.update(fill_value="much"))
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        opened(path)[0, 0, 0]
    assert caught.value.where == str(path)


def test_an_unknown_codec_is_found_when_the_array_is_opened(tmp_path):
    path = edited(
        store(tmp_path / "a.zarr"),
        lambda document: document["codecs"].append({"name": "dehydrate"}),
    )
    with pytest.raises(SourceError, match="dehydrate"):
        opened(path)


@pytest.mark.parametrize(
    ("zarr_format", "dtype"),
    [
        (2, "complex64"),
        (3, "complex64"),
        (2, "S4"),
        (2, [("a", "<u2"), ("b", "<f4")]),
        (2, "<M8[s]"),
    ],
)
def test_voxels_that_are_no_numbers(tmp_path, zarr_format, dtype):
    zarr.create_array(
        tmp_path / "a.zarr", shape=(4,), chunks=(2,), dtype=np.dtype(dtype), zarr_format=zarr_format
    )
    with pytest.raises(SourceError, match="a type that is no number"):
        opened(tmp_path / "a.zarr")


@pytest.mark.parametrize("dtype", ["bfloat16", {"name": "struct", "configuration": {}}])
def test_voxels_that_numpy_does_not_know(tmp_path, dtype):
    path = edited(store(tmp_path / "a.zarr"), lambda document: document.update(data_type=dtype))
    with pytest.raises(SourceError, match="a type that is no number"):
        opened(path)


def flip(chunk):
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(content)


def truncate(chunk):
    chunk.write_bytes(chunk.read_bytes()[:50])


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("codec", ["crc32c", "zstd", "gzip"])
def test_a_damaged_chunk_is_an_error_and_spoils_no_other(tmp_path, library, codec, damage):
    path = store(tmp_path / "a.zarr", **V3[codec])
    damage(path / "c" / "1" / "2" / "0")
    array = opened(path, missing="fill")
    with pytest.raises(ReadError) as caught:
        array[8:10, 16:18, 0:2]
    assert str(path) in caught.value.where
    assert "(8, 16, 0) to (10, 18, 2)" in caught.value.where
    assert caught.value.got
    np.testing.assert_array_equal(array[:8, :, :], DATA[:8])


# Chunks that are not there

STORES = {
    "v2": ({"zarr_format": 2}, "1.0.0"),
    "v3": ({}, "c/1/0/0"),
    "sharded": ({"shards": (16, 16, 16)}, "c/1/0/0"),
}


@pytest.fixture(params=STORES)
def gappy(request, tmp_path):
    """A store without one of its chunks or shards, of zeros that differ from the fill value, and what it reads as."""
    options, key = STORES[request.param]
    path = store(tmp_path / "a.zarr", fill_value=77, **options)
    (path / key).unlink()
    expected = DATA.copy()
    edge = 16 if request.param == "sharded" else 8
    expected[edge : 2 * edge, :edge, :edge] = 77
    return path, expected, edge


def test_missing_chunks_read_as_the_fill_value(gappy, library):
    path, expected, _ = gappy
    np.testing.assert_array_equal(np.asarray(opened(path)), expected)


def test_missing_chunks_are_an_error_where_asked(gappy, library):
    path, expected, edge = gappy
    array = opened(path, missing="error")
    np.testing.assert_array_equal(array[:edge], expected[:edge])
    with pytest.raises(ReadError, match="a chunk is missing") as caught:
        array[edge - 1 : edge + 1, :2, :2]
    assert str(path) in caught.value.where
    assert "missing" in caught.value.hint
    np.testing.assert_array_equal(array[edge:, edge:], expected[edge:, edge:])


def test_missing_chunks_are_warned_of_once(gappy, library):
    path, expected, _ = gappy
    array = opened(path, missing="warn")
    waits = [array.reader.start(array.spec.box) for _ in range(3)]
    with pytest.warns(DataWarning, match="missing") as caught:
        blocks = [wait() for wait in waits]
    for block in blocks:
        np.testing.assert_array_equal(block, expected)
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)
    np.testing.assert_array_equal(np.asarray(array), expected)  # a second warning would be an error


def test_a_chunk_missing_inside_a_shard(tmp_path, library):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(path, shape=(16, 16), chunks=(4, 4), shards=(16, 16), dtype="uint8")
    array[:4, :4] = 5
    array = opened(path, missing="error")
    assert (array[:4, :4] == 5).all()
    with pytest.raises(ReadError, match="a chunk is missing"):
        array[:5, :4]


def test_voxels_that_equal_a_fill_value_are_not_missing(tmp_path, library):
    data = (DATA % 2).astype("uint8")
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path,
        shape=SHAPE,
        chunks=CHUNKS,
        dtype="uint8",
        config={"write_empty_chunks": True},
    )
    array[...] = data * 0
    array[:8] = data[:8]
    np.testing.assert_array_equal(np.asarray(opened(path, missing="error"))[:8], data[:8])


# The config


def test_equal_configs_are_one(tmp_path):
    fields = {"voxel_size": (9.8, 1, 1), "channels": ["a"], "units": ["nm", None, "nm"]}
    a, b = (ZarrArrayConfig(file_name="a.zarr", name=name, **fields) for name in "ab")
    assert a == b
    assert hash(a) == hash(b)
    assert a.voxel_size == Coordinate(9.8, 1, 1)


@pytest.mark.parametrize(
    "tail", ["", " [source locations='tensorstore/driver/zarr3/driver.cc:123']"]
)
def test_what_tensorstores_of_any_version_say_of_a_missing_chunk(tail):
    from dacapo_like.sources._tensorstore_voxels import _is_missing

    assert _is_missing(f"NOT_FOUND: chunk {{0, 1}} stored at 'c/0/1' is missing{tail}")
    assert not _is_missing(f"DATA_LOSS: Error reading chunk: is missing bytes{tail}")
