"""Arrays and open trees: against numpy on the whole array, dask, xarray and exact fractions."""

import copy
import pickle
import subprocess
import sys
from fractions import Fraction
from typing import ClassVar

import attrs
import numpy as np
import pytest
from funlib.geometry import Coordinate as FunlibCoordinate
from funlib.geometry import Roi as FunlibRoi
from hypothesis import given, settings
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import from_numpy
from dacapo_like.core import (
    ArrayConfig,
    OperatorConfig,
    Reader,
    SourceConfig,
    block_shape,
    open_tree,
    tree_nodes,
)
from dacapo_like.errors import ConfigError, ReadError, RegionError, SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate, Roi, blocks_of
from dacapo_like.spec import from_shape

DATA = np.arange(4 * 6 * 8, dtype="u2").reshape(4, 6, 8)
ARRAY = from_numpy(DATA, voxel_size=(9.8, 4, 4), offset=(-9.8, 0, 8), units="nm", name="em")
WHOLE = from_numpy(DATA, voxel_size=(40, 4, 4), offset=(-40, 0, 8))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CountedConfig(SourceConfig):
    """A source that counts how often it was opened and read."""

    number: int = 0
    opened_as: ClassVar[list[int]] = []
    read_boxes: ClassVar[list[Box]] = []

    def open(self):
        self.opened_as.append(self.number)
        return CountedReader()


class CountedReader(Reader):
    spec = from_shape((6, 8), "i8", voxel_size=(10, 10))

    def read(self, box, out=None):
        CountedConfig.read_boxes.append(box)
        return np.arange(48).reshape(6, 8)[box.slices].copy()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class LargerConfig(OperatorConfig):
    """The larger of two arrays, voxel by voxel."""

    first: ArrayConfig
    second: ArrayConfig

    def derive(self, *inputs):
        if inputs[0].shape != inputs[1].shape:
            raise SpecError("arrays of different shape")
        return inputs[0]

    def needs(self, box, *inputs):
        return (box, box)

    def compute(self, box, *blocks, out=None):
        return np.maximum(blocks[0].data, blocks[1].data, out=out)


@pytest.fixture(autouse=True)
def reset_counts():
    CountedConfig.opened_as.clear()
    CountedConfig.read_boxes.clear()


# What an array says of itself


def test_an_array_is_what_its_spec_says():
    spec = ARRAY.spec
    for name in ("axes", "dims", "ndim", "shape", "dtype", "units", "kind", "channels", "attrs"):
        assert getattr(ARRAY, name) == getattr(spec, name)
    assert (ARRAY.num_channels, ARRAY.chunks, ARRAY.writable) == (None, None, False)
    assert ARRAY.size == DATA.size
    assert len(ARRAY) == len(DATA)
    np.testing.assert_array_equal(ARRAY.voxel_to_world @ ARRAY.world_to_voxel, np.eye(4))
    assert ARRAY.voxel_to_world[0, 3] == float(Fraction("-9.8") + Fraction("4.9"))


def test_funlibs_types_where_the_grid_is_integral():
    assert type(WHOLE.roi) is FunlibRoi
    assert type(WHOLE.voxel_size) is FunlibCoordinate
    assert WHOLE.roi == FunlibRoi((-40, 0, 8), (160, 24, 32))
    assert type(ARRAY.roi) is Roi
    assert type(ARRAY.voxel_size) is Coordinate
    assert type(from_numpy(DATA, offset=(0.5, 0, 0)).voxel_size) is FunlibCoordinate
    assert ARRAY.roi == Roi((-9.8, 0, 8), (39.2, 24, 32))


def test_an_array_shows_its_metadata_and_no_voxels():
    assert repr(ARRAY) == (
        "<Array numpy 'em': z 4, y 6, x 8; uint16 image; voxel (9.8, 4, 4) nm; "
        "offset (-9.8, 0, 8), shape (39.2, 24, 32)>"
    )


def test_html_is_escaped():
    array = from_numpy(
        DATA,
        axes="cyx",
        name="<script>alert('a')</script>",
        channels=["<b>", "&", '"', "d"],
        units="<i>",
    )
    html = array._repr_html_()
    for text in ("<script>", "<b>", "<i>"):
        assert text not in html
    for text in ("&lt;script&gt;", "&lt;b&gt;, &amp;, &quot;, d", "&lt;i&gt;"):
        assert text in html


# Reading


@given(st.data())
def test_a_region_is_that_part_of_the_data(data):
    start = data.draw(st.tuples(*[st.integers(0, n - 1) for n in DATA.shape]))
    count = data.draw(
        st.tuples(*[st.integers(0, n - o) for n, o in zip(DATA.shape, start, strict=True)])
    )
    box = Box(start, count)
    roi = ARRAY.spec.box_to_roi(box)
    np.testing.assert_array_equal(ARRAY[roi], DATA[box.slices])
    np.testing.assert_array_equal(ARRAY.read(roi), DATA[box.slices])
    np.testing.assert_array_equal(ARRAY.read((roi.offset, roi.shape)), DATA[box.slices])
    np.testing.assert_array_equal(ARRAY[box.slices], DATA[box.slices])
    np.testing.assert_array_equal(WHOLE[WHOLE.spec.box_to_roi(box)], DATA[box.slices])
    theirs = FunlibRoi(WHOLE.roi.offset, np.multiply(WHOLE.voxel_size, count))
    np.testing.assert_array_equal(WHOLE[theirs], DATA[tuple(slice(n) for n in count)])


@pytest.mark.parametrize(
    "key",
    [
        ...,
        0,
        -1,
        np.int64(2),
        (slice(1, 3), ..., -2),
        (slice(None), slice(0, 6, 4)),
        (slice(3, 2),),
        slice(-2, None),
        (1, 2, 3),
    ],
    ids=repr,
)
def test_numpys_indices(key):
    result = ARRAY[key]
    np.testing.assert_array_equal(result, DATA[key])
    assert result.dtype == DATA.dtype
    assert isinstance(result, np.ndarray)


@pytest.mark.parametrize("key", [9, slice(0, 9), (0, 0, 0, 0), True, 0.5, None, [0, 1]], ids=repr)
def test_other_indices_are_errors_that_name_the_array(key):
    with pytest.raises(RegionError, match=r"^numpy 'em': "):
        ARRAY[key]


def test_iterating_ends():
    np.testing.assert_array_equal(list(ARRAY), DATA)


def test_a_read_may_be_snapped():
    roi = Roi((-9, 1, 9), (9, 4, 4))
    np.testing.assert_array_equal(ARRAY.read(roi, snap="grow"), DATA[0:1, 0:2, 0:2])
    np.testing.assert_array_equal(ARRAY.read(roi, snap="nearest"), DATA[0:1, 0:1, 0:1])
    assert ARRAY.read(roi, snap="shrink").shape == (0, 0, 0)
    with pytest.raises(
        RegionError, match=r"numpy 'em': region is not on the voxel grid .*snap: grow"
    ):
        ARRAY[roi]


@pytest.mark.parametrize(
    ("pad", "numpys"),
    [
        ("edge", {"mode": "edge"}),
        ("reflect", {"mode": "reflect"}),
        ({"constant": 9}, {"constant_values": 9}),
    ],
)
def test_a_read_may_be_padded(pad, numpys):
    roi = ARRAY.spec.box_to_roi(Box((-2, 3, -9), (8, 9, 20)))
    expected = np.pad(DATA, 9, **numpys)[7:15, 12:21, 0:20]
    np.testing.assert_array_equal(ARRAY.read(roi, pad=pad), expected)
    out = np.empty((8, 9, 20), "u2")
    assert ARRAY.read(roi, pad=pad, out=out) is out
    np.testing.assert_array_equal(out, expected)
    inside = ARRAY.spec.box_to_roi(Box((1, 1, 1), (2, 2, 2)))
    np.testing.assert_array_equal(ARRAY.read(inside, pad=pad), DATA[1:3, 1:3, 1:3])


@pytest.mark.parametrize("offset", [(-19.6, 0, 8), (-9.8, 0, 12), (9800, 0, 8)])
def test_a_region_that_leaves_the_array_is_an_error(offset):
    with pytest.raises(RegionError, match="region leaves the array") as caught:
        ARRAY[Roi(offset, (19.6, 8, 32))]
    assert caught.value.where == "numpy 'em'"
    assert str(ARRAY.spec.roi) in caught.value.expected
    assert "pad=" in caught.value.hint


@pytest.mark.parametrize(
    "roi",
    [Roi((0,), (4,)), FunlibRoi((0, 0), (4, 4)), FunlibRoi((None,) * 3, (None,) * 3), "em", 3],
)
def test_what_is_no_region_of_the_array_is_an_error(roi):
    with pytest.raises(RegionError) as caught:
        ARRAY.read(roi)
    assert caught.value.where == "numpy 'em'"


@pytest.mark.parametrize("size", [(-9.8, 4, 4), (-9.8, -4, 4)])
def test_a_region_of_negative_size_is_an_error(size):
    for how in ({}, {"snap": "grow"}, {"pad": "edge"}):
        with pytest.raises(RegionError, match="negative size"):
            ARRAY.read(Roi((0, 8, 16), size), **how)


@pytest.mark.parametrize(
    "box",
    [Box((0,), (1,)), Box((0,) * 4, (1,) * 4), Box((2, 2, 2), (-1, -1, 1)), Box((0,) * 3, (1,))],
)
def test_a_box_of_another_array_is_an_error(box):
    with pytest.raises(RegionError, match="not a box of this array"):
        ARRAY.read_box(box, pad="edge")


def test_a_read_goes_into_out():
    out = np.zeros((8, 6, 8), "u2")[::2]
    assert ARRAY.read(out=out) is out
    np.testing.assert_array_equal(out, DATA)
    crop = ARRAY.crop(Roi((0, 0, 8), (9.8, 8, 8)))
    small = np.empty((1, 2, 2), "u2")
    assert crop.read(out=small) is small
    np.testing.assert_array_equal(small, DATA[1:2, :2, :2])


@pytest.mark.parametrize(
    "out", [np.empty((4, 6, 8), ">u2"), np.empty((4, 6, 8)), np.empty((4, 6, 7), "u2")]
)
def test_an_out_that_does_not_fit_is_refused(out):
    with pytest.raises(RegionError, match="numpy 'em': `out` does not fit"):
        ARRAY.read(out=out)


def test_reads_do_not_share_memory_with_anything():
    first = ARRAY.read()
    for other in (DATA, ARRAY.read(), ARRAY[...], ARRAY.crop(ARRAY.roi)[...]):
        assert not np.shares_memory(first, other)
    first[...] = 0
    np.testing.assert_array_equal(ARRAY[...], DATA)
    assert all(
        array.flags.writeable for array in (ARRAY[...], ARRAY[0], ARRAY.crop(ARRAY.roi)[...])
    )


def test_numpy_takes_an_array():
    np.testing.assert_array_equal(np.asarray(ARRAY), DATA)
    assert np.asarray(ARRAY, dtype="f4").dtype == np.float32
    np.testing.assert_array_equal(np.array(ARRAY, dtype="u2", copy=True), DATA)
    np.testing.assert_array_equal(np.add(ARRAY, 1), DATA + 1)
    with pytest.raises(ValueError, match="without a copy"):
        np.array(ARRAY, copy=False)


@pytest.mark.parametrize("data", [np.array(5), np.arange(3)], ids=["no_axes", "channels_alone"])
def test_arrays_without_spatial_axes(data):
    array = from_numpy(data, axes="c" * data.ndim)
    assert array.roi == FunlibRoi((), ())
    for result in (array[...], array.read(), array[array.roi], array.crop(((), ()))[...]):
        np.testing.assert_array_equal(result, data)
    np.testing.assert_array_equal(array.to_dask().compute(), data)
    np.testing.assert_array_equal(array.to_xarray().values, data)
    assert pickle.loads(pickle.dumps(array)).shape == data.shape
    assert "<Array numpy" in repr(array)
    assert array._repr_html_()


def test_arrays_without_voxels():
    array = from_numpy(np.zeros((0, 4)))
    assert array[...].shape == array.to_dask().compute().shape == (0, 4)
    assert array[Roi((0, 1), (0, 2))].shape == (0, 2)
    assert list(blocks_of(array.shape, block_shape(array.spec))) == []


# Trees


def larger(a, b):
    return LargerConfig(first=a, second=b)


def test_equal_configs_become_one_array():
    config = larger(
        larger(CountedConfig(number=1), CountedConfig(number=2, name="a")),
        larger(CountedConfig(number=2, name="b"), CountedConfig(number=1)),
    )
    array = config.array()
    assert sorted(CountedConfig.opened_as) == [1, 2]
    left, right = array.inputs
    assert left.inputs[0] is right.inputs[1]
    assert left.inputs[1] is right.inputs[0]
    assert len(tree_nodes(array)) == 5
    np.testing.assert_array_equal(array[...], np.arange(48).reshape(6, 8))
    assert len(CountedConfig.read_boxes) == 2


def test_what_is_open_is_not_opened_again():
    source = CountedConfig().array()
    grown = source.crop(Roi((10, 10), (20, 20))).intensities(min=0, max=1)
    assert CountedConfig.opened_as == [0]
    assert grown.inputs[0].inputs == (source,)
    assert grown.config.source_array_config.source_array_config is source.config
    open_tree(grown.config, {source.config: source})
    assert CountedConfig.opened_as == [0]


def test_opening_reads_nothing():
    CountedConfig().array().crop(Roi((10, 10), (20, 20)))
    assert CountedConfig.read_boxes == []


def test_an_error_in_opening_says_which_node_it_was():
    narrow = CountedConfig().array().crop(Roi((0, 0), (10, 10))).config
    with pytest.raises(SpecError) as caught:
        attrs.evolve(larger(narrow, CountedConfig()), name="both").array()
    assert caught.value.where == attrs.evolve(larger(narrow, narrow), name="both").describe()

    @attrs.frozen(kw_only=True, eq=False, repr=False)
    class Missing(SourceConfig):
        def open(self):
            raise SourceError("no such file")

    with pytest.raises(SourceError, match="'lost': no such file"):
        larger(CountedConfig(), Missing(name="lost")).array()


def test_an_error_in_reading_says_which_node_it_was():
    class Broken(CountedReader):
        def read(self, box, out=None):
            raise ReadError("a corrupt chunk", got="checksum 1")

    @attrs.frozen(kw_only=True, eq=False, repr=False)
    class BrokenConfig(SourceConfig):
        def open(self):
            return Broken()

    array = larger(CountedConfig(), BrokenConfig(name="disk")).array()
    with pytest.raises(ReadError) as caught:
        array[Roi((10, 20), (10, 10))]
    assert "'disk', Roi(offset=(10, 20), shape=(10, 10))" in caught.value.where


def crops(depth):
    """Put crops on top of each other; every second one cuts something off."""
    array = from_numpy(np.arange(2 * depth), voxel_size=(9.8,))
    for i in range(depth):
        array = array.crop(Roi(Coordinate(9.8) * (i // 2), (9.8 * depth,)))
    return array


def test_a_deep_tree_is_like_any_other():
    depth = 600
    array = crops(depth)
    expected = np.arange(2 * depth)[(depth - 1) // 2 :][:depth]
    np.testing.assert_array_equal(array[0:3], expected[0:3])
    # a config that is built from the bottom, so that nothing below has been hashed
    config = array.config
    chain = []
    while hasattr(config, "source_array_config"):
        chain.append(config)
        config = config.source_array_config
    for link in reversed(chain):
        config = attrs.evolve(link, source_array_config=config)
    assert config == array.config
    assert hash(config) == hash(array.config)
    assert len(repr(config)) < 10_000
    assert "crop" in repr(array)
    for twin in (
        config.array(),
        pickle.loads(pickle.dumps(array)),
        copy.deepcopy(array),
        pickle.loads(pickle.dumps(config)).array(),
    ):
        assert len(tree_nodes(twin)) == depth + 1
        np.testing.assert_array_equal(twin[0:3], expected[0:3])


def test_a_tree_with_very_many_paths_is_like_any_other():
    def diamonds():
        config = CountedConfig()
        for _ in range(40):
            config = larger(config, config)
        return config

    array = diamonds().array()
    assert diamonds() == array.config
    assert hash(diamonds()) == hash(array.config)
    assert larger(diamonds(), CountedConfig()) != array.config
    assert len(repr(array.config)) < 10_000
    np.testing.assert_array_equal(array[2:4], np.arange(48).reshape(6, 8)[2:4])
    assert CountedConfig.read_boxes == [Box((2, 0), (2, 8))]
    twin = pickle.loads(pickle.dumps(array))
    assert twin.config == array.config
    assert len(tree_nodes(twin)) == 41


@pytest.mark.parametrize(
    "twin_of", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
)
def test_arrays_pickle_as_their_config(twin_of):
    array = ARRAY.crop(Roi((0, 0, 8), (9.8, 8, 8))).intensities(min=0, max=10)
    twin = twin_of(array)
    assert twin.spec == array.spec
    np.testing.assert_array_equal(twin[...], array[...])


def test_a_name_is_for_people():
    named, other = CountedConfig(name="a"), CountedConfig(name="b")
    assert named == other
    assert hash(named) == hash(other)
    assert pickle.loads(pickle.dumps(named)).name == "a"
    assert named.describe() != other.describe()
    assert CountedConfig(number=1) != CountedConfig(number=2)


def test_children_have_their_key_paths():
    a, b = CountedConfig(number=1), CountedConfig(number=2)
    concat = dacapo_like.ConcatArrayConfig(
        channels=("a", "b", "c"), source_array_configs={"a": a, "b": b}, default_config=a
    )
    assert concat.children() == (
        (("sources", "a"), a),
        (("sources", "b"), b),
        (("default_config",), a),
    )
    assert larger(a, b).children() == ((("first",), a), (("second",), b))
    assert a.children() == ()


def test_configs_never_change():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ARRAY.config.name = "other"
    with pytest.raises(ConfigError):
        ARRAY.crop((("a", 0, 0), (1, 1, 1)))


# Bridges


@settings(max_examples=30)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.booleans())
def test_dask_gives_the_same_voxels(chunks, grown):
    array = ARRAY.crop(ARRAY.roi) if grown else ARRAY
    lazy = array.to_dask(chunks)
    assert (lazy.shape, lazy.dtype) == (DATA.shape, DATA.dtype)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), DATA)


@pytest.mark.parametrize(
    "index",
    [
        np.s_[::-1],
        np.s_[..., ::-2],
        np.s_[[0, 2]],
        np.s_[1:3, [0, 2], 5:1:-1],
        np.s_[-1, :, 3],
        np.s_[[True, False, True, False]],
        np.s_[..., 2:2],
        np.s_[None, 0],
    ],
    ids=repr,
)
def test_dasks_own_indexing_works_on_top(index):
    lazy = ARRAY.to_dask((2, 3, 8))
    np.testing.assert_array_equal(lazy[index].compute(scheduler="sync"), DATA[index])


def test_dask_blocks_are_the_stored_chunks():
    array = from_numpy(DATA, chunk_shape=(1, 6, 3))
    assert array.to_dask().chunksize == (1, 6, 3)
    assert array.chunks == (1, 6, 3)


def test_reading_builds_no_task_graph():
    code = (
        "import sys, numpy as np, dacapo_like as d\n"
        "a = d.from_numpy(np.zeros((8, 8))).crop(d.Roi((0, 0), (4, 4))).downsample((2, 2))\n"
        "a[...], a[a.roi], a.read(pad='edge'), repr(a)\n"
        "assert a.shape == (2, 2)\n"
        "print(sorted({'dask', 'xarray'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_xarray_has_the_positions_of_voxel_centres():
    labelled = ARRAY.to_xarray()
    assert labelled.dims == ("z", "y", "x")
    assert labelled.name == "em"
    assert labelled.chunks is not None
    np.testing.assert_array_equal(labelled.values, DATA)
    for axis, start, size in zip("zyx", ARRAY.spec.offset, ARRAY.spec.voxel_size, strict=True):
        centres = [float(start + size * (i + Fraction(1, 2))) for i in range(labelled.sizes[axis])]
        assert labelled[axis].values.tolist() == centres
    plane = labelled.sel(z=14.7, x=10, method="nearest")
    np.testing.assert_array_equal(plane.values, DATA[2, :, 0])


def test_xarray_names_channels():
    labelled = from_numpy(DATA, axes="cyx", channels=list("abcd")).to_xarray()
    np.testing.assert_array_equal(labelled.sel(c="c").values, DATA[2])


# Blocks


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=4),
    st.sampled_from(["u1", "f4", "f8"]),
    st.integers(1, 2**20),
)
def test_blocks_are_about_as_large_as_asked_for(shape, dtype, target):
    spec = from_shape(shape, dtype)
    block = block_shape(spec, target)
    assert all(1 <= b <= n for b, n in zip(block, shape, strict=True))
    assert np.prod(block) * spec.dtype.itemsize <= max(target, spec.dtype.itemsize)
    assert block[: -spec.dims] == (1,) * (spec.ndim - spec.dims)


def test_stored_chunks_are_the_blocks():
    assert block_shape(from_shape((9, 9), chunk_shape=(2, 9))) == (2, 9)


def test_a_result_goes_only_where_it_can_be_written():
    target = np.zeros((2, 3))
    target.flags.writeable = False
    with pytest.raises(RegionError, match="`out` cannot be written to"):
        dacapo_like.from_numpy(np.ones((2, 3))).read(out=target)
