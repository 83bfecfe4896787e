"""Copies: what numpy's own assignment leaves in the target."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.kernels import copying
from dacapo_like.kernels.copying import put


@pytest.fixture(params=[True, False], ids=["compiled", "numpy"])
def compiled(request, monkeypatch):
    monkeypatch.setattr(copying, "pays", lambda loop, saves: request.param)
    return request.param


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "uint16", "int16", "uint64", "float32", ">u2"]
)
@pytest.mark.parametrize("shape", [(5, 7, 9), (7, 9), (2, 5, 7, 9), (0, 4, 4), (1, 1, 1)])
def test_a_part_becomes_the_source(compiled, dtype, shape):
    rng = np.random.default_rng(3)
    source = rng.integers(0, 100, shape).astype(dtype)
    around = rng.integers(0, 100, [n + 3 for n in shape]).astype(dtype)
    expected = around.copy()
    part = tuple(slice(1, n + 1) for n in shape)
    expected[part] = source
    source.setflags(write=False)
    put(source, around[part])
    np.testing.assert_array_equal(around, expected)


@given(st.data())
def test_any_strides(data):
    steps = [data.draw(st.sampled_from([1, 2, -1, -3])) for _ in range(6)]
    order = data.draw(st.permutations(range(3)))
    source = np.arange(6**3, dtype="u1").reshape(6, 6, 6).transpose(order)
    source = source[tuple(slice(None, None, s) for s in steps[:3])]
    big = np.zeros(tuple(n * abs(s) for n, s in zip(source.shape, steps[3:], strict=True)), "u1")
    target = big[tuple(slice(None, None, s) for s in steps[3:])]
    put(source, target)
    np.testing.assert_array_equal(target, source)
    assert big.astype(int).sum() == source.astype(int).sum()


def test_another_dtype_is_converted(compiled):
    target = np.zeros((2, 3, 4), "f4")
    put(np.full((2, 3, 4), 7, "u1"), target)
    assert (target == 7).all()


def test_shapes_have_to_be_equal(compiled):
    with pytest.raises(ValueError, match="broadcast"):
        put(np.ones((2, 3, 4), "u1"), np.ones((2, 3, 5), "u1"))
