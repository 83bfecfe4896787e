"""The page that compares DaCapo's types with ours, row by row: each row has a check of what it says we do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
import zarr
from page_rows import DOCS, rows_of

import dacapo_like
from dacapo_like import Roi
from dacapo_like.config.verify import verify
from dacapo_like.errors import DacapoLikeError, InvalidDocumentError, WriteError

PAGE = DOCS / "reference" / "dacapo.md"
ALL, WHOLE = "Every type", "(array)"
FIELDS = {
    "ZarrArrayConfig": ["file_name", "dataset", "snap_to_grid", "_axes", "mode"],
    "TiffArrayConfig": ["file_name", "offset", "voxel_size", "axis_names", "axes", "units"],
    "DVIDArrayConfig": ["source"],
    "DummyArrayConfig": [],
    "CropArrayConfig": ["source_array_config", "roi"],
    "ResampledArrayConfig": ["source_array_config", "upsample", "downsample", "interp_order"],
    "BinarizeArrayConfig": ["source_array_config", "groupings", "background"],
    "IntensitiesArrayConfig": ["source_array_config", "min", "max"],
    "MissingAnnotationsMaskConfig": ["source_array_config", "groupings"],
    "OnesArrayConfig": ["source_array_config"],
    "ConstantArrayConfig": ["source_array_config", "constant"],
    "ConcatArrayConfig": ["channels", "source_array_configs", "default_config"],
    "SumArrayConfig": ["source_array_configs"],
    "MergeInstancesArrayConfig": ["source_array_configs"],
    "LogicalOrArrayConfig": ["source_array_config"],
}
"""Of each config of DaCapo 0.3.0 and 0.3.5 together, without `name`; tests/test_dacapo_peer.py compares with the real one."""

VOXEL_SIZE, OFFSET, SHAPE = [40, 8, 8], [80, 16, 24], (4, 6, 5)
CHECKS = {}


def rows():
    """Give type and field of every row of the page."""
    return rows_of(PAGE)


def row(config, *fields):
    """Make a function the check of rows."""

    def add(check):
        for field in fields:
            assert (config, field) not in CHECKS
            CHECKS[config, field] = check
        return check

    return add


class Volume:
    """A Zarr as DaCapo writes it, and documents over it."""

    def __init__(self, folder):
        self.path = folder / "volume.zarr"
        self.root = zarr.open_group(self.path, mode="w", zarr_format=2)
        rng = np.random.default_rng(3)
        ids = np.array([0, 1, 3, 8, 2**53 + 1, 2**64 - 1], np.uint64)
        self.labels = self.put("labels", rng.choice(ids, SHAPE))
        self.raw = self.put("raw", rng.integers(0, 255, SHAPE).astype(np.uint8))
        self.state = {"present": True, "annotated": "empty"}
        attribute = [{"name": "mito", "value": 3, "annotationState": self.state}]
        self.put("annotated", self.labels, labels=attribute)

    def put(self, name, data, offset=OFFSET, **attributes):
        axes = ["c", "z", "y", "x"][-data.ndim :]
        stored = self.root.create_array(name, data=data, overwrite=True)
        stored.attrs.update(
            {"resolution": VOXEL_SIZE, "offset": list(offset), "axes": axes, **attributes}
        )
        return data

    def zarr(self, dataset, **fields):
        return self.document(
            "ZarrArrayConfig", file_name=str(self.path), dataset=dataset, _axes=None, **fields
        )

    def document(self, config, **fields):
        return {"__type__": config, "name": "a", **fields}

    def open(self, config, source=None, **fields):
        """Open an array of a type of DaCapo's, over a dataset or a document."""
        if source is not None:
            fields["source_array_config"] = self.zarr(source) if isinstance(source, str) else source
        return dacapo_like.open_array(self.document(config, **fields))

    def both(self, config, names, **fields):
        sources = [self.zarr(name) for name in names]
        return self.open(config, source_array_configs=sources, **fields)


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path)


def read(array):
    found = array[array.roi]
    assert found.dtype == array.dtype
    return found


def refused(code, function, *arguments, **fields):
    with pytest.raises(InvalidDocumentError) as caught:
        function(*arguments, **fields)
    assert code in [problem.code for problem in caught.value.problems]
    return caught.value.problems


def spelled_short(long, **renamed):
    """Say whether a document gives the same with short keys."""
    short = {renamed.get(key, key): value for key, value in long.items() if key != "__type__"}
    config = dacapo_like.load(long)
    return dacapo_like.load({"type": config.tag, **short}) == config


@pytest.mark.parametrize(("config", "field"), sorted(set(rows())))
def test_row(config, field, volume):
    CHECKS[config, field](volume)


def test_every_row_has_a_check_and_every_check_a_row():
    found = list(rows())
    assert len(found) == len(set(found))
    assert set(found) == set(CHECKS)


def test_every_field_of_dacapo_has_a_row():
    expected = {(config, field) for config, fields in FIELDS.items() for field in fields}
    expected |= {(config, WHOLE) for config in FIELDS}
    assert set(rows()) == expected | {(ALL, "__type__"), (ALL, "name")}


def mappings(data):
    """Give all mappings of a document that are arrays."""
    for item in data.values() if isinstance(data, dict) else data:
        if isinstance(item, (dict, list, tuple)):
            yield from mappings(item)
    if isinstance(data, dict) and "__type__" in data:
        yield data


def test_every_key_that_dacapo_writes_has_a_row():
    text = (Path(__file__).parent / "config" / "dacapo-0.3.5.yaml").read_text()
    written = {}
    for document in text.split("---\n")[1:]:
        for mapping in mappings(yaml.full_load(document)):
            written[mapping["__type__"]] = mapping.keys() - {"__type__", "name"}
    assert written.keys() == FIELDS.keys() - {"TiffArrayConfig"}
    for config, keys in written.items():
        assert keys == set(FIELDS[config])


@row(ALL, "__type__")
def _(volume):
    canary = volume.path / "canary"
    refused("DL101", volume.open, f"open({str(canary)!r}, 'w')")
    assert not canary.exists()
    document = volume.document("OnesArrayConfig", source_array_config=volume.zarr("raw"))
    assert spelled_short(document)


@row(ALL, "name")
def _(volume):
    named = volume.zarr("raw")
    nameless = {key: value for key, value in named.items() if key != "name"}
    assert dacapo_like.load(nameless) == dacapo_like.load(named)


@row("ZarrArrayConfig", WHOLE)
def _(volume):
    array = dacapo_like.open_array(volume.zarr("labels"))
    np.testing.assert_array_equal(read(array), volume.labels)
    assert (list(array.voxel_size), list(array.roi.offset)) == (VOXEL_SIZE, OFFSET)
    with pytest.raises(WriteError):
        array[array.roi] = 0
    attributes = volume.root["labels"].attrs
    attributes["voxel_size"] = attributes.pop("resolution")
    assert dacapo_like.open_array(volume.zarr("labels")).roi == array.roi


@row("ZarrArrayConfig", "file_name")
def _(volume):
    path = volume.path.parent / "a.yaml"
    path.write_text(f"__type__: ZarrArrayConfig\nfile_name: {volume.path.name}\ndataset: raw\n")
    np.testing.assert_array_equal(read(dacapo_like.open_array(path)), volume.raw)


@row("ZarrArrayConfig", "dataset")
def _(volume):
    only = volume.path.parent / "only.zarr"
    zarr.create_array(only, data=volume.raw, zarr_format=2)
    array = volume.open("ZarrArrayConfig", file_name=str(only))
    np.testing.assert_array_equal(read(array), volume.raw)


@row("ZarrArrayConfig", "snap_to_grid")
def _(volume):
    array = dacapo_like.open_array(volume.zarr("raw", snap_to_grid=[80, 24, 8]))
    assert (list(array.roi.offset), list(array.roi.shape)) == ([80, 24, 24], [160, 24, 40])
    np.testing.assert_array_equal(read(array), volume.raw[:, 1:4])


@row("ZarrArrayConfig", "_axes")
def _(volume):
    document = volume.zarr("raw") | {"_axes": ["y", "z", "x"]}
    assert dacapo_like.open_array(document).axes == ("y", "z", "x")
    assert spelled_short(document, _axes="axes")


@row("ZarrArrayConfig", "mode")
def _(volume):
    for mode, writable in {"r": False, "r+": True, "a": True}.items():
        assert dacapo_like.open_array(volume.zarr("raw", mode=mode)).writable is writable
    assert not dacapo_like.open_array(volume.zarr("raw")).writable
    with pytest.raises(DacapoLikeError):
        dacapo_like.open_array(volume.zarr("nothing", mode="a"))
    assert "nothing" not in volume.root


@row("TiffArrayConfig", WHOLE, *FIELDS["TiffArrayConfig"])
def _(volume):
    voxels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    path = volume.path.parent / "stack.tif"
    tifffile.imwrite(path, voxels, photometric="minisblack")
    grid = {"offset": [-40, 8, 16], "voxel_size": [40, 8, 8]}
    units = ["nm", "nm", "nm"]
    for axes in ("axis_names", "axes"):
        array = volume.open(
            "TiffArrayConfig", file_name=str(path), **grid, **{axes: ["z", "y", "x"]}, units=units
        )
        np.testing.assert_array_equal(read(array), voxels)
        assert array.roi == Roi(grid["offset"], (80, 24, 32))
        assert array.axes == ("z", "y", "x")
        assert array.units == ("nm", "nm", "nm")
    plain = volume.open("TiffArrayConfig", file_name=str(path))
    assert (plain.offset, plain.voxel_size) == ((0, 0, 0), (1, 1, 1))
    assert plain.axes == ("z", "y", "x")


@row("DVIDArrayConfig", WHOLE, "source")
def _(volume):
    """What is read of a server is tested with the type; here: that the document says the same."""
    source = ("https://dvid.example.org", "a89e", "gray")
    config = dacapo_like.load(volume.document("DVIDArrayConfig", source=source))
    assert config.source == source
    refused("DL110", dacapo_like.load, volume.document("DVIDArrayConfig", source=source[:2]))


@row("DummyArrayConfig", WHOLE)
def _(volume):
    array = volume.open("DummyArrayConfig")
    assert (array.shape, array.dtype, list(array.voxel_size)) == ((100, 50, 50), float, [1, 1, 1])
    assert not read(array).any()
    assert "error" in [p.severity for p in verify(volume.document("DummyArrayConfig"))]


@row("CropArrayConfig", WHOLE, "roi")
def _(volume):
    inside, leaving = [[120, 24, 24], [80, 16, 16]], [[120, 24, 24], [4000, 16, 16]]
    array = volume.open("CropArrayConfig", "labels", roi=inside)
    np.testing.assert_array_equal(read(array), volume.labels[1:3, 1:3, :2])
    array = volume.open("CropArrayConfig", "labels", roi=leaving)
    np.testing.assert_array_equal(read(array), volume.labels[1:, 1:3, :2])
    document = {"source_array_config": volume.zarr("labels"), "roi": leaving}
    (warning,) = verify(volume.document("CropArrayConfig", **document))
    assert (warning.code, warning.severity) == ("DL401", "warning")
    with pytest.raises(DacapoLikeError, match="outside"):
        volume.open("CropArrayConfig", "labels", roi=[[4000, 0, 0], [40, 8, 8]])


UNARY = {
    "CropArrayConfig": {"roi": ((80, 16, 24), (40, 8, 8))},
    "ResampledArrayConfig": {"upsample": (1, 1, 1), "downsample": (2, 1, 1), "interp_order": 1},
    "BinarizeArrayConfig": {"groupings": [("mito", [3])]},
    "IntensitiesArrayConfig": {"min": 0, "max": 255},
    "MissingAnnotationsMaskConfig": {"groupings": [("mito", [3])]},
    "OnesArrayConfig": {},
    "ConstantArrayConfig": {"value": 4},
}


def check_source(config):
    def check(volume):
        document = volume.document(
            config, source_array_config=volume.zarr("labels"), **UNARY[config]
        )
        loaded = dacapo_like.load(document)
        assert loaded.source_array_config == dacapo_like.load(volume.zarr("labels"))
        assert spelled_short(document, source_array_config="source")

    return check


for _config in UNARY.keys() - {"MissingAnnotationsMaskConfig"}:  # it has more to check
    row(_config, "source_array_config")(check_source(_config))


@row("ResampledArrayConfig", WHOLE)
def _(volume):
    array = volume.open(
        "ResampledArrayConfig", "raw", upsample=[1, 2, 1], downsample=[2, 1, 1], interp_order=True
    )
    whole = read(array)
    assert list(array.roi.offset) == OFFSET
    part = Roi([160, 20, 32], [80, 24, 16])
    np.testing.assert_array_equal(array[part], whole[1:2, 1:7, 1:3])


@row("ResampledArrayConfig", "upsample")
def _(volume):
    odd = volume.zarr("raw") | {"type": "zarr", "voxel_size": [9, 9, 9]}
    del odd["__type__"]
    array = volume.open("ResampledArrayConfig", odd, upsample=[0, 2, 1], downsample=[1, 1, 1])
    assert [float(size) for size in array.voxel_size] == [9, 4.5, 9]
    assert array.shape == (4, 12, 5)


@row("ResampledArrayConfig", "downsample")
def _(volume):
    def coarse(name):
        return volume.open("ResampledArrayConfig", name, upsample=[1, 1, 1], downsample=[0, 2, 1])

    assert np.isin(read(coarse("labels")), volume.labels).all()
    image = volume.raw.astype(np.float32)
    volume.put("image", image)
    mean = (image[:, ::2] + image[:, 1::2]) / 2
    np.testing.assert_array_equal(read(coarse("image")), mean)


@row("ResampledArrayConfig", "interp_order")
def _(volume):
    def order(order):
        return volume.document(
            "ResampledArrayConfig",
            source_array_config=volume.zarr("raw"),
            upsample=[2, 2, 2],
            interp_order=order,
        )

    orders = [dacapo_like.load(order(given)).interp_order for given in (False, True, 0, 1, 3)]
    assert orders == [0, 1, 0, 1, 3]
    refused("DL104", dacapo_like.load, order(2))


@row("BinarizeArrayConfig", WHOLE, "groupings")
def _(volume):
    groupings = [("twice", [3, 3, 2**53 + 1]), ("any", [])]
    array = volume.open("BinarizeArrayConfig", "labels", groupings=groupings)
    expected = [np.isin(volume.labels, [3, 2**53 + 1]), volume.labels != 0]
    np.testing.assert_array_equal(read(array), expected)
    assert (array.axes, array.dtype, list(array.channels)) == (
        tuple("czyx"),
        "u1",
        ["twice", "any"],
    )
    mapped = volume.open("BinarizeArrayConfig", "labels", groupings=dict(groupings))
    assert mapped.config == array.config


@row("BinarizeArrayConfig", "background")
def _(volume):
    groupings = [("listed", [3, 8]), ("any", [])]
    array = volume.open("BinarizeArrayConfig", "labels", groupings=groupings, background=3)
    np.testing.assert_array_equal(read(array), [volume.labels == 8, volume.labels != 3])


@row("IntensitiesArrayConfig", WHOLE, "min")
def _(volume):
    array = volume.open("IntensitiesArrayConfig", "raw", min=30, max=255)
    expected = (volume.raw.astype(np.float64) - 30) / 225
    assert array.dtype == np.float32
    assert read(array).min() < 0
    np.testing.assert_allclose(read(array), expected, rtol=1e-6, atol=1e-7)


@row("IntensitiesArrayConfig", "max")
def _(volume):
    volume.put("bright", np.full(SHAPE, 255, np.uint8))
    assert (read(volume.open("IntensitiesArrayConfig", "bright", min=-0.1, max=255)) == 1).all()
    refused("DL110", volume.open, "IntensitiesArrayConfig", "bright", min=3, max=3)


@row("MissingAnnotationsMaskConfig", WHOLE)
def _(volume):
    def mask(**state):
        volume.state.update(state)
        attribute = [{"value": 3, "annotationState": volume.state}]
        volume.put("annotated", volume.labels, labels=attribute)
        groupings = [("mito", [3]), ("other", [8])]
        return volume.open("MissingAnnotationsMaskConfig", "annotated", groupings=groupings)

    known = (volume.labels > 0).astype(np.uint8)
    for annotated in (True, "dense", "sparse"):
        np.testing.assert_array_equal(read(mask(annotated=annotated)), [known, known])
    for annotated in (False, "empty", "unknown"):
        np.testing.assert_array_equal(read(mask(annotated=annotated)), [known * 0, known])
    np.testing.assert_array_equal(read(mask(present=False)), [known, known])
    assert mask().dtype == np.uint8


@row("MissingAnnotationsMaskConfig", "source_array_config")
def _(volume):
    check_source("MissingAnnotationsMaskConfig")(volume)
    groupings = [("mito", [3])]
    array = volume.open("MissingAnnotationsMaskConfig", "labels", groupings=groupings)
    np.testing.assert_array_equal(read(array), [volume.labels > 0])
    volume.put("broken", volume.labels, labels=[{"value": 3}])
    with pytest.raises(DacapoLikeError, match=r"labels\[0\]\.annotationState"):
        volume.open("MissingAnnotationsMaskConfig", "broken", groupings=groupings)


@row("MissingAnnotationsMaskConfig", "groupings")
def _(volume):
    groupings = [("spared", [37, 3]), ("fine", [37])]
    array = volume.open("MissingAnnotationsMaskConfig", "annotated", groupings=groupings)
    known = (volume.labels > 0).astype(np.uint8)
    np.testing.assert_array_equal(read(array), [known * 0, known])


def break_chunks(volume, name):
    """Make the voxels of an array unreadable."""
    for chunk in (volume.path / name).iterdir():
        if not chunk.name.startswith("."):
            chunk.write_bytes(b"broken")


@row("OnesArrayConfig", WHOLE)
def _(volume):
    break_chunks(volume, "labels")
    array = volume.open("OnesArrayConfig", "labels")
    np.testing.assert_array_equal(read(array), np.ones(SHAPE, np.uint64))
    assert array.dtype == np.uint64
    assert volume.open("OnesArrayConfig", "labels", dtype="uint8").dtype == np.uint8


@row("ConstantArrayConfig", WHOLE)
def _(volume):
    break_chunks(volume, "raw")
    array = volume.open("ConstantArrayConfig", "raw", constant=4)
    np.testing.assert_array_equal(read(array), np.full(SHAPE, 4, np.uint8))
    assert volume.open("ConstantArrayConfig", "raw", constant=4, dtype="int64").dtype == np.int64


@row("ConstantArrayConfig", "constant")
def _(volume):
    assert (read(volume.open("ConstantArrayConfig", "raw")) == 1).all()
    document = volume.document(
        "ConstantArrayConfig", source_array_config=volume.zarr("raw"), constant=4
    )
    assert spelled_short(document, constant="value")
    with pytest.raises(DacapoLikeError):
        volume.open("ConstantArrayConfig", "raw", constant=256)


def put_moved(volume):
    """Write an array of another dtype, one slice further on."""
    moved = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    return volume.put("moved", moved, offset=[120, *OFFSET[1:]])


@row("ConcatArrayConfig", WHOLE, "channels")
def _(volume):
    moved = put_moved(volume)
    sources = {"a": volume.zarr("raw"), "b": volume.zarr("moved")}
    array = volume.open("ConcatArrayConfig", channels=["b", "a"], source_array_configs=sources)
    np.testing.assert_array_equal(read(array), [moved[:-1], volume.raw[1:]])
    assert (array.dtype, list(array.channels)) == (np.int16, ["b", "a"])


@row("ConcatArrayConfig", "source_array_configs")
def _(volume):
    document = volume.document(
        "ConcatArrayConfig", channels=["a"], source_array_configs={"a": volume.zarr("raw")}
    )
    assert spelled_short(document, source_array_configs="sources")
    document["source_array_configs"]["b"] = volume.zarr("raw")
    refused("DL110", dacapo_like.load, document)


@row("ConcatArrayConfig", "default_config")
def _(volume):
    def concat(default):
        return read(
            volume.open(
                "ConcatArrayConfig",
                channels=["a", "b"],
                source_array_configs={"a": volume.zarr("raw")},
                default_config=default,
            )
        )

    volume.put("other", volume.raw // 2)
    np.testing.assert_array_equal(concat(None), [volume.raw, volume.raw * 0])
    np.testing.assert_array_equal(concat(volume.zarr("other")), [volume.raw, volume.raw // 2])


@row("SumArrayConfig", WHOLE)
def _(volume):
    array = volume.both("SumArrayConfig", ["raw", "raw", "raw"])
    np.testing.assert_array_equal(read(array), np.sum([volume.raw] * 3, axis=0))
    assert array.dtype == np.uint64
    with pytest.raises(DacapoLikeError, match="beyond"):
        read(volume.both("SumArrayConfig", ["labels", "labels"]))


def check_sources(config):
    def check(volume):
        volume.put("moved", volume.raw, offset=[120, *OFFSET[1:]])
        array = volume.both(config, ["raw", "moved"])
        assert (array.roi.offset[0], array.roi.shape[0]) == (120, 120)
        sources = [volume.zarr("raw"), volume.zarr("moved")]
        document = volume.document(config, source_array_configs=sources)
        assert spelled_short(document, source_array_configs="sources")

    return check


for _config in ("SumArrayConfig", "MergeInstancesArrayConfig"):
    row(_config, "source_array_configs")(check_sources(_config))


@row("MergeInstancesArrayConfig", WHOLE)
def _(volume):
    first = np.where(volume.raw > 200, 3, 0).astype(np.uint8)
    last = np.where(volume.raw > 100, 3, 0).astype(np.uint8)
    volume.put("first", first)
    volume.put("none", np.zeros(SHAPE, np.uint8))
    volume.put("last", last)
    array = volume.both("MergeInstancesArrayConfig", ["first", "none", "last"])
    shifted = np.where(last > 0, np.uint64(2 * 2**32 + 3), np.uint64(0))
    np.testing.assert_array_equal(read(array), np.where(first > 0, first, shifted))
    part = Roi([120, 24, 24], [40, 16, 8])
    np.testing.assert_array_equal(array[part], read(array)[1:2, 1:3, :1])
    over = volume.both("MergeInstancesArrayConfig", ["first", "none", "last"], overlap="last")
    np.testing.assert_array_equal(read(over), np.where(last > 0, shifted, first))
    assert array.dtype == np.uint64


@row("LogicalOrArrayConfig", WHOLE, "source_array_config")
def _(volume):
    channels = np.stack([volume.labels, volume.labels * 0])
    volume.put("channels", channels)
    array = volume.open("LogicalOrArrayConfig", "channels")
    np.testing.assert_array_equal(read(array), volume.labels != 0)
    assert (array.axes, array.dtype) == (("z", "y", "x"), np.uint8)
    document = volume.document("LogicalOrArrayConfig", source_array_config=volume.zarr("channels"))
    assert spelled_short(document, source_array_config="source")
    with pytest.raises(DacapoLikeError, match="channels"):
        volume.open("LogicalOrArrayConfig", "labels")
