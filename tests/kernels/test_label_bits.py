"""Bytes of labels: their bits say what a set of Python's integers says of the label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.kernels import label_bits
from dacapo_like.kernels.label_bits import LabelBits, spread_bits
from dacapo_like.kernels.labels import group_masks


@pytest.fixture(params=[True, False], ids=["compiled", "numpy"])
def _compiled(request, monkeypatch):
    monkeypatch.setattr(label_bits, "pays", lambda loop, saves: request.param)


def check(tests, labels):
    bits = LabelBits(tests)
    found = bits(labels)
    assert found.dtype == np.uint8
    assert found.shape == labels.shape
    exact = labels.reshape(-1).tolist()  # Python's integers: numpy makes floats of some
    for ids, background in tests:
        expected = [(not ids or i in ids) and i != background for i in exact]
        passed = found & bits.bit((ids, background))
        np.testing.assert_array_equal(passed.reshape(-1) > 0, expected)


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", ">i4", "u8", "i8", ">u8"])
def test_bits_say_what_groups_a_label_is_in(dtype):
    info = np.iinfo(dtype)
    ids = [0, 1, 2, 3, 7, 100, info.max, info.min, 2**63, -5, 2**70]
    rng = np.random.default_rng(2)
    held = [i for i in ids if info.min <= i <= info.max]
    labels = np.array(held, dtype)[rng.integers(0, len(held), (5, 6, 7))]
    labels[:3] = held[2]  # a run
    ends = (info.max, info.min, -5)
    check((((1, 2), 0), ((), 0), ((2, 7, 2**63), 0), (ends, 0), ((2**70,), 0)), labels)
    check((((1, 2), 2), ((0, 3), 3)), labels[:, ::2, ::-1])
    check((((5,), 2**71), ((), 7)), labels)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(-3, 12), max_size=5).map(tuple), st.integers(-3, 12)),
        min_size=1,
        max_size=8,
        unique=True,
    ).map(tuple),
    st.lists(st.integers(0, 14), max_size=40),
    st.sampled_from(["u1", "u4", "i8"]),
)
def test_any_tests(tests, labels, dtype):
    check(tests, np.array(labels, dtype))


@pytest.mark.usefixtures("_compiled")
def test_many_ids_and_runs():
    rng = np.random.default_rng(4)
    ids = rng.choice(2**60, 2000, replace=False).tolist()
    labels = np.repeat(np.array(ids, np.uint64)[rng.integers(0, 2000, 500)], 37)
    groups = (tuple(ids[:700]), tuple(ids[500:900]), (ids[3],))
    tests = tuple((group, ids[0]) for group in groups)
    check(tests, labels)
    bits = LabelBits(tests)
    masks = spread_bits(bits(labels), [bits.bit(test) for test in tests])
    np.testing.assert_array_equal(masks, group_masks(labels, groups, background=ids[0]))


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "f2", "g", ">f4"])
@pytest.mark.parametrize("strided", [False, True])
def test_bits_become_channels_of_any_dtype(dtype, strided):
    found = np.random.default_rng(1).integers(0, 256, (3, 70, 90)).astype("u1")
    masks = [1, 128, 0, 6, 255]
    if strided:
        found = found[:, ::-2, 1::3].transpose(2, 0, 1)
    holder = np.full((5, *[n + 2 for n in found.shape]), 7, dtype)
    out = holder[:, 1:-1, 1:-1, 1:-1]
    assert spread_bits(found, masks, out) is out
    expected = np.stack([(found & mask) > 0 for mask in masks])
    np.testing.assert_array_equal(out, expected)
    assert (holder[:, 0] == 7).all()
    plain = spread_bits(found, masks)
    assert plain.dtype == np.uint8
    np.testing.assert_array_equal(plain, expected)


def test_equal_tests_are_equal_and_joined():
    one, two = (LabelBits((((1, 2), 0), ((3,), 0))) for _ in range(2))
    one(np.zeros(3, "u8"))
    assert one == two
    assert hash(one) == hash(two)
    assert one != LabelBits((((1, 2), 0), ((3,), 1)))
    both = one.joined(LabelBits((((), 0), ((3,), 0))))
    assert both.tests == (((1, 2), 0), ((3,), 0), ((), 0))
    assert LabelBits.of([((i,), 0) for i in range(9)]) is None
    assert both.joined(LabelBits(tuple(((i,), 0) for i in range(10, 16)))) is None
    assert both.joined(abs) is None


def test_large_arrays_are_done_in_parts(monkeypatch):
    monkeypatch.setattr(label_bits, "pays", lambda loop, saves: True)
    labels = np.random.default_rng(0).integers(0, 5, (3, 50, 70)).astype("u8")
    bits = LabelBits((((1, 2), 0), ((), 0), ((3,), 0)))
    whole, masks = bits(labels), [1, 2, 4]
    out = np.zeros((3, 3, 50, 140), "f4")[..., ::2]
    channels = spread_bits(whole, masks)
    monkeypatch.setattr(label_bits, "_AT_ONCE", 1000)
    np.testing.assert_array_equal(bits(labels), whole)
    np.testing.assert_array_equal(spread_bits(whole, masks, out), channels)
    np.testing.assert_array_equal(whole & 2 > 0, labels > 0)
