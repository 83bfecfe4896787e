"""Against numpy: transposed, and its channels taken by index."""

from types import SimpleNamespace

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.sources._selection import channel_index
from dacapo_like.sources.layout import (
    Stored,
    axis_name,
    lay_out,
    stored_from_attributes,
)
from dacapo_like.spec import from_shape

NOTHING = {
    "axes": None,
    "voxel_size": None,
    "offset": None,
    "units": None,
    "channels": None,
    "kind": None,
    "snap_to_grid": None,
}


def options(**fields):
    return SimpleNamespace(**NOTHING | fields)


def stored(shape=(4, 5, 6), dtype="u2", **fields):
    return Stored(shape=tuple(shape), dtype=np.dtype(dtype), **fields)


def attributes(shape=(4, 5, 6), **values):
    return stored_from_attributes(values, shape, np.dtype("u2"), None, "a.zarr")


# Reading


@st.composite
def layouts(draw):
    """Make a stored array, a layout of it, and what the layout's array should hold."""
    axes = draw(st.permutations("tczyx").flatmap(lambda names: st.sampled_from([names, names[1:]])))
    shape = tuple(draw(st.integers(1, 4)) for _ in axes)
    data = np.arange(np.prod(shape), dtype="i4").reshape(shape)
    channels = None
    if "c" in axes:
        n = shape[axes.index("c")]
        wanted = st.lists(st.integers(0, n - 1), min_size=1, max_size=5)
        channels = draw(st.none() | wanted.map(tuple))
    leading = [axis for axis in axes if axis in "tc"]
    spatial = [axis for axis in axes if axis not in "tc"]
    order = [axes.index(axis) for axis in leading + spatial]
    expected = data.transpose(order)
    if channels is not None:
        expected = expected.take(channels, leading.index("c"))
    layout = lay_out(stored(shape, "i4", axes=axes), options(channels=channels), "a.zarr")
    assert layout.spec.axes == tuple(leading + spatial)
    return data, layout, expected


@given(layouts(), st.data())
def test_boxes_are_read_in_the_order_of_the_arrays_axes(case, data):
    array, layout, expected = case
    assert layout.spec.shape == expected.shape
    start = tuple(data.draw(st.integers(0, n - 1)) for n in expected.shape)
    box = Box(
        start,
        tuple(data.draw(st.integers(1, n - o)) for o, n in zip(start, expected.shape, strict=True)),
    )
    read = []

    def begin(part):
        assert Box((0,) * array.ndim, array.shape).contains(part)
        read.append(part)
        return array[part.slices].copy

    wait = layout.start(box, begin)
    count = len(read)
    np.testing.assert_array_equal(wait(), expected[box.slices])
    assert len(read) == count  # everything was started at once
    assert sum(part.size for part in read) == box.size
    out = np.full(box.shape, -1, "i4")
    assert layout.start(box, begin, out)() is out
    np.testing.assert_array_equal(out, expected[box.slices])


def test_neighbouring_channels_are_read_together():
    layout = lay_out(stored((6, 4, 4), axes="cyx"), options(channels=(1, 2, 3, 0, 5, 5)), "")
    parts = layout.parts(layout.spec.box)
    assert [part.offset[0] for part, _ in parts] == [1, 0, 5, 5]
    assert [part.shape[0] for part, _ in parts] == [3, 1, 1, 1]


# What is stored, and what the config says


def test_nothing_is_invented():
    spec = lay_out(stored(), options(), "").spec
    assert spec.axes == ("z", "y", "x")
    assert spec.voxel_size == (1, 1, 1)
    assert spec.offset == (0, 0, 0)
    assert spec.units == (None, None, None)
    assert spec.channels is None
    assert spec.chunk_shape is None


def test_what_is_stored_is_taken():
    spec = lay_out(
        stored(
            (2, 4, 5),
            "u4",
            axes="cyx",
            chunk_shape=(1, 2, 5),
            voxel_size=Coordinate(9.8, 4),
            offset=Coordinate("10/3", 0),
            units=("nm", None),
            channels=("a", "b"),
            kind="image",
            directions=((0, 1), (1, 0)),
            anchor="corner",
            attrs={"labels": []},
        ),
        options(),
        "",
    ).spec
    assert spec == from_shape(
        (2, 4, 5),
        "u4",
        axes="cyx",
        chunk_shape=(1, 2, 5),
        voxel_size=(9.8, 4),
        offset=("10/3", 0),
        units=("nm", None),
        channels=("a", "b"),
        kind="image",
        directions=((0, 1), (1, 0)),
        anchor="corner",
    )
    assert spec.attrs == {"labels": []}


def test_the_config_overrides_what_is_stored():
    spec = lay_out(
        stored(
            axes="zyx", voxel_size=Coordinate(1, 2, 3), units=("m",) * 3, offset=Coordinate(9, 9, 9)
        ),
        options(
            axes=("channel", "Y", "X"),
            voxel_size=Coordinate(4, 4),
            offset=Coordinate(0, 8),
            units="nm",
            kind="labels",
        ),
        "",
    ).spec
    assert spec.axes == ("c", "y", "x")
    assert (spec.voxel_size, spec.offset, spec.units) == ((4, 4), (0, 8), ("nm", "nm"))
    assert spec.kind == "labels"


@pytest.mark.parametrize(
    ("shape", "known", "axes"),
    [
        ((5,), {}, "x"),
        ((5, 5), {}, "yx"),
        ((5, 5, 5), {}, "zyx"),
        ((5, 5, 5), {"voxel_size": Coordinate(1, 1)}, "cyx"),
        ((5, 5, 5, 5), {"voxel_size": Coordinate(1, 1, 1)}, "czyx"),
        ((5, 5, 5, 5), {"offset": Coordinate(1, 1, 1)}, "czyx"),
    ],
)
def test_axes_that_nobody_named_follow_from_the_numbers(shape, known, axes):
    assert "".join(lay_out(stored(shape, **known), options(), "").spec.axes) == axes


@pytest.mark.parametrize(
    ("shape", "known"),
    [
        ((5,) * 4, {}),
        ((5,) * 5, {"voxel_size": Coordinate(1, 1, 1)}),
        ((5, 5), {"voxel_size": Coordinate(1, 1, 1)}),
    ],
)
def test_axes_that_do_not_follow_must_be_given(shape, known):
    with pytest.raises(
        SourceError, match=r"does not say what its axes are .*give `axes`"
    ) as caught:
        lay_out(stored(shape, **known), options(), "a.zarr")
    assert caught.value.where == "a.zarr"
    assert caught.value.key == ("axes",)


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"axes": ("y", "x")}, ("axes",)),
        ({"voxel_size": Coordinate(1, 1), "axes": ("z", "y", "x")}, ("voxel_size",)),
        ({"offset": Coordinate(1)}, ("offset",)),
        ({"units": ("nm",)}, ("units",)),
    ],
)
def test_numbers_that_do_not_fit_the_axes_name_their_key(fields, key):
    with pytest.raises(SourceError) as caught:
        lay_out(stored(), options(**fields), "a.zarr")
    assert caught.value.key == key
    assert caught.value.where == "a.zarr"


@pytest.mark.parametrize("dtype", ["U3", "S2", "c8", "O", "M8[s]", [("a", "u1")]])
def test_voxels_that_are_no_numbers_are_refused(dtype):
    with pytest.raises(SourceError, match="voxels of a type that is no number"):
        lay_out(stored(dtype=dtype), options(), "a.zarr")


# Channels


def test_channels_are_selected_by_index_or_name():
    layout = lay_out(
        stored((3, 4), axes="cx", channels=("dapi", "gfp", "1"), chunk_shape=(3, 4)),
        options(channels=("gfp", 0, "1")),
        "",
    )
    assert layout.selected == (1, 0, 2)
    assert layout.spec.channels == ("gfp", "dapi", "1")
    assert layout.spec.shape == (3, 4)
    unnamed = lay_out(stored((3, 4), axes="cx", chunk_shape=(3, 4)), options(channels=(2,)), "")
    assert unnamed.spec.channels is None
    assert unnamed.spec.chunk_shape == (1, 4)


@pytest.mark.parametrize("channel", [3, -1, "gpf", "", "3"])
def test_a_channel_that_is_not_there_is_an_error(channel):
    spec = from_shape((3, 4), axes="cx", channels=("dapi", "gfp", "rfp"))
    with pytest.raises(SpecError, match="no such channel") as caught:
        channel_index(spec, channel)
    assert "dapi, gfp, rfp" in caught.value.expected
    assert caught.value.key == ("channels",)


def test_a_channel_nearly_there_is_suggested():
    spec = from_shape((3, 4), axes="cx", channels=("dapi", "gfp", "rfp"))
    with pytest.raises(SpecError, match="did you mean 'gfp'"):
        channel_index(spec, "gpf")


def test_there_is_nothing_to_select_without_channels():
    with pytest.raises(SpecError, match="no channels to select"):
        lay_out(stored(), options(channels=(0,)), "")


# Attributes of plain arrays


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("c^", "c"),
        ("channel", "c"),
        ("Channels", "c"),
        ("time", "t"),
        ("Sample^", "s"),
        ("Z", "z"),
        ("mod^", "mod^"),
    ],
)
def test_names_of_axes(name, short):
    assert axis_name(name) == short


@pytest.mark.parametrize(
    "values",
    [
        {"voxel_size": [9.8, 4, 4], "offset": [0, 0, 0.7], "units": ["nm", "nm", "nm"]},
        {"resolution": [9.8, 4, 4], "offset": (0, 0, 0.7), "unit": "nm"},
        {"resolution": np.array([9.8, 4, 4]), "offset": np.array([0, 0, 0.7]), "units": "nm"},
        {"voxel_size": [9.8, 4, 4], "resolution": [1, 1, 1], "offset": [0, 0, 0.7], "units": "nm"},
    ],
)
def test_all_spellings_are_understood(values):
    found = attributes(**values)
    assert found.voxel_size == Coordinate(9.8, 4, 4)
    assert found.offset == Coordinate(0, 0, 0.7)
    assert found.units == ("nm", "nm", "nm")
    assert found.axes is None
    assert found.attrs == values


@pytest.mark.parametrize("axes", [["c^", "z", "y", "x"], ["channel", "z", "y", "x"], "czyx"])
@pytest.mark.parametrize("key", ["axes", "axis_names"])
def test_numbers_may_be_given_for_all_axes(axes, key):
    found = attributes(
        (2, 4, 5, 6),
        **{key: axes},
        voxel_size=[1, 40, 4, 4],
        offset=[0, 80, 0, 0],
        units=["", "nm", "nm", None],
    )
    assert found.axes == ("c", "z", "y", "x")
    assert found.voxel_size == (40, 4, 4)
    assert found.offset == (80, 0, 0)
    assert found.units == ("nm", "nm", None)


def test_an_axis_marked_as_channel_like_is_not_spatial():
    found = attributes((2, 4, 5), axis_names=["mod^", "y", "x"], voxel_size=[4, 4])
    spec = lay_out(found, options(), "").spec
    assert spec.leading_axes == ("mod^",)
    assert spec.voxel_size == (4, 4)


def test_one_unit_is_that_of_every_spatial_axis():
    for known in ({"voxel_size": [4, 4, 4]}, {"offset": [0, 0, 0]}):
        found = attributes((2, 4, 5, 6), **known, units="nm")
        assert lay_out(found, options(), "").spec.units == ("nm",) * 3


def test_attributes_that_say_nothing():
    found = attributes(other=3, voxel_size=None)
    for name in ("axes", "voxel_size", "offset", "units", "channels", "kind"):
        assert getattr(found, name) is None


@pytest.mark.parametrize(
    "values",
    [
        {"voxel_size": 8},
        {"voxel_size": "abc"},
        {"voxel_size": [1, None, 1]},
        {"offset": [0, "nan", 0]},
        {"offset": [0, float("nan"), 0]},
        {"offset": {"z": 0}},
        {"axes": 3},
        {"axes": ["z", "y"]},
        {"units": 5},
    ],
    ids=repr,
)
def test_attributes_that_are_not_what_their_name_says_are_errors(values):
    with pytest.raises(SourceError) as caught:
        attributes(**values)
    assert caught.value.where == "a.zarr"


# Snapping


@given(
    st.lists(
        st.tuples(
            st.fractions(-20, 20, max_denominator=3),
            st.fractions("1/3", 9, max_denominator=3),
            st.integers(1, 20),
            st.fractions("1/3", 20, max_denominator=3),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_snapped_region_is_the_largest_between_multiples(axes):
    offset, voxel_size, shape, grid = zip(*axes, strict=True)
    names = "zyx"[-len(axes) :]
    source = stored(shape, axes=names, voxel_size=Coordinate(voxel_size), offset=Coordinate(offset))
    edges = [[k for k in range(n + 1) if ((o + k * v) / g).denominator == 1] for o, v, n, g in axes]
    choice = options(snap_to_grid=Coordinate(grid))
    if any(len(found) < 2 for found in edges):
        with pytest.raises(SpecError, match="nothing of the array") as error:
            lay_out(source, choice, "a.zarr")
        assert error.value.key == ("snap_to_grid",)
        return
    layout = lay_out(source, choice, "a.zarr")
    assert layout.spec.shape == tuple(found[-1] - found[0] for found in edges)
    assert layout.spec.offset == Coordinate(
        o + found[0] * v for found, (o, v, _, _) in zip(edges, axes, strict=True)
    )
    voxels = np.arange(np.prod(shape)).reshape(shape)
    kept = voxels[tuple(slice(found[0], found[-1]) for found in edges)]
    ((box, _),) = layout.parts(layout.spec.box)
    np.testing.assert_array_equal(voxels[box.slices], kept)


def test_chunks_are_known_where_the_snapped_region_starts_at_one():
    source = stored((2, 8, 9), axes="cyx", chunk_shape=(1, 4, 3), voxel_size=Coordinate((2, 2)))
    assert lay_out(source, options(snap_to_grid=Coordinate((1, 2))), "").spec.chunk_shape == (
        1,
        4,
        3,
    )
    for offset, chunks in (((-8, -12), (1, 4, 3)), ((-2, -12), None)):
        moved = attrs.evolve(source, offset=Coordinate(offset), shape=(2, 24, 24))
        layout = lay_out(moved, options(snap_to_grid=Coordinate((16, 18))), "")
        assert layout.spec.chunk_shape == chunks


@pytest.mark.parametrize("grid", [(1,), (1, 0), (1, -2), (1, 1, 1)])
def test_a_grid_that_is_none_is_refused(grid):
    source = stored((4, 5), axes="yx")
    with pytest.raises(SpecError, match="does not fit the axes") as error:
        lay_out(source, options(snap_to_grid=Coordinate(grid)), "a.zarr")
    assert error.value.key == ("snap_to_grid",)
