import math
import tracemalloc
from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import IntensitiesArrayConfig, from_numpy
from dacapo_like.core import Block
from dacapo_like.errors import ConfigError
from dacapo_like.kernels import _loading
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


def scaled(voxels, low, high, *, clip=False):
    """(x - low) / (high - low) in exact arithmetic, rounded to float32 once."""
    low, high = Fraction(low), Fraction(high)

    def one(x):
        if isinstance(x, float) and not math.isfinite(x):
            return x
        value = (Fraction(x) - low) / (high - low)
        return float(min(max(value, 0), 1) if clip else value)

    return np.vectorize(one, otypes=["float64"])(voxels).astype("float32")


def case(voxels, directory, low, high, *, clip=False, oracle_tolerance=1e-6, **grid):
    source = as_zarr(voxels, directory / "a", **grid)
    return Case(
        source.intensities(min=low, max=high, clip=clip),
        scaled(voxels, low, high, clip=clip),
        oracle_tolerance=oracle_tolerance,
    )


class TestLaws(ArrayContract):
    def case_bytes(self, directory):
        return case(sample_voxels((6, 7), "uint8"), directory, 0, 255, voxel_size=(9.8, 25))

    def case_bytes_by_a_power_of_two_are_exact(self, directory):
        voxels = sample_voxels((6, 7), "uint8")
        return case(voxels, directory, 16, 272, oracle_tolerance=0)

    def case_signed_clipped(self, directory):
        voxels = sample_voxels((3, 4, 5), "int16")
        return case(voxels, directory, -1000.5, 2000, clip=True, offset=(-3, -4, 5))

    def case_falling(self, directory):
        return case(sample_voxels((4, 5), "uint16"), directory, 65535, 0)

    def case_floats_with_time_and_channels(self, directory):
        voxels = sample_voxels((2, 2, 3, 4), "float32")
        return case(voxels, directory, -0.1, 0.3, axes="tcyx", voxel_size=(0.7, 0.7))

    def case_doubles_that_float32_cannot_hold(self, directory):
        voxels = 1e9 + sample_voxels((4, 5), "float64") / 1000
        return case(voxels, directory, 1e9 - 1, 1e9 + 1)

    def case_large_labels(self, directory):
        return case(sample_voxels((4, 5), "uint64"), directory, 0, 2**64 - 1)

    def case_large_signed(self, directory):
        return case(sample_voxels((4, 5), "int64"), directory, -(2**63), 2**63 - 1)

    def case_32_bits(self, directory):
        voxels = np.array([[2**32 - 1, 2**32 - 2, 2**24 + 1, 0]], "uint32")
        return case(voxels, directory, 2**32 - 9, 2**32 - 1)

    def case_bool(self, directory):
        return case(sample_voxels((4, 5), "bool"), directory, 0, 2, oracle_tolerance=0)


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
)
def test_integers_become_float32_images(dtype):
    result = from_numpy(sample_voxels((3, 4), dtype)).intensities(min=0, max=1)
    assert result.dtype == result.read().dtype == "float32"
    assert result.kind == "image"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_become_float32(dtype):
    assert from_numpy(np.ones((3, 4), dtype)).intensities(min=0, max=1).read().dtype == "float32"


def test_the_rest_of_the_spec_is_the_source_s():
    source = from_numpy(
        np.zeros((2, 3, 4), "uint32"),
        axes="cyx",
        channels=("a", "b"),
        voxel_size=(9.8, 1),
        units="nm",
    )
    expected = source.spec.replace(dtype="float32", kind="image")
    assert source.intensities(min=0, max=1).spec == expected


def test_values_are_not_cut_to_integers_before_they_are_scaled():
    floats = from_numpy(np.array([[-0.1, 0.5, 254.9]]))
    expected = np.array([[-0.1 / 255, 0.5 / 255, 254.9 / 255]])
    np.testing.assert_allclose(floats.intensities(min=0, max=255), expected, rtol=1e-6)
    integers = from_numpy(np.array([[0, 1]], "uint8"))
    np.testing.assert_allclose(integers.intensities(min=-0.1, max=0.4), [[0.2, 2.2]], rtol=1e-6)


def test_values_beyond_the_range_stay_beyond_unless_clipped():
    source = from_numpy(np.array([[-255, 0, 255, 510]], "int16"))
    np.testing.assert_array_equal(source.intensities(min=0, max=255), [[-1, 0, 1, 2]])
    np.testing.assert_array_equal(source.intensities(min=0, max=255, clip=True), [[0, 0, 1, 1]])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize(("low", "high"), [(3, 99), (99, 3), (17, 113)])
def test_the_ends_of_the_range_become_exactly_0_and_1(dtype, low, high):
    source = from_numpy(np.array([[low, high]], dtype))
    np.testing.assert_array_equal(source.intensities(min=low, max=high), [[0, 1]])


def test_nan_and_infinity_stay():
    source = from_numpy(np.array([[np.nan, np.inf, -np.inf]], "float32"))
    np.testing.assert_array_equal(
        source.intensities(min=0, max=2).read(), [[np.nan, np.inf, -np.inf]]
    )


@pytest.mark.parametrize(("low", "high"), [(0, 1e39), (0, 1e-46), (-1e300, 1e300)])
def test_a_range_that_float32_cannot_hold_is_computed_in_float64(low, high):
    source = from_numpy(np.array([[0, 200]], "uint8"))
    with np.errstate(over="ignore"):
        expected = ((np.array([[0, 200]]) - low) / (high - low)).astype("float32")
        np.testing.assert_array_equal(source.intensities(min=low, max=high), expected)


def test_an_empty_range_is_refused():
    with pytest.raises(ConfigError, match="`min` and `max` are equal") as error:
        from_numpy(np.zeros((2, 2))).intensities(min=5, max=5.0)
    assert error.value.key == ("max",)
    assert error.value.expected == "a number other than 5.0"


@pytest.mark.parametrize(("low", "high"), [(0, math.inf), (-math.inf, 0), (math.nan, 1)])
def test_a_range_without_an_end_is_refused(low, high):
    with pytest.raises(ConfigError, match="range is not finite"):
        IntensitiesArrayConfig(
            source_array_config=from_numpy(np.zeros((2, 2))).config, min=low, max=high
        )


def test_a_narrow_range_far_from_zero_is_not_blurred():
    source = from_numpy(np.array([[30000, 30001]], "uint16"))
    expected = scaled(np.array([[30000, 30001]]), 30000.3, 30000.4)
    np.testing.assert_allclose(source.intensities(min=30000.3, max=30000.4), expected, rtol=1e-6)


NUMBERS = st.integers(-1000, 1000) | st.floats(-1e4, 1e4, width=32)
SPANS = st.sampled_from([0.001, 0.37, 1, 2, 255, 65535]) | st.floats(0.01, 1e4)
RANGES = st.tuples(NUMBERS, SPANS, st.sampled_from([1, -1])).map(
    lambda terms: (terms[0], terms[0] + terms[1] * terms[2])
)


def chain(source, ranges):
    for low, high in ranges:
        source = source.intensities(min=low, max=high)
    return source


def fold(config):
    """Fold a chain, from its end."""
    while (below := config.folded(config.source_array_config)) is not None:
        config = below
    return config


@given(st.lists(RANGES, min_size=2, max_size=5), st.sampled_from(["uint8", "int16", "float32"]))
def test_a_folded_chain_is_the_chain(ranges, dtype):
    """Each step of the chain rounds to float32, by so much of its largest number; the next makes more of it, or less."""
    voxels = sample_voxels((5, 6), dtype)
    array = chain(from_numpy(voxels), ranges)
    folded = fold(array.config)
    values, error = voxels.astype("float64"), np.zeros(voxels.shape)
    for low, high in ranges:
        error = (error + 3 * 2.0**-24 * (np.abs(values) + abs(low))) / abs(high - low)
        values = (values - low) / (high - low)
        error = error + 2.0**-24 * np.abs(values)
    found = folded.array().read()
    assert (np.abs(found - values) <= error).all()
    assert (np.abs(found - array.read().astype("float64")) <= 2 * error).all()


@given(RANGES, RANGES)
def test_a_folded_scaling_is_that_of_exact_arithmetic(inner, outer):
    source = from_numpy(np.array([[-7, 0, 3, 1000]], "int64"))
    folded = fold(chain(source, [inner, outer]).config)
    if folded.source_array_config != source.config:
        return  # float64 would not hold its range
    (a, b), (c, d) = ([Fraction(float(x)) for x in pair] for pair in (inner, outer))
    low, span = a + (b - a) * c, (b - a) * (d - c)
    assert abs((Fraction(folded.max) - Fraction(folded.min)) / span - 1) < Fraction(1, 2**28)
    assert abs(Fraction(folded.min) - low) <= (abs(a) + abs((b - a) * c)) / 2**51


def test_long_chains_fold_into_one():
    source = from_numpy(sample_voxels((4, 5), "uint8"))
    array = chain(source, [(0, 255), (0.25, 0.75), (0, 2)] + 29 * [(-1, 1)])
    folded = fold(array.config)
    assert folded.source_array_config == source.config
    np.testing.assert_allclose(folded.array().read(), array.read(), rtol=1e-5)


def test_what_stands_outside_stays_there():
    source = from_numpy(np.array([[0, 64, 128, 255]], "uint8"))
    outer = source.intensities(min=0, max=128).intensities(min=0.25, max=0.75, clip=True)
    named = attrs.evolve(outer.config, name="contrast")
    folded = named.folded(named.source_array_config)
    expected = IntensitiesArrayConfig(
        source_array_config=source.config, min=32, max=96, clip=True, name="contrast"
    )
    assert (folded, folded.name) == (expected, "contrast")


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ({"min": 0, "max": 1, "clip": True}, {"min": 0, "max": 2}),
        ({"min": 0, "max": 1e-30}, {"min": 0, "max": 1e30}),  # what is between them may overflow
        ({"min": 0, "max": 1e30}, {"min": 0, "max": 1e-30}),
        ({"min": 1e9, "max": 1e9 + 1}, {"min": 0.5, "max": 0.5 + 2**-20}),  # 1e9 hides the range
        ({"min": 0, "max": 1e10}, {"min": 1e300, "max": 2e300}),
    ],
)
def test_what_does_not_fold(inner, outer):
    source = from_numpy(sample_voxels((4, 5), "float64"))
    array = source.intensities(**inner).intensities(**outer)
    assert array.config.folded(array.config.source_array_config) is None


def test_other_operators_do_not_fold():
    array = from_numpy(sample_voxels((4, 5), "uint8")).ones_like().intensities(min=0, max=2)
    assert array.config.folded(array.config.source_array_config) is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "uint64", "float16"])
@pytest.mark.parametrize("low", [0, 0.1])
def test_a_wider_out_is_filled_without_blocks_in_between(dtype, low, monkeypatch):
    monkeypatch.setattr(_loading, "WORTH_LOADING", math.inf)  # the loops' own tests do the same
    source = from_numpy(np.ones((64, 64, 64), dtype))
    config = source.intensities(min=low, max=255, clip=True).config
    block = Block(source.read(), source.spec.box, source.spec)
    holder = np.zeros((64, 65, 66))
    out = holder[:, 1:, 1:-1]
    tracemalloc.start()
    try:
        assert config.compute(source.spec.box, block, out=out) is out
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(out, config.compute(source.spec.box, block))
    assert peak < 2**20  # a block of float32 has as much, one of float64 twice of it
    assert config.widens
