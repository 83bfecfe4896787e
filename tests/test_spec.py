"""Against `fractions.Fraction`, nibabel's affines, and funlib's regions."""

import copy
import pickle
from fractions import Fraction
from itertools import permutations

import attrs
import numpy as np
import pytest
from funlib.geometry import Coordinate as FunlibCoordinate
from funlib.geometry import Roi as FunlibRoi
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import affines

from dacapo_like.errors import RegionError, SpecError
from dacapo_like.geometry import Box, Coordinate, Roi
from dacapo_like.spec import (
    ArraySpec,
    common_grid,
    describe_spec,
    from_shape,
    infer_kind,
    is_leading_axis,
    same_directions,
)

small = st.integers(-20, 20)
positive = st.fractions(Fraction(1, 60), 60, max_denominator=60)
offsets = st.fractions(-100, 100, max_denominator=60)
SNAPS = ("grow", "shrink", "nearest")
TURN = ((0.6, 0.8), (-0.8, 0.6))


@st.composite
def specs(draw, dims=None):
    """Make specs with some leading axes and any grid."""
    dims = draw(st.integers(1, 3)) if dims is None else dims
    leading = draw(st.lists(st.sampled_from("tsc"), unique=True, max_size=2))
    axes = (*leading, *"zyx"[3 - dims :])
    return from_shape(
        draw(st.tuples(*[st.integers(1, 6)] * len(axes))),
        "float32",
        axes=axes,
        voxel_size=draw(st.tuples(*[positive] * dims)),
        offset=draw(st.tuples(*[offsets] * dims)),
    )


@st.composite
def boxes_of(draw, spec, *, inside=True):
    """Make boxes over all leading axes of a spec."""
    low, high = (0, 6) if inside else (-9, 9)
    sizes = spec.spatial_shape
    start = [draw(st.integers(low, min(n - 1, high) if inside else high)) for n in sizes]
    count = [
        draw(st.integers(1, n - o if inside else 9)) for o, n in zip(start, sizes, strict=True)
    ]
    lead = spec.leading_shape
    return Box((0,) * len(lead) + tuple(start), lead + tuple(count))


# What a spec is


def test_defaults_of_what_nobody_said():
    spec = from_shape((2, 3, 4, 5))
    assert spec.axes == ("c", "z", "y", "x")
    assert spec.voxel_size == (1, 1, 1)
    assert spec.roi == Roi((0, 0, 0), (3, 4, 5))
    assert spec.units == (None, None, None)
    assert from_shape((2, 3), units="nm").units == ("nm", "nm")
    assert from_shape((2, 3), ">u2").dtype.isnative


@settings(max_examples=50)
@given(specs())
def test_views_of_a_spec_fit_together(spec):
    assert spec.leading_axes + spec.spatial_axes == spec.axes
    assert spec.leading_shape + spec.spatial_shape == spec.shape
    assert spec.ndim == len(spec.shape)
    assert spec.dims == len(spec.spatial_axes) == len(spec.voxel_size)
    assert not any(map(is_leading_axis, spec.spatial_axes))
    assert spec.nbytes == np.empty(spec.shape, spec.dtype).nbytes
    assert spec.box == Box((0,) * spec.ndim, spec.shape)
    assert spec.box_to_roi(spec.box) == spec.roi
    assert spec.num_channels == dict(zip(spec.axes, spec.shape, strict=True)).get("c")
    assert len(spec.channel_names) == (spec.num_channels or 0)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"axes": "yy"}, "axes repeat"),
        ({"axes": "zyx"}, "axes do not fit"),
        ({"axes": "yc", "voxel_size": (1, 1)}, "in number or in order"),
        ({"axes": "cx", "voxel_size": (1, 1), "offset": (0, 0)}, "in number or in order"),
        ({"voxel_size": (1,)}, "differ in rank"),
        ({"offset": (0, 0, 0)}, "differ in rank"),
        ({"units": ("nm",)}, "differ in rank"),
        ({"voxel_size": (1, 0)}, "not positive"),
        ({"voxel_size": (1, -4)}, "not positive"),
        ({"voxel_size": (1, "nan")}, "not a number"),
        ({"channels": ("a",)}, "channel names"),
        ({"axes": "cx", "channels": ("a",)}, "channel names"),
        ({"shape": (-1, 2)}, "negative"),
        ({"chunk_shape": (1,)}, "chunks do not fit"),
        ({"directions": ((1, 0, 0), (0, 1, 0))}, "directions do not fit"),
        ({"directions": ((1, 0),)}, "directions do not fit"),
        ({"dtype": "U4"}, "no number"),
        ({"dtype": object}, "no number"),
        ({"dtype": "c8"}, "no number"),
        ({"dtype": "M8[s]"}, "no number"),
    ],
)
def test_specs_that_make_no_sense_are_refused(fields, what):
    with pytest.raises(ValueError, match=what):
        from_shape(**({"shape": (2, 3)} | fields))


def test_a_color_image_is_not_taken_for_a_volume():
    with pytest.raises(SpecError, match=r"got y x c .*; expected time, samples and channels first"):
        from_shape((4, 4, 3), axes="yxc")


def test_letters_are_not_taken_for_units():
    with pytest.raises(SpecError, match="one unit per spatial axis"):
        from_shape((2, 3)).replace(units="nm")


def test_counts_are_not_truncated():
    with pytest.raises(TypeError):
        from_shape((2.7, 3))
    assert from_shape(np.array([2, 3])).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "leading"),
    [("t", True), ("c", True), ("s", True), ("channel", True), ("mod^", True), ("z", False)],
)
def test_which_axes_are_spatial(name, leading):
    assert is_leading_axis(name) == leading


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("?", "mask"),
        ("u1", "image"),
        ("i2", "image"),
        ("u4", "labels"),
        ("i8", "labels"),
        ("f4", "image"),
    ],
)
def test_the_kind_that_a_dtype_suggests(dtype, kind):
    assert infer_kind(np.dtype(dtype)) == kind
    assert from_shape((2,), dtype).kind == kind
    assert from_shape((2,), dtype, kind="image").kind == "image"


FULL = from_shape(
    (2, 3, 4),
    "uint64",
    axes="cyx",
    voxel_size=(9.8, "10/3"),
    offset=(-0.7, 0),
    units=("nm", None),
    channels=["a", "b"],
    directions=[[0.6, 0.8], [-0.8, 0.6]],
    chunk_shape=[1, 3, 4],
    attrs={"labels": [{"name": "mito"}]},
)


@pytest.mark.parametrize("spec", [FULL, from_shape(()), from_shape((3,), axes="c")])
def test_specs_copy_hash_and_pickle(spec):
    for twin in (
        pickle.loads(pickle.dumps(spec)),
        copy.copy(spec),
        copy.deepcopy(spec),
        attrs.evolve(spec),
        spec.replace(),
    ):
        assert twin == spec
        assert hash(twin) == hash(spec)
        assert twin.attrs == spec.attrs
        for field in attrs.fields(ArraySpec):
            assert type(getattr(twin, field.name)) is type(getattr(spec, field.name))


def test_specs_never_change():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        FULL.shape = (1, 1, 1)
    with pytest.raises(TypeError):
        FULL.attrs["labels"] = []


def test_any_field_tells_specs_apart_but_metadata():
    for changes in (
        {"dtype": "i8"},
        {"voxel_size": (9.8, 3)},
        {"offset": (0, 0)},
        {"units": ("nm", "nm")},
        {"channels": ("b", "a")},
        {"kind": "image"},
        {"directions": None},
        {"anchor": "corner"},
        {"chunk_shape": None},
    ):
        assert FULL.replace(**changes) != FULL
    assert FULL.replace(attrs={}) == FULL


def test_specs_say_what_they_are():
    assert describe_spec(FULL) == (
        "c 2, y 3, x 4; uint64 labels; voxel (9.8, 10/3) nm ?; offset (-0.7, 0), shape (29.4, 40/3)"
    )
    assert from_shape((2,)).describe_unit() == "unknown unit"


# Where it is


@settings(max_examples=50)
@given(st.data())
def test_world_positions_are_exact(data):
    spec = data.draw(specs())
    box = data.draw(boxes_of(spec, inside=False))
    roi = spec.box_to_roi(box)
    lead = spec.ndim - spec.dims
    for axis in range(spec.dims):
        size, origin = Fraction(spec.voxel_size[axis]), Fraction(spec.offset[axis])
        assert roi.begin[axis] == origin + size * box.offset[lead + axis]
        assert roi.end[axis] == origin + size * box.end[lead + axis]
    assert spec.roi_to_box(roi) == box
    for snap in SNAPS:
        assert spec.roi_to_box(roi, snap=snap) == box
    if all(isinstance(value, int) for value in (*roi.offset, *roi.shape)):
        assert spec.roi_to_box(FunlibRoi(roi.offset, roi.shape)) == box


def test_decimals_do_not_drift():
    spec = from_shape((10**6,), voxel_size=(9.8,), offset=(0.7,))
    assert spec.roi.end == Coordinate("98000007/10")
    assert spec.roi_to_box(Roi((9_799_990.9,), (9.8,))) == Box((10**6 - 1,), (1,))


@settings(max_examples=50)
@given(spec=specs(dims=2), corner=st.tuples(offsets, offsets), size=st.tuples(positive, positive))
def test_regions_off_the_grid_name_the_nearest_aligned_ones(spec, corner, size):
    roi = Roi(corner, size)
    relative = (roi - spec.offset) / spec.voxel_size
    if all(isinstance(v, int) for v in (*relative.offset, *relative.shape)):
        spec.roi_to_box(roi)
        return
    with pytest.raises(RegionError, match="not on the voxel grid") as caught:
        spec.roi_to_box(roi)
    grown = spec.box_to_roi(spec.roi_to_box(roi, snap="grow"))
    shrunk = spec.box_to_roi(spec.roi_to_box(roi, snap="shrink"))
    assert grown.contains(roi)
    assert all(g < s + 2 * v for g, s, v in zip(grown.shape, size, spec.voxel_size, strict=True))
    assert f"{grown} (snap: grow)" in caught.value.hint
    assert shrunk.empty == ("snap: shrink" not in caught.value.hint)
    if not shrunk.empty:
        assert roi.contains(shrunk)
        assert all(
            g > s - 2 * v for g, s, v in zip(shrunk.shape, size, spec.voxel_size, strict=True)
        )
        assert f"{shrunk} (snap: shrink)" in caught.value.hint


@given(
    offset=st.tuples(small, small),
    voxel_size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    roi=st.builds(
        FunlibRoi, st.tuples(small, small), st.tuples(st.integers(0, 20), st.integers(0, 20))
    ),
)
def test_snapping_to_an_integer_grid_is_funlibs(offset, voxel_size, roi):
    spec = from_shape((5, 5), offset=offset, voxel_size=voxel_size)
    for snap in SNAPS:
        box = spec.roi_to_box(roi, snap=snap)
        moved = (roi - FunlibCoordinate(offset)).snap_to_grid(
            voxel_size, "closest" if snap == "nearest" else snap
        )
        size = FunlibCoordinate(voxel_size)
        assert box.offset == moved.offset / size
        assert box.shape == tuple(max(n, 0) for n in moved.shape / size)  # never below 0


def test_a_region_shrunk_to_less_than_a_voxel_is_empty():
    spec = from_shape((5, 5), voxel_size=(10, 10))
    assert spec.roi_to_box(Roi((1, 1), (2, 2)), snap="shrink").shape == (0, 0)


@pytest.mark.parametrize("snap", [None, *SNAPS])
@pytest.mark.parametrize("roi", [Roi((0,), (1,)), Roi((0, 0, 0), (1, 1, 1)), Roi((), ())])
def test_regions_of_the_wrong_rank_are_refused(roi, snap):
    with pytest.raises(RegionError, match="expected 2, one per spatial axis y x"):
        from_shape((3, 5, 5), axes="cyx").roi_to_box(roi, snap=snap)


@pytest.mark.parametrize("snap", [None, *SNAPS])
def test_regions_of_negative_size_are_refused(snap):
    with pytest.raises(RegionError, match="negative size"):
        from_shape((5, 5)).roi_to_box(Roi((4, 4), (-2, -2)), snap=snap)


def test_empty_regions_are_boxes_without_voxels():
    spec = from_shape((5, 5), voxel_size=(2, 2))
    assert spec.roi_to_box(Roi((2, 4), (0, 2))) == Box((1, 2), (0, 1))


def test_arrays_without_spatial_axes():
    spec = from_shape((3,), axes="c", channels="abc")
    assert spec.roi == Roi((), ())
    assert spec.roi_to_box(Roi((), ())) == spec.box
    assert spec.roi_to_box(Roi((), ()), snap="grow") == spec.box
    assert spec.box_to_roi(Box((1,), (1,))) == Roi((), ())
    assert spec.cut(Box((1,), (2,))).channels == ("b", "c")
    np.testing.assert_array_equal(spec.voxel_to_world, [[1]])
    assert common_grid((spec, spec), "ab").spec == spec
    assert describe_spec(from_shape(())) == "; uint8 image; voxel () ; offset (), shape ()"


@settings(max_examples=50)
@given(st.data())
def test_a_cut_is_where_its_box_was(data):
    spec = data.draw(specs())
    if spec.num_channels is not None:
        spec = spec.replace(channels=[f"ch{i}" for i in range(spec.num_channels)])
    box = data.draw(boxes_of(spec))
    if spec.num_channels is not None:
        at = spec.axes.index("c")
        low = data.draw(st.integers(0, spec.num_channels - 1))
        count = data.draw(st.integers(1, spec.num_channels - low))
        box = Box(
            (*box.offset[:at], low, *box.offset[at + 1 :]),
            (*box.shape[:at], count, *box.shape[at + 1 :]),
        )
        assert spec.cut(box).channels == tuple(f"ch{i}" for i in range(low, low + count))
    cut = spec.replace(chunk_shape=spec.shape).cut(box)
    assert cut.shape == box.shape
    assert cut.roi == spec.box_to_roi(box)
    assert cut.chunk_shape is None
    assert (cut.dtype, cut.voxel_size, cut.units) == (spec.dtype, spec.voxel_size, spec.units)
    assert spec.cut(spec.box) == spec


# Affines


@settings(max_examples=50)
@given(specs(dims=3), st.tuples(small, small, small))
def test_affines_map_voxel_centres(spec, index):
    world = affines.apply_affine(spec.voxel_to_world, index)
    centre = spec.offset + spec.voxel_size * (Coordinate(index) + 0.5)
    np.testing.assert_allclose(world, [float(value) for value in centre], rtol=1e-12, atol=1e-9)
    back = affines.apply_affine(spec.world_to_voxel, world)
    np.testing.assert_allclose(back, index, atol=1e-6)


def test_affines_of_turned_arrays():
    spec = from_shape((5, 7), voxel_size=(2, 3), offset=(10, -4), directions=TURN)
    matrix = spec.voxel_to_world
    np.testing.assert_allclose(affines.voxel_sizes(matrix), [2, 3])
    np.testing.assert_allclose(matrix[:2, 0] / 2, TURN[0])
    np.testing.assert_allclose(matrix[:2, 1] / 3, TURN[1])
    for index in np.ndindex(5, 7):
        world = affines.apply_affine(matrix, index)
        along = [np.dot(world, direction) for direction in TURN]  # the array's own frame
        centre = spec.box_to_roi(Box(index, (1, 1))).center
        np.testing.assert_allclose(along, [float(value) for value in centre])


def test_a_cut_of_a_turned_array_keeps_world_positions():
    spec = from_shape((5, 7), voxel_size=(2, 3), offset=(10, -4), directions=TURN)
    cut = spec.cut(Box((1, 2), (3, 3)))
    np.testing.assert_allclose(
        affines.apply_affine(cut.voxel_to_world, (0, 0)),
        affines.apply_affine(spec.voxel_to_world, (1, 2)),
    )


def test_directions_are_equal_within_the_precision_of_nifti():
    plain, turned = from_shape((5, 7)), from_shape((5, 7), directions=TURN)
    named = from_shape((5, 7), directions=((1, 0), (0, 1)))
    rounded = from_shape((5, 7), directions=np.array(TURN, np.float32))
    assert same_directions(plain, named)
    assert same_directions(turned, rounded)
    assert not same_directions(plain, turned)


# Grids that several arrays share


@settings(max_examples=50)
@given(st.data())
def test_a_common_grid_is_the_intersection(data):
    voxel_size = data.draw(st.tuples(positive, positive))
    origin = Coordinate(data.draw(st.tuples(offsets, offsets)))
    members = [
        from_shape(
            data.draw(st.tuples(st.integers(8, 20), st.integers(8, 20))),
            voxel_size=voxel_size,
            offset=origin
            + Coordinate(voxel_size) * data.draw(st.tuples(*[st.integers(-3, 3)] * 2)),
        )
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    grid = common_grid(members, [f"member {i}" for i in range(len(members))])
    roi = members[0].roi
    for spec in members[1:]:
        roi = roi.intersect(spec.roi)
    assert grid.spec.roi == roi
    box = data.draw(boxes_of(grid.spec, inside=False))
    for i, spec in enumerate(members):
        assert spec.box_to_roi(grid.box_in(i, box)) == grid.spec.box_to_roi(box)
        assert spec.box.contains(grid.box_in(i, grid.spec.box))


def test_metadata_are_those_of_the_first():
    for name in ("one", "another"):
        first = from_shape((4,), attrs={"name": name})
        assert common_grid((first, from_shape((4,))), "ab").spec.attrs == {"name": name}


def test_leading_axes_stay_as_they_are():
    first = from_shape((4, 5, 6), axes="tyx")
    second = from_shape((2, 5, 6), axes="cyx", offset=(1, 2))
    grid = common_grid((first, second), ("a", "b"))
    assert grid.spec.shape == (4, 4, 4)
    assert grid.spec.axes == ("t", "y", "x")
    box = Box((1, 1, 1), (1, 2, 2))
    assert grid.box_in(0, box) == Box((1, 2, 3), (1, 2, 2))
    assert grid.box_in(1, box) == box


@given(order=st.permutations([0, 1, 2]))
def test_units_are_converted_into_those_of_the_first(order):
    members = [
        from_shape((10,), voxel_size=(98,), offset=(980,), units="angstrom"),
        from_shape((12,), voxel_size=(9.8,), offset=(78.4,), units="nm"),
        from_shape((9,), voxel_size=(0.0098,), offset=(0.1078,), units="um"),
    ]
    grid = common_grid([members[i] for i in order], "abc")
    assert grid.spec.units == members[order[0]].units
    assert grid.spec.shape == (9,)
    assert [grid.shifts[order.index(i)] for i in range(3)] == [(1,), (3,), (0,)]


def test_equal_units_need_no_meaning():
    pixels = from_shape((4, 4), units="pixel")
    assert common_grid((pixels, pixels), "ab").spec == pixels
    with pytest.raises(ValueError, match="unknown unit of length"):
        common_grid((pixels, from_shape((4, 4), units="nm")), "ab")


def test_unknown_units_are_taken_for_the_others():
    grid = common_grid((from_shape((4,)), from_shape((4,), units="nm")), "ab")
    assert grid.spec.units == (None,)


def refused(*members):
    with pytest.raises(SpecError) as caught:
        common_grid(members, [f"source {i}" for i in range(len(members))])
    return caught.value


def test_arrays_with_other_axes_have_no_common_grid():
    error = refused(from_shape((4, 4)), from_shape((4, 4), axes="zy"))
    assert str(error) == (
        "arrays with different spatial axes (got source 1 has z y; expected y x as source 0 has)"
    )


def test_arrays_with_other_directions_have_no_common_grid():
    error = refused(from_shape((4, 4)), from_shape((4, 4)), from_shape((4, 4), directions=TURN))
    assert "different directions (got source 2 has" in str(error)
    assert "reorient" in error.hint


def test_arrays_with_other_voxel_sizes_have_no_common_grid():
    fine = from_shape((4, 4), voxel_size=(4, 4), units="nm")
    error = refused(fine, from_shape((4, 4), voxel_size=(4, 9.8), units="nm"))
    assert error.got == "source 1 has (4, 9.8) nm"
    assert error.expected == "(4, 4) nm as source 0 has"
    assert "voxel sizes" in str(refused(fine, from_shape((4, 4), voxel_size=(4, 4), units="um")))


@pytest.mark.parametrize(
    ("offset", "anchor"), [((2, 0), True), ((2, -6), True), ((1, 0), False), ((2, 1), False)]
)
def test_grids_that_miss_each_other(offset, anchor):
    first = from_shape((9, 9), voxel_size=(4, 4))
    error = refused(first, from_shape((9, 9), voxel_size=(4, 4), offset=offset))
    assert error.what == "arrays whose grids do not align"
    assert ("anchor" in error.hint) == anchor
    assert ("half a voxel" in error.hint) == anchor


def test_arrays_without_a_common_region():
    error = refused(
        from_shape((4, 4)), from_shape((4, 4), offset=(2, 2)), from_shape((4, 4), offset=(4, 0))
    )
    assert error.what == "the arrays have no region in common"
    for i, corner in enumerate(["(0, 0)", "(2, 2)", "(4, 0)"]):
        assert f"source {i} covers Roi(offset={corner}, shape=(4, 4))" in error.got


def test_the_order_of_arrays_does_not_move_their_grid():
    members = [from_shape((9,), offset=(start,)) for start in (0, 3, -2)]
    assert {common_grid(some, "abc").spec.roi for some in permutations(members)} == {
        Roi((3,), (4,))
    }
