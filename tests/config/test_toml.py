"""TOML documents: values and errors are those of the standard library, positions by hand."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dacapo_like.config.document import parse_document
from dacapo_like.errors import DocumentError

TEXT = """\
title = "a"
"dotted".'key'.b = 1.5
[arrays.raw]   # comment with [brackets] = "and quotes
type = 'zarr'
shape = [
  10, # ]
  [20, { x = "}", y = 1979-05-27 07:32:00 }],
]
text = \"\"\"
[not.a.table]
c = 1 \\\"\"\" \"\"\"\"\"
raw = '''
]\\''''
[[datasets]]
name = "one"
[datasets.extra]
a.b = 1
[[ datasets ]]
name = "two"
[[datasets.parts]]
[[datasets.parts]]
p = {q.r = [], s = {}}
[arrays]
version = 2
"""


def refused(text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, format="toml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\nb 2", 2, 3),
        ("a = [1,\n 2", 2, 3),
        ("a = nope", 1, 5),
        ("[a\nb = 1", 1, 3),
        ("a = 2024-02-30", 1, 5),
    ],
)
def test_syntax_errors(text, line, column):
    error = refused(text)
    assert (error.code, error.line, error.column) == ("DL001", line, column)
    assert not re.search(r"\d", error.message.replace("2024-02-30", ""))


def test_duplicate_keys_are_syntax_errors():
    error = refused("[t]\nb = 1\nb = 2\n")
    assert (error.code, error.line) == ("DL001", 3)


def test_positions():
    document = parse_document(TEXT, format="toml")
    values = {key: (place.line, place.column) for key, place in document.positions.items()}
    keys = {key: (place.line, place.column) for key, place in document.key_positions.items()}
    assert values["title",] == (1, 9)
    assert keys["dotted",] == (2, 1)
    assert keys["dotted", "key"] == (2, 10)
    assert (keys["dotted", "key", "b"], values["dotted", "key", "b"]) == ((2, 16), (2, 20))
    assert keys["arrays", "raw"] == (3, 9)
    assert keys["arrays",] == (23, 2)
    assert values["arrays", "raw", "shape"] == (5, 9)
    assert values["arrays", "raw", "shape", 0] == (6, 3)
    assert values["arrays", "raw", "shape", 1, 1, "x"] == (7, 14)
    assert keys["arrays", "raw", "shape", 1, 1, "y"] == (7, 19)
    assert keys["arrays", "raw", "raw"] == (12, 1)
    assert keys["datasets", 0, "name"] == (15, 1)
    assert keys["datasets", 0, "extra", "a", "b"] == (17, 3)
    assert values["datasets", 1] == (18, 4)
    assert keys["datasets", 1, "parts", 1, "p", "q", "r"] == (22, 8)
    assert values["datasets", 1, "parts", 1, "p", "s"] == (22, 20)
    assert values["arrays", "version"] == (24, 11)


def test_every_value_has_a_position():
    document = parse_document(TEXT, format="toml")
    paths = set()

    def walk(value, path):
        paths.add(path)
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                walk(item, (*path, key))

    walk(document.data, ())
    assert set(document.positions) == set(document.key_positions) == paths


def test_dates_are_strings():
    text = "a = 2024-01-01\nb = 10:30:00\nc = 1979-05-27 07:32:00Z"
    expected = {"a": "2024-01-01", "b": "10:30:00", "c": "1979-05-27T07:32:00+00:00"}
    assert parse_document(text, format="toml").data == expected


def test_numbers():
    text = "a = [1_000, 0xf, +1.5, 1e3, 1_0.5, 6.626e-34, inf, -inf, nan, 0b11, -0.0]"
    assert repr(parse_document(text, format="toml").data) == repr(tomllib.loads(text))


def test_nothing_is_an_empty_table():
    assert parse_document("# nothing\n", format="toml").data == {}


LINE = st.sampled_from(
    [
        *(
            "a = 1",
            "b.c = [1, 2.5]",
            "[a]",
            "[b.d]",
            "[[e]]",
            "[[e.f]]",
            "'g h' = {i = [], j.k = {}}",
        ),
        *("a = '''\n[x]'''", 'b = """\\"""\n"""""', "c = [ # ]\n 1,\n]", "# [a", "[ 'e' . f ]", ""),
        *(
            "d = inf",
            "a",
            "[",
            "]",
            '"',
            "b = '",
            "c = {a = 1,}",
            'e = "\\u00e9"',
            "b = '''''a'''''",
        ),
    ]
)


@given(text=st.lists(LINE, max_size=6).map("\n".join) | st.text("[]{}=,.\"'# \n\\ab1", max_size=30))
@example("a = '''x'''''")
@example("a.b = [{c.d = 1}, []]\n[[e]]\n[e.f]")
def test_any_text_is_read_or_refused_as_by_the_standard_library(text):
    assume(not re.search(r"[eE][-+]?\d{3}|\d[\d._]{15}", text))  # kept more exactly than there
    try:
        expected = tomllib.loads(text)
    except ValueError:
        assert refused(text).code == "DL001"
    else:
        document = parse_document(text, format="toml")
        assert repr(document.data) == repr(expected)
        assert ("e", 0) in document.positions or not isinstance(expected.get("e"), list)
