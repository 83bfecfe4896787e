import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import AstypeArrayConfig, Roi, from_numpy, verify
from dacapo_like.errors import ConfigError, ReadError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float16", "float32", "float64"]
DTYPES = ["bool", *INTEGERS, *FLOATS]


class TestLaws(ArrayContract):
    def case_wider_integers(self, directory):
        voxels = sample_voxels((4, 5), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 0.7), offset=(-4.9, 0))
        return Case(source.astype("uint16"), voxels.astype("uint16"))

    def case_the_same_dtype(self, directory):
        voxels = sample_voxels((2, 3, 4), "float32")
        return Case(as_zarr(voxels, directory / "a", axes="cyx").astype("float32"), voxels)

    def case_rounded_and_clipped(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "float64")
        source = as_zarr(voxels, directory / "a", axes="tcyx")
        cast = source.astype("int8", round="nearest-even", clip=True)
        return Case(cast, np.rint(voxels).clip(-128, 127).astype("int8"))

    def case_holes_filled(self, directory):
        voxels = sample_voxels((5, 6), "float32")
        voxels[1:3, ::2] = np.nan
        source = as_zarr(voxels, directory / "a")
        expected = np.where(np.isnan(voxels), -7, np.floor(voxels)).astype("int32")
        return Case(source.astype("int32", round="floor", nan=-7), expected)

    def case_holes_kept(self, directory):
        voxels = sample_voxels((5, 6), "float64")
        voxels[2] = np.nan
        voxels[3] = np.inf
        return Case(as_zarr(voxels, directory / "a").astype("float32"), voxels.astype("float32"))

    def case_labels_that_fit(self, directory):
        voxels = sample_voxels((4, 5), "uint64") % np.uint64(1000)
        return Case(as_zarr(voxels, directory / "a").astype("int16"), voxels.astype("int16"))

    def case_a_mask_of_integers(self, directory):
        voxels = sample_voxels((4, 5), "uint8") % 2
        source = as_zarr(voxels, directory / "a", kind="mask")
        return Case(source.astype(bool), voxels.astype(bool))


def limits(dtype):
    if dtype.kind == "b":
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def cast_exactly(value, dtype, rounding, clip, nan):
    """Say with Python's numbers what a value becomes; `None` where it is an error."""
    if isinstance(value, float) and math.isnan(value):
        return nan if nan is not None or dtype.kind != "f" else value
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            near = dtype.type(value)
        if np.isinf(near) and not (isinstance(value, float) and math.isinf(value)):
            return math.copysign(float(np.finfo(dtype).max), value) if clip else None
        return near.item()
    low, high = limits(dtype)
    if isinstance(value, float) and math.isinf(value):
        return (high if value > 0 else low) if clip else None
    number = Fraction(value)
    if number.denominator > 1 and rounding == "error":
        return None
    rounded = {
        "error": int,
        "nearest-even": round,
        "floor": math.floor,
        "ceil": math.ceil,
        "trunc": math.trunc,
    }[rounding](number)
    if low <= rounded <= high:
        return rounded
    return min(max(rounded, low), high) if clip else None


EDGES = {
    "b": [False, True],
    "i": [
        0,
        1,
        -1,
        2,
        127,
        128,
        -129,
        255,
        256,
        2**15,
        2**24 + 1,
        2**31 - 1,
        2**31,
        2**53 + 1,
        2**63 - 1,
        -(2**63),
    ],
    "u": [
        0,
        1,
        2,
        127,
        128,
        255,
        256,
        65504,
        65520,
        65535,
        2**24 + 1,
        2**32 - 1,
        2**53 + 1,
        2**63,
        2**64 - 1,
    ],
    "f": [
        *(
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            127.5,
            255.49,
            255.5,
            -128.5,
            -128.51,
            65504.0,
            65519.0,
            65520.0,
        ),
        *(
            2.0**24 + 2,
            2.0**31 - 128,
            2.0**31,
            2.0**32,
            2.0**53 + 2,
            2.0**63 - 1024,
            2.0**63,
            2.0**64,
            -(2.0**63),
        ),
        *(-(2.0**63) - 2048, 3.4e38, 3.5e38, -1e300, math.inf, -math.inf, math.nan),
    ],
}


def values_of(dtype):
    """Give the numbers near the limits of any dtype that this one has."""
    with np.errstate(over="ignore"):
        for value in EDGES[dtype.kind]:
            if dtype.kind in "iu" and not limits(dtype)[0] <= value <= limits(dtype)[1]:
                continue
            yield dtype.type(value)


CLIPPED = [("error", False, None), ("error", True, None)]
ROUNDED = [
    *[(name, True, 1) for name in ("error", "nearest-even", "floor", "ceil", "trunc")],
    ("nearest-even", False, None),
]


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", DTYPES)
def test_every_value_is_what_exact_arithmetic_says(source, target):
    dtype, values = np.dtype(target), list(values_of(np.dtype(source)))
    for rounding, clip, nan in CLIPPED + (ROUNDED if source in FLOATS else []):
        how = {"round": rounding, "clip": clip, "nan": nan}
        expected = [cast_exactly(value.item(), dtype, rounding, clip, nan) for value in values]
        held = [value for value, wanted in zip(values, expected, strict=True) if wanted is not None]
        cast = from_numpy(np.array(held, source), kind="image").astype(target, **how)
        wanted = np.array([value for value in expected if value is not None], dtype)
        np.testing.assert_array_equal(cast.read(), wanted)
        np.testing.assert_array_equal(cast.read(out=np.full(len(held), 1, dtype)), wanted)
        for value in (v for v, wanted in zip(values, expected, strict=True) if wanted is None):
            refused = from_numpy(np.array([held[0], value], source), kind="image")
            with pytest.raises(ReadError, match=rf"that {target} cannot hold.*voxel \(1,\)"):
                refused.astype(target, **how).read()


@given(data=st.data())
def test_images_of_floats_are_numpy_s(data):
    """Where numpy's own cast is defined, and asked for, it is the same."""
    source = data.draw(st.sampled_from(FLOATS))
    values = np.array(
        data.draw(st.lists(st.floats(-120, 120, width=16), min_size=1, max_size=6)), source
    )
    target = data.draw(st.sampled_from(["int8", *INTEGERS[2::2], *FLOATS]))
    cast = from_numpy(values).astype(target, round="trunc").read()
    np.testing.assert_array_equal(cast, values.astype(target))


# Labels


@pytest.mark.parametrize(
    ("dtype", "highest"), [("float16", 2**11), ("float32", 2**24), ("float64", 2**53)]
)
def test_an_id_that_another_could_become_is_refused(dtype, highest):
    for value in (highest, highest + 1, -highest):
        ids = from_numpy(np.array([3, value]), kind="labels")
        with pytest.raises(ReadError, match=rf"got {value} at voxel \(1,\)"):
            ids.astype(dtype).read()
    kept = from_numpy(np.array([1 - highest, highest - 1]), kind="labels").astype(dtype)
    assert kept.read().tolist() == [1 - highest, highest - 1]
    assert kept.kind == "labels"


def test_ids_that_do_not_fit_are_refused():
    ids = from_numpy(np.array([[3, 2**32]], "uint64"))
    with pytest.raises(ReadError, match="out of range") as error:
        ids.astype("uint32").read()
    assert error.value.hint is None
    with pytest.raises(ReadError, match="got -1"):
        from_numpy(np.array([-1])).astype("uint64").read()


@pytest.mark.parametrize(
    ("dtype", "fields", "key"),
    [
        ("uint64", {"clip": True}, "clip"),
        ("float32", {"round": "floor"}, "round"),
        ("float64", {"clip": True, "nan": 0}, "clip"),
    ],
)
def test_labels_are_neither_rounded_nor_clipped(dtype, fields, key):
    labels = from_numpy(np.zeros((2, 2), dtype), kind="labels")
    with pytest.raises(SpecError, match="would make one id of several") as error:
        labels.astype("uint16", **fields)
    assert error.value.key == (key,)


def test_labels_that_were_stored_as_floats_become_integers():
    labels = from_numpy(np.array([0, 7, 2**20], "float32"), kind="labels")
    assert labels.astype("uint32").read().tolist() == [0, 7, 2**20]
    assert labels.astype("float64").read().tolist() == [0, 7, 2**20]
    holey = from_numpy(np.array([7, np.nan]), kind="labels")
    np.testing.assert_array_equal(holey.astype("float32").read(), [7, np.nan])
    torn = from_numpy(np.array([0, 7.25, np.nan]), kind="labels")
    for dtype in ("uint32", "float32"):
        with pytest.raises(ReadError, match=r"a fraction.*got 7.25 at voxel \(1,\)"):
            torn.astype(dtype, nan=0).read()


# The spec


@pytest.mark.parametrize(
    ("source", "kind", "target", "expected"),
    [
        ("uint8", "image", "uint32", "image"),
        ("uint8", "image", "bool", "mask"),
        ("uint32", "labels", "float64", "labels"),
        ("uint32", "labels", "uint8", "labels"),
        ("uint8", "labels", "bool", "mask"),
        ("bool", "mask", "float32", "mask"),
        ("bool", "mask", "uint8", "mask"),
    ],
)
def test_the_kind_stays_unless_it_no_longer_fits(source, kind, target, expected):
    array = from_numpy(np.zeros((2, 2), source), kind=kind)
    assert array.astype(target).spec == array.spec.replace(dtype=target, kind=expected)


def test_an_error_names_the_voxel_in_the_array_and_in_the_world():
    voxels = np.zeros((2, 4, 5), "float32")
    voxels[1, 2, 3] = 0.75
    array = from_numpy(voxels, axes="cyx", voxel_size=(9.8, 4), offset=(1, 2), units="nm")
    cast = array.crop(Roi((20.6, 2), (19.6, 20))).astype("uint8")
    with pytest.raises(ReadError) as error:
        cast[1, :, 2:]
    assert error.value.got == "0.75 at voxel (1, 0, 3), in the world (20.6, 14) nm"
    assert error.value.hint == "say `round`"
    assert not cast[0].any()
    assert not cast[1, 1].any()


def test_only_the_box_is_read(watched):
    source = watched(from_numpy(np.zeros((4, 6), "uint8")))
    AstypeArrayConfig(source_array_config=source, dtype="float32").array()[1:3, 2:4]
    assert source.boxes == [Box((1, 2), (2, 2))]


def test_no_voxel_is_read_to_open(unreadable):
    assert unreadable(from_shape((8, 8))).astype("int64").dtype == "int64"


def test_nothing_warns():
    array = from_numpy(np.array([np.nan, np.inf, -np.inf, 1e300, 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in DTYPES:
            array.astype(dtype, round="floor", clip=True, nan=0).read()


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"dtype": "uint8", "round": "nearest"}, ("round",)),
        ({"dtype": "uint8", "nan": 0.5}, ("nan",)),
        ({"dtype": "uint8", "nan": -1}, ("nan",)),
        ({"dtype": "uint8", "nan": math.nan}, ("nan",)),
    ],
)
def test_what_is_wrong_whatever_the_source(fields, key):
    with pytest.raises(ConfigError) as error:
        from_numpy(np.zeros((2, 2))).astype(**fields)
    assert error.value.key == key


@pytest.mark.parametrize("dtype", ["complex64", "float33", "str", None])
def test_what_is_no_dtype_of_numbers(dtype):
    with pytest.raises(ConfigError, match="dtype"):
        from_numpy(np.zeros((2, 2))).apply(AstypeArrayConfig, dtype=dtype)


def test_documents_say_where_it_is_wrong(tmp_path):
    array = as_zarr(np.zeros((4, 4)), tmp_path / "a.zarr")
    source = {"type": "zarr", "file_name": array.config.file_name}
    for fields, key in (
        ({"dtype": "unit8"}, "dtype"),
        ({"dtype": "uint8", "round": "up"}, "round"),
        ({"dtype": "uint8", "nan": 300}, "nan"),
        ({"dtype": "uint8", "clip": "yes"}, "clip"),
    ):
        (problem,) = verify({"type": "astype", "source": source, **fields})
        assert problem.key == key
