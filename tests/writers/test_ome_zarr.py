import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import attrs
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models.v05 import Image

from dacapo_like.errors import ConfigError, RegionError, SourceError, SpecError
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.sources.zarr import ZarrArrayConfig
from dacapo_like.spec import from_shape
from dacapo_like.units import length_name
from dacapo_like.writers.ngff import image_attributes
from dacapo_like.writers.ome_zarr import OmeZarrWriter

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of ome-zarr-py about itself
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

NUMBERS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
NUMBERS += ["float16", "float32", "float64"]
AXES = ["yx", "zyx", "cyx", "czyx", "tzyx", "tczyx", "szyx", "tszyx"]


def voxels(spec):
    values = np.random.default_rng(0).integers(0, 100, spec.shape)
    return (values % 2 if spec.dtype.kind == "b" else values).astype(spec.dtype)


def spec_of(axes="zyx", dtype="uint16", **fields):
    spatial = len(set(axes) & set("zyx"))
    fields = {
        "voxel_size": (25, Fraction("9.8"), Fraction("0.7"))[-spatial:],
        "offset": (100, Fraction("4.9"), -7)[-spatial:],
        "units": ("nanometer",) * spatial,
    } | fields
    return from_shape((3, 2, 9, 10, 11)[-len(axes) :], dtype, axes=tuple(axes), **fields)


def write(path, spec, **options):
    data = voxels(spec)
    with OmeZarrWriter(path, spec, **options) as writer:
        for box in blocks_of(spec.shape, writer.block_shape):
            writer.write(box, data[box.slices])
    return data


def opened(path, **fields):
    return ZarrArrayConfig(file_name=str(path), **fields).array()


def group_attributes(path):
    return json.loads((path / "zarr.json").read_text())["attributes"]


# Others read what is written


@pytest.mark.parametrize("axes", AXES)
def test_ome_zarr_models_accepts_every_order_of_axes(tmp_path, axes):
    count = spec_of(axes).num_channels
    spec = spec_of(axes, channels=tuple("abcdefghij"[:count]) if count else None)
    write(tmp_path / "a.zarr", spec)
    image = Image.from_zarr(zarr.open_group(tmp_path / "a.zarr", mode="r"))
    assert [axis.name for axis in image.ome_attributes.multiscales[0].axes] == list(axes)
    assert image.ome_attributes.version == "0.5"


@pytest.mark.parametrize("axes", AXES)
def test_ome_zarr_py_reads_the_same(tmp_path, axes):
    spec = spec_of(axes)
    data = write(tmp_path / "a.zarr", spec)
    (node,) = Reader(parse_url(str(tmp_path / "a.zarr")))()
    scale, translation = node.metadata["coordinateTransformations"][0]
    leading = len(spec.leading_axes)
    assert scale["scale"] == [1.0] * leading + [float(v) for v in spec.voxel_size]
    centre = [float(o + v / Fraction(2)) for o, v in zip(spec.offset, spec.voxel_size, strict=True)]
    assert translation["translation"] == [0.0] * leading + centre
    units = {axis["name"]: axis.get("unit") for axis in node.metadata["axes"]}
    assert [units[axis] for axis in spec.spatial_axes] == list(spec.units)
    np.testing.assert_array_equal(np.asarray(node.data[0]), data)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("shards", [None, (8, 8, 4)])
def test_zarr_python_and_tensorstore_read_the_same(tmp_path, dtype, shards):
    spec = spec_of(dtype=dtype)
    data = write(tmp_path / "a.zarr", spec, chunks=(4, 4, 4), shards=shards)
    array = zarr.open_array(tmp_path / "a.zarr" / "0", mode="r")
    assert (array.chunks, array.shards) == ((4, 4, 4), shards)
    assert array.metadata.dimension_names == ("z", "y", "x")
    np.testing.assert_array_equal(array[...], data)
    store = tensorstore.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/a.zarr/0/"}}
    )
    np.testing.assert_array_equal(store.result().read().result(), data)


def test_viewers_are_told_of_the_channels(tmp_path):
    write(tmp_path / "a.zarr", spec_of("czyx", "uint8", channels=("DAPI", "GFP")))
    (node,) = Reader(parse_url(str(tmp_path / "a.zarr")))()
    assert node.metadata["channel_names"] == ["DAPI", "GFP"]
    assert node.metadata["contrast_limits"] == [[0, 255], [0, 255]]
    write(tmp_path / "b.zarr", spec_of("czyx", "uint8"))
    assert "omero" not in group_attributes(tmp_path / "b.zarr")["ome"]


# What is written comes back

SIZES = st.fractions(min_value=Fraction(1, 1000), max_value=10**6, max_denominator=10**6)
PLACES = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6)


@settings(max_examples=40, deadline=None)
@given(
    axes=st.sampled_from(AXES),
    dtype=st.sampled_from(NUMBERS),
    kind=st.sampled_from(["image", "labels", "mask"]),
    anchor=st.sampled_from(["center", "corner"]),
    oblique=st.booleans(),
    data=st.data(),
)
def test_a_round_trip_loses_nothing(tmp_path_factory, axes, dtype, kind, anchor, oblique, data):
    dims = len(set(axes) & set("zyx"))
    turned = np.linalg.qr(np.random.default_rng(dims).normal(size=(dims, dims)))[0]
    spec = spec_of(
        axes,
        dtype,
        kind=kind,
        anchor=anchor,
        voxel_size=data.draw(st.tuples(*[SIZES] * dims)),
        offset=data.draw(st.tuples(*[PLACES] * dims)),
        units=data.draw(st.tuples(*[st.sampled_from([None, "nanometer", "inch", "px"])] * dims)),
        directions=tuple(map(tuple, turned.tolist())) if oblique else None,
    )
    path = tmp_path_factory.mktemp("trip") / "a.zarr"
    written = write(path, spec)
    array = opened(path)
    assert attrs.evolve(array.spec, chunk_shape=None) == spec
    np.testing.assert_array_equal(np.asarray(array), written)


def test_units_go_out_under_their_full_names(tmp_path):
    spec = spec_of(units=("nm", "um", "voxels"))
    write(tmp_path / "a.zarr", spec)
    assert opened(tmp_path / "a.zarr").units == (length_name("nm"), length_name("um"), "voxels")
    axes = group_attributes(tmp_path / "a.zarr")["ome"]["multiscales"][0]["axes"]
    assert "unit" not in axes[2]


def test_a_copy_of_a_copy_does_not_move(tmp_path):
    for anchor in ("center", "corner"):
        spec = spec_of(anchor=anchor)
        write(tmp_path / anchor, spec)
        again = opened(tmp_path / anchor).spec
        write(tmp_path / f"{anchor}-copy", again)
        transformations, copied = (
            group_attributes(tmp_path / name)["ome"]["multiscales"][0]["datasets"]
            for name in (anchor, f"{anchor}-copy")
        )
        assert transformations == copied
        stored = transformations[0]["coordinateTransformations"][1]["translation"]
        assert stored == ([112.5, 9.8, -6.65] if anchor == "center" else [100, 4.9, -7])


def test_decimals_are_written_as_they_are_read(tmp_path):
    write(tmp_path / "a.zarr", spec_of())
    text = (tmp_path / "a.zarr" / "zarr.json").read_text()
    assert "9.8" in text
    assert "0.7" in text
    assert "exact" not in group_attributes(tmp_path / "a.zarr")["dacapo_like"]


def test_levels_share_one_corner():
    fine = spec_of()
    coarse = fine.replace(shape=[n // 2 for n in fine.shape], voxel_size=fine.voxel_size * 2)
    image = image_attributes([fine, coarse])["ome"]["multiscales"][0]
    assert [dataset["path"] for dataset in image["datasets"]] == ["0", "1"]
    (scale, place), (coarse_scale, coarse_place) = (
        [step[step["type"]] for step in dataset["coordinateTransformations"]]
        for dataset in image["datasets"]
    )
    np.testing.assert_allclose(coarse_scale, np.array(scale) * 2)
    np.testing.assert_allclose(
        np.array(coarse_place) - np.array(coarse_scale) / 2, np.array(place) - np.array(scale) / 2
    )


def test_attributes_are_kept(tmp_path):
    kept = {"config": {"type": "crop", "roi": [[0], [1]]}}
    write(tmp_path / "a.zarr", spec_of(), attributes=kept)
    assert group_attributes(tmp_path / "a.zarr")["dacapo_like"]["attributes"] == kept
    with pytest.raises(ConfigError, match="not JSON"):
        OmeZarrWriter(tmp_path / "b.zarr", spec_of(), attributes={"a": float("nan")})
    assert not (tmp_path / "b.zarr").exists()


# Blocks


def test_chunks_are_those_of_the_array_or_cubes(tmp_path):
    spec = from_shape((3, 500, 500, 500), "float32", axes="czyx")
    with OmeZarrWriter(tmp_path / "a.zarr", spec) as writer:
        assert writer.chunk_shape == writer.block_shape == (1, 64, 64, 64)
    spec = spec_of().replace(chunk_shape=(100, 5, 5))
    with OmeZarrWriter(tmp_path / "b.zarr", spec) as writer:
        assert writer.chunk_shape == (9, 5, 5)
    with OmeZarrWriter(tmp_path / "c.zarr", spec, chunks=(2, 2, 2), shards=(4, 6, 8)) as writer:
        assert (writer.chunk_shape, writer.block_shape) == ((2, 2, 2), (4, 6, 8))


@pytest.mark.parametrize(
    "options",
    [{"chunks": (4, 4)}, {"chunks": (0, 4, 4)}, {"chunks": (4, 4, 4), "shards": (4, 6, 4)}],
)
def test_chunks_that_do_not_fit(tmp_path, options):
    with pytest.raises(ConfigError, match="do not fit"):
        OmeZarrWriter(tmp_path / "a.zarr", spec_of(), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shards", [None, (8, 8, 8)])
def test_threads_write_what_one_writes(tmp_path, shards):
    spec = from_shape((40, 40, 40), "uint16")
    data = voxels(spec)
    with OmeZarrWriter(tmp_path / "a.zarr", spec, chunks=(4, 4, 4), shards=shards) as writer:
        boxes = list(blocks_of(spec.shape, writer.block_shape))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda box: writer.write(box, data[box.slices]), boxes))
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "a.zarr")), data)


def test_blocks_may_be_views(tmp_path):
    spec = from_shape((6, 8), "uint16")
    data = np.arange(48).reshape(8, 6)[::-1].T.astype("uint16")
    with OmeZarrWriter(tmp_path / "a.zarr", spec, chunks=(3, 4)) as writer:
        writer.write(Box((0, 0), (3, 8)), data[:3])
        writer.write(Box((3, 0), (3, 4)), np.broadcast_to(np.uint16(7), (3, 4)))
    found = np.asarray(opened(tmp_path / "a.zarr"))
    np.testing.assert_array_equal(found[:3], data[:3])
    assert (found[3:, :4] == 7).all()
    assert (found[3:, 4:] == 0).all()


@pytest.mark.parametrize(
    "box",
    [
        Box((1, 0, 0), (4, 4, 4)),
        Box((0, 0, 0), (4, 4, 3)),
        Box((8, 8, 8), (4, 4, 4)),
        Box((0, 0, 0), (12, 4, 4)),
    ],
)
def test_blocks_off_the_grid_are_refused(tmp_path, box):
    writer = OmeZarrWriter(tmp_path / "a.zarr", spec_of(), chunks=(4, 4, 4))
    with pytest.raises(RegionError, match="not a box of whole blocks"):
        writer.write(box, np.zeros(box.shape, "uint16"))


@pytest.mark.parametrize(("shape", "dtype"), [((9, 4, 4), "int16"), ((9, 4, 3), "uint16")])
def test_data_that_do_not_fit_are_refused(tmp_path, shape, dtype):
    writer = OmeZarrWriter(tmp_path / "a.zarr", spec_of(), chunks=(4, 4, 4))
    with pytest.raises(RegionError, match="data do not fit"):
        writer.write(Box((0, 0, 0), (9, 4, 4)), np.zeros(shape, dtype))


# Its place


def test_the_target_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "a.zarr"
    with OmeZarrWriter(path, spec_of()) as writer:
        writer.write(spec_of().box, voxels(spec_of()))
        assert not path.exists()
    assert [item.name for item in path.parent.iterdir()] == ["a.zarr"]
    with pytest.raises(SourceError, match="closed"):
        writer.write(spec_of().box, voxels(spec_of()))


def test_an_error_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.zarr"
    data = write(path, spec_of())

    def interrupted():
        with OmeZarrWriter(path, spec_of(), overwrite=True) as writer:
            writer.write(spec_of().box, data * 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [item.name for item in tmp_path.iterdir()] == ["a.zarr"]
    np.testing.assert_array_equal(np.asarray(opened(path)), data)


def test_a_store_is_replaced_only_where_asked(tmp_path):
    path = tmp_path / "a.zarr"
    data = write(path, spec_of())
    with pytest.raises(SourceError, match="exists already"):
        write(path, spec_of("yx"))
    np.testing.assert_array_equal(np.asarray(opened(path)), data)
    data = write(path, spec_of("yx"), overwrite=True)
    np.testing.assert_array_equal(np.asarray(opened(path)), data)
    assert [item.name for item in tmp_path.iterdir()] == ["a.zarr"]


def test_a_reader_sees_the_store_that_replaced_its_own(tmp_path):
    path = tmp_path / "a.zarr"
    data = write(path, spec_of())
    before = opened(path)
    np.testing.assert_array_equal(np.asarray(before), data)
    with OmeZarrWriter(path, spec_of(), overwrite=True) as writer:
        writer.write(spec_of().box, data + 1)
        np.testing.assert_array_equal(np.asarray(before), data)
    np.testing.assert_array_equal(np.asarray(opened(path)), data + 1)


def test_what_is_no_zarr_store_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name in ("thesis", "file"):
        with pytest.raises(SourceError, match="another kind is in the way"):
            OmeZarrWriter(tmp_path / name, spec_of(), overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "precious"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "thesis"]


def test_what_has_come_into_the_way_since_is_not_replaced(tmp_path):
    path = tmp_path / "a.zarr"
    writer = OmeZarrWriter(path, spec_of())
    data = write(path, spec_of())
    with pytest.raises(SourceError, match="exists already"):
        writer.commit()
    writer.abort()
    np.testing.assert_array_equal(np.asarray(opened(path)), data)
    assert [item.name for item in tmp_path.iterdir()] == ["a.zarr"]


def test_an_empty_folder_is_not_in_the_way(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    write(tmp_path / "a.zarr", spec_of())
    assert opened(tmp_path / "a.zarr").shape == (9, 10, 11)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write here") as caught:
        OmeZarrWriter(tmp_path / "file" / "a.zarr", spec_of())
    assert "file" in caught.value.where


# What the format has no place for


@pytest.mark.parametrize(
    ("axes", "hint"),
    [
        (("x",), None),
        (("c", "s", "y", "x"), "one file per index"),
        (("w", "z", "y", "x"), None),
    ],
)
def test_axes_that_ome_ngff_has_no_place_for(tmp_path, axes, hint):
    spec = from_shape((2,) * len(axes), axes=axes)
    with pytest.raises(SpecError, match="no place for these axes") as caught:
        OmeZarrWriter(tmp_path / "a.zarr", spec)
    assert (hint or "") in (caught.value.hint or "")
    assert not list(tmp_path.iterdir())


def test_an_axis_of_another_name_comes_back(tmp_path):
    spec = from_shape((2, 4, 4), axes=("tau^", "y", "x"))
    write(tmp_path / "a.zarr", spec)
    assert opened(tmp_path / "a.zarr").axes == ("tau^", "y", "x")
    Image.from_zarr(zarr.open_group(tmp_path / "a.zarr", mode="r"))


def test_voxels_that_zarr_does_not_know(tmp_path):
    with pytest.raises(SpecError, match="no such voxels"):
        OmeZarrWriter(tmp_path / "a.zarr", spec_of(dtype=np.longdouble))
    assert not list(tmp_path.iterdir())
