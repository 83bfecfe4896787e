"""Arrays of a dataset that do not fit together are found, those that do are left in peace."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dacapo_like import from_numpy
from dacapo_like.config.agreement import dataset_findings


def array(shape=(8, 8), voxel_size=(8, 8), offset=(0, 0), units="nm", axes=None):
    data = np.zeros(shape, "uint8")
    return from_numpy(data, axes=axes, voxel_size=voxel_size, offset=offset, units=units)


def found(**arrays):
    return [
        (finding.key[2:], finding.error.code, severity)
        for finding, severity in dataset_findings(arrays, ("datasets", 0))
    ]


RAW = array()


@pytest.mark.parametrize(
    "gt",
    [
        array(),
        array(shape=(4, 4), voxel_size=(16, 16)),
        array(shape=(32, 32), voxel_size=(2, 2)),
        array(shape=(4, 8), voxel_size=(16, 8), offset=(-16, 8)),
        array(offset=(16, -8)),
        array(voxel_size=(0.008, 0.008), units="um"),
        array(shape=(2, 8, 8), axes=["c", "y", "x"]),
        array(offset=(4, 4), shape=(16, 16), voxel_size=(4, 4)),
    ],
    ids=["same", "coarser", "finer", "one-axis", "moved", "unit", "channels", "inside-a-voxel"],
)
def test_arrays_that_fit_are_left_in_peace(gt):
    assert found(raw=RAW, gt=gt) == []
    assert found(raw=gt, gt=RAW) == []
    assert found(raw=RAW) == []


@pytest.mark.parametrize(
    ("gt", "code", "severity"),
    [
        (array(offset=(800, 0)), "DL230", "error"),
        (array(offset=(64, 0)), "DL230", "error"),
        (array(offset=(-64, 0)), "DL230", "error"),
        (array(shape=(8, 8, 8), voxel_size=(8, 8, 8), offset=(0, 0, 0)), "DL231", "error"),
        (array(axes=["z", "x"]), "DL231", "error"),
        (array(offset=(4, 4)), "DL232", "error"),
        (array(offset=(0, 3)), "DL232", "error"),
        (array(shape=(4, 4), voxel_size=(16, 16), offset=(4, 0)), "DL232", "error"),
        (array(voxel_size=(12, 8)), "DL404", "warning"),
        (array(units=None), "DL402", "warning"),
    ],
    ids=str,
)
def test_arrays_that_do_not_are_told_apart(gt, code, severity):
    assert found(raw=RAW, gt=gt) == [(("gt",), code, severity)]


def test_half_a_voxel_hints_at_the_anchor():
    ((finding, _),) = dataset_findings({"raw": RAW, "gt": array(offset=(4, 4))}, ())
    assert "anchor" in finding.error.hint
    ((finding, _),) = dataset_findings({"raw": RAW, "gt": array(offset=(3, 4))}, ())
    assert "anchor" not in finding.error.hint


def test_three_arrays_may_meet_two_by_two_and_not_all_at_once():
    left = array(shape=(8, 4))
    right = array(shape=(8, 4), offset=(0, 32))
    assert found(raw=RAW, gt=left, mask=right) == [((), "DL230", "error")]
    assert found(raw=RAW, gt=left, mask=left) == []


sizes = st.fractions(min_value=Fraction(1, 4), max_value=8, max_denominator=4)
places = st.fractions(min_value=-20, max_value=20, max_denominator=6)


@given(sizes, sizes, places, st.integers(1, 12), st.integers(1, 12))
def test_one_axis_is_judged_as_counting_corners_says(size, other, offset, n, m):
    first = array(shape=(n,), voxel_size=(size,), offset=(0,), axes=["x"])
    second = array(shape=(m,), voxel_size=(other,), offset=(offset,), axes=["x"])
    overlap = max(Fraction(0), offset) < min(n * size, offset + m * other)
    period = 24 * 24 * 2  # of both grids, in voxels of the first, at the most
    corners = {k * size for k in range(-period, period)}
    meets = any(offset + k * other in corners for k in range(200))
    assume(not overlap or meets or size.denominator * other.denominator < 200)
    codes = [code for _, code, _ in found(raw=first, gt=second)]
    if not overlap:
        assert codes == ["DL230"]
    elif not meets:
        assert codes == ["DL232"]
    else:
        ratio = other / size
        assert codes == ([] if 1 in (ratio.numerator, ratio.denominator) else ["DL404"])
