"""Chunks by their closed form: what has to be true of any of them, and some that can be told beforehand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Coordinate
from dacapo_like.patches.chunks import pick_chunks

DTYPES = ("uint8", "uint16", "float32", "uint64")
AXES = st.tuples(
    st.one_of(st.integers(0, 9), st.integers(1, 5000)),
    st.sampled_from([1, 4, 9.8, "10/3", 40, 1000]),
)


def most(dtype, target):
    return int(Fraction(target) * 2**20) // np.dtype(dtype).itemsize


@given(
    axes=st.lists(AXES, min_size=1, max_size=4),
    dtype=st.sampled_from(DTYPES),
    target=st.sampled_from([Fraction(1, 2**15), Fraction(1, 3), 1, 7, 64, 10**6]),
    in_world=st.booleans(),
)
def test_what_is_true_of_all_chunks(axes, dtype, target, in_world):
    shape, voxel_size = zip(*axes, strict=True)
    chunk = pick_chunks(shape, dtype, target, voxel_size=voxel_size if in_world else None)
    limit = most(dtype, target)
    ends = [max(n, 1) for n in shape]
    assert math.prod(chunk) <= limit
    lengths = list(Coordinate(chunk) * Coordinate(voxel_size)) if in_world else list(chunk)
    for i, (n, end) in enumerate(zip(chunk, ends, strict=True)):
        assert 1 <= n <= end
        assert n == end or n.bit_count() == 1
        if n < end:
            assert math.prod(chunk) // n * min(2 * n, end) > limit, "the axis could be longer"
            assert all(
                length <= 2 * lengths[i]
                for other, length, whole in zip(chunk, lengths, ends, strict=True)
                if 1 < other < whole
            )


@given(exponents=st.lists(st.integers(0, 7), min_size=3, max_size=3), dims=st.integers(1, 4))
def test_cubes_where_the_target_is_one(exponents, dims):
    for exponent in exponents:
        target = Fraction(2 ** (exponent * dims), 2**20)
        assert pick_chunks((10_000,) * dims, "uint8", target) == (2**exponent,) * dims


@pytest.mark.parametrize(
    ("shape", "dtype", "target", "voxel_size", "chunk"),
    [
        ((1000,) * 3, "uint8", 1, None, (64, 128, 128)),
        ((1000,) * 3, "uint16", 1, None, (64, 64, 128)),
        ((1000,) * 3, "uint64", 4, None, (64, 64, 128)),
        ((2048, 2048), "uint8", 4, None, (2048, 2048)),
        ((3, 5, 7), "float64", 1, None, (3, 5, 7)),
        ((65, 64, 64), "uint8", 65 / 256, None, (65, 64, 64)),
        ((1000,) * 3, "uint8", 1, (40, 4, 4), (16, 256, 256)),
        ((1000,) * 3, "uint8", 1, (4, 40, 4), (256, 16, 256)),
        ((1000,) * 3, "uint8", 1, (32, 8, 8), (32, 128, 256)),
        ((1, 1, 10**7), "uint8", 1, (1000, 1000, 1), (1, 1, 2**20)),
        ((0, 10), "uint8", 1, None, (1, 10)),
        ((), "uint8", 1, None, ()),
    ],
)
def test_chunks_that_can_be_told_beforehand(shape, dtype, target, voxel_size, chunk):
    assert pick_chunks(shape, dtype, target, voxel_size=voxel_size) == chunk


@given(st.tuples(*[st.integers(1, 3000)] * 3), st.integers(1, 100))
def test_only_the_form_of_voxels_counts_and_not_their_unit(shape, factor):
    expected = pick_chunks(shape, "uint16", 1, voxel_size=(40, 9.8, 4))
    in_other = Coordinate(40, 9.8, 4) * Fraction(1, factor)
    assert pick_chunks(shape, "uint16", 1, voxel_size=in_other) == expected


@pytest.mark.parametrize(
    ("shape", "target", "voxel_size", "message"),
    [
        ((5, 5), 0, None, "less than a voxel"),
        ((5, 5), 2**-18, None, "less than a voxel"),
        ((5, 5), -1, None, "less than a voxel"),
        ((5, 5), 1, (1, 1, 1), "do not fit"),
        ((5, 5), 1, (1, 0), "do not fit"),
        ((5, -5), 1, None, "do not fit"),
        ((5, 5), "1 MB", None, "not a number"),
    ],
)
def test_what_is_no_size_is_refused(shape, target, voxel_size, message):
    with pytest.raises(ConfigError, match=message):
        pick_chunks(shape, "uint64", target, voxel_size=voxel_size)
