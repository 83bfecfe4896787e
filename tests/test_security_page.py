"""Every promise of SECURITY.md names tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def rows():
    promises = PAGE.partition("## What is promised")[2].partition("## What is not")[0]
    return [row for row in promises.splitlines() if row.startswith("| ")][1:]


def test_every_promise_names_tests_that_are_there():
    assert len(rows()) > 10
    for row in rows():
        named = re.findall(r"`((?:tests/\S+?::)?test_\w+)`", row.rpartition("| ")[0] + row.split(" | ")[-1])  # fmt: skip
        assert named, row
        file = None
        for name in named:
            place, _, test = name.rpartition("::")
            file = ROOT / place if place else file
            assert re.search(rf"def {test}\(", file.read_text(encoding="utf-8")), name


def test_limits_are_those_of_the_code():
    from dacapo_like.config._tree import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, MAX_NODES

    said = f"size ({MAX_BYTES // 2**20} MiB), nesting ({MAX_DEPTH}), values ({MAX_NODES:,},"
    assert said in PAGE
    assert f"({MAX_DIGITS} digits)" in PAGE
