"""What errors say, and that they say it after a copy and in another process."""

import copy
import difflib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import errors
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    DataWarning,
    DocumentError,
    InvalidDocumentError,
    MissingExtraError,
    Problem,
    ReadError,
    RegionError,
    Remark,
    SourceError,
    SpecError,
    did_you_mean,
    format_key,
)

PARTS = {
    "got": 12,
    "expected": "at most 10",
    "where": "zarr 'em'",
    "hint": "pass pad=",
    "key": ("sources", 2),
    "code": "DL999",
}
PROBLEMS = (Problem(code="DL101", message="unknown type"), Problem(code="DL402", message="units"))
CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, DacapoLikeError)
]


def make(error_class):
    """Make an error with every part that its class knows."""
    extra = {
        DocumentError: {"line": 3, "column": 7},
        InvalidDocumentError: {"problems": PROBLEMS},
    }.get(error_class, {})
    return error_class("the region leaves the array", **PARTS, **extra)


@pytest.mark.parametrize("error_class", CLASSES)
@pytest.mark.parametrize(
    "twin_of", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_errors_keep_all_their_parts(error_class, twin_of):
    error = make(error_class)
    error.add_note("while training")
    twin = twin_of(error)
    assert type(twin) is error_class
    assert str(twin) == str(error)
    assert twin.args == error.args
    assert twin.__notes__ == ["while training"]
    assert vars(twin) == vars(error)
    assert twin.code == "DL999"
    assert twin.key == ("sources", 2)


@pytest.mark.parametrize("error_class", CLASSES)
def test_every_part_is_said_on_one_line(error_class):
    first, *rest = str(make(error_class)).splitlines()
    assert first == (
        "zarr 'em': the region leaves the array (got 12; expected at most 10). Hint: pass pad="
    )
    assert bool(rest) == (error_class is InvalidDocumentError)
    assert make(error_class).message == "the region leaves the array (got 12; expected at most 10)"


@pytest.mark.parametrize("error_class", CLASSES)
def test_parts_that_are_not_given_are_not_said(error_class):
    error = error_class("it is wrong")
    assert str(error) == "it is wrong"
    assert (error.got, error.expected, error.where, error.hint, error.key) == (None,) * 4 + ((),)
    assert error.code == error_class.code
    assert str(error_class("it is wrong", got=0)) == "it is wrong (got 0)"


def test_codes_tell_the_classes_apart():
    codes = [error_class.code for error_class in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(len(code) == 5 and code.startswith("DL") for code in codes)


@pytest.mark.parametrize(
    ("error_class", "builtin"),
    [
        (ConfigError, ValueError),
        (SpecError, ValueError),
        (RegionError, IndexError),
        (SourceError, OSError),
        (ReadError, OSError),
        (MissingExtraError, ImportError),
        (DataWarning, UserWarning),
    ],
)
def test_errors_are_what_python_would_raise(error_class, builtin):
    assert issubclass(error_class, builtin)


def test_all_problems_of_a_document_are_listed():
    assert str(InvalidDocumentError("2 problems", where="a.yaml", problems=iter(PROBLEMS))) == (
        "a.yaml: 2 problems\n  <config>: error DL101: unknown type\n  <config>: error DL402: units"
    )


def test_problems_say_where_they_are():
    problem = Problem(
        path="a.yaml",
        line=3,
        column=5,
        key="arrays.raw.type",
        code="DL101",
        severity="warning",
        message="unknown type",
        hint="did you mean 'zarr'?",
    )
    assert str(problem) == (
        "a.yaml:3:5: warning DL101 [arrays.raw.type]: unknown type (did you mean 'zarr'?)"
    )


@pytest.mark.parametrize(
    "value",
    [*PROBLEMS, Remark(code="DL401", message="leaves", key=("roi",), hint="grow it")],
)
def test_findings_copy_hash_and_pickle(value):
    for twin in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        assert twin == value
        assert hash(twin) == hash(value)


@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=5))
def test_suggestions_are_known_and_near(word, known):
    hint = did_you_mean(word, iter(known))
    near = [k for k in known if difflib.SequenceMatcher(None, k, word).ratio() >= 0.6]
    assert (hint is None) == (not near)
    if hint is not None:
        assert hint in {f"did you mean '{name}'?" for name in near}


def test_only_the_start_of_a_huge_word_is_compared():
    start = "ab" * 50
    assert did_you_mean(start + "z" * 10_000_000, [start]) == f"did you mean '{start}'?"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((), ""),
        (("arrays", "mito", "sources", 2), "arrays.mito.sources[2]"),
        ((0, "type"), "[0].type"),
        (("a", 1, 2), "a[1][2]"),
    ],
)
def test_key_paths_as_people_read_them(key, text):
    assert format_key(key) == text
