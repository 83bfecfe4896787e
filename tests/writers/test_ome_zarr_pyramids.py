"""Pyramids, versions, codecs and zip files: what others read, and what comes back."""

import itertools
import json
import signal
import subprocess
import sys
import warnings
import zipfile
from fractions import Fraction

import attrs
import numpy as np
import pytest
import tensorstore
import zarr
from ome_zarr_models.v04 import Image as Image04
from ome_zarr_models.v05 import Image as Image05

from dacapo_like.core import Reader as VoxelReader
from dacapo_like.core import SourceConfig
from dacapo_like.errors import ConfigError, ReadError, SourceError, SpecError
from dacapo_like.materialize import materialize
from dacapo_like.sources.zarr import ZarrArrayConfig
from dacapo_like.spec import from_shape
from dacapo_like.writers import ome_zarr as module
from dacapo_like.writers.ome_zarr import OmeZarrWriter

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of ome-zarr-py about itself
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr.writer import write_image

pytestmark = pytest.mark.slow  # the module takes over ten seconds

SHAPE = (2, 21, 40, 37)
MODELS = {"0.4": Image04, "0.5": Image05}


def spec_of(dtype="uint16", **fields):
    fields = {
        "voxel_size": (25, Fraction("9.8"), Fraction("0.7")),
        "offset": (100, Fraction("4.9"), -7),
        "units": ("nanometer",) * 3,
        "channels": ("DAPI", "GFP"),
    } | fields
    return from_shape(SHAPE, dtype, axes="czyx", **fields)


def voxels(spec, most=9):
    values = np.random.default_rng(0).integers(0, most, spec.shape)
    return values.astype(spec.dtype)


def write(path, spec, data=None, **options):
    data = voxels(spec) if data is None else data
    with OmeZarrWriter(path, spec, **({"chunks": (1, 8, 16, 16)} | options)) as writer:
        for box in writer.boxes():
            writer.write(box, data[box.slices])
    return data


def opened(path, **fields):
    return ZarrArrayConfig(file_name=str(path), **fields).array()


def attributes_of(path):
    return zarr.open_group(path, mode="r").attrs.asdict()


def image_of(path):
    attributes = attributes_of(path)
    return attributes.get("ome", attributes)["multiscales"][0]


def pooled(data, factors, kind):
    """Join cells by numpy alone: the mean, or the smallest of the most frequent values."""
    kept = data[tuple(slice(n // f * f) for n, f in zip(data.shape, factors, strict=True))]
    parts = [m for n, f in zip(kept.shape, factors, strict=True) for m in (n // f, f)]
    cells = kept.reshape(parts)
    order = [*range(0, 2 * data.ndim, 2), *range(1, 2 * data.ndim, 2)]
    cells = cells.transpose(order).reshape(*parts[::2], -1)
    if kind == "image":
        mean = cells.mean(axis=-1, dtype=np.float64)
        return (np.rint(mean) if data.dtype.kind in "iu" else mean).astype(data.dtype)
    counts = np.stack([(cells == value).sum(axis=-1) for value in range(9)])
    return counts.argmax(axis=0).astype(data.dtype)


# Which levels there are


@pytest.mark.parametrize(
    ("voxel_size", "shape", "expected"),
    [
        ((40, 4, 4), (100, 500, 500), [(1, 2, 2)] * 3 + [(2, 2, 2)]),
        ((40, 4, 8), (60, 500, 500), [(1, 2, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]),
        ((25, 9.8, 0.7), (9, 9, 999), [(1, 1, 2)] * 3 + [(1, 2, 2)]),
        ((1, 1, 1), (300, 300, 300), [(2, 2, 2)] * 3),
        ((1, 1, 1), (1, 300, 300), [(1, 2, 2)] * 3),
        ((9, 10, 17), (200, 200, 200), [(2, 2, 2)] * 2),
        ((1, 1, 1), (64, 64, 64), []),
    ],
)
def test_the_finest_axes_are_halved_first(tmp_path, voxel_size, shape, expected):
    spec = from_shape(shape, voxel_size=voxel_size)
    with OmeZarrWriter(tmp_path / "a.zarr", spec, chunks=(64, 64, 64)):
        pass
    scales = [
        s["coordinateTransformations"][0]["scale"]
        for s in image_of(tmp_path / "a.zarr")["datasets"]
    ]
    found = [tuple(np.divide(b, a)) for a, b in itertools.pairwise(scales)]
    assert found == expected


def test_voxels_are_compared_in_one_unit(tmp_path):
    spec = from_shape(
        (100, 200, 200), voxel_size=(Fraction("0.04"), 4, 4), units=("um", "nm", "nm")
    )
    write(tmp_path / "a.zarr", spec, np.zeros(spec.shape, "uint8"), chunks=(64,) * 3, levels=2)
    assert opened(tmp_path / "a.zarr", level=1).voxel_size == (Fraction("0.04"), 8, 8)


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({"levels": 1}, []),
        ({"levels": 3}, [(21, 40, 18), (21, 40, 9)]),
        ({"factors": [2, 4]}, [(10, 20, 18), (5, 10, 9)]),
        ({"factors": [(1, 2, 2), (3, 4, 2)]}, [(21, 20, 18), (7, 10, 18)]),
        ({"factors": []}, []),
    ],
)
def test_levels_may_be_counted_or_listed(tmp_path, options, shapes):
    write(tmp_path / "a.zarr", spec_of(), **options)
    found = [
        zarr.open_array(tmp_path / "a.zarr" / dataset["path"], mode="r").shape[1:]
        for dataset in image_of(tmp_path / "a.zarr")["datasets"]
    ]
    assert found == [SHAPE[1:], *shapes]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"levels": 0}, "not a number of levels"),
        ({"levels": "many"}, "not a number of levels"),
        ({"levels": 2, "factors": [2]}, "said twice"),
        ({"factors": [(2, 2)]}, "do not fit the axes"),
        ({"factors": [4, 2]}, "not the factors of a coarser level"),
        ({"factors": [2, 2]}, "not the factors of a coarser level"),
        ({"factors": [0]}, "not the factors of a coarser level"),
        ({"factors": [2, 3]}, "not the factors of a coarser level"),
        ({"factors": [64]}, "nothing is left"),
        ({"levels": 40}, "not so many levels"),
        ({"version": "0.3"}, "not written in this version"),
        ({"version": "0.4", "shards": (1, 8, 16, 16)}, "no shards"),
        ({"compression": "zst"}, "unknown compression"),
        ({"compression_level": 99}, "no such level"),
        ({"attributes": {"a": {1}}}, "not JSON"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(tmp_path, options, what):
    with pytest.raises((ConfigError, SpecError), match=what):
        OmeZarrWriter(tmp_path / "a.zarr", spec_of(), **options)
    assert not list(tmp_path.iterdir())


def test_factors_are_taken_from_another_pyramid(tmp_path):
    root = zarr.open_group(tmp_path / "theirs.zarr", mode="w")
    factors = [{"y": 2, "x": 2}, {"z": 2, "y": 4, "x": 4}]
    scale = {"z": 3.0, "y": 0.7, "x": 0.7}
    write_image(np.zeros(SHAPE[1:], "uint8"), root, scale_factors=factors, axes="zyx", scale=scale)
    write(tmp_path / "a.zarr", spec_of(), match_scale_factors_from=tmp_path / "theirs.zarr")
    sizes = [opened(tmp_path / "a.zarr", level=i).voxel_size for i in range(3)]
    fine = spec_of().voxel_size
    assert sizes == [fine, fine * (1, 2, 2), fine * (2, 4, 4)]
    assert len(image_of(tmp_path / "a.zarr")["datasets"]) == 3
    with pytest.raises(SourceError, match="not an OME-Zarr"):
        write(tmp_path / "b.zarr", spec_of(), match_scale_factors_from=tmp_path / "none.zarr")
    with pytest.raises(SourceError, match="not an OME-Zarr"):
        write(tmp_path / "b.zarr", spec_of(), match_scale_factors_from=tmp_path / "a.zarr" / "0")


# What is in them


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("kind", ["image", "labels"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_others_read_every_level_as_numpy_makes_it(tmp_path, version, kind, dtype):
    spec = spec_of(dtype, kind=kind)
    path = tmp_path / "a.zarr"
    expected = write(path, spec, version=version, factors=[(1, 2, 2), (2, 4, 4)])
    image = MODELS[version].from_zarr(zarr.open_group(path, mode="r"))
    (multiscale,) = (
        image.ome_attributes.multiscales if version == "0.5" else image.attributes.multiscales
    )
    assert multiscale.type == ("mean" if kind == "image" else "mode")
    (node,) = Reader(parse_url(str(path)))()
    assert node.metadata["channel_names"] == ["DAPI", "GFP"]
    assert {axis.get("unit") for axis in node.metadata["axes"][1:]} == {"nanometer"}
    driver = "zarr" if version == "0.4" else "zarr3"
    for level, relative in enumerate([(1, 1, 1), (1, 2, 2), (2, 2, 2)]):
        expected = pooled(expected, (1, *relative), kind)
        place = {"driver": "file", "path": f"{path}/{level}/"}
        store = tensorstore.open({"driver": driver, "kvstore": place}).result()
        np.testing.assert_array_equal(store.read().result(), expected)
        np.testing.assert_array_equal(np.asarray(node.data[level]), expected)
        np.testing.assert_array_equal(zarr.open_array(path / str(level), mode="r")[...], expected)
        np.testing.assert_array_equal(np.asarray(opened(path, level=level)), expected)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("anchor", ["center", "corner"])
def test_every_level_is_where_the_first_is(tmp_path, version, anchor):
    spec = spec_of(anchor=anchor)
    path = tmp_path / "a.zarr"
    factors = [(1, 2, 2), (2, 4, 4)]
    write(path, spec, version=version, factors=factors)
    (node,) = Reader(parse_url(str(path)))()
    fine = np.array([25, 9.8, 0.7])
    corner = np.array([100, 4.9, -7])
    for level, factor in enumerate([(1, 1, 1), *factors]):
        scale, place = node.metadata["coordinateTransformations"][level]
        np.testing.assert_allclose(scale["scale"][1:], fine * factor, rtol=1e-15)
        named = corner + (fine * factor / 2 if anchor == "center" else 0)
        np.testing.assert_allclose(place["translation"][1:], named, rtol=1e-12)
        array = opened(path, level=level)
        assert array.offset == spec.offset
        assert array.voxel_size == spec.voxel_size * factor
        kept = [n // f for n, f in zip(SHAPE[1:], factor, strict=True)]
        assert array.roi.end == spec.offset + spec.voxel_size * factor * kept
        assert array.spec.anchor == anchor


def test_half_a_voxel_is_exact_where_no_double_is(tmp_path):
    third = Fraction(1, 3)
    spec = spec_of(voxel_size=(third, third, third), offset=(third, 0, third))
    write(tmp_path / "a.zarr", spec, factors=[2, 4])
    for level in range(3):
        array = opened(tmp_path / "a.zarr", level=level)
        assert array.offset == (third, 0, third)
        assert array.voxel_size == (third * 2**level,) * 3


def test_a_copy_of_a_level_of_a_copy_does_not_move(tmp_path):
    write(tmp_path / "0.zarr", spec_of(), factors=[2])
    coarse = opened(tmp_path / "0.zarr", level=1)
    for i in range(1, 4):
        write(tmp_path / f"{i}.zarr", coarse.spec, np.asarray(coarse), factors=[(1, 1, 2)])
        again = opened(tmp_path / f"{i}.zarr")
        assert again.roi == coarse.roi
        np.testing.assert_array_equal(again.voxel_to_world, coarse.voxel_to_world)
        coarse = again
    assert image_of(tmp_path / "1.zarr") | {"name": ""} == image_of(tmp_path / "3.zarr") | {
        "name": ""
    }


def test_time_before_channels_in_all_levels(tmp_path):
    spec = from_shape((2, 3, 16, 18), "uint8", axes="ctyx", channels=("a", "b"))
    data = voxels(spec)
    write(tmp_path / "a.zarr", spec, data, chunks=(1, 2, 8, 8), factors=[2])
    array = opened(tmp_path / "a.zarr", level=1)
    assert array.axes == ("t", "c", "y", "x")
    expected = pooled(data.swapaxes(0, 1), (1, 1, 2, 2), "image")
    np.testing.assert_array_equal(np.asarray(array), expected)


@pytest.mark.parametrize("shards", [None, (2, 16, 32, 32)])
def test_memory_is_that_of_some_blocks(tmp_path, monkeypatch, shards):
    """No read of the finer level is larger than what is allowed at once, whatever the factor."""
    most, read = 4096, []
    monkeypatch.setattr("dacapo_like.pyramids.READ_AT_ONCE", most)
    pool = module.read_pooled

    def counted(get, box, *rest):
        def counting(part):
            read.append(part.size)
            return get(part)

        return pool(counting, box, *rest)

    monkeypatch.setattr(module, "read_pooled", counted)
    data = write(tmp_path / "a.zarr", spec_of(), factors=[(4, 8, 8)], shards=shards)
    assert 0 < max(read) <= most
    assert sum(read) == 2 * 20 * 40 * 32  # each voxel once
    expected = pooled(data, (1, 4, 8, 8), "image")
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "a.zarr", level=1)), expected)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CountedConfig(SourceConfig):
    """A source that counts the voxels of every read."""

    in_documents = False

    def open(self):
        return _CountedReader()


class _CountedReader(VoxelReader):
    spec = from_shape((40, 50, 60), "uint16")

    def __init__(self):
        self.sizes = []

    def read(self, box, out=None):
        self.sizes.append(box.size)
        return np.ones(box.shape, "uint16")


def test_levels_do_not_read_the_source_again(tmp_path):
    array = CountedConfig().array()
    materialize(array, tmp_path / "a.zarr", chunks=(8, 8, 8), shards=(16, 16, 16), levels=4)
    assert sum(array.reader.sizes) == 40 * 50 * 60
    assert opened(tmp_path / "a.zarr", level=3).shape == (5, 6, 7)


def test_a_voxel_of_more_than_fits_in_memory(tmp_path):
    spec = from_shape((10**5,) * 3)
    with pytest.raises(ConfigError, match="too many voxels"):
        OmeZarrWriter(tmp_path / "a.zarr", spec, factors=[2, 2048])
    OmeZarrWriter(tmp_path / "a.zarr", spec, factors=[2, 512, 2048]).abort()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_forked_child_writes_the_same_through_zarr_python(tmp_path, monkeypatch, version):
    data = write(tmp_path / "a.zarr", spec_of(), version=version, factors=[2])
    monkeypatch.setattr("dacapo_like.tensorstores.usable", lambda: False)
    write(tmp_path / "b.zarr", spec_of(), data, version=version, factors=[2])
    write(tmp_path / "c.zarr", spec_of(), data, version=float(version), levels=1)  # as YAML has it
    assert attributes_of(tmp_path / "c.zarr").keys() == attributes_of(tmp_path / "b.zarr").keys()
    for level in "01":
        ours, theirs = (
            zarr.open_array(tmp_path / name / level)[...] for name in ("a.zarr", "b.zarr")
        )
        np.testing.assert_array_equal(ours, theirs)


# Codecs


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("compression", ["zstd", "blosc", "gzip", None])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_others_decode_every_codec(tmp_path, version, compression, dtype):
    path = tmp_path / "a.zarr"
    data = write(path, spec_of(dtype), version=version, compression=compression, factors=[2])
    np.testing.assert_array_equal(zarr.open_array(path / "0", mode="r")[...], data)
    driver = "zarr" if version == "0.4" else "zarr3"
    place = {"driver": "file", "path": f"{path}/0/"}
    store = tensorstore.open({"driver": driver, "kvstore": place}).result()
    np.testing.assert_array_equal(store.read().result(), data)
    np.testing.assert_array_equal(np.asarray(opened(path)), data)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "uint64", "float16"])
@pytest.mark.parametrize("kind", ["image", "labels"])
def test_every_dtype_has_levels(tmp_path, version, dtype, kind):
    path = tmp_path / "a.zarr"
    spec = spec_of(dtype, kind=kind)
    data = write(path, spec, voxels(spec, 2), version=version, factors=[2])
    for level, expected in enumerate([data, pooled(data, (1, 2, 2, 2), kind)]):
        found = zarr.open_array(path / str(level), mode="r")[...]
        assert found.dtype == dtype
        if dtype != "bool" or kind == "labels":
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("compression", ["zstd", "blosc", "gzip", None])
@pytest.mark.parametrize("shards", [None, (1, 8, 16, 32)])
def test_a_flipped_bit_is_found(tmp_path, compression, shards):
    path = tmp_path / "a.zarr"
    write(path, spec_of(), compression=compression, shards=shards, levels=1)
    chunk = path / "0" / "c" / "0" / "0" / "0" / "0"
    stored = bytearray(chunk.read_bytes())
    stored[len(stored) // 4] ^= 1
    chunk.write_bytes(stored)
    with pytest.raises(ReadError):
        opened(path).read()


def test_checksums_may_be_left_out(tmp_path):
    for codec in ("zstd", None):
        path = tmp_path / f"{codec}.zarr"
        data = write(path, spec_of(), compression=codec, checksum=False, levels=1)
        codecs = json.loads((path / "0" / "zarr.json").read_text())["codecs"]
        assert [codec["name"] for codec in codecs] == ["bytes", codec][: len(codecs)]
        assert not any(codec.get("configuration", {}).get("checksum") for codec in codecs)
        np.testing.assert_array_equal(np.asarray(opened(path)), data)


def test_levels_of_compression_differ(tmp_path):
    data = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype("uint16")
    sizes = []
    for level in (1, 19):
        write(tmp_path / f"{level}.zarr", spec_of(), data, compression_level=level, levels=1)
        files = (tmp_path / f"{level}.zarr" / "0").rglob("*")
        sizes.append(sum(file.stat().st_size for file in files if file.is_file()))
    assert sizes[1] < sizes[0]


# What viewers and other tools are told


def test_colours_and_windows_of_the_source_are_kept(tmp_path):
    window = {"min": 0, "max": 999, "start": 10, "end": 500}
    channels = [
        {"label": "DAPI", "color": "0000FF", "window": window, "active": False},
        {"label": "GFP", "color": "00FF00", "window": window | {"max": 10**6}},
    ]
    spec = spec_of(attrs={"omero": {"channels": channels}})
    write(tmp_path / "a.zarr", spec)
    again = opened(tmp_path / "a.zarr", channels=["GFP", "DAPI"])
    write(tmp_path / "b.zarr", again.spec, np.asarray(again))
    second, first = attributes_of(tmp_path / "b.zarr")["ome"]["omero"]["channels"]
    assert first == channels[0]
    assert (second["label"], second["color"]) == ("GFP", "00FF00")
    assert second["window"] == {"min": 0, "max": 65535, "start": 0, "end": 65535}
    renamed = opened(tmp_path / "a.zarr").rename_channels({"DAPI": "nuclei"})
    write(tmp_path / "c.zarr", renamed.spec, np.asarray(renamed))
    shown = attributes_of(tmp_path / "c.zarr")["ome"]["omero"]["channels"]
    assert [(channel["label"], channel["color"]) for channel in shown] == [
        ("nuclei", "0000FF"),
        ("GFP", "00FF00"),
    ]


LPI = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
WORDS = {"L": "right-to-left", "R": "left-to-right", "A": "posterior-to-anterior"}
WORDS |= {"P": "anterior-to-posterior", "S": "inferior-to-superior", "I": "superior-to-inferior"}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("directions", "attrs", "words"),
    [
        (LPI, {}, "IPL"),
        (((0, 1, 0), (1, 0, 0), (0, 0, -1)), {}, "ASL"),
        (None, {"nifti": {}}, "SAR"),
        (None, {}, None),
        (((0.6, 0.8, 0), (-0.8, 0.6, 0), (0, 0, 1)), {}, None),
    ],
)
def test_orientation_is_written_in_the_words_of_rfc_4(tmp_path, version, directions, attrs, words):
    spec = spec_of(directions=directions, attrs=attrs)
    path = tmp_path / "a.zarr"
    write(path, spec, version=version)
    MODELS[version].from_zarr(zarr.open_group(path, mode="r"))
    said = [axis.get("orientation") for axis in image_of(path)["axes"][1:]]
    expected = [
        words and {"type": "anatomical", "value": WORDS[letter]} for letter in words or "..."
    ]
    assert said == ([None] * 3 if words is None else expected)
    found = opened(path)
    assert found.spec.directions == spec.directions
    np.testing.assert_array_equal(found.voxel_to_world, spec.voxel_to_world)
    group = zarr.open_group(path, mode="r+")
    del group.attrs["dacapo_like"]  # what others know of it
    assert words is None or opened(path).spec.directions == spec.directions
    again = opened(path)
    write(tmp_path / "b.zarr", again.spec, np.asarray(again), version=version)
    assert image_of(tmp_path / "b.zarr")["axes"] == image_of(path)["axes"]


def test_words_that_name_no_direction_of_the_world_turn_with_their_axes(tmp_path):
    words = ("dorsal-to-ventral", "rostral-to-caudal", "left-to-right")
    spec = spec_of(attrs={"axis_orientation": dict(zip("zyx", words, strict=True))})
    write(tmp_path / "a.zarr", spec)
    flipped = opened(tmp_path / "a.zarr").flip("zx")
    write(tmp_path / "b.zarr", flipped.spec, np.asarray(flipped))
    said = [axis["orientation"]["value"] for axis in image_of(tmp_path / "b.zarr")["axes"][1:]]
    assert said == ["ventral-to-dorsal", "rostral-to-caudal", "right-to-left"]
    found = opened(tmp_path / "b.zarr")
    np.testing.assert_array_equal(found.voxel_to_world, flipped.voxel_to_world)


# One file


@pytest.mark.parametrize("name", ["a.zarr.zip", "a.ome.zarr.zip", "a.ozx", "A.OZX"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_zip_file_holds_what_a_folder_would(tmp_path, name, version):
    data = write(tmp_path / name, spec_of(), version=version, factors=[2])
    assert [item.name for item in tmp_path.iterdir()] == [name]
    store = zarr.storage.ZipStore(tmp_path / name, mode="r")
    group = zarr.open_group(store, mode="r")
    np.testing.assert_array_equal(group["0"][...], data)
    np.testing.assert_array_equal(group["1"][...], pooled(data, (1, 2, 2, 2), "image"))
    MODELS[version].from_zarr(group)
    store.close()
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / name)), data)
    with zipfile.ZipFile(tmp_path / name) as archive:
        assert archive.testzip() is None
        assert {item.compress_type for item in archive.infolist()} == {zipfile.ZIP_STORED}
        first = archive.namelist()[0]
        assert first == ("zarr.json" if version == "0.5" else ".zattrs")
        assert json.loads(archive.comment)["ome"]["version"] == version


def test_a_zip_file_is_replaced_only_where_asked(tmp_path):
    path = tmp_path / "a.zarr.zip"
    write(path, spec_of())
    with pytest.raises(SourceError, match="exists already"):
        write(path, spec_of())
    write(path, spec_of("uint8"), overwrite=True)
    store = zarr.storage.ZipStore(path, mode="r")
    assert zarr.open_group(store, mode="r")["0"].dtype == "uint8"
    store.close()
    path.write_text("precious")
    with pytest.raises(SourceError, match="another kind is in the way"):
        write(path, spec_of(), overwrite=True)
    assert path.read_text() == "precious"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


# After an error


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no space left on device")])
def test_an_error_while_levels_are_made_leaves_nothing_behind(tmp_path, monkeypatch, name, error):
    def failing(*arguments):
        raise error

    monkeypatch.setattr(module, "read_pooled", failing)
    with pytest.raises((KeyboardInterrupt, SourceError)):
        write(tmp_path / name, spec_of(), factors=[2])
    assert not list(tmp_path.iterdir())


def test_what_comes_into_the_way_while_levels_are_made_is_not_replaced(tmp_path, monkeypatch):
    path, pool = tmp_path / "a.zarr", module.read_pooled

    def slow(*arguments):
        path.mkdir(exist_ok=True)
        (path / "thesis.txt").write_text("precious")
        return pool(*arguments)

    monkeypatch.setattr(module, "read_pooled", slow)
    with pytest.raises(SourceError, match="in the way"):
        write(path, spec_of(), factors=[2])
    assert [item.name for item in tmp_path.iterdir()] == ["a.zarr"]
    assert [item.name for item in path.iterdir()] == ["thesis.txt"]


def test_a_killed_writer_leaves_no_target_and_is_in_nobodys_way(tmp_path):
    program = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from dacapo_like.spec import from_shape\n"
        "from dacapo_like.writers import ome_zarr as module\n"
        "module.read_pooled = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
        "spec = from_shape((8, 8))\n"
        "with module.OmeZarrWriter(sys.argv[1], spec, factors=[2]) as writer:\n"
        "    writer.write(spec.box, np.ones((8, 8), 'uint8'))\n"
    )
    path = tmp_path / "a.zarr"
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    data = write(path, spec_of())
    np.testing.assert_array_equal(np.asarray(opened(path)), data)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path)), data)  # what is hidden is not found


def test_an_error_while_it_begins_leaves_nothing_behind(tmp_path, monkeypatch):
    def failing(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "write_array", failing)
    with pytest.raises(SourceError, match="no space"):
        OmeZarrWriter(tmp_path / "a.zarr", spec_of())
    assert not list(tmp_path.iterdir())


def test_an_error_while_the_zip_is_made_leaves_nothing_behind(tmp_path, monkeypatch):
    def failing(folder, target, version):
        target.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "zip_folder", failing)
    with pytest.raises(SourceError, match="no space"):
        write(tmp_path / "a.ozx", spec_of())
    assert not list(tmp_path.iterdir())


def test_an_aborted_zip_leaves_nothing_behind(tmp_path):
    writer = OmeZarrWriter(tmp_path / "a.ozx", spec_of())
    writer.abort()
    assert not list(tmp_path.iterdir())
