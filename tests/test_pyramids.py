import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import pyramids
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box
from dacapo_like.kernels.pool import pool
from dacapo_like.pyramids import coarser, halvings, read_pooled
from dacapo_like.spec import from_shape

SIZES = st.fractions(min_value=Fraction(1, 100), max_value=1000, max_denominator=100)


@given(shape=st.tuples(*[st.integers(1, 3000)] * 3), voxel_size=st.tuples(*[SIZES] * 3))
def test_levels_become_isotropic_and_small(shape, voxel_size):
    spec = from_shape(shape, voxel_size=voxel_size)
    levels = [spec]
    for factors in halvings(spec, 64):
        assert set(factors) <= {1, 2}
        before = levels[-1]
        sizes = [s for s, n in zip(before.voxel_size, before.shape, strict=True) if n > 1]
        halved = [
            (s, f)
            for s, n, f in zip(before.voxel_size, before.shape, factors, strict=True)
            if n > 1
        ]
        assert all((f == 2) == (s < 2 * min(sizes)) for s, f in halved)
        levels.append(coarser(before, factors))
        assert levels[-1].offset == spec.offset
    assert all(max(level.shape) > 64 for level in levels[:-1])
    assert max(levels[-1].shape) <= 64


def test_a_counted_pyramid_ends_where_nothing_is_left_to_halve():
    spec = from_shape((1, 9, 5))
    assert [sum(factors) for factors in halvings(spec, 64, 3)] == [5, 5, 4]
    with pytest.raises(SpecError, match="not so many levels") as caught:
        halvings(spec, 64, 4)
    assert caught.value.expected == "at most 4"


@pytest.mark.parametrize("units", [("nm", None), ("nm", "px"), (None, None)])
def test_sizes_without_a_common_unit_are_compared_as_they_are(units):
    spec = from_shape((100, 100), voxel_size=(1, 4), units=units)
    assert halvings(spec, 1, 1) == [(2, 1)]


def test_sizes_are_compared_in_one_unit():
    spec = from_shape((100, 100), voxel_size=(1, 4), units=("um", "nm"))
    assert halvings(spec, 1, 1) == [(1, 2)]


@pytest.mark.parametrize("method", ["mean", "mode"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool"])
@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_a_box_is_pooled_in_pieces(monkeypatch, method, dtype, at_once):
    monkeypatch.setattr(pyramids, "READ_AT_ONCE", at_once)
    data = np.random.default_rng(0).integers(0, 3, (2, 12, 10)).astype(dtype)
    largest = 0

    def read(box):
        nonlocal largest
        largest = max(largest, box.size)
        return data[box.slices]

    found = read_pooled(read, Box((0, 1, 1), (2, 3, 3)), (1, 3, 2), method, data.dtype)
    np.testing.assert_array_equal(found, pool(data[:, 3:12, 2:8], (1, 3, 2), method))
    assert largest <= max(at_once, math.prod((1, 3, 2)))


def test_nothing_is_read_for_an_empty_box():
    found = read_pooled(None, Box((0, 0), (0, 4)), (2, 2), "mean", np.dtype("uint8"))
    assert found.shape == (0, 4)


def test_nothing_left():
    with pytest.raises(SpecError, match="nothing is left"):
        coarser(from_shape((4, 4)), (5, 1))
