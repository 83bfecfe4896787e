"""Against numpy.pad."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.geometry import Box
from dacapo_like.padding import fitting_value, fitting_values, start_padded

MARGIN = 12
PADS = {
    "edge": {"mode": "edge"},
    "reflect": {"mode": "reflect"},
    "constant": {"mode": "constant", "constant_values": 7},
}


class Volume:
    """An ndarray that is read in boxes, and never outside."""

    def __init__(self, shape):
        self.data = np.arange(100, 100 + np.prod(shape, dtype=int), dtype="i4").reshape(shape)
        self.box = Box((0,) * len(shape), tuple(shape))
        self.boxes = []

    def start(self, box):
        assert self.box.contains(box)
        self.boxes.append(box)
        return self.data[box.slices].copy

    def padded(self, box, pad):
        return start_padded(self.start, box, self.box, self.data.dtype, pad)()


@st.composite
def volumes_and_boxes(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    offset = tuple(draw(st.integers(-MARGIN, n + MARGIN - 1)) for n in shape)
    size = tuple(draw(st.integers(0, n + MARGIN - o)) for o, n in zip(offset, shape, strict=True))
    return shape, Box(offset, size)


@settings(max_examples=150)
@given(volumes_and_boxes(), st.sampled_from(sorted(PADS)))
@example(([1], Box((-5,), (11,))), "reflect")
@example(([2], Box((-9,), (20,))), "reflect")
@example(([3, 4], Box((-9, 9), (2, 3))), "reflect")
@example(([3, 4], Box((9, 9), (2, 2))), "edge")
@example(([3, 4], Box((-2, 0), (0, 4))), "edge")
@example(([3, 4], Box((9, -9), (2, 2))), "constant")
def test_padding_is_numpys(volume_and_box, mode):
    shape, box = volume_and_box
    volume = Volume(shape)
    result = volume.padded(box, {"constant": 7} if mode == "constant" else mode)
    whole = np.pad(volume.data, MARGIN, **PADS[mode])
    np.testing.assert_array_equal(result, whole[box.shifted((MARGIN,) * len(shape)).slices])
    assert result.dtype == volume.data.dtype
    assert result.flags.writeable
    assert len(volume.boxes) <= 1
    assert all(read.size > 0 for read in volume.boxes)


@given(volumes_and_boxes())
def test_constants_read_the_common_part_alone(volume_and_box):
    shape, box = volume_and_box
    volume = Volume(shape)
    volume.padded(box, {"constant": 0})
    common = box.intersect(volume.box)
    assert volume.boxes == ([common] if common.size else [])


def test_what_is_far_outside_costs_one_plane():
    volume = Volume((5, 4))
    volume.padded(Box((-(10**6), 0), (3, 4)), "edge")
    assert volume.boxes == [Box((0, 0), (1, 4))]


def test_an_empty_array_has_nothing_to_repeat():
    volume = Volume((0, 4))
    assert volume.padded(Box((-1, 0), (2, 4)), {"constant": 3}).tolist() == [[3] * 4] * 2
    for pad in ("edge", "reflect"):
        with pytest.raises(RegionError, match="no edge to repeat"):
            volume.padded(Box((-1, 0), (2, 4)), pad)


@pytest.mark.parametrize(
    "pad",
    [
        "wrap",
        "",
        {},
        {"constant": 0, "edge": 1},
        {"value": 0},
        None,
        0,
        ("edge",),
        {"constant": None},
    ],
)
def test_other_ways_to_pad_are_refused(pad):
    for box in (Box((-1,), (2,)), Box((-1,), (0,))):
        with pytest.raises(ConfigError):
            Volume((4,)).padded(box, pad)


@pytest.mark.parametrize("value", [0.5, -1, 256, float("nan"), "0"])
def test_a_constant_that_does_not_fit_is_refused(value):
    volume = Volume((4,))
    with pytest.raises(ConfigError, match="expected a value of uint8"):
        start_padded(
            volume.start, Box((-1,), (2,)), volume.box, np.dtype("u1"), {"constant": value}
        )()


# Values of a dtype

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-300, 300),
    st.floats(width=64),
    st.integers(-300, 300).map(float),
    st.sampled_from([np.float64(2**64), 2.0**64, 2.0**63, np.float32(2**31), np.uint64(2**64 - 1)]),
    st.booleans(),
)


@given(numbers, st.sampled_from(INTEGERS))
def test_integers_are_kept_or_refused(value, name):
    dtype = np.dtype(name)
    limits = np.iinfo(dtype)
    whole = np.isfinite(float(value)) and value == int(value)
    if whole and int(limits.min) <= int(value) <= int(limits.max):
        result = fitting_value(value, dtype)
        assert int(result) == int(value)
        assert result.dtype == dtype
    else:
        with pytest.raises(ConfigError, match=f"expected a value of {dtype.name}"):
            fitting_value(value, dtype)


@given(st.floats(width=64), st.sampled_from(["f2", "f4", "f8"]))
def test_floats_are_rounded_but_never_to_infinity(value, name):
    dtype = np.dtype(name)
    with np.errstate(over="ignore"):
        rounded = dtype.type(value)
    assume(abs(value) <= float(np.finfo(dtype).max) or np.isinf(rounded) or np.isnan(value))
    if np.isinf(rounded) and not np.isinf(value):
        with pytest.raises(ConfigError):
            fitting_value(value, dtype)
    else:
        np.testing.assert_equal(fitting_value(value, dtype), rounded)


@pytest.mark.parametrize(
    ("value", "dtype"), [(True, "?"), (0, "?"), (1.0, "?"), (np.True_, "u1"), (np.uint8(3), "i8")]
)
def test_values_that_fit(value, dtype):
    result = fitting_value(value, np.dtype(dtype))
    assert result == value
    assert result.dtype == dtype


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2, "?"), (0.5, "?"), (10**400, "f4"), (1j, "f8"), ("1", "f4"), (None, "f4"), ([1], "u1")],
)
def test_values_that_do_not_fit(value, dtype):
    with pytest.raises(ConfigError, match="cannot hold"):
        fitting_value(value, np.dtype(dtype))


_INTEGERS = [
    0,
    1,
    2,
    -1,
    127,
    128,
    255,
    256,
    65504,
    65520,
    2**24 + 1,
    2**31 - 1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63),
]
_FLOATS = [
    0.0,
    -0.0,
    0.5,
    1.0,
    255.0,
    256.0,
    -1.0,
    65504.0,
    2.0**31,
    2.0**63 - 1024,
    2.0**63,
    2.0**64,
    -(2.0**63),
    3e38,
    1e30,
    np.inf,
    -np.inf,
    np.nan,
]
_WIDTHS = [
    "uint8",
    "int8",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
]


def exact_or_rounded(value, dtype):
    """Say with exact fractions what a dtype can hold."""
    if isinstance(value, float) and not np.isfinite(value):
        return dtype.kind == "f"
    number = Fraction(value)
    if dtype.kind == "b":
        return number in (0, 1)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return number.denominator == 1 and limits.min <= number <= limits.max
    with np.errstate(over="ignore"):
        near = dtype.type(value)
    return bool(np.isfinite(near)) and (isinstance(value, float) or Fraction(float(near)) == number)


@pytest.mark.parametrize("target", ["bool", *_WIDTHS])
@pytest.mark.parametrize("source", _WIDTHS)
def test_values_are_kept_or_refused(source, target):
    dtype = np.dtype(target)
    tried = 0
    for wanted in _FLOATS if source.startswith("float") else _INTEGERS:
        values = np.ones(3, source)
        try:
            with np.errstate(over="ignore"):
                values[1] = wanted
        except OverflowError:
            continue
        value = values[1].item()
        tried += 1
        if exact_or_rounded(value, dtype):
            expected = np.ones(3, dtype)
            with np.errstate(over="ignore"):
                expected[1] = value
            np.testing.assert_array_equal(fitting_values(values, dtype), expected)
        else:
            with pytest.raises(ConfigError, match="cannot hold"):
                fitting_values(values, dtype)
    assert tried >= 5


def test_the_first_value_that_does_not_fit_is_named():
    values = np.zeros((2, 3))
    values[1, 2] = 0.5
    with pytest.raises(ConfigError, match=r"0\.5 at \(1, 2\)"):
        fitting_values(values, np.dtype("uint8"))


@pytest.mark.parametrize("values", [np.array(["1"]), np.array([None]), np.array([1j])])
def test_values_that_are_no_numbers_are_refused(values):
    with pytest.raises(ConfigError, match="no numbers"):
        fitting_values(values, np.dtype("float32"))
