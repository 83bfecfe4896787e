import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like.kernels import _loading, scaling
from dacapo_like.kernels.scaling import scale, scale_by_numpy

FLOAT32 = ["?", "u1", "i2", "f4"]
FLOAT64 = ["u1", "i4", "u8", "f8"]
CASES = [(dtype, "f4") for dtype in FLOAT32] + [(dtype, "f8") for dtype in FLOAT64]
SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 3e38, -3e38, 1e-45, 5e-324, 1e300]
TERMS = st.sampled_from(
    [(0, 1), (0, 255), (3, -7), (-0.1, 0.4), (1e5, 1e-3), (0, 1e-38), (1, 3e38)]
)


@pytest.fixture(autouse=True, scope="module")
def loops_for_any_number_of_voxels():
    """Let compiled loops take all that they can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loading, "WORTH_LOADING", 0)
        yield


def by_formula(data, low, span, *, clip):
    """As the formula says it, with whole arrays in between."""
    with np.errstate(all="ignore"):
        result = (data.astype(low.dtype) - low) / span
        return (np.clip(result, 0, 1) if clip else result).astype(np.float32)


def values(dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        special = st.sampled_from([x for x in SPECIAL if not dtype.itemsize < 8 or abs(x) != 1e300])
        return special.map(dtype.type) | st.floats(width=8 * dtype.itemsize)
    return hnp.from_dtype(dtype)


@pytest.mark.parametrize(("dtype", "work"), CASES)
@given(data=st.data(), terms=TERMS, clip=st.booleans())
def test_the_bits_are_those_of_the_formula(data, dtype, work, terms, clip):
    elements = values(dtype)
    voxels = data.draw(
        hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_side=5), elements=elements)
    )
    low, span = map(np.dtype(work).type, terms)
    expected = by_formula(voxels, low, span, clip=clip)
    with np.errstate(all="raise"):
        found = scale(voxels, low, span, clip=clip)
    np.testing.assert_array_equal(found.view("u4"), expected.view("u4"), strict=True)
    by_numpy = np.empty_like(expected)
    scale_by_numpy(voxels, low, span, clip=clip, out=by_numpy)
    np.testing.assert_array_equal(by_numpy.view("u4"), expected.view("u4"))


@pytest.mark.parametrize("dtype", [*FLOAT32, "u8", "f8"])
@pytest.mark.parametrize("clip", [False, True])
def test_all_values_of_small_dtypes_and_many_of_large_ones(dtype, clip):
    random = np.random.default_rng(2)
    bits = random.integers(0, 256, (1 << 18) + 24, np.uint8)
    voxels = bits % 2 == 1 if dtype == "?" else bits.view(dtype)
    work = np.float32 if dtype in FLOAT32 else np.float64
    for low, span in [(work(0), work(255)), (work(-12.5), work(-3))]:
        expected = by_formula(voxels, low, span, clip=clip)
        found = scale(voxels, low, span, clip=clip)
        np.testing.assert_array_equal(found.view("u4"), expected.view("u4"))


@pytest.mark.parametrize("dtype", ["f4", "f8", "g", "c8", ">f4"])
@pytest.mark.parametrize("source", ["u1", "f2", ">i2"])
def test_out_may_be_strided_and_of_any_dtype_that_holds_float32(dtype, source):
    voxels = np.arange(60).astype(source).reshape(3, 4, 5)[:, ::-1].transpose(2, 0, 1)
    holder = np.full((2, 5, 6, 4), 9, dtype)
    out = holder[1, ::-1, ::2]
    low, span = np.float32(3), np.float32(7)
    assert scale(voxels, low, span, out=out) is out
    expected = by_formula(voxels, low, span, clip=False)
    np.testing.assert_array_equal(out, expected.astype(dtype), strict=True)
    assert (holder[0] == 9).all()
    assert (holder[1, :, 1::2] == 9).all()


@pytest.mark.parametrize("dtype", ["f2", "i8", "?"])
def test_an_out_that_does_not_hold_float32_is_refused(dtype):
    with pytest.raises(ValueError, match=r"expected \(3,\) float32"):
        scale(np.zeros(3), np.float64(0), np.float64(1), out=np.zeros(3, dtype))


@pytest.mark.parametrize(("source", "dtype"), [("u8", "f4"), ("f2", "f4"), ("f2", "f8")])
def test_scaling_into_an_array_takes_little_memory(source, dtype):
    voxels = np.ones((128, 128, 128), source)
    out = np.empty(voxels.shape, dtype)
    low, span = np.float64(0.1), np.float64(7)
    scale(voxels, low, span, out=out)
    tracemalloc.start()
    try:
        scale(voxels, low, span, out=out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**21  # some voxels in float64; all would be 16 MiB


def test_large_arrays_are_scaled_in_parts(monkeypatch):
    monkeypatch.setattr(_loading, "WORTH_LOADING", 0)
    source = np.random.default_rng(0).integers(0, 255, (7, 30, 40)).astype("u1").transpose(1, 0, 2)
    whole = scale(source, np.float32(3), np.float32(200))
    monkeypatch.setattr(scaling, "_TO_A_THREAD", 500)
    out = np.zeros((*source.shape, 2), "f4")[..., 1]
    scale(source, np.float32(3), np.float32(200), out=out)
    np.testing.assert_array_equal(out, whole)
    np.testing.assert_array_equal(whole, (source.astype("f4") - np.float32(3)) / np.float32(200))
