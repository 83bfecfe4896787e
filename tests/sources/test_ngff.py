import json
import warnings
from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import SourceError
from dacapo_like.geometry import Coordinate
from dacapo_like.sources.ngff import is_image, read_pyramid
from dacapo_like.sources.zarr import ZarrArrayConfig

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of ome-zarr-py about itself
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr.writer import write_image

DATA = np.random.default_rng(0).integers(0, 999, (2, 8, 16, 16)).astype("uint16")
SCALE = {"c": 1.0, "z": 25.0, "y": 9.8, "x": 0.7}


def opened(path, **fields):
    return ZarrArrayConfig(file_name=str(path), **fields).array()


def pyramid(*levels, common=None, units=(None, None), version="0.5", **more):
    """Metadata of levels, each (scale, translation or None), along y and x."""
    datasets = []
    for i, (scale, translation) in enumerate(levels):
        steps = [{"type": "scale", "scale": scale}] if scale else []
        if translation is not None:
            steps.append({"type": "translation", "translation": translation})
        datasets.append({"path": f"s{i}", "coordinateTransformations": steps})
    axes = [
        {"name": name, "type": "space"} | ({"unit": unit} if unit else {})
        for name, unit in zip("yx", units, strict=True)
    ]
    image = {"axes": axes, "datasets": datasets}
    if common:
        image["coordinateTransformations"] = common
    return {"ome": {"version": version, "multiscales": [image]} | more}


def read(*levels, **more):
    return read_pyramid(pyramid(*levels, **more), "a.zarr")


def group(path, attributes, arrays):
    root = zarr.open_group(path, mode="w", attributes=attributes)
    for name, data in arrays.items():
        root.create_array(name, shape=data.shape, chunks=data.shape, dtype=data.dtype)[...] = data
    return path


def plane_levels(count):
    data = np.arange(16 * 16).reshape(16, 16).astype("uint16")
    return {f"s{i}": data[:: 2**i, :: 2**i] for i in range(count)}


# ome-zarr-py is the truth


@pytest.fixture(params=[FormatV04, FormatV05])
def theirs(request, tmp_path):
    """A pyramid by ome-zarr-py, and the same as ome-zarr-py reads it."""
    path = tmp_path / "theirs.zarr"
    fmt = request.param()
    root = zarr.open_group(path, mode="w", zarr_format=fmt.zarr_format)
    write_image(
        da.from_array(DATA),
        root,
        scale_factors=[{"y": 2, "x": 2}, {"z": 2, "y": 4, "x": 4}],
        axes="czyx",
        scale=SCALE,
        axes_units=dict.fromkeys("zyx", "nanometer"),
        fmt=fmt,
    )
    channels = [
        {"label": label, "color": "FF0000", "window": {"min": 0, "max": 9, "start": 0, "end": 9}}
        for label in ("DAPI", "GFP")
    ]
    if fmt.version == "0.4":
        root.attrs["omero"] = {"channels": channels}
    else:
        root.attrs["ome"] = root.attrs["ome"] | {"omero": {"channels": channels}}
    (node,) = Reader(parse_url(str(path)))()
    return path, node


@pytest.mark.parametrize("level", [0, 1, 2])
def test_levels_are_where_ome_zarr_py_says(theirs, level):
    path, node = theirs
    array = opened(path, level=level)
    scale, translation = node.metadata["coordinateTransformations"][level]
    assert array.axes == ("c", "z", "y", "x")
    assert array.channels == ("DAPI", "GFP")
    assert array.units == ("nanometer",) * 3
    np.testing.assert_allclose([float(v) for v in array.voxel_size], scale["scale"][1:])
    np.testing.assert_allclose(
        array.voxel_to_world[:3, 3],
        translation["translation"][1:],
        atol=1e-12,
    )
    np.testing.assert_array_equal(np.asarray(array), np.asarray(node.data[level]))


def test_the_noise_of_doubles_moves_no_level(theirs):
    path, _ = theirs  # s2 is stored at 14.700000000000001 and 1.0499999999999998
    array = opened(path, level=2)
    assert array.voxel_size == (50, Fraction("39.2"), Fraction("2.8"))
    assert (
        array.offset
        == opened(path).offset
        == (Fraction("-12.5"), Fraction("-4.9"), Fraction("-0.35"))
    )
    assert array.spec.anchor == "center"


def test_channels_are_chosen_by_label(theirs):
    path, _ = theirs
    array = opened(path, channels=["GFP"])
    assert array.channels == ("GFP",)
    np.testing.assert_array_equal(np.asarray(array), DATA[1:])


def test_an_array_named_inside_its_pyramid_is_that_level(theirs):
    path, _ = theirs
    level = opened(path, level=1)
    for array in (opened(path, dataset="s1"), opened(path / "s1")):
        assert array.spec == level.spec
        np.testing.assert_array_equal(np.asarray(array), np.asarray(level))


def test_the_voxel_size_chooses_the_level(theirs):
    path, _ = theirs
    array = opened(path, voxel_size=(25, 19.6, 1.4))
    assert array.spec == opened(path, level=1).spec
    with pytest.raises(SourceError, match="no level has this voxel size") as caught:
        opened(path, voxel_size=(25, 20, 1.4))
    assert caught.value.expected == "one of (25, 9.8, 0.7), (25, 19.6, 1.4), (50, 39.2, 2.8)"
    assert opened(path, voxel_size=(25, 20, 1.4), level=1).voxel_size == (25, 20, Fraction("1.4"))


def test_the_only_pyramid_of_a_store_is_found(theirs, tmp_path):
    path, _ = theirs
    (tmp_path / "plate" / "A").mkdir(parents=True)
    path.rename(tmp_path / "plate" / "A" / "1.zarr")
    assert opened(tmp_path / "plate").shape == DATA.shape


# Transformations


def test_transformations_of_all_levels_are_applied_last():
    common = [{"type": "scale", "scale": [10, 0.5]}, {"type": "translation", "translation": [7, 8]}]
    image = read(([2, 4], [1, 3]), common=common)
    assert image.voxel_size(0) == (20, 2)
    assert image.offset(0, "corner") == (10 * 1 + 7, Fraction(3, 2) + 8)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["scale", "translation", "identity"]),
            st.tuples(st.integers(1, 50), st.integers(1, 50)),
        ),
        max_size=5,
    ),
    st.integers(0, 5),
)
def test_transformations_are_applied_in_their_order(steps, split):
    def mapped(point):
        for kind, values in steps:
            if kind == "scale":
                point = [p * v for p, v in zip(point, values, strict=True)]
            elif kind == "translation":
                point = [p + v for p, v in zip(point, values, strict=True)]
        return point

    stored = [{"type": kind, kind: list(values)} for kind, values in steps]
    attributes = pyramid((None, None), common=stored[split:])
    attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"] = stored[:split]
    image = read_pyramid(attributes, "a.zarr")
    origin = mapped([0, 0])
    assert list(image.offset(0, "corner")) == origin
    if image.voxel_size(0) is not None:
        assert [o + v for o, v in zip(origin, image.voxel_size(0), strict=True)] == mapped([1, 1])


# Anchors


@pytest.mark.parametrize(
    ("levels", "anchor"),
    [
        ([([2, 2], None)], "corner"),
        ([([2, 2], [0, 0])], "center"),
        ([([2, 2], None), ([4, 4], None)], "corner"),
        ([([2, 2], [0, 0]), ([4, 4], [0, 0])], "corner"),
        ([([2, 2], [0, 0]), ([4, 4], [1, 1])], "center"),
        ([([2, 2], [9, 9]), ([4, 4], [9, 9]), ([8, 8], [9, 9])], "corner"),
        ([([2, 2], [9, 9]), ([4, 4], [10, 10]), ([8, 8], [12, 12])], "center"),
        ([([2, 2], [9, 9]), ([4, 2], [9, 9])], "corner"),
        ([([2, 2], [9, 9]), ([4, 2], [10, 9])], "center"),
        ([([2, 2], [9, 9]), ([4, 4], [10.01, 9.99])], "center"),
        ([([2, 2], [9, 9]), ([4, 4], [10, 9])], "center"),  # neither: a translation is stored
        ([([2, 2], [9, 9]), ([2, 2], [9, 9])], "center"),  # both
        ([([2, 2], None), ([4, 4], [1, 1])], "center"),
    ],
)
def test_the_anchor_is_the_reading_that_keeps_the_corner(levels, anchor):
    image = read(*levels)
    assert image.anchor == anchor
    shift = Fraction(1, 2) if anchor == "center" else 0
    translation = Coordinate(levels[0][1] or (0, 0))
    assert image.offset(0, image.anchor) == translation - image.voxel_size(0) * shift


def test_what_was_recorded_comes_before_what_is_inferred():
    attributes = pyramid(([2, 2], [0, 0]), ([4, 4], [1, 1]))
    attributes["dacapo_like"] = {"anchor": "corner"}
    assert read_pyramid(attributes, "a.zarr").anchor == "corner"


@pytest.mark.parametrize(("anchor", "offset"), [("center", (8, 6)), ("corner", (9, 8))])
def test_the_config_may_say_what_a_translation_names(tmp_path, anchor, offset):
    path = group(tmp_path / "a.zarr", pyramid(([2, 4], [9, 8])), plane_levels(1))
    array = opened(path, anchor=anchor)
    assert array.offset == offset
    assert array.spec.anchor == anchor


# Axes, kinds, versions


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        (["t", "c", "y", "x"], "t c y x"),
        ([{"name": "Time", "type": "time"}, {"name": "y"}, {"name": "x"}], "t y x"),
        ([{"name": "wave", "type": "channel"}, {"name": "y", "type": "space"}], "c y"),
        ([{"name": "tau", "type": "lifetime"}, {"name": "Y", "type": "space"}], "tau^ y"),
        ([{"name": "tau"}, {"name": "y"}], "tau^ y"),
        ([{"name": "s", "type": "channel"}, {"name": "depth", "type": "space"}], "s depth"),
        (None, "t c z y x"),
    ],
)
def test_names_say_which_axes_are_spatial(axes, expected):
    attributes = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    assert " ".join(read_pyramid(attributes, "a.zarr").axes) == expected


def test_an_image_of_labels_is_one_of_labels(tmp_path):
    arrays = plane_levels(1)
    path = group(tmp_path / "a.zarr", pyramid(([1, 1], None), **{"image-label": {}}), arrays)
    assert opened(path).kind == "labels"
    assert opened(path, kind="image").kind == "image"


def test_labels_of_some_channels(tmp_path):
    attributes = {
        "multiscales": [{"axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}],
        "omero": {"channels": [{"label": "a"}, {}]},
    }
    data = np.zeros((2, 4, 4), "uint8")
    assert opened(group(tmp_path / "a.zarr", attributes, {"0": data})).channels == ("a", "1")
    data = np.zeros((3, 4, 4), "uint8")
    assert opened(group(tmp_path / "b.zarr", attributes, {"0": data})).channels is None


def test_attributes_of_group_and_array_are_kept(tmp_path):
    attributes = pyramid(([1, 1], None)) | {"sample": {"age": 1.5}}
    path = group(tmp_path / "a.zarr", attributes, plane_levels(1))
    zarr.open_array(path / "s0", mode="r+").attrs["labels"] = [{"name": "mito", "value": 3}]
    found = opened(path).attrs
    assert dict(found) == {"sample": {"age": 1.5}, "labels": [{"name": "mito", "value": 3}]}
    json.dumps(dict(found))


def test_other_attributes_are_no_image():
    assert not is_image({})
    assert not is_image({"ome": {"version": "0.5", "plate": {}}})
    assert not is_image({"multiscales": []})


# What is wrong


def broken(**changes):
    attributes = pyramid(([1, 1], [0, 0]))
    attributes["ome"]["multiscales"][0].update(changes)
    return attributes


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        (pyramid(([1, 1], None), version="0.6"), "unknown version"),
        (broken(datasets=[]), "without levels"),
        (broken(datasets=[{}]), "corrupt"),
        (broken(datasets=7), "corrupt"),
        (broken(axes=[{}]), "corrupt"),
        (broken(axes=["y"]), "does not fit the axes"),
        (broken(coordinateTransformations=[{"type": "scale", "scale": [1]}]), "does not fit"),
        (broken(coordinateTransformations=[{"type": "scale", "path": "p"}]), "unknown coordinate"),
        (broken(coordinateTransformations=[{"type": "rotation"}]), "unknown coordinate"),
        (broken(coordinateTransformations=[{"type": "scale", "scale": ["a", 1]}]), "corrupt"),
        (pyramid(([1, 1], None)) | {"dacapo_like": {"anchor": "middle"}}, "dacapo_like"),
        (pyramid(([1, 1], None)) | {"dacapo_like": [1]}, "dacapo_like"),
    ],
)
def test_corrupt_metadata_are_an_error_that_says_where(tmp_path, attributes, what):
    path = group(tmp_path / "a.zarr", attributes, plane_levels(1))
    with pytest.raises(SourceError, match=what) as caught:
        opened(path)
    assert str(path) in caught.value.where


def test_levels_that_are_not_there(tmp_path):
    path = group(tmp_path / "a.zarr", pyramid(([1, 1], None), ([2, 2], None)), plane_levels(1))
    with pytest.raises(SourceError, match="no such level"):
        opened(path, level=-1)
    with pytest.raises(SourceError, match="the array of a level is not there"):
        opened(path, level=1)


# Levels beyond the stored ones


@pytest.mark.parametrize("kind", ["image", "labels"])
@pytest.mark.parametrize(("shape", "beyond"), [((2, 12, 19, 17), 1), ((2, 12, 19, 17), 3)])
def test_a_level_beyond_the_pyramid_joins_voxels_of_the_last_one(tmp_path, kind, shape, beyond):
    data = np.random.default_rng(3).integers(0, 5, shape).astype("uint16")
    axes = [{"name": "c", "type": "channel"}] + [{"name": n, "type": "space"} for n in "zyx"]
    steps = [
        {"type": "scale", "scale": [1, 25, 9.8, 0.7]},
        {"type": "translation", "translation": [0, 1, 2, 3]},
    ]
    datasets = [{"path": "s0", "coordinateTransformations": steps}]
    metadata = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    path = group(tmp_path / "a.zarr", {"ome": metadata}, {"s0": data})
    cell = 2**beyond
    array = opened(path, level=beyond, kind=kind)
    fine = opened(path, kind=kind)
    assert array.voxel_size == fine.voxel_size * cell
    assert array.offset == fine.offset
    assert array.shape == (2, *(n // cell for n in shape[1:]))
    expected = fine.downsample((cell,) * 3)
    np.testing.assert_array_equal(np.asarray(array), np.asarray(expected))
    kept = data[:, : shape[1] // cell * cell, : shape[2] // cell * cell, : shape[3] // cell * cell]
    if kind == "image":
        z, y, x = array.shape[1:]
        cells = kept.reshape(2, z, cell, y, cell, x, cell).astype(float)
        np.testing.assert_array_equal(np.asarray(array), np.rint(cells.mean(axis=(2, 4, 6))))
    assert not array.writable
    np.testing.assert_array_equal(
        np.asarray(opened(path, level=beyond, kind=kind, channels=[1])), np.asarray(array)[1:]
    )
    with pytest.raises(SourceError, match="no such level") as caught:
        opened(path, level=4)
    assert caught.value.expected == "0 to 3"
    with pytest.raises(SourceError, match="no such level"):
        opened(path, level=10**12)


def test_axes_that_do_not_fit_the_array(tmp_path):
    path = group(tmp_path / "a.zarr", pyramid(([1, 1], None)), {"s0": DATA})
    with pytest.raises(SourceError, match="do not fit its array"):
        opened(path)
