"""The page that shows messages beside those of others shows what is printed today."""

from __future__ import annotations

import messages_page
import pytest


def test_the_page_is_fresh():
    shown = messages_page.PAGE.read_text()
    assert shown == messages_page.page(), "run: python tests/messages_page.py"


def test_every_program_was_asked_of_every_document():
    said = messages_page.recorded()
    assert set(said) == {
        (program, case.document)
        for program in messages_page.PROGRAMS
        for case in messages_page.CASES
    }
    assert all(said.values())


@pytest.mark.parametrize("case", messages_page.CASES, ids=lambda case: case.document)
def test_every_message_has_a_place_and_a_code(case):
    lines = messages_page.ours(case.document).splitlines()
    heads = [line for line in lines if line.startswith(case.document)]
    assert heads
    assert all(": error DL" in line for line in heads)
    assert sum("^" in line for line in lines) == len(heads)
