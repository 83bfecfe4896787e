"""Boxes out of chunks: what numpy cuts out of the whole array."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.kernels import gathering
from dacapo_like.kernels.gathering import Chunk, gather


@pytest.fixture(params=[True, False], ids=["compiled", "numpy"], autouse=True)
def _compiled(request, monkeypatch):
    monkeypatch.setattr(gathering, "pays", lambda loop, saves: request.param)


def check(shape, chunk, start, length, dtype, absent=()):
    whole = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    box = tuple(slice(o, o + n) for o, n in zip(start, length, strict=True))
    expected, chunks = whole.copy(), []
    for number, index in enumerate(
        product(
            *[
                range(o // c, (o + n - 1) // c + 1)
                for o, n, c in zip(start, length, chunk, strict=True)
            ]
        )
    ):
        place = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))
        chunks.append(None if number in absent else Chunk(whole[place].copy()))
        if number in absent:
            expected[place] = 0
    out = np.zeros(length, dtype)
    gather(chunks, start, chunk, shape, out)
    np.testing.assert_array_equal(out, expected[box])


@pytest.mark.parametrize("dtype", ["bool", "u1", ">u2", "f4", "u8", "g", "c16"])
@pytest.mark.parametrize("ndim", [1, 2, 3, 4, 5])
def test_a_box_is_put_together(dtype, ndim):
    shape, chunk = (7, 9, 8, 6, 11)[:ndim], (4, 3, 5, 6, 4)[:ndim]
    check(shape, chunk, (0,) * ndim, shape, dtype)
    check(shape, chunk, (3,) * ndim, (2,) * ndim, dtype, absent=[0])
    check(shape, chunk, (2,) * ndim, tuple(n - 2 for n in shape), dtype, absent=[1])


@given(st.data())
def test_any_box_of_any_chunks(data):
    ndim = data.draw(st.integers(1, 4))
    shape = data.draw(st.tuples(*[st.integers(1, 9)] * ndim))
    chunk = data.draw(st.tuples(*[st.integers(1, 10)] * ndim))
    start = data.draw(st.tuples(*[st.integers(0, n - 1) for n in shape]))
    length = tuple(
        data.draw(st.integers(1, n - o), label="length") for n, o in zip(shape, start, strict=True)
    )
    absent = data.draw(st.sets(st.integers(0, 10), max_size=3))
    check(shape, chunk, start, length, data.draw(st.sampled_from(["u1", "u2", "f8"])), absent)


def test_an_array_that_is_longer_than_any_count_of_bytes():
    out = np.zeros((2, 2), "u1")
    gather([Chunk(np.arange(8, dtype="u1").reshape(4, 2))], (1, 0), (4, 2), (2**70, 2), out)
    assert out.tolist() == [[2, 3], [4, 5]]
