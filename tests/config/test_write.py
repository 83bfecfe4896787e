"""Written documents: read back equal by our reader and by those of other libraries."""

from __future__ import annotations

import enum
import http
import json
import math
import tomllib
from decimal import Decimal

import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dacapo_like.config.document import MAX_DEPTH, MAX_NODES, parse_document, write_document
from dacapo_like.errors import DocumentError

each_format = pytest.mark.parametrize("kind", ["yaml", "toml", "json"])

# Strings that some YAML would take for something else.
tricky = st.sampled_from(
    [
        *("", " ", "~", "null", "yes", "on", "1e3", "1e-05", "0o17", "010", "1:30", "2024-01-01"),
        *("<<", "=", "-", "- a", "a: b", "a #b", "#", "*a", "&a", "!a", "%", "@", "`", "? a", "|"),
        *("[", "]", "{", "}", ",", '"', "'", "\\", "\\n", "''", '"""', "'''", ".inf", ".5", "0x1"),
        *("\n", "a\n", "\na", " a\n b", "\t", "\r\n", "\x85", "\u2028", "\ufeff", "\x7f", "\0"),
        *("é", "😀", "\uffff", "\xa0", "a  b", "true", "1_000", "a" * 300, "--- a", "...", "key: "),
    ]
)
texts = tricky | st.text()
finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [1e-05, 1e16, 1e22, -0.0]
)
integers = st.integers() | st.just(2**64 - 1)


def trees(scalars):
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=25,
    )


values = st.booleans() | integers | finite | texts
tables = st.dictionaries(texts, trees(values), max_size=5)


class TestRoundTrips:
    @given(data=trees(values | st.none() | st.floats()))
    def test_yaml(self, data):
        assert repr(parse_document(write_document(data, "yaml")).data) == repr(data)

    @given(data=trees(values | st.none()))
    def test_json(self, data):
        text = write_document(data, "json")
        assert (
            repr(parse_document(text, format="json").data) == repr(data) == repr(json.loads(text))
        )

    @given(data=st.dictionaries(texts, trees(values | st.floats()), max_size=5))
    @example(data={})
    @example(data={"a": {"b": {}}, "c": [{}, {"d": [[]]}], "e": [{}]})
    def test_toml(self, data):
        text = write_document(data, "toml")
        assert (
            repr(parse_document(text, format="toml").data)
            == repr(data)
            == repr(tomllib.loads(text))
        )

    @given(data=trees(values | st.none()))
    def test_readers_of_yaml_1_1_agree(self, data):
        assert repr(yaml.safe_load(write_document(data, "yaml"))) == repr(data)

    @each_format
    @given(
        number=st.decimals(allow_nan=False, allow_infinity=False, places=30)
        | st.decimals(-100, 100)
    )
    @example(number=Decimal("1E+400"))
    @example(number=Decimal("-1.5E-400"))
    @example(number=Decimal(7))
    def test_decimals(self, kind, number):
        written = write_document({"a": [number]}, kind)
        (value,) = parse_document(written, format=kind).data["a"]
        assert (Decimal(repr(value)) if isinstance(value, float) else value) == number

    @each_format
    def test_decimals_are_written_in_full(self, kind):
        assert "0.00000000012345678901234567" in write_document(
            {"a": Decimal("1.2345678901234567E-10")}, kind
        )

    @each_format
    def test_subclasses_of_plain_types(self, kind):
        class Letter(str, enum.Enum):  # noqa: UP042  its str() is not its value
            A = "a"

        data = {Letter.A: [Letter.A, http.HTTPStatus.OK, np.float64(9.8)]}
        assert (
            repr(parse_document(write_document(data, kind), format=kind).data)
            == "{'a': ['a', 200, 9.8]}"
        )

    @each_format
    def test_tuples_become_lists(self, kind):
        text = write_document({"a": (1, (2,))}, kind)
        assert parse_document(text, format=kind).data == {"a": [1, [2]]}


DATA = {
    "arrays": {
        "raw": {
            "type": "zarr",
            "file_name": "fly.zarr",
            "voxel_size": [25, 9.8, 9.8],
            "attributes": {"sample": "a fly", "stain": "osmium", "lab": "the one upstairs"},
        },
        "cropped": {"type": "crop", "source": "raw", "affine": [[1, 0], [0, 1]]},
    },
    "datasets": [
        {"name": "crop1", "raw": "cropped", "note": "long enough for a header of its own"}
    ],
}


class TestLayout:
    def test_yaml(self):
        assert (
            write_document(DATA, "yaml")
            == """\
arrays:
  raw:
    type: zarr
    file_name: fly.zarr
    voxel_size: [25, 9.8, 9.8]
    attributes:
      sample: a fly
      stain: osmium
      lab: the one upstairs
  cropped:
    type: crop
    source: raw
    affine:
    - [1, 0]
    - [0, 1]
datasets:
- name: crop1
  raw: cropped
  note: long enough for a header of its own
"""
        )

    def test_toml(self):
        assert (
            write_document(DATA, "toml")
            == """\
[arrays]

[arrays.raw]
type = "zarr"
file_name = "fly.zarr"
voxel_size = [25, 9.8, 9.8]
attributes = { sample = "a fly", stain = "osmium", lab = "the one upstairs" }

[arrays.cropped]
type = "crop"
source = "raw"
affine = [[1, 0], [0, 1]]

[[datasets]]
name = "crop1"
raw = "cropped"
note = "long enough for a header of its own"
"""
        )

    def test_json(self):
        assert (
            write_document({"a": [1, 2.5], "b": [[1], {}], "é": None}, "json")
            == """\
{
  "a": [1, 2.5],
  "b": [
    [1],
    {}
  ],
  "é": null
}
"""
        )

    def test_long_lists_take_a_line_per_item(self):
        numbers = list(range(100, 130))
        assert len(write_document({"a": numbers}, "yaml").splitlines()) == 31
        assert len(write_document({"a": numbers}, "toml").splitlines()) == 32
        assert len(write_document({"a": numbers}, "json").splitlines()) == 34

    @pytest.mark.parametrize("text", ["yes", "1e3", "0o17", "~", "1:30", "2024-01-01", "9.8"])
    def test_what_is_no_string_unquoted_is_quoted(self, text):
        assert write_document({"a": text}, "yaml") == f"a: '{text}'\n"

    def test_nothing_is_an_alias(self):
        shared = [1, 2]
        assert write_document({"a": shared, "b": shared}, "yaml") == "a: [1, 2]\nb: [1, 2]\n"


class TestRefusals:
    @each_format
    @pytest.mark.parametrize(
        "value",
        [object(), {1, 2}, b"bytes", 1j, "\ud800", 10**400, Decimal("sNaN"), Decimal("1e500")],
        ids=[
            "object",
            "set",
            "bytes",
            "complex",
            "surrogate",
            "huge",
            "no-number",
            "huge-exponent",
        ],
    )
    def test_what_is_not_plain(self, kind, value):
        with pytest.raises(DocumentError, match=r"at 'a\[1\]'") as caught:
            write_document({"a": [0, value]}, kind)
        assert caught.value.key == ("a", 1)

    @each_format
    @pytest.mark.parametrize("key", [1, None, True, ("a",), "\ud800"])
    def test_keys_are_strings(self, kind, key):
        with pytest.raises(DocumentError) as caught:
            write_document({"a": {key: 1}}, kind)
        assert caught.value.key == ("a",)

    @each_format
    def test_data_in_itself(self, kind):
        data = {"a": []}
        data["a"] += [data, data]
        with pytest.raises(DocumentError, match=f"at most {MAX_DEPTH}"):
            write_document(data, kind)

    @each_format
    def test_too_much(self, kind):
        with pytest.raises(DocumentError, match=f"at most {MAX_NODES}"):
            write_document({"a": [0] * MAX_NODES}, kind)

    def test_toml_has_no_null(self):
        with pytest.raises(DocumentError, match=r"no null.*'a\.b'.*drop the key"):
            write_document({"a": {"b": None}}, "toml")

    def test_toml_is_a_table(self):
        with pytest.raises(DocumentError, match="list"):
            write_document([1], "toml")

    @pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, Decimal("inf")])
    def test_json_is_finite(self, number):
        with pytest.raises(DocumentError, match="'a'"):
            write_document({"a": number}, "json")

    def test_unknown_formats(self):
        with pytest.raises(DocumentError, match="'xml'"):
            write_document({}, "xml")
