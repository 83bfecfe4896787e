"""Classes of labels: to look up a class says what np.isin says of the label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.kernels import classes as module
from dacapo_like.kernels.classes import LabelClasses
from dacapo_like.kernels.labels import group_masks


@pytest.fixture(params=[True, False], ids=["compiled", "numpy"])
def compiled(request, monkeypatch):
    monkeypatch.setattr(module, "pays", lambda loop, saves: request.param)


def check(groups, background, labels):
    classes = LabelClasses(groups=groups, background=background)
    found = classes(labels)
    assert found.dtype == np.uint8
    assert found.shape == labels.shape
    assert found.max(initial=0) < len(classes)
    for group, members in zip(groups, classes.members, strict=True):
        exact = labels.reshape(-1).tolist()  # Python's integers: numpy makes floats of some
        expected = [(not group or i in group) and i != background for i in exact]
        np.testing.assert_array_equal(np.isin(found, members).reshape(-1), expected)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", ">i4", "u8", "i8", ">u8"])
def test_classes_say_what_groups_a_label_is_in(compiled, dtype):
    info = np.iinfo(dtype)
    ids = [0, 1, 2, 3, 7, 100, info.max, info.min, 2**63, -5, 2**70]
    rng = np.random.default_rng(2)
    held = [i for i in ids if info.min <= i <= info.max]
    labels = np.array(held, dtype)[rng.integers(0, len(held), (5, 6, 7))]
    labels[:3] = held[2]  # a run
    check(((1, 2), (), (2, 7, 2**63), (info.max, info.min, -5), (2**70,)), 0, labels)
    check(((1, 2), (0, 3)), 2, labels[:, ::2, ::-1])
    check(((5,),), 2**71, labels)
    check(((2**71,),), 2**71, labels)


@given(
    st.lists(st.lists(st.integers(-3, 12), max_size=5).map(tuple), min_size=1, max_size=9),
    st.integers(-3, 12),
    st.lists(st.integers(0, 14), max_size=40),
    st.sampled_from(["u1", "u4", "i8"]),
)
def test_any_groups(groups, background, labels, dtype):
    check(tuple(groups), background, np.array(labels, dtype))


def test_many_ids_and_real_runs(compiled):
    rng = np.random.default_rng(4)
    ids = rng.choice(2**60, 2000, replace=False).tolist()
    labels = np.repeat(np.array(ids, np.uint64)[rng.integers(0, 2000, 500)], 37)
    groups = (tuple(ids[:700]), tuple(ids[500:900]), (ids[3],))
    check(groups, ids[0], labels)
    classes = LabelClasses(groups=groups, background=ids[0])
    masks = group_masks(labels, groups, background=ids[0])
    by_class = group_masks(classes(labels), classes.members, background=256)
    np.testing.assert_array_equal(masks, by_class)


def test_classes_of_equal_groups_are_equal():
    one, two = (LabelClasses(groups=((1, 2), (3,)), background=0) for _ in range(2))
    one(np.zeros(3, "u8"))
    assert one == two
    assert hash(one) == hash(two)
    assert one != LabelClasses(groups=((1, 2), (3,)), background=1)
    assert len(LabelClasses(groups=tuple((i,) for i in range(1, 400)), background=0)) == 400
