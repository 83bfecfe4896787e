"""JSON documents: values and errors are those of the standard library, positions by hand."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dacapo_like.config.document import parse_document
from dacapo_like.errors import DocumentError

MORE_THAN_A_FLOAT = re.compile(r"[eE][-+]?\d{3}|\d[\d.]{15}")


def refused(text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, format="json")
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [('{"a": 1,}', 1, 8), ("[1,\n 2,]", 2, 3), ("[[1], ]", 1, 5), ('{"a": [1,\n\n]}', 1, 9)],
)
def test_a_comma_behind_the_last_value_is_where_the_problem_is(text, line, column):
    error = refused(text)
    assert (error.code, error.line, error.column) == ("DL001", line, column)
    assert "a comma behind the last value" in error.what


@pytest.mark.parametrize(
    "text",
    [
        *('{"a": 1 // one\n}', "{'a': 1}", '{"a" 1}', '["a\nb"]'),
        *('{"a": 01}', '["\\x"]', "[1] 2", '["open', "{", "+1", '{"a": tru}', "\n \n}"),
    ],
)
def test_fails_where_the_standard_library_does(text):
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(text)
    error = refused(text)
    assert (error.code, error.line, error.column) == (
        "DL001",
        caught.value.lineno,
        caught.value.colno,
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_are_finite(number):
    error = refused(f'[1,\n  "NaN", {number}]')
    assert (error.code, error.line, error.column) == ("DL001", 2, 10)


def test_strings_hold_whole_characters():
    error = refused('["a", "\\ud83d"]')
    assert (error.code, error.line, error.column) == ("DL001", 1, 7)


def test_empty():
    assert "empty" in refused("\n ").message


def test_duplicate_keys():
    text = '{"a": {\n\t"b": 1,\n\t"b": {"b": 2, "b": 3}}}'
    document = parse_document(text, format="json")
    assert document.data == {"a": {"b": 1}}
    found = [(p.code, p.line, p.column, p.key) for p in document.problems]
    assert found == [("DL003", 3, 2, "a.b"), ("DL003", 3, 16, "a.b.b")]
    assert "line 2, column 2" in document.problems[0].message


def test_a_merge_key_is_an_ordinary_one():
    assert parse_document('{"<<": {"a": 1}}', format="json").data == {"<<": {"a": 1}}


def test_positions():
    text = '{\n\t"a": "\\ud83d\\ude00", "é\\"": [1,\n\t\t{"b": null}],\r\n\t"c": -1.5e3}'
    document = parse_document(text, format="json")
    assert document.data == {"a": "😀", 'é"': [1, {"b": None}], "c": -1500.0}
    values = {key: (place.line, place.column) for key, place in document.positions.items()}
    assert values == {
        (): (1, 1),
        ("a",): (2, 7),
        ('é"',): (2, 30),
        ('é"', 0): (2, 31),
        ('é"', 1): (3, 3),
        ('é"', 1, "b"): (3, 9),
        ("c",): (4, 7),
    }
    key = document.key_positions["c",]
    assert (key.line, key.column) == (4, 2)


@given(text=st.text(alphabet="[]{}:,\"'0.- \n\t+e1tru\\é", max_size=40) | st.text())
@example('["\\u12"]')
@example("-")
@example("-0")
@example("[Infinity]")
def test_any_text_is_read_or_refused_as_by_the_standard_library(text):
    assume(not MORE_THAN_A_FLOAT.search(text))
    try:
        expected = json.loads(text, parse_constant=int)
    except ValueError:
        assert refused(text).code == "DL001"
    else:
        document = parse_document(text, format="json")
        assert document.problems or repr(document.data) == repr(expected)


@given(
    data=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False).filter(abs)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ),
    indent=st.sampled_from([None, 0, 2, "\t"]),
    ascii_only=st.booleans(),
)
def test_any_data_of_the_standard_library(data, indent, ascii_only):
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only, allow_nan=True)
    if "Infinity" not in text:
        assert repr(parse_document(text, format="json").data) == repr(data)
