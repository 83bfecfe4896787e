"""Against funlib.geometry where numbers are integers, and `fractions.Fraction` where they are not."""

import copy
import decimal
import math
import operator
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from funlib.geometry.coordinate import Coordinate as FunlibCoordinate
from funlib.geometry.roi import Roi as FunlibRoi
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.geometry import (
    Box,
    Coordinate,
    Roi,
    as_roi,
    blocks_of,
    box_between,
    exact,
    format_number,
    format_numbers,
    funlib_where_integral,
    is_roi,
    plain_number,
)

small = st.integers(-20, 20)
sizes = st.integers(1, 9)
lengths = st.integers(0, 20)
fractions = st.fractions(-50, 50, max_denominator=60)
RANK = 2


def vectors(numbers, rank=RANK):
    return st.tuples(*[numbers] * rank)


funlib_rois = st.builds(FunlibRoi, vectors(small), vectors(lengths))
solid_rois = st.builds(FunlibRoi, vectors(small), vectors(st.integers(1, 20)))
exact_rois = st.builds(Roi, vectors(fractions), vectors(st.fractions(0, 50, max_denominator=60)))


# Numbers


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (9.8, Fraction(49, 5)),
        (0.7, Fraction(7, 10)),
        (0.1 + 0.2, Fraction(30000000000000004, 10**17)),
        (1e-9, Fraction(1, 10**9)),
        (1e22, 10**22),
        (-0.0, 0),
        (40.0, 40),
        (np.float32(9.8), Fraction(49, 5)),
        (np.float16(0.1), Fraction(1, 10)),
        (np.float64(1 / 3), Fraction(3333333333333333, 10**16)),
        (np.longdouble("9.8"), Fraction(49, 5)),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.int8(-3), -3),
        ("10/3", Fraction(10, 3)),
        ("-10/4", Fraction(-5, 2)),
        ("007/1", 7),
        (
            Decimal("3.141592653589793238462643383279"),
            Fraction(3141592653589793238462643383279, 10**30),
        ),
        (Decimal("1E+3"), 1000),
        (Fraction(6, 3), 2),
    ],
)
def test_exact_is_the_number_of_the_shortest_decimal(number, value):
    result = exact(number)
    assert result == value
    assert type(result) is (int if Fraction(value).denominator == 1 else Fraction)


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.True_,
        float("nan"),
        float("inf"),
        np.float32("-inf"),
        np.longdouble("1e400"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1e401"),
        Decimal("1e-999999999"),
        Decimal("1." + "1" * 5000),
        10**400,
        Fraction(1, 10**400),
        10**5000,
        "1e3",
        "9.8",
        "10",
        "",
        "/",
        "/3",
        "-/3",
        "--1/3",
        "1/-3",
        "1/0",
        "1/00",
        "10/",
        "+1/3",
        " 1/3",
        "1/3\n",
        "1_0/3",
        "\u0661/3",
        "1/" + "3" * 100_000,
        None,
        1j,
        b"1/3",
        [1],
        np.array(3.0),
        {},
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else type(value).__name__,
)
def test_exact_refuses_what_is_no_finite_number(value):
    with pytest.raises(ConfigError) as caught:
        exact(value)
    assert str(caught.value)


def test_an_error_about_quotes_says_how_to_write_numbers():
    with pytest.raises(ConfigError, match=r"got '100'.*without quotes, ratios as \"10/3\""):
        exact("100")


@given(st.floats(1e-280, 1e300), st.sampled_from([-1, 0, 1]))
def test_every_float_that_is_no_extreme_is_exactly_its_repr(number, sign):
    number *= sign
    assert exact(number) == Fraction(repr(number))
    assert float(exact(number)) == number


@given(st.floats(width=32, min_value=2**-100, max_value=2**100))
def test_every_float32_comes_back(number):
    assert np.float32(float(exact(np.float32(number)))) == np.float32(number)


twos_and_fives = st.builds(
    lambda n, a, b: Fraction(n, 2**a * 5**b),
    st.integers(-(10**40), 10**40),
    st.integers(0, 400),
    st.integers(0, 250),
)


@given(st.one_of(twos_and_fives, st.fractions(), st.integers(-(10**300), 10**300)))
@example(Fraction(49, 5))
@example(Fraction(-10, 3))
@example(Fraction(1, 2**900))
@example(Fraction(1, 3**600))
@example(Fraction(10**29 + 1, 10**30))
def test_plain_numbers_are_read_back_as_the_same_number(value):
    assume(max(value.numerator.bit_length(), value.denominator.bit_length()) <= 1000)
    plain = plain_number(value)
    assert exact(plain) == value
    assert isinstance(plain, (int, float, Decimal, str))
    if isinstance(plain, Decimal):
        assert Fraction(str(plain)) == value


@given(twos_and_fives)
def test_plain_numbers_do_not_depend_on_the_decimal_context(value):
    assume(max(value.numerator.bit_length(), value.denominator.bit_length()) <= 1000)
    with decimal.localcontext() as context:
        context.prec = 3
        assert exact(plain_number(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (40, "40"),
        (Fraction(49, 5), "9.8"),
        (Fraction(10, 3), "10/3"),
        (Fraction(4, 2), "2"),
        (Fraction(2**60 + 1, 2**10), "1125899906842624.0009765625"),
        (Fraction(2**60 * 1000 + 1, 1000), "1152921504606846976.001"),
    ],
)
def test_numbers_as_people_read_them(value, text):
    assert format_number(value) == text
    assert format_numbers((value, 1)) == f"({text}, 1)"


# Coordinates


@given(a=vectors(small), b=vectors(small), divisor=vectors(small.filter(bool)))
def test_integer_arithmetic_is_funlibs(a, b, divisor):
    for operation, other in (
        (operator.add, b),
        (operator.sub, b),
        (operator.mul, b),
        (operator.floordiv, divisor),
        (operator.mod, divisor),
    ):
        ours, theirs = Coordinate(a), FunlibCoordinate(a)
        result = operation(ours, Coordinate(other))
        assert type(result) is Coordinate
        assert result == operation(theirs, FunlibCoordinate(other))
        assert result == operation(ours, FunlibCoordinate(other))
        assert result == operation(ours, np.array(other))
        assert operation(ours, other[0]) == operation(theirs, other[0])


@given(a=vectors(small), b=vectors(sizes))
def test_integer_divisions_are_funlibs(a, b):
    ours, theirs = Coordinate(a), FunlibCoordinate(a)
    other = FunlibCoordinate(b)
    assert ours.floor_division(b) == theirs.floor_division(other)
    assert ours.ceil_division(b) == theirs.ceil_division(other)
    assert ours.round_division(b) == theirs.round_division(other)
    assert ours.is_multiple_of(b) == theirs.is_multiple_of(other)
    assert ours * b / b == theirs * other / other == a


@given(a=vectors(small, 3), dim=st.integers(0, 2))
def test_the_rest_of_a_coordinate_is_funlibs(a, dim):
    ours, theirs = Coordinate(a), FunlibCoordinate(a)
    assert ours == theirs
    assert theirs == ours
    assert hash(ours) == hash(theirs)
    assert -ours == -theirs
    assert abs(ours) == abs(theirs)
    assert ours.squeeze(dim) == theirs.squeeze(dim)
    assert ours.dims == theirs.dims
    assert Coordinate(*a) == ours == Coordinate(np.array(a))
    assert ours[1:] == theirs[1:] == a[1:]


@settings(max_examples=50)
@given(a=vectors(fractions), b=vectors(fractions.filter(bool)))
def test_arithmetic_is_exact(a, b):
    ours = Coordinate(a)
    assert tuple(ours + b) == tuple(map(operator.add, a, b))
    assert tuple(ours - b) == tuple(map(operator.sub, a, b))
    assert tuple(ours * b) == tuple(map(operator.mul, a, b)) == tuple(b * ours)
    assert tuple(ours / b) == tuple(map(operator.truediv, a, b))
    assert tuple(ours // b) == tuple(map(operator.floordiv, a, b))
    assert tuple(ours % b) == tuple(map(operator.mod, a, b))
    assert tuple(ours.ceil_division(b)) == tuple(
        math.ceil(x / y) for x, y in zip(a, b, strict=True)
    )
    assert all(type(value) is int for value in ours // b)


def test_where_funlib_truncates_we_do_not():
    # Not a contract: funlib applies int() to every element, so 9.8 nm becomes 9 and halves are lost towards zero.
    assert FunlibCoordinate(9.8) == (9,)
    assert Coordinate(9.8) == (Fraction(49, 5),)
    assert Coordinate(3, -3) / 2 == (Fraction(3, 2), Fraction(-3, 2))
    assert FunlibCoordinate(3, -3) / 2 == (1, -1)
    assert Coordinate(1, 1) * 9.8 == (Fraction(49, 5),) * 2
    assert Coordinate("10/3") * 3 == (10,)


def test_scalars_stand_on_either_side():
    assert 2 + Coordinate(1, 9.8) == Coordinate(3, 11.8)
    assert 3 * Coordinate(1, 9.8) == Coordinate(3, 29.4)
    assert operator.add((1, 2), Coordinate(3, 4)) == Coordinate(4, 6)


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize("other", [None, "ab", "12", (1, None), True, float("nan"), object()])
def test_arithmetic_with_what_is_no_number_is_refused(operation, other):
    with pytest.raises(ConfigError, match="number"):
        operation(Coordinate(1, 2), other)


def test_arithmetic_of_different_ranks_is_refused():
    with pytest.raises(RegionError, match=r"got \(1, 2, 3\); expected 2 numbers"):
        operator.add(Coordinate(1, 2), (1, 2, 3))
    with pytest.raises(RegionError):
        Coordinate(1, 2).is_multiple_of((1,))
    with pytest.raises(ZeroDivisionError):
        Coordinate(1, 2) / 0


@pytest.mark.parametrize("value", [Coordinate(), Coordinate(9.8), Coordinate(1, "10/3", -2)])
def test_coordinates_copy_and_pickle(value):
    for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert twin == value
        assert hash(twin) == hash(value)
        assert type(twin) is Coordinate
    assert repr(Coordinate(1, 9.8)) == "Coordinate(1, 9.8)"


# Regions


def same(ours, theirs):
    """Funlib's empty regions have no offset."""
    return ours.empty if theirs.empty else ours == theirs


@given(a=funlib_rois, b=funlib_rois)
def test_relations_of_integer_regions_are_funlibs(a, b):
    ours, other = as_roi(a), as_roi(b)
    assert ours == a
    assert a == ours
    assert (ours == other) == (a == b)
    assert (ours != b) == (a != b)
    assert ours.contains(other) == a.contains(b) == ours.contains(b)
    assert ours.contains(b.begin) == a.contains(b.begin)
    assert ours.intersects(b) == a.intersects(b)
    assert same(ours.intersect(other), a.intersect(b))
    assert same(ours.union(other), a.union(b))


@given(roi=funlib_rois, by=vectors(small), factor=sizes, dim=st.integers(0, RANK - 1))
def test_changes_of_integer_regions_are_funlibs(roi, by, factor, dim):
    ours, shift = as_roi(roi), FunlibCoordinate(by)
    assert ours.shift(by) == roi.shift(shift) == ours + by
    assert ours - by == roi - shift
    assert ours * factor == roi * factor
    assert ours // factor == roi // factor
    assert ours % factor == roi % factor
    assert ours * factor / factor == roi == ours.copy()
    assert ours.grow(by, factor) == roi.grow(shift, factor)
    assert ours.grow(factor) == roi.grow(factor)
    assert ours.squeeze(dim) == roi.squeeze(dim)


@given(roi=funlib_rois)
def test_properties_of_integer_regions_are_funlibs(roi):
    ours = as_roi(roi)
    for name in ("offset", "begin", "shape", "end", "dims", "size", "empty", "unbounded"):
        assert getattr(ours, name) == getattr(roi, name)
    block = np.arange(40 * 40).reshape(40, 40)
    inside, theirs = ours + 20, roi + 20
    np.testing.assert_array_equal(block[inside.to_slices()], block[theirs.to_slices()])
    assert ours.center * 2 == ours.begin + ours.end  # funlib's is cut to integers


@given(roi=funlib_rois, voxel_size=vectors(sizes))
def test_snapping_of_integer_regions_is_funlibs(roi, voxel_size):
    for mode in ("grow", "shrink", "closest"):
        assert as_roi(roi).snap_to_grid(voxel_size, mode) == roi.snap_to_grid(voxel_size, mode)
    assert as_roi(roi).snap_to_grid(voxel_size, "nearest") == roi.snap_to_grid(
        voxel_size, "closest"
    )


@settings(max_examples=50)
@given(
    roi=exact_rois,
    voxel_size=vectors(st.fractions(Fraction(1, 60), 9, max_denominator=60)),
)
def test_snapping_is_exact(roi, voxel_size):
    grown, shrunk, nearest = (
        roi.snap_to_grid(voxel_size, mode) for mode in ("grow", "shrink", "nearest")
    )
    for snapped in (grown, shrunk, nearest):
        assert snapped.offset.is_multiple_of(voxel_size)
        assert snapped.shape.is_multiple_of(voxel_size)
    assert all(0 <= a - b < v for a, b, v in zip(roi.begin, grown.begin, voxel_size, strict=True))
    assert all(0 <= b - a < v for a, b, v in zip(roi.end, grown.end, voxel_size, strict=True))
    assert all(0 <= b - a < v for a, b, v in zip(roi.begin, shrunk.begin, voxel_size, strict=True))
    assert all(0 <= a - b < v for a, b, v in zip(roi.end, shrunk.end, voxel_size, strict=True))
    edges = zip((*roi.begin, *roi.end), (*nearest.begin, *nearest.end), voxel_size * 2, strict=True)
    assert all(-v <= 2 * (b - a) < v or 2 * (b - a) == -v for a, b, v in edges)


def test_halves_snap_down_as_funlibs_do():
    assert Roi((5, 15), (10, 10)).snap_to_grid((10, 10), "nearest") == Roi((0, 10), (10, 10))
    assert Roi((4.9,), (9.8,)).snap_to_grid((9.8,), "nearest") == Roi((0,), (9.8,))


@settings(max_examples=50)
@given(a=exact_rois, b=exact_rois, point=vectors(fractions))
def test_regions_are_sets_of_points(a, b, point):
    common, both = a.intersect(b), a.union(b)
    assert common.contains(point) == (a.contains(point) and b.contains(point))
    if a.contains(point) or b.contains(point):
        assert both.contains(point)
    assert a.intersects(b) == (not common.empty) == b.intersects(a)
    assert common.shape == (0, 0) or not common.empty
    if a.contains(b) and not b.empty:
        assert a.intersect(b) == b
        assert a.union(b) == a


@pytest.mark.parametrize("name", ["intersect", "union", "contains", "intersects"])
def test_regions_of_different_rank_do_not_mix(name):
    with pytest.raises(RegionError, match="regions of different rank"):
        getattr(Roi((0, 0), (4, 4)), name)(Roi((0,), (4,)))


@pytest.mark.parametrize("point", [(1,), (1, 1, 1), ()])
def test_a_point_of_another_rank_is_not_inside(point):
    assert not Roi((0, 0), (4, 4)).contains(point)  # funlib overlooks the third number


def test_slices_are_never_truncated():
    assert Roi((1, 2), (3, 4)).to_slices() == (slice(1, 4), slice(2, 6))
    with pytest.raises(RegionError, match="not on the voxel grid"):
        Roi((0.5,), (1,)).to_slices()


def test_a_region_needs_one_offset_per_size():
    with pytest.raises(RegionError, match=r"offset \(0\), shape \(1, 2\)"):
        Roi((0,), (1, 2))
    with pytest.raises(RegionError, match="got upwards; expected grow, shrink or nearest"):
        Roi((0,), (1,)).snap_to_grid((1,), "upwards")


def test_regions_never_change():
    roi = Roi((0, 9.8), (1, 2))
    for name in ("offset", "shape", "begin", "other"):
        with pytest.raises(AttributeError):
            setattr(roi, name, (1, 1))


@pytest.mark.parametrize("roi", [Roi((), ()), Roi((0, 9.8), (10, "10/3")), Roi((-1,), (0,))])
def test_regions_copy_hash_and_pickle(roi):
    for twin in (pickle.loads(pickle.dumps(roi)), copy.copy(roi), copy.deepcopy(roi)):
        assert twin == roi
        assert hash(twin) == hash(roi)
    assert roi != (roi.offset, roi.shape)
    assert len({roi, Roi(roi.offset, roi.shape)}) == 1


def test_regions_say_what_they_are():
    assert str(Roi((0, 9.8), (10, 19.6))) == "Roi(offset=(0, 9.8), shape=(10, 19.6))"


def test_a_box_is_no_region():
    with pytest.raises(RegionError, match=r"box of voxels .*box_to_roi"):
        as_roi(Box((0, 0), (2, 2)))


def test_as_roi_takes_funlibs_and_pairs():
    wanted = Roi((0, 1), (2, 3))
    assert as_roi(wanted) is wanted
    assert as_roi(FunlibRoi((0, 1), (2, 3))) == wanted
    assert as_roi([(0, 1), [2, 3]]) == wanted
    assert is_roi(wanted)
    assert is_roi(FunlibRoi((0,), (1,)))
    assert not is_roi(((0,), (1,)))


@pytest.mark.parametrize("value", [None, "ab", 3, ((0,), (1,), (2,)), {}, (slice(0, 1),) * 3])
def test_as_roi_refuses_the_rest(value):
    with pytest.raises(RegionError, match="not a region"):
        as_roi(value)


@pytest.mark.parametrize(
    "value", [FunlibRoi((None,), (None,)), FunlibRoi((None,), (0,)), FunlibRoi((0, 0), (1, None))]
)
def test_regions_without_bounds_are_refused(value):
    with pytest.raises(RegionError, match="no bounds"):
        as_roi(value)


def test_funlibs_types_where_all_numbers_are_integers():
    assert type(funlib_where_integral(Coordinate(4, 4))) is FunlibCoordinate
    assert type(funlib_where_integral(Coordinate(4, 9.8))) is Coordinate
    assert type(funlib_where_integral(Roi((4,), (4,)))) is FunlibRoi
    assert type(funlib_where_integral(Roi((4,), (9.8,)))) is Roi
    assert type(funlib_where_integral(Roi((9.8,), (4,)))) is Roi
    assert funlib_where_integral(Roi((), ())) == Roi((), ())


def test_an_empty_region_is_inside_where_its_corner_is_as_in_funlib():
    for corner, size in (((1, 1), (0, 2)), ((9, 1), (0, 2)), ((0, 0), (0, 0))):
        inner = FunlibRoi(corner, size)
        for outer in (FunlibRoi((0, 0), (4, 4)), FunlibRoi((0, 0), (0, 4))):
            assert as_roi(outer).contains(inner) == outer.contains(inner)


# Boxes

boxes = st.builds(Box, vectors(small), vectors(lengths))


def voxels(box):
    """Give the set of a box's voxels."""
    ranges = [range(o, o + s) for o, s in zip(box.offset, box.shape, strict=True)]
    return {(y, x) for y in ranges[0] for x in ranges[1]}


@given(a=boxes, b=boxes, by=vectors(small))
def test_boxes_are_sets_of_voxels(a, b, by):
    assert a.size == len(voxels(a))
    assert voxels(a.intersect(b)) == voxels(a) & voxels(b)
    assert min(a.intersect(b).shape) >= 0
    assert voxels(a.union(b)) >= voxels(a) | voxels(b)
    assert voxels(a.shifted(by)) == {(y + by[0], x + by[1]) for y, x in voxels(a)}
    if b.size:
        assert a.contains(b) == (voxels(a) >= voxels(b))
    assert box_between(a.offset, a.end) == a


@given(box=st.builds(Box, vectors(lengths), vectors(lengths)), data=st.data())
def test_slices_find_a_box_in_its_array_and_in_a_block(box, data):
    array = np.arange(40 * 40).reshape(40, 40)
    start = [data.draw(st.integers(o, e)) for o, e in zip(box.offset, box.end, strict=True)]
    stop = [data.draw(st.integers(o, e)) for o, e in zip(start, box.end, strict=True)]
    inner = box_between(start, stop)
    np.testing.assert_array_equal(array[box.slices][inner.slices_in(box)], array[inner.slices])
    assert {tuple(map(int, divmod(i, 40))) for i in array[inner.slices].ravel()} == voxels(inner)


@given(shape=st.lists(st.integers(0, 7), max_size=3), data=st.data())
def test_blocks_tile_an_array_in_c_order(shape, data):
    block = [data.draw(st.integers(1, 9)) for _ in shape]
    count = np.zeros(shape, int)
    offsets = []
    for box in blocks_of(shape, block):
        count[box.slices] += 1
        offsets.append(box.offset)
        assert 0 < box.size <= math.prod(block)
    assert np.all(count == 1)
    assert offsets == sorted(offsets)


def test_blocks_of_a_petabyte_are_not_listed():
    blocks = blocks_of((10**6,) * 3, (10,) * 3)
    assert next(blocks) == Box((0, 0, 0), (10, 10, 10))


def test_boxes_copy_hash_and_pickle():
    box = Box((0, 1), (2, 3))
    assert pickle.loads(pickle.dumps(box)) == box == copy.deepcopy(box)
    assert hash(box) == hash(Box((0, 1), (2, 3)))
