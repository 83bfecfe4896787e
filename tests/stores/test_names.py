"""Names of arrays: what Unicode and file systems make of them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import ConfigError
from dacapo_like.stores.names import MAX_BYTES, check_name, folded, in_the_way, is_name


@given(st.text(max_size=80))
def test_a_name_is_a_file_name_in_normal_form_or_refused(tmp_path_factory, text):
    try:
        name = check_name(text)
    except ConfigError:
        assert not is_name(unicodedata.normalize("NFC", text))
        return
    assert is_name(name)
    assert check_name(name) == name == unicodedata.normalize("NFC", text)
    assert len(name.encode()) <= MAX_BYTES
    folder = tmp_path_factory.mktemp("names")
    (folder / f"{name}.yaml").touch()
    assert [path.name for path in folder.iterdir()] == [f"{name}.yaml"]


def test_a_long_name_is_shown_short():
    with pytest.raises(ConfigError) as caught:
        check_name("x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("one", "other"),
    [("raw", "RAW"), ("Straße", "STRASSE"), ("\u01c6", "\u01c4"), ("\u00c5", "\u00e5")],
)
def test_names_in_two_cases_are_one(one, other):
    assert folded(one) == folded(other)
    assert in_the_way(one, ["a", other]) == other
    assert in_the_way(one, ["a", one]) is None
