import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import SourceError
from dacapo_like.geometry import exact
from dacapo_like.record import NAMESPACE, read_record, stored_number, write_record
from dacapo_like.spec import from_shape

NUMBERS = st.fractions(min_value=Fraction(-(10**12)), max_value=Fraction(10**12)).map(exact)


def through_json(record):
    return read_record({NAMESPACE: json.loads(json.dumps(record), parse_float=Decimal)}, "a.zarr")


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_every_rational_survives_json(values):
    record = through_json(write_record(from_shape((2, 2)), {"0": {"scale": values}}))
    stored = json.loads(json.dumps([stored_number(value) for value in values]))
    assert record.restore("0", "scale", [exact(number) for number in stored]) == tuple(values)


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
    )
)
def test_short_decimals_need_no_record(value):
    assert exact(json.loads(json.dumps(stored_number(exact(value))))) == exact(value)
    assert "exact" not in write_record(from_shape((2, 2)), {"0": {"scale": [exact(value)]}})


def test_a_number_that_somebody_changed_is_theirs():
    record = through_json(write_record(from_shape((2, 2)), {"0": {"scale": [Fraction(10, 3)] * 2}}))
    stored = [exact(10 / 3), 5]
    assert record.restore("0", "scale", stored) == (Fraction(10, 3), 5)
    assert record.restore("0", "scale", [5]) == (5,)
    assert record.restore("1", "scale", stored) == tuple(stored)


def test_directions_units_and_attributes_are_kept():
    directions = ((0.6, 0.8), (-0.8, 0.6000000000000001))
    spec = from_shape((2, 2), "uint64", units=("px", None), directions=directions, anchor="corner")
    written = write_record(spec, {}, {"config": {"type": "zarr"}}, units=True)
    record = through_json(written)
    assert record.directions == directions
    assert record.units == ("px", None)
    assert (record.anchor, record.kind) == ("corner", "labels")
    assert written["attributes"] == {"config": {"type": "zarr"}}


def test_other_files_have_no_record():
    assert read_record({"ome": {}}, "a.zarr").anchor is None


@pytest.mark.parametrize(
    "record",
    [
        "center",
        {"anchor": "left"},
        {"kind": 3},
        {"directions": [["x"]]},
        {"exact": {"0": {"scale": ["x"]}}},
    ],
)
def test_a_record_that_is_not_ours_is_an_error(record):
    with pytest.raises(SourceError, match=NAMESPACE) as caught:
        read_record({NAMESPACE: record}, "a.zarr")
    assert caught.value.where == "a.zarr"
