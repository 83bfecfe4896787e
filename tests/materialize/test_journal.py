"""What the journal says was done was done, whenever its process died."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import SourceError
from dacapo_like.materialize.journal import Entry, Journal

TOTALS = [20, 3]


def opened(path, key="k" * 64):
    return Journal(path, key, TOTALS)


def missing(journal):
    return [list(journal.missing(sweep)) for sweep in range(len(TOTALS))]


def test_what_is_added_is_there_the_next_time(tmp_path):
    journal = opened(tmp_path / "journal")
    journal.add([Entry(0, 3, 8, 100), Entry(1, 2)])
    journal.add([Entry(0, 19)])
    journal.drop([Entry(1, 2)])
    journal.close()
    again = opened(tmp_path / "journal")
    assert again.counts == [2, 0]
    assert ((0, 3) in again, (0, 4) in again, (1, 2) in again) == (True, False, False)
    assert missing(again) == [[i for i in range(20) if i not in (3, 19)], [0, 1, 2]]
    assert list(again.entries()) == [Entry(0, 3, 8, 100), Entry(0, 19)]
    again.close()


@given(st.lists(st.tuples(st.integers(0, 19), st.booleans()), max_size=30), st.integers(0, 400))
def test_a_journal_that_is_cut_off_anywhere_says_what_was_on_disk(tmp_path_factory, changes, cut):
    path = tmp_path_factory.mktemp("cut") / "journal"
    journal = opened(path)
    for block, is_done in changes:
        (journal.add if is_done else journal.drop)([Entry(0, block)])
    journal.close()
    os.truncate(path, min(cut, path.stat().st_size))
    whole = path.read_bytes().count(b"\n") - 1
    again = opened(path)
    state: dict[int, bool] = dict(changes[: max(whole, 0)])
    assert [i for i in range(20) if (0, i) in again] == sorted(i for i, d in state.items() if d)
    assert again.counts[0] == sum(state.values())
    again.add([Entry(1, 1)])  # behind a whole line
    again.close()
    assert (1, 1) in opened(path)


@pytest.mark.parametrize(
    "line", [b"+0 20 0 0\n", b"+2 0 0 0\n", b"?0 1 0 0\n", b"+0 -1 0 0\n", b"+a\n"]
)
def test_a_corrupt_one_is_refused(tmp_path, line):
    journal = opened(tmp_path / "journal")
    journal.add([Entry(0, 0)])
    journal.close()
    with (tmp_path / "journal").open("ab") as file:
        file.write(line)
    with pytest.raises(SourceError, match=r"corrupt.*--restart"):
        opened(tmp_path / "journal")


def test_that_of_another_run_is_refused(tmp_path):
    opened(tmp_path / "journal").close()
    with pytest.raises(SourceError, match="another run"):
        opened(tmp_path / "journal", "o" * 64)


def test_where_nothing_can_be_written_says_so(tmp_path):
    with pytest.raises(SourceError, match="cannot be written"):
        opened(tmp_path / "none" / "journal")
